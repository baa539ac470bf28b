//! The data engine's memory in the store: a row for each entry, and for each lot of writes under way.

use crate::recorder::Scribe;
use causeway_core::{Base, ClusterId, EntryKey, Intent, OwnerId};
use causeway_engine::{DataLedger, DataRecorder, DataRoute, Event};
use causeway_store::LedgerRow;
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::collections::BTreeMap;

/// Before the rows of data, where those of services have their cluster's id.
const DATA: &str = "data/";
/// Before the number of a lot, where other rows have their entry.
const LOT: &str = "lot/";
fn place(route: &DataRoute) -> String {
    let DataRoute { owner, source, destination } = route;
    format!("{DATA}{}/{}/{source}/{destination}", owner.install, owner.task)
}

fn route(place: &str) -> Option<DataRoute> {
    let mut words = place.strip_prefix(DATA)?.split('/');
    let owner = OwnerId::new(words.next()?, words.next()?);
    let (source, destination) = (ClusterId::from_text(words.next()?), ClusterId::from_text(words.next()?));
    Some(DataRoute { owner, source, destination })
}

impl Scribe {
    fn put(&self, route: &DataRoute, row: String, document: Option<&impl Serialize>) {
        match document.map(serde_json::to_string).transpose() {
            Ok(document) => self.writer.ledger(place(route), row, document),
            Err(error) => tracing::error!(row, %error, "cannot be kept in the ledger"),
        }
    }
}

impl DataRecorder for Scribe {
    fn base(&self, route: &DataRoute, key: &EntryKey, base: Option<&Base>) {
        let row = serde_json::to_string(&(&key.namespace, &key.group, &key.name));
        match row {
            Ok(row) => self.put(route, row, base),
            Err(error) => tracing::error!(%key, %error, "cannot be kept in the ledger"),
        }
    }

    fn intents(&self, route: &DataRoute, lot: u64, intents: Option<&[Intent]>) {
        self.put(route, format!("{LOT}{lot}"), intents.as_ref());
    }

    fn kept(&self) -> BoxFuture<'_, ()> {
        self.written()
    }

    fn event(&self, event: Event) {
        self.record(event);
    }
}

/// What earlier processes remembered, and the rows that are none of data's.
pub(crate) fn ledgers(entries: Vec<LedgerRow>) -> (BTreeMap<DataRoute, DataLedger>, Vec<LedgerRow>) {
    let mut ledgers: BTreeMap<DataRoute, DataLedger> = BTreeMap::new();
    let (data, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.route.starts_with(DATA));
    let mut last: Option<(std::sync::Arc<str>, DataRoute)> = None;
    for entry in data {
        let known = last.as_ref().filter(|(place, _)| *place == entry.route).map(|(_, route)| route.clone());
        let Some(route) = known.or_else(|| route(&entry.route)) else { continue };
        last = Some((entry.route.clone(), route.clone()));
        if read(ledgers.entry(route).or_default(), &entry).is_none() {
            tracing::warn!(row = %entry.scope, "a row of the ledger cannot be read; equal contents are found again");
        }
    }
    (ledgers, others)
}

fn read(ledger: &mut DataLedger, entry: &LedgerRow) -> Option<()> {
    let document = entry.document.as_deref()?;
    if let Some(lot) = entry.scope.strip_prefix(LOT) {
        ledger.intents.insert(lot.parse().ok()?, serde_json::from_str(document).ok()?);
    } else {
        let (namespace, group, name): (String, String, String) = serde_json::from_str(&entry.scope).ok()?;
        ledger.bases.insert(EntryKey::new(&namespace, &group, &name), serde_json::from_str(document).ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::{Born, Content, Pair, Side, Stamp};

    #[test]
    fn rows_read_back() {
        let (source, destination) = (ClusterId::of("a"), ClusterId::of("b"));
        let at = DataRoute { owner: OwnerId::new("i", "t"), source, destination };
        assert_eq!(route(&place(&at)), Some(at.clone()));
        let base = Base {
            digest: Content::of("x").digest(),
            stamps: Pair { left: Stamp(1, 2), right: Stamp(3, -4) },
            born: Born::Left,
        };
        let key = EntryKey::path("/a \"b\"/ü");
        let intent = Intent {
            key: key.clone(),
            to: Side::Right,
            content: Some((base.digest, Stamp(1, 2))),
            created: true,
            half: None,
        };
        let row = |scope: String, document: String| LedgerRow {
            route: place(&at).into(),
            scope: scope.into(),
            document: Some(document.into()),
        };
        let name = serde_json::to_string(&(&key.namespace, &key.group, &key.name)).unwrap();
        let other = LedgerRow { route: "0a1b2c3d".into(), scope: "s".into(), document: Some("{}".into()) };
        let rows = vec![
            row(name, serde_json::to_string(&base).unwrap()),
            row("lot/7".into(), serde_json::to_string(std::slice::from_ref(&intent)).unwrap()),
            other.clone(),
        ];
        let (ledgers, others) = ledgers(rows);
        assert_eq!(others, [other]);
        assert_eq!(ledgers[&at].bases, [(key, base)].into());
        assert_eq!(ledgers[&at].intents, [(7, vec![intent])].into());
    }
}
