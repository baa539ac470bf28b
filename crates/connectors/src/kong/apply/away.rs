//! Taking an upstream away, and what is before it, where nothing of anybody's hangs on it.

use super::{Hand, list};
use crate::kong::api::Api;
use crate::kong::client::{Body, RouteRow, ServiceRow, TargetRow};
use crate::kong::convert::address;
use crate::kong::view::Targets;
use causeway_core::{Change, Error, Evidence, Removal};

impl<A: Api> Hand<'_, A> {
    /// Whether nothing stands in an upstream of ours after these changes, and nothing is to be waited for: what was only seen to
    /// go may come back in a moment.
    pub(super) fn empties(&self, changes: &[Change]) -> bool {
        let own = self.row.as_ref().is_some_and(|row| self.gateway.view.is_own(&row.tags));
        let deleted = |change: &Change| match change {
            Change::Delete { record, .. } => Some(address(record)),
            _ => None,
        };
        let goes = |target: &TargetRow| {
            self.owns(target) && changes.iter().any(|change| deleted(change).as_ref() == Some(&target.target))
        };
        let may_come_back = |change: &Change| {
            let seen = Removal::Gone { evidence: Evidence::Witnessed };
            self.is_live && matches!(change, Change::Delete { why, .. } if *why == seen)
        };
        own && !self.place.is_given
            && !changes.iter().any(may_come_back)
            && changes.iter().any(|change| deleted(change).is_some())
            && changes.iter().all(|change| matches!(change, Change::Delete { .. } | Change::Scope { .. }))
            && self.targets.values().all(goes)
    }

    /// Removes an upstream of ours without targets, and what is before it, unless something of others hangs on it.
    pub async fn take_away(&mut self) -> Result<(), Error> {
        let own = self.row.as_ref().is_some_and(|row| self.gateway.view.is_own(&row.tags));
        if own && !self.place.is_given && self.targets.is_empty() && self.take_service_away().await? {
            self.take_upstream_away().await?;
        }
        Ok(())
    }

    /// Removes our routes and the service before an upstream that is going to be empty. Returns whether the upstream can go,
    /// too: not as long as routes of others lead to the service, or plugins stand on it.
    pub(super) async fn take_service_away(&mut self) -> Result<bool, Error> {
        let Some(name) = &self.place.service else { return Ok(true) };
        let view = &self.gateway.view;
        let Some(row) = self.api.get::<ServiceRow>(&format!("/services/{name}")).await? else { return Ok(true) };
        if !view.is_own(&row.tags) {
            return Ok(true);
        }
        let routes: Vec<RouteRow> = match self.api.list(&format!("/services/{name}/routes")).await {
            Err(Error::Missing(_)) => return Ok(true),
            routes => routes?,
        };
        let (ours, others): (Vec<_>, Vec<_>) = routes.into_iter().partition(|route| view.is_own(&route.tags));
        // With a route or a service Kong would remove the plugins on it, which are somebody else's.
        let mut is_held = !others.is_empty() || self.has_plugins(&format!("/services/{name}")).await?;
        for route in ours {
            let path = format!("/routes/{}", route.id);
            if self.has_plugins(&path).await? {
                is_held = true;
                continue;
            }
            self.api.delete(&path).await?;
            self.gateway.forget_route(&route.name);
        }
        if is_held {
            return Ok(false);
        }
        match self.api.delete(&format!("/services/{name}")).await {
            // A route of somebody else's has come meanwhile, or something else refers to it.
            Err(Error::Blocked(_)) => Ok(false),
            Ok(()) => {
                if self.is_live {
                    view.put_service(name, None);
                }
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    async fn has_plugins(&mut self, path: &str) -> Result<bool, Error> {
        match self.api.list::<Body>(&format!("{path}/plugins")).await {
            Err(Error::Missing(_)) => Ok(false),
            // There may be some.
            Err(Error::Denied(_)) => Ok(true),
            plugins => Ok(!plugins?.is_empty()),
        }
    }

    /// Removes the upstream, in which nothing stands any more: with it Kong would remove a target that has come meanwhile.
    pub(super) async fn take_upstream_away(&mut self) -> Result<(), Error> {
        let Some(row) = self.row.clone() else { return Ok(()) };
        self.targets = match list(&mut self.api, &row).await {
            Err(Error::Missing(_)) => Targets::new(),
            targets => targets?,
        };
        if self.targets.is_empty() {
            self.api.delete(&format!("/upstreams/{}", row.id)).await?;
            self.row = None;
        }
        Ok(())
    }
}
