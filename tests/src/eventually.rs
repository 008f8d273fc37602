//! Waiting for effects of another process.
//!
//! Envoy flushes logs, applies updates and settles streams after the client has its response. A
//! fixed sleep would be too short on a busy computer and too long on every other one. A test polls
//! instead, up to a deadline that only a failing test reaches.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take. Generous, since a passing test never waits this long.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Pause between two polls: short compared with a test, long compared with the cost of a poll.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `holds` returns true.
///
/// # Panics
///
/// Panics after [`PATIENCE`], with `what` in the message.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    found(what, async || holds().await.then_some(())).await;
}

/// Waits until `look` finds something, and returns it.
///
/// # Panics
///
/// Panics after [`PATIENCE`], with `what` in the message.
pub async fn found<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(it) = look().await {
            return it;
        }
        assert!(
            Instant::now() < deadline,
            "did not happen within {PATIENCE:?}: {what}"
        );
        sleep(PAUSE).await;
    }
}
