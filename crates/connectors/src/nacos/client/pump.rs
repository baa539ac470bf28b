//! What a server sends down a connection's stream, and what is answered.

use std::collections::HashMap;
use std::sync::Arc;

use causeway_proto::nacos::Payload;
use causeway_proto::nacos::bi_request_stream_client::BiRequestStreamClient;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::frames::{Ack, OK, Push, parts, payload};
use super::transport::Http2;

/// Takes group and service of a push; must not block.
pub(super) type OnPush = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// Why a connection is no longer to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LeaveReason {
    /// The server asks us to connect elsewhere, perhaps to the given `(ip, port)`.
    Reset(Option<(String, String)>),
    /// The server does not know this connection any more.
    Unregistered,
}

/// Reads the stream, hands pushes on and acknowledges them.
pub(super) struct Pump {
    pub(super) on_push: OnPush,
    pub(super) send: mpsc::Sender<Payload>,
    /// Told when the server has registered the connection.
    pub(super) up: Option<oneshot::Sender<()>>,
    pub(super) leave: Arc<Mutex<Option<LeaveReason>>>,
    pub(super) nudge: Arc<Notify>,
    pub(super) local_ip: String,
}

impl Pump {
    /// Runs until the stream ends.
    pub(super) async fn run(mut self, client: &mut BiRequestStreamClient<Http2>, messages: mpsc::Receiver<Payload>) {
        let opened = client.request_bi_stream(ReceiverStream::new(messages)).await;
        let mut incoming = match opened {
            Ok(response) => response.into_inner(),
            Err(status) => {
                tracing::debug!(code = ?status.code(), "stream refused");
                return;
            }
        };
        loop {
            match incoming.message().await {
                Ok(Some(message)) => self.take(&message).await,
                Ok(None) => return,
                Err(status) => {
                    tracing::debug!(code = ?status.code(), "stream ended");
                    return;
                }
            }
        }
    }

    async fn take(&mut self, message: &Payload) {
        let (kind, body) = parts(message);
        let push: Push = match serde_json::from_slice(body) {
            Ok(push) => push,
            Err(error) => {
                tracing::warn!(kind, %error, "unreadable message from the server");
                return;
            }
        };
        let (answer, known) = match kind {
            "SetupAckRequest" => {
                if let Some(up) = self.up.take()
                    && up.send(()).is_err()
                {
                    tracing::trace!("nobody waits for the set-up");
                }
                return;
            }
            "NotifySubscriberRequest" => {
                if let Some(service) = push.service_info {
                    let (group, name) = service.names();
                    (self.on_push)(group, name);
                }
                ("NotifySubscriberResponse", true)
            }
            "ClientDetectionRequest" => ("ClientDetectionResponse", true),
            "ConnectResetRequest" => {
                let hint = (!push.server_ip.is_empty() && !push.server_port.is_empty())
                    .then_some((push.server_ip, push.server_port));
                self.leave.lock().get_or_insert(LeaveReason::Reset(hint));
                self.nudge.notify_one();
                ("ConnectResetResponse", true)
            }
            other => {
                tracing::debug!(kind = other, "message of an unknown kind");
                ("ErrorResponse", false)
            }
        };
        self.answer(answer, known, &push.request_id).await;
    }

    async fn answer(&self, kind: &str, known: bool, request_id: &str) {
        let body = Ack {
            request_id,
            result_code: if known { OK } else { 500 },
            error_code: if known { 0 } else { 302 },
            success: known,
        };
        match payload(kind, HashMap::new(), &self.local_ip, &body) {
            Ok(message) => {
                if self.send.send(message).await.is_err() {
                    tracing::debug!("stream ended before an answer");
                }
            }
            Err(error) => tracing::warn!(%error, "answer not written"),
        }
    }
}
