//! Lints of the requests that a policy affects: mode, share, key and outcome.

use spillway_core::policy::{HeaderTest, KeyPart, Mode, WHOLE_BP};

use crate::command::check::finding::Finding;
use crate::command::check::view::{FileView, PolicyView};

/// Callers that choose the values of a header soon use up fewer key tuples than this.
const KEYS_FEW: u32 = 100;

/// Finds a disabled policy.
pub(super) fn disabled(view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
    if view.is_disabled() {
        findings.push(Finding::note(
            "disabled",
            view.path("mode"),
            "the policy has no effect and is not checked further".into(),
            "remove the policy, or set another mode".into(),
        ));
    }
}

/// Runs the lints of mode, share, key and outcome.
pub(super) fn lint(view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
    findings.extend(mode(view));
    findings.extend(nothing_enforced(view));
    findings.extend(only_counts(view));
    findings.extend(constant_keys(view));
    findings.extend(shared_clusters(view));
    findings.extend(no_failure_status(view));
}

fn mode(view: &PolicyView<'_>) -> Option<Finding> {
    let (name, effect) = match view.policy.mode {
        Mode::ForcedOpen => (
            "forced-open",
            "every request to which decisions are applied is rejected",
        ),
        Mode::ForcedClosed => ("forced-closed", "the circuit never opens by itself"),
        Mode::Enforce | Mode::Shadow | Mode::Disabled => return None,
    };
    Some(Finding::note(
        name,
        view.path("mode"),
        effect.into(),
        "set it back to enforce when this is no longer needed".into(),
    ))
}

fn nothing_enforced(view: &PolicyView<'_>) -> Option<Finding> {
    let path = view.path("enforce_percent");
    match (view.policy.mode, view.policy.enforce_bp) {
        (Mode::Shadow, bp) if bp < WHOLE_BP => Some(Finding::note(
            "share-of-nothing",
            path,
            "mode shadow applies decisions to no request, so the share has no effect".into(),
            "remove it, or set mode to enforce".into(),
        )),
        (Mode::Enforce | Mode::ForcedOpen | Mode::ForcedClosed, 0) => Some(Finding::warning(
            "nothing-enforced",
            path,
            "decisions are applied to 0 % of the requests".into(),
            "raise it, or set mode to shadow, which has the same effect".into(),
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
            "without circuit_breaker, retry and fallback, the policy only counts outcomes, and later \
             policies do not get its requests"
                .into(),
            "add circuit_breaker, unless this is intended".into(),
        )
    })
}

/// Finds headers in the key whose value the policy's match determines.
fn constant_keys(view: &PolicyView<'_>) -> Vec<Finding> {
    let conditions = &view.policy.matcher.headers;
    let constant = |name: &str| {
        conditions.iter().any(|condition| {
            *condition.name == *name && condition.test == HeaderTest::Present(false)
        })
    };
    let keys = view.policy.key.iter().enumerate();
    keys.filter_map(|(index, part)| match part {
        KeyPart::Header(name) if constant(name) => Some(Finding::warning(
            "constant-key",
            view.path(&format!("key[{index}]")),
            format!("match only accepts requests without {name}, so this part is always the same"),
            "remove this part, or that condition".into(),
        )),
        _ => None,
    })
    .collect()
}

/// Parts of the names of clusters that stand for many services: Istio's cluster for unknown
/// destinations, dynamic forward proxies, and clusters for the original destination.
const SHARED: [&str; 4] = [
    "passthrough",
    "dynamic_forward_proxy",
    "original_dst",
    "original-dst",
];

/// Finds clusters that stand for many services, with a key that does not tell them apart.
fn shared_clusters(view: &PolicyView<'_>) -> Vec<Finding> {
    let distinguishes = |part: &KeyPart| match part {
        KeyPart::Authority => true,
        KeyPart::Header(name) => **name == *":authority",
        _ => false,
    };
    if view.policy.key.iter().any(distinguishes) {
        return Vec::new();
    }
    let clusters = view.policy.matcher.clusters.iter().enumerate();
    let shared = clusters.filter(|(_, name)| {
        let name = name.to_ascii_lowercase();
        SHARED.iter().any(|part| name.contains(part))
    });
    shared
        .map(|(index, name)| {
            Finding::warning(
                "shared-cluster",
                view.path(&format!("match.clusters[{index}]")),
                format!(
                    "{name} stands for many services, which share one circuit with this key: an \
                     outage of one of them rejects requests to all"
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
            "every status of failure_status is also ignored, which takes precedence".into(),
            "remove the statuses that are failures from it".into(),
        )
    })
}

/// Finds a limit that is too low for keys that callers choose.
pub(super) fn limits(file: &FileView<'_>, findings: &mut Vec<Finding>) {
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
                "{} has values that callers choose; above {keys}, new values share a circuit that \
                 never rejects",
                view.path("key")
            ),
            format!("set it to the number of expected values, and at least {KEYS_FEW}"),
        ));
    }
}
