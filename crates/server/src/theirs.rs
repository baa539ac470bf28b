//! Copies of the tool that a task takes over from, and that no task wants.

use crate::api;
use crate::desired::{Desired, RunState, TaskEntry};
use crate::error::{Error, Result};
use crate::node::{Inner, Node};
use causeway_core::{Reason, Skip};
use causeway_engine::LeftCopy;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked whether they are gone, and for how long.
const LOOK: Duration = Duration::from_millis(100);
const WAIT: Duration = Duration::from_secs(30);

impl Node {
    /// Removes the copies of the tool that the task takes over from and that no task wants, as far as anybody but the tool can;
    /// returns what was removed, and what was not and why. `preview`: only lists them.
    ///
    /// Errors: the task takes over from no tool, does not run, or its source has not been connected for long enough to tell what
    /// nobody wants.
    pub async fn drain_theirs(&self, name: &str, preview: bool) -> Result<api::Drain> {
        let (inner, name) = (self.inner.clone(), name.to_owned());
        let done = async move { inner.drain_theirs(&name, preview).await };
        let (task, drain) = self.inner.finish(done).await?;
        Ok(api::Drain { state: self.task(&task.name)?.state, ..drain })
    }
}

impl Inner {
    async fn drain_theirs(&self, name: &str, preview: bool) -> Result<(Arc<TaskEntry>, api::Drain)> {
        let task = self.find(name)?;
        let tool = self.check_theirs(&task)?;
        let owner = self.owner(&task);
        let found = self.engine.left_copies(&owner);
        let mut drain =
            api::Drain { task: name.to_owned(), preview, theirs: Some(tool.to_owned()), ..api::Drain::default() };
        let desired = self.desired();
        if preview || found.is_empty() {
            drain.copies = found.iter().map(|one| copy(&desired, one)).collect();
            return Ok((task, drain));
        }
        self.engine.oust(&owner, &found);
        let left = self.until_gone(&owner, &found).await;
        self.engine.end_ousting(&owner);
        let is_left = |one: &LeftCopy| left.iter().any(|left| is_same(left, one));
        drain.copies = found.iter().filter(|one| !is_left(one)).map(|one| copy(&desired, one)).collect();
        drain.refused = left.iter().map(|one| refused(&desired, one)).collect();
        let count = drain.copies.len();
        self.scribe.operator(name, "drained", Reason::TheirsRemoved { tool: tool.into(), count });
        Ok((task, drain))
    }

    /// The tool, where it can be told what of its copies no task wants.
    fn check_theirs(&self, task: &TaskEntry) -> Result<&'static str> {
        let setup = task.setup.as_ref().map_err(|why| {
            Error::conflict(format!("the settings of {} cannot be used: {why}", task.name), "apply them again")
        })?;
        let Some(tool) = setup.settings.take_over else {
            let why = format!("the task {} takes over from no other tool", task.name);
            return Err(Error::conflict(why, "set its `takeOver` to the tool that copied before"));
        };
        if task.run != RunState::Running {
            let why = format!("the task {} does not run: it is not known what it wants", task.name);
            return Err(Error::conflict(why, format!("resume {} first", task.name)));
        }
        if let Some(source) = self.engine.unsure_of_left(&self.owner(task)) {
            let source = self.desired().cluster_name(&source);
            let why =
                format!("{source} has not been connected for long enough: it is not certain what is no longer there");
            return Err(Error::conflict(why, "try again in a minute; see `get tasks`"));
        }
        Ok(tool.word())
    }

    /// Waits until each of these is gone or refused; returns those that are left.
    async fn until_gone(&self, owner: &causeway_core::OwnerId, ousted: &[LeftCopy]) -> Vec<LeftCopy> {
        let until = Instant::now() + WAIT;
        loop {
            let mut left = self.engine.left_copies(owner);
            left.retain(|one| ousted.iter().any(|ousted| is_same(one, ousted)));
            if left.iter().all(|one| one.refused.is_some()) || Instant::now() >= until || self.stop.is_cancelled() {
                return left;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn is_same(one: &LeftCopy, other: &LeftCopy) -> bool {
    (&one.cluster, &one.scope, &one.id) == (&other.cluster, &other.scope, &other.id)
}

fn record(desired: &Desired, one: &LeftCopy) -> api::RecordRef {
    let (cluster, scope) = (desired.cluster_name(&one.cluster), one.scope.to_string());
    api::RecordRef { cluster, scope, record: one.id.to_string() }
}

fn copy(desired: &Desired, one: &LeftCopy) -> api::Copy {
    api::Copy { at: record(desired, one), shadow: false }
}

fn refused(desired: &Desired, one: &LeftCopy) -> api::LeftOut {
    let reason = match &one.refused {
        Some(Reason::Skip(Skip::Rejected { why } | Skip::Blocked { why })) => why.clone(),
        Some(reason) => reason.to_string(),
        None => "not removed yet".to_owned(),
    };
    api::LeftOut { at: record(desired, one), reason }
}
