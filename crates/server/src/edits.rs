//! Edits of the settings beside other nodes: one that was made from what is not there any more is begun again.

use crate::desired::Desired;
use crate::error::{Error, Result};
use crate::node::{Inner, frozen};
use causeway_settings::ProcessEnv;
use causeway_store::Edit;
use std::sync::Arc;
use std::time::Duration;

/// How often an edit is begun again, and the wait before that, which grows.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

impl Inner {
    /// Stores edits that lead from what the node knows to `desired`, and notes their revision there. When another node was faster, nothing is
    /// stored, what that one did is read, and the error is one that [`Inner::again`] knows. The caller holds the edit lock, or is alone.
    pub async fn store_edits(&self, desired: &mut Desired, edits: Vec<Edit>) -> Result<()> {
        match self.store.edit_from(desired.revision, edits).await {
            Ok(revision) => {
                desired.revision = revision;
                Ok(())
            }
            Err(error @ causeway_store::Error::Outdated { .. }) => {
                tracing::debug!("{error}");
                self.catch_up().await?;
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes over the settings as they stand in the store. The caller holds the edit lock, or is alone.
    pub async fn catch_up(&self) -> Result<()> {
        let fresh = Desired::load(&self.store, &self.install, &ProcessEnv).await?;
        *self.frozen.lock() = frozen(&self.store, &fresh).await?;
        let before = std::mem::replace(&mut *self.desired.write(), Arc::new(fresh));
        self.configure().await;
        self.forget_gone(&before).await;
        self.tell_orphans();
        Ok(())
    }

    /// Does an edit of the settings, and again as long as other nodes are faster.
    pub async fn again<T, F>(&self, edit: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            match edit().await {
                Err(Error::Store(causeway_store::Error::Outdated { .. })) if tries < TRIES => {
                    tokio::time::sleep(PAUSE * tries).await;
                }
                done => return done,
            }
        }
    }

    /// Restores the desired state after an edit that failed, unless it was read anew meanwhile.
    pub async fn put_back(&self, before: Arc<Desired>) {
        if self.desired().revision == before.revision {
            *self.desired.write() = before;
            self.configure().await;
        }
    }
}
