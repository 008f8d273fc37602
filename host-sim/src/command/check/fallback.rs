//! Fallbacks that can never answer, wholly or in part.

use spillway_core::http_value::is_grpc;
use spillway_core::policy::{FallbackType, HeaderTest, On, Policy, WHOLE_BP};

use super::Finding;
use super::view::{FileView, PolicyView};

const OCCASIONS: [On; 3] = [On::Open, On::Failure, On::Timeout];

/// The lints of `fallback`.
pub fn lint(file: &FileView<'_>, view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
    let comes = file.config.host.headers_stop_iteration;
    for (at, entry) in view.policy.fallback.iter().enumerate() {
        findings.extend(idle(view, at));
        findings.extend(match &entry.from {
            FallbackType::Respond(_) => never_sent(view, at),
            FallbackType::Stale(_) => never_kept(view, at),
            FallbackType::Cluster(_) => never_called(view, at, comes),
            FallbackType::Route(_) => None,
        });
    }
}

/// The lints of `limits.stale_bytes` and `host`.
pub fn unused(file: &FileView<'_>, findings: &mut Vec<Finding>) {
    let any = |has: fn(&FallbackType) -> bool| {
        let mut entries = file.policies().flat_map(|view| &view.policy.fallback);
        entries.any(|entry| has(&entry.from))
    };
    if file.says("/limits/stale_bytes") && !any(|from| matches!(from, FallbackType::Stale(_))) {
        findings.push(Finding::note(
            "stale-bytes-unused",
            "limits.stale_bytes".into(),
            "no policy has a fallback of type stale, so that no answer is kept".into(),
            "drop it, or add one".into(),
        ));
    }
    let stops = file.config.host.headers_stop_iteration;
    let told = file.says("/host/buffer_limit_bytes");
    let limit = String::from("host.buffer_limit_bytes");
    if told && !stops {
        findings.push(Finding::note(
            "buffer-limit-unused",
            limit,
            "without host.headers_stop_iteration no body comes while its message is paused".into(),
            "drop it".into(),
        ));
    } else if stops && !told && any(|from| matches!(from, FallbackType::Cluster(_))) {
        findings.push(Finding::note(
            "buffer-limit-assumed",
            limit,
            "Envoy's default of 1 MiB is assumed: with a lower \
             per_connection_buffer_limit_bytes, Envoy answers 413 or 500 for what is larger"
                .into(),
            "set it to the listener's per_connection_buffer_limit_bytes".into(),
        ));
    }
    if stops && !any(|from| matches!(from, FallbackType::Cluster(_))) {
        findings.push(Finding::note(
            "host-unused",
            "host.headers_stop_iteration".into(),
            "no policy has a fallback of type cluster, which alone waits for bodies".into(),
            "drop it".into(),
        ));
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
    let mut earlier = view.policy.fallback.iter().take(at);
    // The others may have nothing to answer with.
    let always =
        |from: &FallbackType| matches!(from, FallbackType::Respond(_) | FallbackType::Route(_));
    if let Some(before) = earlier.position(|entry| entry.on.contains(on) && always(&entry.from)) {
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

/// Kept answers that no request of the policy would leave, or get.
fn never_kept(view: &PolicyView<'_>, at: usize) -> Option<Finding> {
    let policy = view.policy;
    let methods = &policy.matcher.methods;
    let reads = |method: &str| matches!(method, "GET" | "HEAD");
    let has = |name: &str| {
        let mut conditions = policy.matcher.headers.iter();
        conditions.any(|it| &*it.name == name && it.test != HeaderTest::Present(false))
    };
    let reason = if speaks_grpc(policy) == Some(true) {
        "match takes gRPC requests alone, whose answers are not kept"
    } else if !methods.is_empty() && !methods.iter().any(|method| reads(method)) {
        "match takes neither GET nor HEAD, and answers to others are not kept"
    } else if !methods.is_empty() && !methods.iter().any(|method| &**method == "GET") {
        "match takes no GET, whose answers alone are kept"
    } else if has("authorization") || has("cookie") {
        "match takes requests with credentials alone, whose answers are not kept"
    } else {
        return None;
    };
    Some(Finding::warning(
        "stale-never-kept",
        view.path(&format!("fallback[{at}]")),
        reason.into(),
        "drop the entry, or widen match".into(),
    ))
}

/// Requests that are not sent to another cluster.
fn never_called(view: &PolicyView<'_>, at: usize, comes: bool) -> Option<Finding> {
    let path = view.path(&format!("fallback[{at}]"));
    if speaks_grpc(view.policy) == Some(true) {
        return Some(Finding::warning(
            "cluster-never-called",
            path,
            "match takes gRPC requests alone, which a call to another cluster cannot carry".into(),
            "use type route, which sends them elsewhere as they are".into(),
        ));
    }
    let bodiless = |method: &str| matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "DELETE");
    let methods = &view.policy.matcher.methods;
    let all_bodiless = !methods.is_empty() && methods.iter().all(|method| bodiless(method));
    let on_open = view.policy.fallback[at].on.contains(On::Open);
    (on_open && !comes && !all_bodiless).then(|| {
        Finding::note(
            "cluster-without-bodies",
            format!("{path}.on"),
            "on open, requests with a body are passed over: their body does not come while \
             they are held back"
                .into(),
            "set host.headers_stop_iteration, and allow_on_headers_stop_iteration of the plugin \
             (Envoy 1.35 and later, not in Istio), or use type route"
                .into(),
        )
    })
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
