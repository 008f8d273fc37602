//! Which requests a policy acts on: modes, shares, keys and their limit, outcomes.

use spillway_core::policy::{HeaderTest, KeyPart, Mode, WHOLE_BP};

use super::Finding;
use super::view::{FileView, PolicyView};

/// Fewer key tuples than this are soon used up by whoever chooses a header's value.
const KEYS_FEW: u32 = 100;

/// Notes that a policy is switched off.
pub fn disabled(view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
    if view.is_disabled() {
        findings.push(Finding::note(
            "disabled",
            view.path("mode"),
            "the policy is as if it were absent, and is not looked at further".into(),
            "drop the policy, or set another mode".into(),
        ));
    }
}

/// The lints of a policy's mode, share, key and outcomes.
pub fn lint(view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
    findings.extend(mode(view));
    findings.extend(nothing_enforced(view));
    findings.extend(only_counts(view));
    findings.extend(constant_keys(view));
    findings.extend(shared_clusters(view));
    findings.extend(no_failure_status(view));
}

fn mode(view: &PolicyView<'_>) -> Option<Finding> {
    view.rejects_all().then(|| {
        Finding::note(
            "forced-open",
            view.path("mode"),
            "every request of the policy to which decisions are applied is rejected".into(),
            "set it back to enforce once that is over".into(),
        )
    })
}

fn nothing_enforced(view: &PolicyView<'_>) -> Option<Finding> {
    let path = view.path("enforce_percent");
    match (view.policy.mode, view.policy.enforce_bp) {
        (Mode::Shadow, bp) if bp < WHOLE_BP => Some(Finding::note(
            "share-of-nothing",
            path,
            "mode shadow applies decisions to no request, whatever the share".into(),
            "drop it, or set mode to enforce".into(),
        )),
        (Mode::Enforce | Mode::ForcedOpen, 0) => Some(Finding::warning(
            "nothing-enforced",
            path,
            "decisions are applied to 0 % of the requests".into(),
            "raise it, or set mode to shadow, which says the same in plain words".into(),
        )),
        _ => None,
    }
}

fn only_counts(view: &PolicyView<'_>) -> Option<Finding> {
    let acts = view.says("circuit_breaker")
        || view.policy.retry.is_some()
        || !view.policy.fallback.is_empty();
    (!acts && !view.rejects_all()).then(|| {
        Finding::note(
            "only-counts",
            view.path(""),
            "without circuit_breaker, retry and fallback the policy counts outcomes, and keeps \
             its requests from later policies"
                .into(),
            "add circuit_breaker, unless that is meant".into(),
        )
    })
}

/// Headers in the key that the policy's own match has already settled.
fn constant_keys(view: &PolicyView<'_>) -> Vec<Finding> {
    let conditions = &view.policy.matcher.headers;
    let settled = |name: &str| {
        conditions.iter().any(|condition| {
            *condition.name == *name && condition.test == HeaderTest::Present(false)
        })
    };
    let keys = view.policy.key.iter().enumerate();
    keys.filter_map(|(at, part)| match part {
        KeyPart::Header(name) if settled(name) => Some(Finding::warning(
            "constant-key",
            view.path(&format!("key[{at}]")),
            format!("match takes only requests without {name}, so this part never differs"),
            "drop this part, or that condition".into(),
        )),
        _ => None,
    })
    .collect()
}

/// Clusters that stand for many services, by a part of their names: Istio's for destinations that
/// no service entry knows, those of dynamic forward proxies, and those that go wherever the client
/// went.
const SHARED: [&str; 4] = [
    "passthrough",
    "dynamic_forward_proxy",
    "original_dst",
    "original-dst",
];

/// Clusters that stand for many services, under a key that does not tell these apart.
fn shared_clusters(view: &PolicyView<'_>) -> Vec<Finding> {
    let apart = |part: &KeyPart| match part {
        KeyPart::Authority => true,
        KeyPart::Header(name) => **name == *":authority",
        _ => false,
    };
    if view.policy.key.iter().any(apart) {
        return Vec::new();
    }
    let clusters = view.policy.matcher.clusters.iter().enumerate();
    let shared = clusters.filter(|(_, name)| {
        let name = name.to_ascii_lowercase();
        SHARED.iter().any(|part| name.contains(part))
    });
    shared
        .map(|(at, name)| {
            Finding::warning(
                "shared-cluster",
                view.path(&format!("match.clusters[{at}]")),
                format!(
                    "{name} stands for many services, which share one circuit under this key: an \
                     outage of one rejects requests to all"
                ),
                "add \"authority\" to key".into(),
            )
        })
        .collect()
}

fn no_failure_status(view: &PolicyView<'_>) -> Option<Finding> {
    let outcome = &view.policy.outcome;
    let mut failures = (100..=599).filter(|status| outcome.failure_status.contains(*status));
    let any = failures.clone().next().is_some();
    (any && failures.all(|status| outcome.ignore_status.contains(status))).then(|| {
        Finding::warning(
            "failures-ignored",
            view.path("outcome.ignore_status"),
            "every status of failure_status is ignored, and ignoring wins".into(),
            "take the statuses that are failures out of it".into(),
        )
    })
}

/// Keys that callers choose need room.
pub fn limits(file: &FileView<'_>, findings: &mut Vec<Finding>) {
    let keys = file.config.limits.keys;
    let chosen_by_callers = |view: &PolicyView<'_>| {
        let header = |part: &KeyPart| matches!(part, KeyPart::Header(_));
        !view.is_disabled() && view.policy.key.iter().any(header)
    };
    if keys >= KEYS_FEW || !file.says("/limits/keys") {
        return;
    }
    if let Some(view) = file.policies().find(chosen_by_callers) {
        findings.push(Finding::warning(
            "few-keys",
            "limits.keys".into(),
            format!(
                "{} holds values that callers choose; beyond {keys} in use, new ones share a \
                 circuit that never rejects",
                view.path("key")
            ),
            format!("set it to the number of values that are expected, and at least {KEYS_FEW}"),
        ));
    }
}
