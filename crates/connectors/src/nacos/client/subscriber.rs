//! Subscriptions: which services to look at again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use causeway_core::ServiceKey;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::core::Core;
use super::error::{Error, Result};
use super::frames::ServiceRequest;
use super::grpc::Connection;
use super::link::{Link, Status};
use super::pending_looks::PendingLooks;
use super::wire::ServiceInfo;
use super::wish_list::WishSender;
use crate::util::backoff::random_index;

/// A group and a service in it.
type GroupedName = (Arc<str>, Arc<str>);

/// What is subscribed, and what the server has told of.
#[derive(Default)]
struct Inbox {
    looks: PendingLooks,
    /// Namespaces in which a (group, service) is subscribed: a push does not say its namespace.
    namespaces: Mutex<BTreeMap<GroupedName, BTreeSet<Arc<str>>>>,
}

impl Inbox {
    fn subscribe(&self, key: &ServiceKey) {
        let names = (key.group.clone(), key.name.clone());
        self.namespaces.lock().entry(names).or_default().insert(key.namespace.clone());
    }

    fn unsubscribe(&self, key: &ServiceKey) {
        let names = (key.group.clone(), key.name.clone());
        let mut all = self.namespaces.lock();
        if let Some(namespaces) = all.get_mut(&names) {
            namespaces.remove(&key.namespace);
            if namespaces.is_empty() {
                all.remove(&names);
            }
        }
        self.looks.remove(key);
    }

    /// The server has answered a subscription.
    fn subscribed(&self, key: &ServiceKey) {
        let all = self.namespaces.lock();
        if all.get(&(key.group.clone(), key.name.clone())).is_some_and(|found| found.contains(&key.namespace)) {
            self.looks.add([key.clone()]);
        }
    }

    /// A push has come. It may mean the service in every namespace.
    fn pushed(&self, group: &str, name: &str) {
        let (group, name) = (Arc::from(group), Arc::from(name));
        let all = self.namespaces.lock();
        if let Some((names, namespaces)) = all.get_key_value(&(group, name)) {
            let key = |namespace: &Arc<str>| ServiceKey {
                namespace: namespace.clone(),
                group: names.0.clone(),
                name: names.1.clone(),
            };
            self.looks.add(namespaces.iter().map(key));
        }
    }
}

/// True: subscribed.
impl WishSender for Arc<Inbox> {
    type Wish = bool;

    fn is_gone(wish: &bool) -> bool {
        !*wish
    }

    fn send<'a>(
        &'a self,
        connection: &'a Connection,
        key: &'a ServiceKey,
        subscribe: bool,
        _last: Option<bool>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            connection.request(&ServiceRequest::subscription(key, subscribe)).await?;
            if subscribe {
                self.subscribed(key);
            }
            Ok(())
        })
    }
}

/// One connection that subscribes and asks. Everything that changes is said by [`PushSubscriber::next`]
/// at least once; changes of one service that nobody has fetched yet become one.
pub struct PushSubscriber {
    link: Link<Arc<Inbox>>,
}

impl PushSubscriber {
    pub(super) fn start(core: Arc<Core>) -> Self {
        let inbox = Arc::<Inbox>::default();
        let pushed = Arc::clone(&inbox);
        let on_push = Arc::new(move |group: &str, name: &str| pushed.pushed(group, name));
        let first = random_index(core.options.addresses.len());
        PushSubscriber { link: Link::start(core, inbox, on_push, None, "subscriber", first) }
    }

    /// Subscribes to `key`, which is to be looked at then, and again after every reconnect. The
    /// wish is kept when this fails, and met once a server can be reached.
    ///
    /// Errors: `Unavailable`, `Denied`, `Rejected`.
    pub async fn subscribe(&self, key: &ServiceKey) -> Result<()> {
        self.link.wishes.sender.subscribe(key);
        self.wish(key, true).await
    }

    /// Ends a subscription. When this fails, the server forgets it with the connection; nothing
    /// is said about the service any more in either case.
    pub async fn unsubscribe(&self, key: &ServiceKey) -> Result<()> {
        self.link.wishes.sender.unsubscribe(key);
        match self.link.wishes.get(key) {
            Some(_) => self.wish(key, false).await,
            None => Ok(()),
        }
    }

    async fn wish(&self, key: &ServiceKey, subscribe: bool) -> Result<()> {
        let wanted = self.link.wishes.want(key, subscribe);
        self.link.meet(key, wanted).await
    }

    /// What a subscriber would be shown of `key` now.
    pub async fn query(&self, key: &ServiceKey) -> Result<ServiceInfo> {
        let live = self.link.live().await?;
        let answer = live.connection.request(&ServiceRequest::query(key)).await?;
        let Some(found) = answer.service_info else { return Ok(ServiceInfo::default()) };
        serde_json::from_str(found.get()).map_err(|e| Error::Protocol(format!("{key}: {e}")))
    }

    /// The next service to look at again. For one consumer; dropping the future loses nothing.
    pub async fn next(&self) -> ServiceKey {
        self.link.wishes.sender.looks.next().await
    }

    /// The state of the connection; its receiver hears of changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.link.status()
    }

    /// Ends the connection and waits for all tasks.
    pub async fn close(&self) {
        self.link.close().await;
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
        inbox.subscribe(&key("n"));
        (0..3).for_each(|_| inbox.pushed("g", "s"));
        inbox.pushed("g", "other");
        assert_eq!((inbox.looks.take(), inbox.looks.take()), (Some(key("n")), None));
    }

    #[test]
    fn a_push_is_for_every_namespace_that_it_may_mean() {
        let inbox = Inbox::default();
        inbox.subscribe(&key("a"));
        inbox.subscribe(&key("b"));
        inbox.pushed("g", "s");
        assert_eq!((inbox.looks.take(), inbox.looks.take()), (Some(key("a")), Some(key("b"))));
        inbox.unsubscribe(&key("a"));
        inbox.pushed("g", "s");
        inbox.subscribed(&key("a"));
        assert_eq!((inbox.looks.take(), inbox.looks.take()), (Some(key("b")), None));
    }
}
