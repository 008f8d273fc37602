//! Fallbacks that can never answer, wholly or in part.

use spillway_core::classify::is_grpc;
use spillway_core::policy::{HeaderTest, On, Policy, WHOLE_BP};

use super::Finding;
use super::view::PolicyView;

const OCCASIONS: [On; 3] = [On::Open, On::Failure, On::Timeout];

/// The lints of `fallback`.
pub fn lint(view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
    for at in 0..view.policy.fallback.len() {
        findings.extend(idle(view, at));
        findings.extend(never_sent(view, at));
    }
}

/// An entry some of whose occasions never come, or are answered by earlier entries.
/// It is a warning where none is left.
fn idle(view: &PolicyView<'_>, at: usize) -> Option<Finding> {
    let entries = &view.policy.fallback;
    let asked: Vec<On> = OCCASIONS
        .into_iter()
        .filter(|on| entries[at].on.contains(*on))
        .collect();
    let reasons: Vec<String> = asked
        .iter()
        .filter_map(|on| idle_on(view, at, *on))
        .collect();
    let first = reasons.first()?;
    let path = view.path(&format!("fallback[{at}]"));
    Some(if reasons.len() == asked.len() {
        Finding::warning(
            "fallback-never-answers",
            path,
            first.clone(),
            "drop the entry, move it, or give it another on".into(),
        )
    } else {
        Finding::note(
            "fallback-partly-idle",
            format!("{path}.on"),
            first.clone(),
            "drop that word from on".into(),
        )
    })
}

/// Why the entry at `at` never answers on `on`, if it does not.
fn idle_on(view: &PolicyView<'_>, at: usize, on: On) -> Option<String> {
    let earlier = view.policy.fallback.iter().take(at);
    if let Some(before) = earlier
        .map(|entry| entry.on)
        .position(|set| set.contains(on))
    {
        let name = on.name();
        return Some(format!(
            "on {name}, fallback[{before}] always answers first"
        ));
    }
    let name = on.name();
    match on {
        On::Open if !view.rejects_all() && !view.can_trip() => Some(format!(
            "on {name}: nothing in this policy ever rejects a request"
        )),
        On::Failure | On::Timeout if view.rejects_all() && view.policy.enforce_bp == WHOLE_BP => {
            Some(format!(
                "on {name}: mode forced_open lets no request reach the upstream"
            ))
        }
        _ => None,
    }
}

/// The half of an answer that the policy's requests never get: the body where all of
/// them are gRPC, the gRPC status where none is.
fn never_sent(view: &PolicyView<'_>, at: usize) -> Option<Finding> {
    let says = |field: &str| view.says(&format!("fallback.{at}.{field}"));
    let path = |field: &str| view.path(&format!("fallback[{at}].{field}"));
    let field_of = |fields: &[&'static str]| fields.iter().find(|field| says(field)).copied();
    match speaks_grpc(view.policy)? {
        true => field_of(&["body", "json"]).map(|field| {
            Finding::warning(
                "body-never-sent",
                path(field),
                "match takes gRPC requests alone, whose answers have no body".into(),
                "use grpc_status and grpc_message".into(),
            )
        }),
        false => field_of(&["grpc_status", "grpc_message"]).map(|field| {
            Finding::warning(
                "grpc-never-sent",
                path(field),
                "match takes no gRPC request, which is a POST with content-type \
                 application/grpc"
                    .into(),
                "use status, and body or json".into(),
            )
        }),
    }
}

/// Whether the policy's requests are all gRPC or none is; absent where both may be.
fn speaks_grpc(policy: &Policy) -> Option<bool> {
    let mut conditions = policy.matcher.headers.iter();
    let condition = conditions.find(|header| &*header.name == "content-type");
    match condition.map(|header| &header.test) {
        Some(HeaderTest::Exact(value)) => return Some(is_grpc(Some(value.as_bytes()))),
        Some(HeaderTest::Present(false)) => return Some(false),
        Some(HeaderTest::Present(true)) | None => {}
    }
    let methods = &policy.matcher.methods;
    let never_posts = !methods.is_empty() && methods.iter().all(|method| &**method != "POST");
    never_posts.then_some(false)
}
