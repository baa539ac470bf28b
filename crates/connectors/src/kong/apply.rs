//! Writing one upstream: itself, its targets, the service before it and that one's routes, in this order; taking them away is the
//! other way round.

mod away;

use super::api::Api;
use super::client::{Body, RouteRow, ServiceRow, TargetRow, UpstreamRow};
use super::convert::{address, is_made_by_us, stands, tags};
use super::entities::{self, differences};
use super::gateway::{Gateway, again};
use super::names::Place;
use super::view::{Seen, Targets};
use super::weights::to_kong;
use causeway_core::{Change, Error, Instance, ServiceKey};
use serde_json::json;

/// One outcome for each change.
pub(super) type Outcomes = Vec<Result<(), Error>>;

impl Gateway {
    /// Makes changes through the Admin API.
    pub async fn write(&self, scope: &ServiceKey, place: &Place, changes: &[Change]) -> Outcomes {
        let _together = self.gate.read().await;
        let _writing = self.view.writes(&place.upstream);
        let mut hand = match Hand::open(self, &self.client, scope, place, true).await {
            Ok(hand) => hand,
            Err(error) => return changes.iter().map(|_| Err(again(&error))).collect(),
        };
        hand.make(changes).await
    }
}

/// An upstream that is being written.
pub(super) struct Hand<'a, A: Api> {
    gateway: &'a Gateway,
    api: A,
    scope: &'a ServiceKey,
    place: &'a Place,
    /// As it stands; `None`: it does not.
    row: Option<UpstreamRow>,
    targets: Targets,
    /// What is written stands at once, and is shown even if the call ends before it is complete.
    is_live: bool,
}

impl<A: Api> Drop for Hand<'_, A> {
    fn drop(&mut self) {
        if self.is_live {
            self.show();
        }
    }
}

impl<'a, A: Api> Hand<'a, A> {
    /// Finds out what stands there, from what is known where that is enough.
    pub async fn open(
        gateway: &'a Gateway,
        mut api: A,
        scope: &'a ServiceKey,
        place: &'a Place,
        is_live: bool,
    ) -> Result<Self, Error> {
        let seen = if is_live { gateway.view.seen(&place.upstream) } else { Seen::Unknown };
        let (row, targets) = match seen {
            Seen::Followed(followed) => (Some(followed.row), Some(followed.targets)),
            // Nothing of ours is in it.
            Seen::Foreign(row) if !place.is_given => (Some(row), Some(Targets::new())),
            Seen::Foreign(row) => (Some(row), None),
            Seen::Absent => (None, Some(Targets::new())),
            Seen::Unknown => (api.get(&format!("/upstreams/{}", place.upstream)).await?, None),
        };
        let targets = match (&row, targets) {
            (_, Some(targets)) => targets,
            (None, None) => Targets::new(),
            (Some(row), None) => list(&mut api, row).await?,
        };
        Ok(Self { gateway, api, scope, place, row, targets, is_live })
    }

    /// Shows what stands there now to those who watch.
    pub fn show(&self) {
        let view = &self.gateway.view;
        match &self.row {
            // What is somebody else's is none of ours as long as nothing of ours is in it.
            Some(row) if self.is_ours() => view.put(self.scope, row.clone(), self.targets.clone()),
            Some(_) => {}
            None => view.remove(&self.place.upstream),
        }
    }

    /// Whether it is to be watched: where the operator has named it, also for what others put there.
    fn is_ours(&self) -> bool {
        let made = self.row.as_ref().is_some_and(|row| is_made_by_us(&row.tags));
        made || self.place.is_given || self.targets.values().any(|target| self.owns(target))
    }

    fn owns(&self, target: &TargetRow) -> bool {
        self.gateway.view.owner(&self.place.upstream, target).is_some()
    }

    /// Makes changes, in order.
    pub async fn make(&mut self, changes: &[Change]) -> Outcomes {
        let writes = |change: &Change| !matches!(change, Change::Delete { .. } | Change::Scope { .. });
        let refused = match changes.iter().any(writes) {
            true => self.stand().await.err(),
            false => None,
        };
        let empties = self.empties(changes);
        // What is before the targets goes first.
        let is_bare = match empties {
            true => self.take_service_away().await,
            false => Ok(false),
        };
        let mut outcomes = Vec::with_capacity(changes.len());
        // Kong has asked for patience: the rest waits.
        let mut asked = None;
        for change in changes {
            let outcome = match (asked, change, &refused, &is_bare) {
                (Some(wait), ..) => Err(Error::Throttled(wait)),
                (None, Change::Delete { .. }, _, Err(error)) => Err(again(error)),
                (None, change, Some(error), _) if writes(change) => Err(again(error)),
                (None, change, ..) => self.change(change).await,
            };
            if let Err(Error::Throttled(wait)) = &outcome {
                asked = Some(*wait);
            }
            outcomes.push(outcome);
        }
        let mut end = Ok(());
        if changes.iter().zip(&outcomes).any(|(change, outcome)| writes(change) && outcome.is_ok()) {
            end = self.put_service().await;
        } else if is_bare.is_ok_and(|is_bare| is_bare) && self.targets.is_empty() {
            end = self.take_upstream_away().await;
        }
        if let Err(error) = end {
            // Targets stand by now; what is before them is tried again with them.
            outcomes.iter_mut().filter(|outcome| outcome.is_ok()).for_each(|outcome| *outcome = Err(again(&error)));
        }
        outcomes
    }

    /// Makes the upstream where it is missing, and refuses one that is not ours to write in.
    async fn stand(&mut self) -> Result<(), Error> {
        let (name, view) = (&self.place.upstream, &self.gateway.view);
        if let Some(row) = &self.row {
            return match (self.place.is_given, is_made_by_us(&row.tags)) {
                (true, false) => {
                    view.follow(name);
                    Ok(())
                }
                (true, true) => Err(Error::Blocked(format!(
                    "Causeway has made the upstream {name}: `upstreamName` is for one that is somebody else's"
                ))),
                (false, _) if view.is_own(&row.tags) => Ok(()),
                (false, _) => Err(Error::Blocked(format!(
                    "Kong has an upstream {name} that is not ours: rename or remove it, or name it as `upstreamName` of a group of the \
                     task, so that only our targets are written in it"
                ))),
            };
        }
        if self.place.is_given {
            return Err(Error::Blocked(format!(
                "Kong has no upstream {name}: make it, or take `upstreamName` out, so that Causeway makes one of its own"
            )));
        }
        let service = self.place.service.as_ref().and_then(|service| view.service(service));
        if let Some(service) = service.filter(|service| !view.is_own(&service.tags)) {
            return Err(foreign_service(&service.name));
        }
        let body = entities::upstream(&self.gateway.options, &self.gateway.install, name);
        match self.api.post("/upstreams", &body).await {
            Ok(row) => self.row = Some(row),
            Err(Error::Conflict) => self.read().await?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reads anew what stands there, since it is other than what was known.
    async fn read(&mut self) -> Result<(), Error> {
        self.row = self.api.get(&format!("/upstreams/{}", self.place.upstream)).await?;
        self.targets = match &self.row {
            Some(row) => list(&mut self.api, row).await?,
            None => Targets::new(),
        };
        // What to do about it is planned anew.
        Err(Error::Conflict)
    }

    async fn change(&mut self, change: &Change) -> Result<(), Error> {
        match change {
            Change::Create(record) | Change::Adopt(record) | Change::Update { to: record, .. } => {
                self.put_target(record).await
            }
            Change::Delete { record, .. } => self.take_target_away(record).await,
            Change::Shadow(..) => Err(Error::Rejected("an upstream has one target for an address".into())),
            Change::Edit { .. } => Err(Error::Rejected("a target of somebody else's is not changed".into())),
            // An upstream has nothing of its own.
            Change::Scope { .. } => Ok(()),
        }
    }

    fn target_path(&self, id: &str) -> String {
        let upstream = self.row.as_ref().map(|row| row.id.as_str()).unwrap_or_default();
        format!("/upstreams/{upstream}/targets/{id}")
    }

    async fn put_target(&mut self, record: &Instance) -> Result<(), Error> {
        let Some(mark) = record.mark() else { return Err(Error::protocol("a copy without a mark")) };
        if !stands(record) {
            return Err(Error::Rejected("Kong has only instances that take traffic".into()));
        }
        let (target, weight) = (address(record), to_kong(record.weight));
        let before = self.targets.get(&target).cloned();
        let tags =
            tags(&self.gateway.install, record, before.as_ref().map_or(&[][..], |before| before.tags.as_slice()));
        let mut body = Body::new();
        body.insert("weight".into(), weight.into());
        body.insert("tags".into(), json!(tags));
        let row = match before {
            Some(before) if !self.owns(&before) => return Err(Error::Conflict),
            Some(before) if before.weight == weight && same_tags(&before.tags, &tags) => before,
            Some(before) => match self.api.patch(&self.target_path(&before.id), &body).await {
                Err(Error::Missing(_)) => return self.read().await,
                row => row?,
            },
            None => {
                body.insert("target".into(), target.clone().into());
                let upstream = self.row.as_ref().map(|row| row.id.clone()).unwrap_or_default();
                match self.api.post(&format!("/upstreams/{upstream}/targets"), &body).await {
                    // Somebody was faster, or the upstream has gone.
                    Err(Error::Conflict | Error::Missing(_)) => return self.read().await,
                    row => row?,
                }
            }
        };
        let id = self.is_live.then(|| row.id.clone());
        self.gateway.view.note(&self.place.upstream, &target, Some((mark.owner.clone(), id)));
        self.targets.insert(row.target.clone(), row);
        Ok(())
    }

    async fn take_target_away(&mut self, record: &Instance) -> Result<(), Error> {
        let target = address(record);
        let row = self.targets.get(&target).filter(|row| self.owns(row)).cloned();
        // One that is somebody else's, or gone, is not ours to take.
        if let Some(row) = row {
            self.api.delete(&self.target_path(&row.id)).await?;
            self.targets.remove(&target);
        }
        self.gateway.view.note(&self.place.upstream, &target, None);
        Ok(())
    }

    /// Makes the service before the upstream, and its routes, where they are missing.
    async fn put_service(&mut self) -> Result<(), Error> {
        let Some(name) = &self.place.service else { return Ok(()) };
        let view = &self.gateway.view;
        let wanted = entities::service(&self.gateway.install, name, &self.place.upstream);
        let known = view.service(name).filter(|_| self.is_live);
        let row: ServiceRow = match known {
            Some(row) => row,
            None => match self.api.post("/services", &wanted).await {
                Ok(row) => row,
                Err(Error::Conflict) => {
                    let row = self.api.get(&format!("/services/{name}")).await?;
                    row.ok_or(Error::Conflict)?
                }
                Err(error) => return Err(error),
            },
        };
        if self.is_live {
            view.put_service(name, Some(row.clone()));
        }
        if !view.is_own(&row.tags) {
            return Err(foreign_service(name));
        }
        self.put_routes(name).await
    }

    async fn put_routes(&mut self, service: &str) -> Result<(), Error> {
        let (options, install) = (&self.gateway.options, &self.gateway.install);
        for wanted in entities::routes(options, install, service, &self.scope.name) {
            let name = wanted.get("name").and_then(|name| name.as_str()).unwrap_or_default().to_owned();
            if self.is_live && self.gateway.knows_route(&name, &wanted) {
                continue;
            }
            let row: RouteRow = match self.api.post(&format!("/services/{service}/routes"), &wanted).await {
                Ok(row) => row,
                Err(Error::Conflict) => {
                    let row: Option<RouteRow> = self.api.get(&format!("/routes/{name}")).await?;
                    let row = row.ok_or(Error::Conflict)?;
                    if !self.gateway.view.is_own(&row.tags) {
                        return Err(Error::Blocked(format!(
                            "Kong has a route {name} that is not ours: rename or remove it"
                        )));
                    }
                    match differences(&wanted, &row.rest) {
                        differs if differs.is_empty() => row,
                        differs => self.api.patch(&format!("/routes/{name}"), &differs).await?,
                    }
                }
                Err(error) => return Err(error),
            };
            if self.is_live {
                self.gateway.note_route(row);
            }
        }
        Ok(())
    }
}

async fn list(api: &mut impl Api, row: &UpstreamRow) -> Result<Targets, Error> {
    let targets: Vec<TargetRow> = api.list(&format!("/upstreams/{}/targets", row.id)).await?;
    Ok(targets.into_iter().map(|row| (row.target.clone(), row)).collect())
}

fn same_tags(stand: &[String], wanted: &[String]) -> bool {
    stand.len() == wanted.len() && wanted.iter().all(|tag| stand.contains(tag))
}

fn foreign_service(name: &str) -> Error {
    Error::Blocked(format!(
        "Kong has a service {name} that is not ours: rename or remove it, or give our service another name with `map`"
    ))
}
