//! What each route wrote, per scope, as documents of the engine's.

use std::sync::Arc;

use crate::{Error, Store};

/// The state of one scope of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// The engine's word for the route.
    pub route: Arc<str>,
    /// The engine's word for the scope.
    pub scope: Arc<str>,
    /// What stands there; `None`: nothing any more.
    pub document: Option<Arc<str>>,
}

impl Store {
    /// Everything, by route and scope; every `document` is there.
    pub async fn ledger_load(&self) -> Result<Vec<LedgerRow>, Error> {
        self.backend().ledger().await
    }
}

/// A few routes, many scopes: one copy of each route's text, as long as the rows come by route.
#[derive(Default)]
pub(crate) struct Routes(Option<Arc<str>>);

impl Routes {
    pub(crate) fn shared(&mut self, route: String) -> Arc<str> {
        match &self.0 {
            Some(same) if **same == *route => Arc::clone(same),
            _ => Arc::clone(self.0.insert(route.into())),
        }
    }
}
