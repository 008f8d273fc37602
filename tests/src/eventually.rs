//! Waiting for what another process does in its own time.
//!
//! Envoy flushes logs, applies updates and settles streams after the client has its answer. A
//! fixed sleep would be too short on a busy machine and too long on every other one; so a test
//! asks again until it holds, up to a deadline that only a failing test ever reaches.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take. Generous, since a test that passes never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Pause between two looks: short against a test, long against what a look costs.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `holds` answers true.
///
/// # Panics
///
/// After [`PATIENCE`], with `what` in the message.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    found(what, async || holds().await.then_some(())).await;
}

/// Waits until `look` finds something, and returns it.
///
/// # Panics
///
/// After [`PATIENCE`], with `what` in the message.
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
