//! Which connection carries which service. Pure: it decides, and sends nothing.
//!
//! A service has one home connection. Only a service that is larger than the bound by itself is split into parts, each
//! with a home: two, four, eight of them, by a hash of the instance's address, so that an instance stays in its part. A
//! record that is to change its connection is first published on the new one as well ([`Next::Add`]) and later withdrawn
//! from the old one ([`Next::Drop`]): subscribers see two identical publications as one entry.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use causeway_core::ServiceKey;

use super::size;
use super::wire::WireInstance;

#[cfg(test)]
mod tests;

/// Instances that one connection publishes in one service.
pub(super) type Instances = Arc<[WireInstance]>;

/// A connection, for as long as it carries anything; numbers are not used again.
pub(super) type ConnectionNumber = u64;

/// What one connection holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// As the servers send it to each other, estimated.
    pub bytes: usize,
    /// Instances.
    pub records: usize,
    /// Services with any.
    pub services: usize,
}

/// What a connection should publish in a service from now on; empty: nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ConnectionSet {
    pub(super) connection: ConnectionNumber,
    pub(super) set: Instances,
}

/// What is left to do until every record of a service is at its home and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Done,
    /// Some records are not at their home yet.
    Add,
    /// All are at their homes, which are these; some are elsewhere too.
    Drop(BTreeSet<ConnectionNumber>),
}

/// Invariants: a load is the sum of what is asked of its connection, or is going to be. After [`ConnectionLayout::want`] the
/// homes of a service have room for their parts, except for a single record that is larger than the bound. No wanted record
/// is ever without a connection.
pub(super) struct ConnectionLayout {
    limit: usize,
    next: ConnectionNumber,
    loads: BTreeMap<ConnectionNumber, Load>,
    services: BTreeMap<ServiceKey, PlacedService>,
}

#[derive(Default)]
struct PlacedService {
    whole: Instances,
    /// The home of each part; a power of two of them.
    homes: Vec<ConnectionNumber>,
    /// What is asked of each connection.
    held: BTreeMap<ConnectionNumber, Instances>,
}

impl PlacedService {
    /// Whether all of it is on its one home.
    fn is_at_home(&self) -> bool {
        let [home] = &*self.homes else { return false };
        self.held.len() == 1 && self.held.get(home).is_some_and(|held| Arc::ptr_eq(held, &self.whole))
    }
}

impl ConnectionLayout {
    /// No connection is to hold more than `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        ConnectionLayout { limit: limit.max(1), next: 0, loads: BTreeMap::new(), services: BTreeMap::new() }
    }

    /// Notes the whole set of a service. The wishes can be sent at once and in any order: they move no record, and
    /// include every connection that holds some of the service.
    pub(super) fn want(&mut self, key: &ServiceKey, set: Instances) -> Vec<ConnectionSet> {
        let mut service = self.services.remove(key).unwrap_or_default();
        self.count(key, &service, false);
        let before: BTreeSet<ConnectionNumber> = service.held.keys().copied().collect();
        if set.is_empty() {
            let nothing = |connection| ConnectionSet { connection, set: Instances::default() };
            return before.into_iter().map(nothing).collect();
        }
        service.homes = self.homes(key, &service.homes, &set);
        let target = spread(&set, &service.homes);
        service.held = match before.iter().eq(target.keys()) && target.len() == 1 {
            true => target,
            false => keep(&set, &service.held, &target),
        };
        service.whole = set;
        self.put(key, service, before)
    }

    /// Takes in a service that is not counted at the moment, and says what is to be sent for it.
    fn put(
        &mut self,
        key: &ServiceKey,
        service: PlacedService,
        before: BTreeSet<ConnectionNumber>,
    ) -> Vec<ConnectionSet> {
        self.count(key, &service, true);
        let numbers: BTreeSet<_> = before.into_iter().chain(service.held.keys().copied()).collect();
        let held = |number| service.held.get(&number).cloned().unwrap_or_default();
        let wishes =
            numbers.into_iter().map(|connection| ConnectionSet { connection, set: held(connection) }).collect();
        self.services.insert(key.clone(), service);
        wishes
    }

    /// What is left to do in a service.
    pub(super) fn next(&self, key: &ServiceKey) -> Next {
        let Some((service, target)) = self.target(key) else { return Next::Done };
        let contains = |(number, part): (&ConnectionNumber, &Instances)| {
            let held = service.held.get(number).map(ids).unwrap_or_default();
            part.iter().all(|one| held.contains(&id(one)))
        };
        if !target.iter().all(contains) {
            return Next::Add;
        }
        let records = |sets: &BTreeMap<ConnectionNumber, Instances>| sets.values().map(|set| set.len()).sum::<usize>();
        match records(&target) == records(&service.held) {
            true => Next::Done,
            false => Next::Drop(target.into_keys().collect()),
        }
    }

    /// Does what is left to do next, and says what is to be sent for it.
    pub(super) fn advance(&mut self, key: &ServiceKey) -> Vec<ConnectionSet> {
        let next = self.next(key);
        let Some((service, mut target)) = self.target(key).filter(|_| next != Next::Done) else { return Vec::new() };
        let before: BTreeSet<ConnectionNumber> = service.held.keys().copied().collect();
        if next == Next::Add {
            for (number, held) in &service.held {
                let there = target.get(number).map(ids).unwrap_or_default();
                let both: HashSet<_> = ids(held).union(&there).copied().collect();
                let set = service.whole.iter().filter(|one| both.contains(&id(one))).cloned().collect();
                target.insert(*number, set);
            }
        }
        let Some(mut service) = self.services.remove(key) else { return Vec::new() };
        self.count(key, &service, false);
        service.held = target;
        self.put(key, service, before)
    }

    /// A connection for what needs any, a new one where there is none.
    pub(super) fn any(&mut self) -> ConnectionNumber {
        match self.loads.keys().next() {
            Some(number) => *number,
            None => self.open(),
        }
    }

    /// Every connection with its load.
    pub(super) fn loads(&self) -> impl Iterator<Item = (ConnectionNumber, Load)> {
        self.loads.iter().map(|(number, load)| (*number, *load))
    }

    /// Forgets a connection; only one that holds nothing. False: it holds something.
    pub(super) fn close(&mut self, number: ConnectionNumber) -> bool {
        let empty = self.loads.get(&number).is_none_or(|load| load.services == 0);
        if empty {
            self.loads.remove(&number);
        }
        empty
    }

    fn target(&self, key: &ServiceKey) -> Option<(&PlacedService, BTreeMap<ConnectionNumber, Instances>)> {
        let service = self.services.get(key)?;
        Some((service, spread(&service.whole, &service.homes)))
    }

    fn open(&mut self) -> ConnectionNumber {
        let number = self.next;
        self.next += 1;
        self.loads.insert(number, Load::default());
        number
    }

    /// Adds a service to the loads, or takes it off. Where it is going to be counts as if it were there.
    fn count(&mut self, key: &ServiceKey, service: &PlacedService, add: bool) {
        let bytes =
            |set: &Instances| size::service(key) + set.iter().map(|one| size::instance(key, one)).sum::<usize>();
        let mut loads: BTreeMap<ConnectionNumber, (usize, usize)> =
            service.held.iter().map(|(number, set)| (*number, (bytes(set), set.len()))).collect();
        if !service.is_at_home() {
            for (number, set) in spread(&service.whole, &service.homes) {
                let load = loads.entry(number).or_default();
                load.0 = load.0.max(bytes(&set));
            }
        }
        for (number, (bytes, records)) in loads {
            let load = self.loads.entry(number).or_default();
            let change = |count: &mut usize, by| *count = if add { *count + by } else { *count - by };
            change(&mut load.bytes, bytes);
            change(&mut load.records, records);
            change(&mut load.services, 1);
        }
    }

    /// The homes of a service that is not counted at the moment: where it was, while there is room.
    fn homes(&mut self, key: &ServiceKey, before: &[ConnectionNumber], set: &Instances) -> Vec<ConnectionNumber> {
        let parts = self.parts(key, before.len().max(1), set);
        let mut homes: Vec<ConnectionNumber> = Vec::with_capacity(parts.len());
        // Of this service, by connection: parts may share one.
        let mut added: BTreeMap<ConnectionNumber, usize> = BTreeMap::new();
        for (part, bytes) in parts.into_iter().enumerate() {
            let load = |number: &ConnectionNumber| {
                let others = self.loads.get(number).map_or(0, |load| load.bytes);
                others + added.get(number).copied().unwrap_or_default()
            };
            let present =
                before.get(part % before.len().max(1)).copied().filter(|number| self.loads.contains_key(number));
            let stays = present.filter(|number| load(number) == 0 || load(number) + bytes <= self.limit);
            // A new service leaves room for others to grow.
            let fill = self.limit - self.limit / 4;
            let free = || self.loads.keys().copied().find(|number| load(number) + bytes <= fill);
            let home = match stays.or_else(free) {
                Some(number) => number,
                None => self.open(),
            };
            *added.entry(home).or_default() += bytes;
            homes.push(home);
        }
        homes
    }

    /// The bytes of each part. As many parts as before where that does: they double when one is larger than the bound,
    /// and are halved when half as many would be half full.
    fn parts(&self, key: &ServiceKey, before: usize, set: &Instances) -> Vec<usize> {
        let sizes: Vec<_> = set.iter().map(|one| (hash(one), size::instance(key, one))).collect();
        let bytes = |count: usize| {
            let mut parts = vec![size::service(key); count];
            sizes.iter().for_each(|(hash, bytes)| parts[part(*hash, count)] += bytes);
            parts
        };
        let fits = |parts: &[usize], limit: usize| parts.iter().all(|bytes| *bytes <= limit);
        let mut count = before;
        while count > 1 && fits(&bytes(count / 2), self.limit / 2) {
            count /= 2;
        }
        let mut parts = bytes(count);
        while !fits(&parts, self.limit) && count < set.len() {
            count *= 2;
            parts = bytes(count);
        }
        parts
    }
}

/// The records of each connection, when each is at its home.
fn spread(whole: &Instances, homes: &[ConnectionNumber]) -> BTreeMap<ConnectionNumber, Instances> {
    if let [home] = homes {
        return BTreeMap::from([(*home, whole.clone())]);
    }
    let mut sets: BTreeMap<ConnectionNumber, Vec<WireInstance>> = BTreeMap::new();
    for one in whole.iter() {
        sets.entry(homes[part(hash(one), homes.len())]).or_default().push(one.clone());
    }
    sets.into_iter().map(|(number, set)| (number, set.into())).collect()
}

/// Every record where it is held already, with its new contents, and a new one at its home.
fn keep(
    whole: &Instances,
    held: &BTreeMap<ConnectionNumber, Instances>,
    target: &BTreeMap<ConnectionNumber, Instances>,
) -> BTreeMap<ConnectionNumber, Instances> {
    let known: HashSet<_> = held.values().flat_map(ids).collect();
    let numbers: BTreeSet<_> = held.keys().chain(target.keys()).collect();
    let of = |number: &ConnectionNumber| -> Instances {
        let here = held.get(number).map(ids).unwrap_or_default();
        let home = target.get(number).map(ids).unwrap_or_default();
        let stays = |one: &&WireInstance| {
            let id = id(one);
            here.contains(&id) || (home.contains(&id) && !known.contains(&id))
        };
        whole.iter().filter(stays).cloned().collect()
    };
    let sets = numbers.into_iter().map(|number| (*number, of(number)));
    sets.filter(|(_, set)| !set.is_empty()).collect()
}

type Id<'a> = (&'a str, u16, &'a str);

fn id(one: &WireInstance) -> Id<'_> {
    (&one.ip, one.port, &one.cluster_name)
}

fn ids(set: &Instances) -> HashSet<Id<'_>> {
    set.iter().map(id).collect()
}

/// FNV-1a of what identifies an instance.
fn hash(one: &WireInstance) -> u64 {
    let port = one.port.to_be_bytes();
    let bytes = one.ip.as_bytes().iter().chain(&port).chain(one.cluster_name.as_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `count` is a power of two. The upper bits of the hash depend on every byte.
fn part(hash: u64, count: usize) -> usize {
    usize::try_from((hash >> 32) & (count as u64 - 1)).unwrap_or_default()
}
