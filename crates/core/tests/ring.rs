//! Random topologies of clusters; random births, deaths, overwritten marks, late views and failed writes.
//! At rest: everything reachable from a living record has it; nothing holds a dead one; no native was ever touched.

use causeway_core::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const INSTALL: &str = "i";

/// One direction of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    from: usize,
    to: usize,
    two_way: bool,
}

impl Route {
    fn owner(self) -> OwnerId {
        let Self { from, to, two_way } = self;
        match two_way {
            true => OwnerId::new(INSTALL, &format!("{}={}", from.min(to), from.max(to))),
            false => OwnerId::new(INSTALL, &format!("{from}-{to}")),
        }
    }
}

/// What really stands in a cluster at the one address of this test, as its server keeps it.
#[derive(Clone, Debug, Default)]
struct Cluster {
    native: Option<Instance>,
    /// Our copy; `true`: an operator has overwritten its mark.
    copy: Option<(Instance, bool)>,
    /// Our record without a mark, identical to a native.
    shadow: Option<(Instance, OwnerId)>,
    ledger: Written,
}

fn service() -> ServiceKey {
    ServiceKey::new("public", "g", "s")
}
fn id(cluster: usize) -> ClusterId {
    ClusterId::of(&cluster.to_string())
}
fn instance(weight: u8) -> Instance {
    Instance::new("127.0.0.1", 80).with(|one| one.weight = f64::from(weight))
}

impl Cluster {
    /// What a connector reads: identical unmarked records are one entry; ours is known as ours by its publisher.
    fn view(&self) -> Set {
        let mut set = Set::empty(service());
        if let Some(native) = &self.native {
            set.put(native.clone());
        }
        if let Some((copy, overwritten)) = &self.copy {
            let mut mark = copy.mark.clone().expect("a copy is marked");
            if *overwritten {
                mark = Mark::new(mark.owner.clone(), Vec::new());
            }
            set.put(copy.clone().with_mark(Some(mark)));
        }
        if let Some((shadow, owner)) = &self.shadow
            && self.native.as_ref().is_none_or(|native| !native.same(shadow))
        {
            set.put(shadow.clone().with_mark(Some(Mark::new(owner.clone(), vec![]))));
        }
        set
    }

    /// What may leave the cluster: a native record, else our copy, with the path that we wrote.
    fn exported(&self) -> Option<Instance> {
        let view = self.view();
        let held = view.records.values().next()?;
        if let Some(native) = &held.native {
            return Some(native.clone());
        }
        let copy = held.copy_of(INSTALL)?.clone();
        if copy.mark()?.path.is_empty() {
            let written = self.ledger.records.get(&copy.id())?;
            let mark = written.record.mark()?.clone();
            return Some(copy.with_mark(Some(mark)));
        }
        Some(copy)
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Create(to) | Change::Adopt(to) | Change::Update { to, .. } => {
                let same = |(old, _): &(Instance, bool)| old == to;
                let overwritten = self.copy.as_ref().is_some_and(|copy| copy.1 && same(copy));
                self.copy = Some((to.clone(), overwritten));
                self.shadow = None;
            }
            Change::Shadow(record, owner) => {
                assert!(record.mark().is_none());
                self.copy = None;
                self.shadow = Some((record.clone(), owner.clone()));
            }
            Change::Delete { .. } => {
                self.copy = None;
                self.shadow = None;
            }
            Change::Scope { .. } | Change::Edit { .. } => {}
        }
        self.ledger.note(change, &[]);
    }

    fn holds(&self) -> bool {
        !self.view().records.is_empty()
    }
}

/// Plans everything that is written to `to`, with the sources as `seen` has them, and applies what `passes`.
fn run(world: &mut [Cluster], seen: &[Cluster], routes: &[Route], to: usize, shadows: bool, passes: u8) -> bool {
    let mut wishes: BTreeMap<OwnerId, Wish> = BTreeMap::new();
    for route in routes.iter().filter(|route| route.to == to) {
        let owner = route.owner();
        let mut wish = Wish {
            owner: owner.clone(),
            mode: WriteMode::Sync,
            overrides: Overrides::Keep,
            fresh: Fresh::Settled,
            records: BTreeMap::new(),
            crowded: BTreeSet::new(),
            refused: BTreeMap::new(),
            edits: BTreeMap::new(),
            witnessed: BTreeSet::new(),
            attributes: None,
            take_over: None,
        };
        if let Some(record) = seen[route.from].exported() {
            let record = record.forwarded(&id(route.from), &owner);
            match record.mark.as_ref().expect("forwarded").path.contains(&id(to)) {
                true => drop(wish.refused.insert(record.id(), Skip::Loop)),
                false => drop(wish.records.insert(record.id(), record)),
            }
        }
        wishes.insert(owner, wish);
    }
    let wishes: Vec<_> = wishes.into_values().collect();
    let policy = PlanContext {
        install: INSTALL.into(),
        destination: id(to),
        shadows: &|_, _| shadows,
        governed: &|_, _| None,
        paused: false,
        ended: &|_| false,
    };
    let plan = plan(&wishes, &world[to].view(), &world[to].ledger, &policy);
    for (n, change) in plan.changes.iter().enumerate() {
        if passes >> (n % 8) & 1 == 1 {
            world[to].apply(change);
        }
    }
    !plan.changes.is_empty()
}

fn settle(world: &mut [Cluster], routes: &[Route], shadows: bool) -> Result<(), TestCaseError> {
    for _ in 0..6 * world.len() {
        let mut moved = false;
        for to in 0..world.len() {
            let seen = world.to_vec();
            moved |= run(world, &seen, routes, to, shadows, 0xff);
        }
        if !moved {
            return Ok(());
        }
    }
    Err(TestCaseError::fail("no fixpoint"))
}

fn reachable(from: BTreeSet<usize>, routes: &[Route]) -> BTreeSet<usize> {
    let mut seen = from;
    for _ in routes {
        seen.extend(routes.iter().filter(|r| seen.contains(&r.from)).map(|r| r.to).collect::<Vec<_>>());
    }
    seen
}

fn holders(world: &[Cluster]) -> BTreeSet<usize> {
    (0..world.len()).filter(|&n| world[n].holds()).collect()
}

fn cases() -> u32 {
    std::env::var("CAUSEWAY_PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]
    #[test]
    fn no_orphans_and_full_reach(
        n in 2usize..6,
        raw in prop::collection::btree_set((0usize..6, 0usize..6, any::<bool>()), 1..9),
        script in prop::collection::vec((0u8..8, 0usize..64, any::<u8>()), 0..80),
        last in prop::collection::btree_set(0usize..6, 0..3),
        shadows: bool,
    ) {
        let mut routes = BTreeSet::new();
        for (a, b, two_way) in raw {
            let (from, to) = (a % n, b % n);
            if from != to {
                routes.insert(Route { from, to, two_way });
                if two_way {
                    routes.insert(Route { from: to, to: from, two_way });
                }
            }
        }
        let routes: Vec<_> = routes.into_iter().collect();
        let mut world = vec![Cluster::default(); n];
        let mut late = world.clone();
        let mut alive: Vec<Option<Instance>> = vec![None; n];

        for (step, k, passes) in script {
            let at = k % n;
            match step {
                0 | 1 => alive[at] = Some(instance(passes % 3)),
                2 => alive[at] = None,
                3 => if let Some(copy) = &mut world[at].copy { copy.1 = true },
                4 => late = world.clone(),
                5 => { run(&mut world, &late.clone(), &routes, at, shadows, passes); }
                _ => { let seen = world.clone(); run(&mut world, &seen, &routes, at, shadows, passes); }
            }
            for (cluster, native) in world.iter_mut().zip(&alive) {
                cluster.native = native.clone();
            }
        }
        settle(&mut world, &routes, shadows)?;
        let living: BTreeSet<usize> = (0..n).filter(|&at| alive[at].is_some()).collect();
        prop_assert_eq!(holders(&world), reachable(living, &routes));

        let living: BTreeSet<usize> = last.into_iter().map(|at| at % n).collect();
        for (at, cluster) in world.iter_mut().enumerate() {
            cluster.native = living.contains(&at).then(|| instance(1));
        }
        settle(&mut world, &routes, shadows)?;
        prop_assert_eq!(holders(&world), reachable(living.clone(), &routes));
        for (at, cluster) in world.iter().enumerate() {
            if living.contains(&at) {
                prop_assert!(cluster.copy.is_none(), "a copy beside a native");
            }
        }
    }
}
