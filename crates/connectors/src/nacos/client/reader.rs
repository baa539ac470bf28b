//! Subscriptions: which services to look at again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::core::Core;
use super::desired::{Desired, Wish};
use super::error::{Error, Result};
use super::frames::{Query, Subscribe};
use super::grpc::Connection;
use super::link::{Link, Live, Session, Status};
use super::wire::{ServiceInfo, ServiceKey};
use crate::util::backoff::random_index;

/// True: subscribed.
impl Wish for bool {
    fn is_gone(&self) -> bool {
        !*self
    }
}

/// A service to look at again.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The service.
    pub key: ServiceKey,
    /// What subscribers are shown, where it is certain whose it is: a push does not say its
    /// namespace, so for a service name that is subscribed in two namespaces there is none.
    pub info: Option<ServiceInfo>,
}

#[derive(Default)]
struct Waiting {
    /// By service: the newest content only, so this is bounded by the subscriptions.
    looks: BTreeMap<ServiceKey, Option<ServiceInfo>>,
    /// Namespaces in which a (group, service) is subscribed.
    namespaces: BTreeMap<(String, String), BTreeSet<String>>,
    closed: bool,
}

#[derive(Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    news: Notify,
}

impl Inbox {
    fn add(&self, key: &ServiceKey) {
        let names = (key.group.clone(), key.service.clone());
        let mut waiting = self.waiting.lock();
        let namespaces = waiting.namespaces.entry(names).or_default();
        namespaces.insert(key.namespace.clone());
    }

    fn remove(&self, key: &ServiceKey) {
        let names = (key.group.clone(), key.service.clone());
        let mut waiting = self.waiting.lock();
        waiting.looks.remove(key);
        if let Some(namespaces) = waiting.namespaces.get_mut(&names) {
            namespaces.remove(&key.namespace);
            if namespaces.is_empty() {
                waiting.namespaces.remove(&names);
            }
        }
    }

    /// Content that came as an answer about `key` itself.
    fn answered(&self, key: &ServiceKey, info: Option<ServiceInfo>) {
        let mut waiting = self.waiting.lock();
        let names = (key.group.clone(), key.service.clone());
        let subscribed = waiting.namespaces.get(&names).is_some_and(|n| n.contains(&key.namespace));
        if subscribed {
            waiting.looks.insert(key.clone(), info);
            self.news.notify_one();
        }
    }

    /// Content that came as a push, which does not name its namespace.
    fn pushed(&self, group: &str, service: &str, info: Option<ServiceInfo>) {
        let mut waiting = self.waiting.lock();
        let names = (group.to_owned(), service.to_owned());
        let Some(namespaces) = waiting.namespaces.get(&names).cloned() else {
            return;
        };
        let certain = namespaces.len() == 1;
        for namespace in namespaces {
            let key = ServiceKey::new(&namespace, group, service);
            let info = if certain { info.clone() } else { None };
            waiting.looks.insert(key, info);
        }
        self.news.notify_one();
    }

    fn take(&self) -> Option<Option<Look>> {
        let mut waiting = self.waiting.lock();
        match waiting.looks.pop_first() {
            Some((key, info)) => Some(Some(Look { key, info })),
            None if waiting.closed => Some(None),
            None => None,
        }
    }
}

struct State {
    desired: Desired<bool>,
    inbox: Inbox,
    in_flight: usize,
}

impl State {
    async fn send(&self, on: &Connection, key: &ServiceKey, subscribe: bool) -> Result<()> {
        let answer = on.request(&Subscribe::new(key, subscribe)).await?;
        if subscribe {
            self.inbox.answered(key, answer.service_info);
        }
        Ok(())
    }
}

impl Session for State {
    fn replay<'a>(&'a self, live: &'a Live) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let send = |key: ServiceKey, subscribe: bool, _last| {
                let connection = Arc::clone(&live.connection);
                async move { self.send(&connection, &key, subscribe).await }
            };
            self.desired.replay(live, self.in_flight, send).await;
        })
    }

    fn is_behind(&self) -> bool {
        self.desired.is_behind()
    }
}

/// One connection that subscribes and asks. Everything that changes is said by [`Reader::next`]
/// at least once; changes of one service that nobody has fetched yet become one.
pub struct Reader {
    state: Arc<State>,
    link: Link,
}

impl Reader {
    pub(super) fn start(core: Arc<Core>) -> Self {
        let state =
            Arc::new(State { desired: Desired::new(), inbox: Inbox::default(), in_flight: core.options.in_flight });
        let session: Arc<dyn Session> = Arc::clone(&state) as Arc<dyn Session>;
        let inbox = Arc::clone(&state);
        let on_push = Arc::new(move |group: &str, service: &str, info: Option<ServiceInfo>| {
            inbox.inbox.pushed(group, service, info);
        });
        let first = random_index(core.options.addresses.len());
        let link = Link::start(core, session, on_push, None, "reader", first);
        Reader { state, link }
    }

    /// Subscribes to `key`; what is there now comes as the first [`Look`], and again after every
    /// reconnect. The wish is kept when this fails, and met once a server can be reached.
    ///
    /// Errors: `Unavailable`, `Denied`, `Rejected`.
    pub async fn subscribe(&self, key: &ServiceKey) -> Result<()> {
        self.state.inbox.add(key);
        self.wish(key, true).await
    }

    /// Ends a subscription. When this fails, the server forgets it with the connection; nothing
    /// is said about the service any more in either case.
    pub async fn unsubscribe(&self, key: &ServiceKey) -> Result<()> {
        self.state.inbox.remove(key);
        if self.state.desired.get(key).is_none() {
            return Ok(());
        }
        self.wish(key, false).await
    }

    async fn wish(&self, key: &ServiceKey, subscribe: bool) -> Result<()> {
        let wanted = self.state.desired.want(key, subscribe);
        let live = self.link.live().await?;
        let connection = Arc::clone(&live.connection);
        let state = &self.state;
        state
            .desired
            .meet(key, wanted, &live, |subscribe, _last| async move { state.send(&connection, key, subscribe).await })
            .await
    }

    /// What a subscriber would be shown of `key` now.
    pub async fn query(&self, key: &ServiceKey) -> Result<ServiceInfo> {
        let live = self.link.live().await?;
        let answer = live.connection.request(&Query::new(key)).await?;
        Ok(answer.service_info.unwrap_or_default())
    }

    /// The next service to look at again; none once the reader is closed. For one consumer;
    /// dropping the future loses nothing.
    pub async fn next(&self) -> Option<Look> {
        loop {
            if let Some(look) = self.state.inbox.take() {
                return look;
            }
            self.state.inbox.news.notified().await;
        }
    }

    /// All services that are subscribed.
    pub fn keys(&self) -> Vec<ServiceKey> {
        self.state.desired.keys()
    }

    /// Subscriptions that the server refuses.
    pub fn refused(&self) -> Vec<(ServiceKey, Error)> {
        self.state.desired.refused()
    }

    /// The state of the connection, and news of it.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.link.status()
    }

    /// Ends the connection and waits for all tasks.
    pub async fn close(&self) {
        self.link.close().await;
        self.state.inbox.waiting.lock().closed = true;
        self.state.inbox.news.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str) -> ServiceKey {
        ServiceKey::new(namespace, "g", "s")
    }

    #[test]
    fn pushes_of_one_service_become_one() {
        let inbox = Inbox::default();
        inbox.add(&key("n"));
        for time in 1..=3 {
            let info = ServiceInfo { last_ref_time: time, ..ServiceInfo::default() };
            inbox.pushed("g", "s", Some(info));
        }
        inbox.pushed("g", "other", None);
        let look = inbox.take().unwrap().unwrap();
        assert_eq!(look.key, key("n"));
        assert_eq!(look.info.unwrap().last_ref_time, 3);
        assert_eq!(inbox.take(), None);
    }

    #[test]
    fn a_push_is_for_every_namespace_that_it_may_mean() {
        let inbox = Inbox::default();
        inbox.add(&key("a"));
        inbox.add(&key("b"));
        inbox.pushed("g", "s", Some(ServiceInfo::default()));
        for namespace in ["a", "b"] {
            let look = inbox.take().unwrap().unwrap();
            assert_eq!((look.key, look.info), (key(namespace), None));
        }
        inbox.remove(&key("a"));
        inbox.pushed("g", "s", Some(ServiceInfo::default()));
        let look = inbox.take().unwrap().unwrap();
        assert_eq!(look.key, key("b"));
        assert!(look.info.is_some());
    }
}
