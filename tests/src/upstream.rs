//! A scripted upstream: healthy, failing, slow, silent or rude, as the test wants at that moment.
//!
//! What a request gets is decided by its `x-script` header (`x-script-again` where it says that it
//! is another attempt), else by what was set for its path,
//! else by the reply for all. The upstream remembers every request, so that a test can tell
//! what the circuit let through.

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

/// A running upstream and the handle that scripts it. It ends when dropped.
pub struct Upstream {
    serving: Serving,
    stage: Arc<Stage>,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// Empty until the body has come in whole.
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// From now on every request gets this reply, but for paths with one of their own.
    pub fn reply(&self, reply: Reply) {
        self.stage.set_reply(reply);
    }

    /// From now on requests of this path (without its query) get this reply.
    pub fn reply_on(&self, path: &str, reply: Reply) {
        self.stage.set_reply_on(path, reply);
    }

    /// From now on requests wait at a gate until [`Upstream::release`] or [`Upstream::open_gate`].
    /// They count as hits when they arrive; their reply is chosen when they pass the gate.
    pub fn close_gate(&self) {
        self.stage.gate.send_replace(Some(0));
    }

    /// Lets so many requests through the gate, waiting ones or later ones.
    pub fn release(&self, count: usize) {
        self.stage.gate.send_modify(|passes| {
            if let Some(passes) = passes {
                *passes += count;
            }
        });
    }

    /// Lets every request through, and those to come.
    pub fn open_gate(&self) {
        self.stage.gate.send_replace(None);
    }

    /// How many requests have arrived.
    pub fn hits(&self) -> usize {
        self.stage.count(|_any| true)
    }

    /// How many requests of this path (without its query) have arrived.
    pub fn hits_on(&self, path: &str) -> usize {
        self.stage.count(|seen| seen.uri.path() == path)
    }

    /// How many requests have arrived with this header of this value.
    pub fn hits_with(&self, name: &str, value: &str) -> usize {
        self.stage.count(|seen| {
            seen.headers
                .get_all(name)
                .iter()
                .any(|found| found == value)
        })
    }

    /// Every request that has arrived, in order.
    pub fn requests(&self) -> Vec<Seen> {
        self.stage.seen()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.stage.forget();
    }

    /// How many requests have arrived that are not answered yet and whose caller is still there.
    pub fn in_flight(&self) -> usize {
        *self.stage.in_flight.borrow()
    }

    /// Waits until exactly so many requests are unanswered.
    pub async fn in_flight_reaches(&self, count: usize) {
        eventually(&format!("{count} requests at the upstream"), async || {
            self.in_flight() == count
        })
        .await;
    }
}
