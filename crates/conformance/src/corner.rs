//! One test's own corner of a cluster.

use crate::follow::Follow;
use crate::look::Only;
use crate::shape::Shape;
use crate::{Session, Subject, Who};
use anyhow::Result;
use causeway_core::{ClusterId, Instance, Mark, OwnerId, Part, Selector, ServiceKey};
use parking_lot::Mutex;

/// The subject, and a namespace that nobody else uses.
pub struct Corner<S> {
    /// The cluster.
    pub subject: S,
    /// How records look there.
    pub shape: Shape,
    /// The namespace; it exists.
    pub namespace: String,
    /// The test, for notes.
    pub name: String,
    made: Mutex<Vec<String>>,
    sessions: Mutex<Vec<Session>>,
}

impl<S: Subject> Corner<S> {
    /// Makes the namespace.
    pub async fn make(subject: S, name: &str) -> Result<Self> {
        let corner = Self::bare(subject, name);
        corner.create_namespace(&corner.namespace).await?;
        Ok(corner)
    }

    fn bare(subject: S, name: &str) -> Self {
        let shape = subject.facts().shape;
        let random = uuid::Uuid::new_v4().simple().to_string();
        let namespace = shape.only.map_or_else(|| format!("cf-{}", &random[..10]), |(only, _)| only.to_owned());
        Self { subject, shape, namespace, name: name.to_owned(), made: Mutex::default(), sessions: Mutex::default() }
    }

    /// A namespace that goes with this corner.
    pub async fn create_namespace(&self, id: &str) -> Result<()> {
        self.made.lock().push(id.to_owned());
        self.subject.create_namespace(id).await
    }

    /// Removes what was made and closes what was opened.
    pub async fn clean(&self) -> Result<()> {
        let sessions = std::mem::take(&mut *self.sessions.lock());
        for session in sessions {
            session.close().await;
        }
        let made = std::mem::take(&mut *self.made.lock());
        for namespace in made {
            self.subject.remove_namespace(&namespace).await?;
        }
        Ok(())
    }

    /// A new session as the administrator; closed with the corner.
    pub async fn open(&self) -> Result<Session> {
        let session = self.open_as(&Who::Administrator, &[]).await?;
        // What a cluster can hold may be known only once it was spoken to, as the engine does before it writes.
        session.parts().await?;
        Ok(session)
    }

    /// A new session; closed with the corner.
    pub async fn open_as(&self, who: &Who, namespaces: &[String]) -> Result<Session> {
        let session = self.subject.open(who, namespaces).await?;
        self.sessions.lock().push(session.clone());
        Ok(session)
    }

    /// A session of the process that comes after the one that last opened one; closed with the corner.
    pub async fn open_next(&self) -> Result<Session> {
        let session = self.subject.open_next().await?;
        self.sessions.lock().push(session.clone());
        session.parts().await?;
        Ok(session)
    }

    /// Follows a watch.
    pub fn follow(&self, session: &Session, select: &Selector) -> Follow {
        Follow::start(session, select, self.shape)
    }

    /// The namespace.
    pub fn part(&self) -> Part {
        Part::new(&self.namespace)
    }

    /// Everything in the namespace.
    pub fn select(&self) -> Selector {
        Only::parts([self.namespace.as_str()])
    }

    /// A service of the namespace.
    pub fn service(&self, name: &str) -> ServiceKey {
        self.service_in(&self.namespace, self.groups()[0], name)
    }

    /// A service, named as the kind wants it.
    pub fn service_in(&self, namespace: &str, group: &str, name: &str) -> ServiceKey {
        ServiceKey::new(namespace, group, &(self.shape.service)(name))
    }

    /// Two groups, or the one of a kind that has no others.
    pub fn groups(&self) -> Vec<&'static str> {
        self.shape.only.map_or_else(|| vec!["G", "H"], |(_, group)| vec![group])
    }

    /// A copy of ours at `127.0.0.1:port` with a little metadata.
    pub fn copy(&self, port: u16) -> Instance {
        self.shape.dressed(copy(port))
    }

    /// A native record at `127.0.0.1:port` with a little metadata, as every kind can hold it.
    pub fn native(&self, port: u16) -> Instance {
        self.shape.dressed(native(port))
    }

    /// Says something worth knowing that is not asserted.
    pub fn note(&self, text: &str) {
        println!("{}: {text}", self.name);
    }
}

/// The task that the tests write for.
pub fn owner() -> OwnerId {
    OwnerId::new("cf3a9e01", "5d2e8a01")
}

/// A task of another install.
pub fn stranger() -> OwnerId {
    OwnerId::new("0ther1ns", "77aa0001")
}

/// The mark of a copy that crossed `length` clusters.
pub fn mark(length: usize) -> Mark {
    Mark::new(owner(), (0..length).map(|n| ClusterId::of(&format!("cluster {n}"))).collect())
}

/// A copy of ours as no kind has dressed it yet.
pub fn copy(port: u16) -> Instance {
    native(port).with(|one| one.mark = Some(mark(1)))
}

fn native(port: u16) -> Instance {
    let mut instance = Instance::new("127.0.0.1", port);
    instance.metadata = [("build", "1"), ("zone", "a")].into();
    instance
}
