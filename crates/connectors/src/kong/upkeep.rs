//! Puts right what belongs to upstreams of ours and is not one of their targets: their own fields, their services, their routes.
//! Somebody may have removed it, or the settings say something else than before.

use super::api::Api;
use super::apply::Hand;
use super::client::{Body, RouteRow, UpstreamRow};
use super::entities::{self, differences};
use super::gateway::Gateway;
use super::names::Place;
use super::settings::KongMode;
use causeway_core::Error;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// An upstream that has lost its last target, and the service before it, stay for so long: its instances may only be unwell, and a
/// route that is made anew takes seconds until it works.
const LINGER: Duration = Duration::from_secs(20);
/// One that an earlier process has left empty stays for so long.
const LEFT: Duration = Duration::from_secs(600);

/// An entity of ours to be made, changed or removed: its path, by its name, and its fields.
#[derive(Debug, PartialEq)]
pub(super) enum Repair {
    Make(String, Body),
    Change(String, Body),
    Remove(String),
}

impl Gateway {
    /// Whether a route of ours stands as it is wanted.
    pub fn knows_route(&self, name: &str, wanted: &Body) -> bool {
        self.known_routes.lock().get(name).is_some_and(|row| differences(wanted, &row.rest).is_empty())
    }

    /// A route of ours as it stands now.
    pub fn note_route(&self, row: RouteRow) {
        self.known_routes.lock().insert(row.name.clone(), row);
    }

    /// A route of ours is gone.
    pub fn forget_route(&self, name: &str) {
        self.known_routes.lock().remove(name);
    }

    /// Lists services and routes, and puts right what is otherwise than wanted.
    pub async fn put_right(&self) -> Result<(), Error> {
        self.view.put_services(self.services().await?);
        let routes = self.routes().await?;
        *self.known_routes.lock() = routes.into_iter().map(|row| (row.name.clone(), row)).collect();
        if self.looks {
            return Ok(());
        }
        let is_live = self.mode().await? == KongMode::Database;
        if is_live {
            self.clear().await;
        }
        if self.repairs().is_empty() {
            return Ok(());
        }
        // Nobody writes meanwhile: what is wanted is what stands.
        let _alone = self.gate.write().await;
        let repairs = self.repairs();
        match is_live {
            true => mend(&self.client, &repairs).await,
            false => self.declare_repairs(&repairs).await,
        }
        self.view.put_services(self.services().await?);
        Ok(())
    }

    /// Removes upstreams that have been empty for a while. One that cannot be removed is no outage.
    async fn clear(&self) {
        for (scope, place) in self.view.idle(LINGER, LEFT) {
            let _alone = self.gate.write().await;
            let gone = match Hand::open(self, &self.client, &scope, &place, true).await {
                Ok(mut hand) => hand.take_away().await,
                Err(error) => Err(error),
            };
            self.view.put_off(&place.upstream, gone.is_ok());
            let Err(error) = gone else { continue };
            tracing::warn!(%error, upstream = %place.upstream, "an empty upstream in Kong could not be removed");
            if error.is_transient() {
                break;
            }
        }
    }

    fn repairs(&self) -> Vec<Repair> {
        let routes = self.known_routes.lock();
        let mut repairs = Vec::new();
        let (mut services, mut names) = (BTreeSet::new(), BTreeSet::new());
        for (scope, row, is_empty) in self.view.upstreams() {
            let Ok(place) = Place::of(&scope) else { continue };
            if place.is_given || !self.view.is_own(&row.tags) {
                continue;
            }
            let wanted = place.service.iter().flat_map(|name| {
                let routes = entities::routes(&self.options, &self.install, name, &scope.name);
                routes.into_iter().map(|body| (body["name"].as_str().unwrap_or_default().to_owned(), body))
            });
            let wanted: Vec<_> = wanted.collect();
            names.extend(wanted.iter().map(|(name, _)| name.clone()));
            services.extend(place.service.clone());
            let service = place.service.as_deref().map(|name| (name, self.view.service(name)));
            let is_foreign = matches!(&service, Some((_, Some(row))) if !self.view.is_own(&row.tags));
            if is_empty || is_foreign {
                continue;
            }
            repairs.extend(self.upstream_repair(&row));
            let Some((name, service)) = service else { continue };
            if service.is_none() {
                let body = entities::service(&self.install, name, &place.upstream);
                repairs.push(Repair::Make("/services".into(), body));
            }
            for (route, wanted) in wanted {
                match routes.get(&route).map(|row| differences(&wanted, &row.rest)) {
                    None => repairs.push(Repair::Make(format!("/services/{name}/routes"), wanted)),
                    Some(differs) if differs.is_empty() => {}
                    Some(differs) => repairs.push(Repair::Change(format!("/routes/{route}"), differs)),
                }
            }
        }
        // Those of services that are not written here are another cluster's.
        let is_here = |name: &str| name.rsplit_once(".route-").is_some_and(|(service, _)| services.contains(service));
        let old = routes.values().filter(|row| !names.contains(&row.name) && is_here(&row.name));
        repairs.extend(old.map(|row| Repair::Remove(format!("/routes/{}", row.name))));
        repairs
    }

    fn upstream_repair(&self, row: &UpstreamRow) -> Option<Repair> {
        let wanted = entities::upstream(&self.options, &self.install, &row.name);
        let differs = differences(&wanted, &row.rest);
        (!differs.is_empty()).then(|| Repair::Change(format!("/upstreams/{}", row.name), differs))
    }
}

/// Makes repairs.
pub(super) async fn mend<A: Api>(mut api: A, repairs: &[Repair]) {
    for repair in repairs {
        let done = match repair {
            Repair::Make(path, body) => api.post::<Value>(path, body).await.map(drop),
            Repair::Change(path, body) => api.patch::<Value>(path, body).await.map(drop),
            Repair::Remove(path) => api.delete(path).await,
        };
        match done {
            // It will be listed differently next time.
            Ok(()) | Err(Error::Conflict | Error::Missing(_)) => {}
            Err(error) => tracing::warn!(%error, "an entity in Kong could not be put right: {repair:?}"),
        }
    }
}
