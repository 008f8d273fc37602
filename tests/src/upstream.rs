//! A scripted upstream: healthy, failing, slow, silent or misbehaving, as the test asks.
//!
//! A request's `x-script` header chooses its reply (`x-script-again` for a retry), otherwise the
//! reply set for its path, otherwise the reply for all. The upstream records every request, so that
//! a test can tell what the circuit admitted.

pub mod reply;
mod serve;
mod stage;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

pub use reply::Reply;
use stage::Stage;

use crate::eventually::eventually;
use crate::serving::Serving;

/// A running upstream and the handle that scripts it. Dropping it stops the server.
pub struct Upstream {
    serving: Serving,
    stage: Arc<Stage>,
}

/// A received request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// Empty until the body is complete.
    pub body: Bytes,
}

impl Upstream {
    /// Starts a healthy upstream: 200 with the body `ok`.
    pub async fn start() -> Self {
        let stage = Arc::new(Stage::default());
        Self {
            serving: Serving::start(serve::Answering(stage.clone())).await,
            stage,
        }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// Sets the reply to all further requests, except for paths with their own.
    pub fn reply(&self, reply: Reply) {
        self.stage.set_reply(reply);
    }

    /// Sets the reply to further requests with this path (without query).
    pub fn reply_on(&self, path: &str, reply: Reply) {
        self.stage.set_reply_on(path, reply);
    }

    /// Makes further requests wait at a gate until [`Upstream::release`] or
    /// [`Upstream::open_gate`]. They count as hits on arrival; their reply is chosen when they pass
    /// the gate.
    pub fn close_gate(&self) {
        self.stage.gate.send_replace(Some(0));
    }

    /// Admits this many requests through the gate, waiting or later ones.
    pub fn release(&self, count: usize) {
        self.stage.gate.send_modify(|passes| {
            if let Some(passes) = passes {
                *passes += count;
            }
        });
    }

    /// Admits all waiting and later requests.
    pub fn open_gate(&self) {
        self.stage.gate.send_replace(None);
    }

    /// Number of requests received.
    pub fn hits(&self) -> usize {
        self.stage.count(|_any| true)
    }

    /// Number of requests received with this path (without query).
    pub fn hits_on(&self, path: &str) -> usize {
        self.stage.count(|seen| seen.uri.path() == path)
    }

    /// Number of requests received with this header and value.
    pub fn hits_with(&self, name: &str, value: &str) -> usize {
        self.stage.count(|seen| {
            seen.headers
                .get_all(name)
                .iter()
                .any(|found| found == value)
        })
    }

    /// Every request received, in order.
    pub fn requests(&self) -> Vec<Seen> {
        self.stage.seen()
    }

    /// Clears the recorded requests.
    pub fn forget(&self) {
        self.stage.forget();
    }

    /// Number of requests that have no response yet and whose client is still connected.
    pub fn in_flight(&self) -> usize {
        *self.stage.in_flight.borrow()
    }

    /// Waits until exactly this many requests have no response yet.
    pub async fn in_flight_reaches(&self, count: usize) {
        eventually(&format!("{count} requests at the upstream"), async || {
            self.in_flight() == count
        })
        .await;
    }
}
