//! Point 20: the names under which services stand.

use super::apply::copies;
use crate::corner::Corner;
use crate::look::{normal, read, until, write};
use crate::subject::Subject;
use anyhow::{Result, ensure};
use causeway_core::{Change, Instance, ServiceKey, Set};
use std::collections::BTreeMap;

/// 20: a name that `Sink::scope` gives is taken as given: what is written there is read back there, with that of every other service
/// that has been given the same name.
pub async fn as_given<S: Subject>(at: &Corner<S>) -> Result<()> {
    let facts = at.subject.facts();
    let session = at.open().await?;
    let renames = session.capabilities().renames;
    let mut wanted: Vec<_> = ["orders", "orders-1"].map(|name| at.service(name)).into();
    if renames {
        let other = if at.shape.only.is_some() { "other" } else { &at.namespace };
        let odd = ["Orders", "orders", "com.acme.Orders", "orders_1", "two words", "orders.v1"];
        wanted.extend(odd.map(|name| ServiceKey::new(other, "G", name)));
    }
    let mut written: BTreeMap<ServiceKey, Vec<Instance>> = BTreeMap::new();
    for (n, wanted) in (0..).zip(&wanted) {
        let given = session.scope(wanted);
        ensure!(session.scope(wanted) == given, "{wanted}: another answer to the same question");
        let scope = match given {
            Ok(scope) => scope,
            Err(why) => {
                ensure!(renames && !why.is_empty(), "{wanted} has no place: {why}");
                continue;
            }
        };
        ensure!(renames || scope == *wanted, "{wanted} becomes {scope}");
        ensure!(scope.part() == session.part(&wanted.part()), "{wanted} becomes {scope}, in another part");
        let again = session.scope(&scope);
        ensure!(again.as_ref() == Ok(&scope), "{scope} becomes {again:?}");
        let record = at.copy(7101 + n);
        ensure!(session.stands(&record), "{record:?} does not stand there");
        let record = normal(&session, &scope, record)?;
        write(&session, &scope, &[Change::Create(record.clone())]).await?;
        written.entry(scope).or_default().push(record);
    }
    for (scope, records) in &written {
        let seen: Vec<_> = records.iter().map(|record| at.shape.seen(record)).collect();
        let all = |list: &Vec<Instance>| list.len() == seen.len() && seen.iter().all(|one| list.contains(one));
        until(facts.found_in, &format!("what was written to {scope}"), || at.subject.truth(scope), all).await?;
        let ours = |set: &Set| copies(set) == *records;
        until(facts.found_in, &format!("our own in {scope}"), || read(&session, scope), ours).await?;
    }
    Ok(())
}
