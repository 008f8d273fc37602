//! Lints of the limit for saved requests.

use spillway_core::policy::{FallbackType, Policy, RetryEngine};

use crate::command::check::finding::Finding;
use crate::command::check::view::FileView;

/// With space for fewer of the largest bodies than this, a few uploads drop all others.
const COPIES_MIN: u32 = 8;

/// Runs the lints of `limits.copies_bytes`.
pub(super) fn lint(file: &FileView<'_>, findings: &mut Vec<Finding>) {
    let (path, limits) = (String::from("limits.copies_bytes"), &file.config.limits);
    let (each, all) = (limits.replay_body_bytes, limits.copies_bytes);
    if !file.policies().any(|view| saves_requests(view.policy)) {
        findings.extend(file.says("/limits/copies_bytes").then(|| {
            Finding::note(
                "copies-unused",
                path,
                "no policy has a fallback of type cluster or retries by the filter, so no request is \
                 saved"
                    .into(),
                "remove it".into(),
            )
        }));
    } else if all <= each {
        findings.push(Finding::warning(
            "copies-too-small",
            path,
            format!("a body of limits.replay_body_bytes ({each}) with its headers never fits"),
            "raise it, or lower replay_body_bytes".into(),
        ));
    } else if all / COPIES_MIN < each {
        let few = all / each.max(1);
        findings.push(Finding::note(
            "copies-few",
            path,
            format!(
                "{few} requests with a body of limits.replay_body_bytes ({each}) drop all others"
            ),
            "raise it, or lower replay_body_bytes".into(),
        ));
    }
}

fn saves_requests(policy: &Policy) -> bool {
    let by_filter = |engine| engine == RetryEngine::Filter;
    let mut entries = policy.fallback.iter();
    policy.retry.as_ref().is_some_and(|it| by_filter(it.engine))
        || entries.any(|entry| matches!(entry.from, FallbackType::Cluster(_)))
}
