//! Which services are subscribed: those that are listed, a few at a time, so that reading goes ahead.

use super::ServiceWatch;
use crate::nacos::client::Error as WireError;
use causeway_core::ServiceKey;
use std::collections::VecDeque;

/// Subscriptions that are asked for at once: a server is asked for thousands of them after a start.
const AT_ONCE: usize = 4;

/// Subscriptions to be made.
#[derive(Default)]
pub(super) struct Subscriptions {
    pub waiting: VecDeque<ServiceKey>,
    in_flight: usize,
}

impl ServiceWatch {
    /// Asks for the next ones, unless pages are being read: those are short.
    pub(super) fn start_subscriptions(&mut self) {
        while self.subscriptions.in_flight < AT_ONCE && !self.is_paging() {
            let Some(key) = self.subscriptions.waiting.pop_front() else { return };
            // It may have gone from the list since.
            if !self.is_listed(&key) {
                continue;
            }
            self.subscriptions.in_flight += 1;
            let reader = self.reader.clone();
            let asked = key.clone();
            let asked = async move { reader.follow(&asked, true).await };
            self.spawn(asked, |watch, outcome| watch.subscribed(key, outcome));
        }
    }

    pub(super) fn subscribed(&mut self, key: ServiceKey, outcome: Result<(), WireError>) {
        self.subscriptions.in_flight -= 1;
        if !self.is_listed(&key) {
            self.unsubscribe(key);
        } else if let Err(error) = outcome {
            tracing::debug!(service = %key, %error, "cannot subscribe yet");
            self.want(key);
        }
    }

    pub(super) fn unsubscribe(&mut self, key: ServiceKey) {
        let reader = self.reader.clone();
        let asked = async move {
            if let Err(error) = reader.follow(&key, false).await {
                tracing::debug!(service = %key, %error, "cannot unsubscribe");
            }
        };
        self.spawn(asked, |_, ()| {});
    }
}
