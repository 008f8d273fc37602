//! Lints of fallbacks that can never respond, wholly or in part.

use spillway_core::is_grpc;
use spillway_core::policy::{FallbackType, HeaderTest, On, Policy, WHOLE_BP};

use crate::command::check::finding::Finding;
use crate::command::check::view::{FileView, PolicyView};

const OCCASIONS: [On; 3] = [On::Open, On::Failure, On::Timeout];

/// Runs the lints of `fallback`.
pub(super) fn lint(file: &FileView<'_>, view: &PolicyView<'_>, findings: &mut Vec<Finding>) {
    let bodies_arrive = file.config.host.headers_stop_iteration;
    for (index, entry) in view.policy.fallback.iter().enumerate() {
        findings.extend(idle(view, index));
        findings.extend(match &entry.from {
            FallbackType::Respond(_) => never_sent(view, index),
            FallbackType::Stale(_) => {
                never_stored(view, index).or_else(|| ignores_nothing(view, index))
            }
            FallbackType::Cluster(_) => never_called(view, index, bodies_arrive),
            FallbackType::Route(_) => None,
        });
    }
}

/// Runs the lints of `limits.stale_bytes` and `host`.
pub(super) fn unused(file: &FileView<'_>, findings: &mut Vec<Finding>) {
    let any = |has: fn(&FallbackType) -> bool| {
        let mut entries = file.policies().flat_map(|view| &view.policy.fallback);
        entries.any(|entry| has(&entry.from))
    };
    if file.says("/limits/stale_bytes") && !any(|from| matches!(from, FallbackType::Stale(_))) {
        findings.push(Finding::note(
            "stale-bytes-unused",
            "limits.stale_bytes".into(),
            "no policy has a fallback of type stale, so no response is stored".into(),
            "remove it, or add one".into(),
        ));
    }
    let stops = file.config.host.headers_stop_iteration;
    let has_limit = file.says("/host/buffer_limit_bytes");
    let limit = String::from("host.buffer_limit_bytes");
    if has_limit && !stops {
        findings.push(Finding::note(
            "buffer-limit-unused",
            limit,
            "without host.headers_stop_iteration, no body arrives while its message is paused"
                .into(),
            "remove it".into(),
        ));
    } else if stops && !has_limit && any(|from| matches!(from, FallbackType::Cluster(_))) {
        findings.push(Finding::note(
            "buffer-limit-assumed",
            limit,
            "Envoy's default of 1 MiB is assumed: with a lower \
             per_connection_buffer_limit_bytes, Envoy responds with 413 or 500 to larger messages"
                .into(),
            "set it to the listener's per_connection_buffer_limit_bytes".into(),
        ));
    }
    if stops && !any(|from| matches!(from, FallbackType::Cluster(_))) {
        findings.push(Finding::note(
            "host-unused",
            "host.headers_stop_iteration".into(),
            "no policy has a fallback of type cluster, the only one that waits for bodies".into(),
            "remove it".into(),
        ));
    }
}

/// Finds an entry with occasions that never occur, or that earlier entries always handle. It is a
/// warning if no occasion is left.
fn idle(view: &PolicyView<'_>, index: usize) -> Option<Finding> {
    let entries = &view.policy.fallback;
    let occasions: Vec<On> = OCCASIONS
        .into_iter()
        .filter(|on| entries[index].on.contains(*on))
        .collect();
    let reasons: Vec<String> = occasions
        .iter()
        .filter_map(|on| idle_on(view, index, *on))
        .collect();
    let first = reasons.first()?;
    let path = view.path(&format!("fallback[{index}]"));
    Some(if reasons.len() == occasions.len() {
        Finding::warning(
            "fallback-never-answers",
            path,
            first.clone(),
            "remove the entry, move it, or change its on".into(),
        )
    } else {
        Finding::note(
            "fallback-partly-idle",
            format!("{path}.on"),
            first.clone(),
            "remove this word from on".into(),
        )
    })
}

/// Returns why the entry never responds on `on`. `None` if it may respond.
fn idle_on(view: &PolicyView<'_>, index: usize, on: On) -> Option<String> {
    let mut earlier = view.policy.fallback.iter().take(index);
    // Other types may have no response.
    let always =
        |from: &FallbackType| matches!(from, FallbackType::Respond(_) | FallbackType::Route(_));
    if let Some(before) = earlier.position(|entry| entry.on.contains(on) && always(&entry.from)) {
        let name = on.name();
        return Some(format!(
            "on {name}, fallback[{before}] always responds first"
        ));
    }
    let name = on.name();
    match on {
        On::Open if !view.is_forced() && !view.can_trip() => {
            Some(format!("on {name}: this policy never rejects a request"))
        }
        On::Failure | On::Timeout if view.rejects_all() && view.policy.enforce_bp == WHOLE_BP => {
            Some(format!(
                "on {name}: in mode forced_open, no request reaches the upstream"
            ))
        }
        _ => None,
    }
}

/// Finds the part of a response that no request of the policy gets: the body if all of them are
/// gRPC, the gRPC status if none is.
fn never_sent(view: &PolicyView<'_>, index: usize) -> Option<Finding> {
    let says = |field: &str| view.says(&format!("fallback.{index}.{field}"));
    let path = |field: &str| view.path(&format!("fallback[{index}].{field}"));
    let field_of = |fields: &[&'static str]| fields.iter().find(|field| says(field)).copied();
    match speaks_grpc(view.policy)? {
        true => field_of(&["body", "json"]).map(|field| {
            Finding::warning(
                "body-never-sent",
                path(field),
                "match only accepts gRPC requests, whose responses have no body".into(),
                "use grpc_status and grpc_message".into(),
            )
        }),
        false => field_of(&["grpc_status", "grpc_message"]).map(|field| {
            Finding::warning(
                "grpc-never-sent",
                path(field),
                "match accepts no gRPC request, which is a POST with content-type \
                 application/grpc"
                    .into(),
                "use status, and body or json".into(),
            )
        }),
    }
}

/// Finds an entry of type stale for which no response is ever stored.
fn never_stored(view: &PolicyView<'_>, index: usize) -> Option<Finding> {
    let policy = view.policy;
    let methods = &policy.matcher.methods;
    let reads = |method: &str| matches!(method, "GET" | "HEAD");
    let has = |name: &str| {
        let mut conditions = policy.matcher.headers.iter();
        conditions.any(|it| &*it.name == name && it.test != HeaderTest::Present(false))
    };
    let reason = if speaks_grpc(policy) == Some(true) {
        "match only accepts gRPC requests, whose responses are not stored"
    } else if !methods.is_empty() && !methods.iter().any(|method| reads(method)) {
        "match accepts neither GET nor HEAD, and responses to other methods are not stored"
    } else if !methods.is_empty() && !methods.iter().any(|method| &**method == "GET") {
        "match does not accept GET, and only responses to GET are stored"
    } else if has("authorization") || has("cookie") {
        "match only accepts requests with credentials, whose responses are not stored"
    } else {
        return None;
    };
    Some(Finding::warning(
        "stale-never-kept",
        view.path(&format!("fallback[{index}]")),
        reason.into(),
        "remove the entry, or widen match".into(),
    ))
}

/// Finds a list of ignored parameters that differs from that of another entry.
fn ignores_nothing(view: &PolicyView<'_>, index: usize) -> Option<Finding> {
    let says = view.says(&format!("fallback.{index}.ignore_query"));
    (says && view.policy.ignored_query().is_empty()).then(|| {
        Finding::warning(
            "ignore-query-differs",
            view.path(&format!("fallback[{index}].ignore_query")),
            "another stale entry has another list, but all use the same stored responses, so no \
             parameter is ignored"
                .into(),
            "give all stale entries of the policy the same list".into(),
        )
    })
}

/// Finds an entry of type cluster that skips some or all requests.
fn never_called(view: &PolicyView<'_>, index: usize, bodies_arrive: bool) -> Option<Finding> {
    let path = view.path(&format!("fallback[{index}]"));
    if speaks_grpc(view.policy) == Some(true) {
        return Some(Finding::warning(
            "cluster-never-called",
            path,
            "match only accepts gRPC requests, which cannot be sent in a call to another cluster"
                .into(),
            "use type route, which reroutes them unchanged".into(),
        ));
    }
    let bodiless = |method: &str| matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "DELETE");
    let methods = &view.policy.matcher.methods;
    let all_bodiless = !methods.is_empty() && methods.iter().all(|method| bodiless(method));
    let on_open = view.policy.fallback[index].on.contains(On::Open);
    (on_open && !bodies_arrive && !all_bodiless).then(|| {
        Finding::note(
            "cluster-without-bodies",
            format!("{path}.on"),
            "on open, requests with a body are skipped: their body does not arrive while they are \
             paused"
                .into(),
            "set host.headers_stop_iteration, and allow_on_headers_stop_iteration of the plugin \
             (Envoy 1.35 and later, not in Istio), or use type route"
                .into(),
        )
    })
}

/// Returns whether all requests of the policy are gRPC, or none is. `None` if both are possible.
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
