//! What concerns all policies of an import: who retries, which of them are reachable, and how
//! often workers sync.

use std::time::Duration;

use serde_json::Value;

use super::context::Import;
use super::draft::Policy;
use super::engine::BACKOFF_BASE;
use super::values::{MS, duration, write};
use crate::command::check;

/// How often workers sync by default, and how often at most.
const SYNC: Duration = Duration::from_millis(100);
const SYNC_MIN: Duration = Duration::from_millis(10);

/// Finishes the policies, and remarks what was changed.
pub(super) fn finish(import: &mut Import) {
    if import.by_filter {
        retry_by_filter(import);
    }
    remove_unreachable(import);
    sync(import);
}

/// Lets the filter make the retries of all policies that have some.
fn retry_by_filter(import: &mut Import) {
    let has_retries = |policy: &&mut Policy| {
        let retries = policy.get("retry.max_retries").and_then(Value::as_u64);
        retries.is_some_and(|retries| retries > 0) || policy.get(BACKOFF_BASE).is_some()
    };
    for policy in import.draft.policies.iter_mut().filter(has_retries) {
        policy.set("retry.engine", "filter");
        policy.set("retry.replay", "as_received");
    }
    import.report.remark(
        "the filter makes the retries and sends requests again as it received them: check that no \
         route rewrites them, since retry.replay confirms it for you",
    );
}

/// Removes the policies that an earlier one leaves no request for.
fn remove_unreachable(import: &mut Import) {
    let found = check::unreachable(import.draft.file().as_bytes());
    for (at, earlier) in &found {
        let policies = &import.draft.policies;
        let (name, earlier) = (&policies[*at].name, &policies[*earlier].name);
        import.report.remark(format!(
            "{name} is left out: every request that it matches has the policy {earlier}"
        ));
    }
    for (at, _) in found.into_iter().rev() {
        import.draft.policies.remove(at);
    }
}

/// Lets workers sync a few times within the shortest open time and the shortest window, if that is
/// more often than they do by default.
fn sync(import: &mut Import) {
    let shortest = |path: &str| {
        let values = import.draft.policies.iter().filter_map(|it| it.get(path));
        values
            .filter_map(|value| duration(value.as_str()?, MS))
            .min()
    };
    let open = shortest("circuit_breaker.open.duration");
    let window = shortest("circuit_breaker.window.duration");
    let Some(shortest) = open.into_iter().chain(window).min() else {
        return;
    };
    if shortest <= SYNC {
        let interval = write((shortest / 4).max(SYNC_MIN));
        import.report.remark(format!(
            "sync.interval is {interval}, since a circuit of these is open for less than workers \
             need by default to tell each other"
        ));
        import.draft.set_sync(interval);
    }
}
