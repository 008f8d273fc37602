//! How requests end, and whether each ending counts against the upstream.
//!
//! Each ending has its own policy, selected by `x-case`, so that its counters hold only that ending
//! and a test can assert the exact numbers of successes, failures and ignored requests.

mod client;
mod deadlines;
mod dns;
mod replaced;
mod streams;
mod uploads;

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::envoy::Setting;
use spillway_tests::{Envoy, Reply, Upstream, raw};

use crate::scene::{all_get, file, outcomes_are, policy, with};

const SUCCESS: [u64; 3] = [1, 0, 0];
const FAILURE: [u64; 3] = [0, 1, 0];
const IGNORED: [u64; 3] = [0, 0, 1];

/// Slow threshold of these tests.
const SLOW: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_unreachable_or_resetting_upstream_has_failed() {
    let rows = "
        fine          x-script:  status=200      200  via_upstream                                       success
        client_error  x-script:  status=404      404  via_upstream                                       success
        error         x-script:  status=500      500  via_upstream                                       failure
        refused       x-to:      gone            503  upstream_reset_before_response_started{remote_con  failure
        reset         x-script:  reset           503  upstream_reset_before_response_started{conn        failure
        cut           x-script:  reset_mid_body  200  upstream_reset_after_response_started              failure
        no_host       x-to:      empty           503  no_healthy_upstream                                failure";
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address())
        .refused_cluster("gone")
        .cluster("empty", upstream.address())
        .cluster_fields(
            "empty",
            json!({"load_assignment": {"cluster_name": "empty"}}),
        );
    all_end(setting, rows).await;
    assert_eq!(upstream.hits(), 5);
}

#[tokio::test]
async fn a_host_timeout_is_a_failure_unless_it_rotates_a_healthy_stream() {
    let rows = "
        route              x-script:  hang           504  response_timeout          failure
        route_mid_body     x-script:  hang_mid_body  200  response_timeout          failure
        try                x-script:  hang           504  upstream_per_try_timeout  failure
        idle               x-script:  hang           504  stream_idle_timeout       failure
        idle_mid_body      x-script:  hang_mid_body  200  stream_idle_timeout       success
        cluster            x-to:      brief          504  upstream_max_stream       failure
        cluster_mid_body   x-to:      brief          200  upstream_max_stream       success
        duration           x-script:  hang           504  max_duration_timeout      failure
        duration_mid_body  x-script:  hang_mid_body  200  max_duration_timeout      success";
    let upstream = Upstream::start().await;
    upstream.reply_on("/cluster", Reply::hang());
    upstream.reply_on("/cluster_mid_body", Reply::hang_mid_body());
    let brief = json!({"max_stream_duration": "0.3s"});
    let mut setting = Envoy::in_front_of(upstream.address())
        .cluster("brief", upstream.address())
        .cluster_fields(
            "brief",
            http_options(json!({"common_http_protocol_options": brief})),
        );
    let timeouts = [
        ("route", json!({"timeout": "0.3s"})),
        ("idle", json!({"idle_timeout": "0.3s"})),
        ("duration", json!({"max_stream_duration": brief})),
        (
            "try",
            json!({"retry_policy": {"retry_on": "5xx", "per_try_timeout": "0.3s"}}),
        ),
    ];
    for (case, timeout) in timeouts {
        setting = setting
            .route(route_of(case, timeout.clone()))
            .route(route_of(&format!("{case}_mid_body"), timeout));
    }
    all_end(setting, rows).await;
}

#[tokio::test]
async fn a_local_reply_of_another_filter_or_the_proxy_is_ignored() {
    let rows = "
        fault            x-envoy-fault-abort-request:  503       503  fault_filter_abort  ignored
        denied           x-denied-behind:              yes       403  rbac_access_denied  ignored
        scripted         x-lua:                        yes       503  lua_response        ignored
        direct           x-none:                       -         503  direct_response     ignored
        redirect         x-none:                       -         301  direct_response     ignored
        unknown_cluster  x-cluster:                    nonsense  503  cluster_not_found   ignored";
    let upstream = Upstream::start().await;
    let answer = |case: &str, fields| with(json!({"name": case, "match": of_case(case)}), fields);
    let setting = Envoy::in_front_of(upstream.address())
        .after(fault())
        .after(denying("x-denied-behind"))
        .after(lua())
        .route(answer(
            "direct",
            json!({"direct_response": {"status": 503}}),
        ))
        .route(answer(
            "redirect",
            json!({"redirect": {"path_redirect": "/elsewhere"}}),
        ))
        .route(answer(
            "unknown_cluster",
            json!({"route": {"cluster_header": "x-cluster"}}),
        ));
    all_end(setting, rows).await;
    assert_eq!(upstream.hits(), 0);
}

#[tokio::test]
async fn a_request_that_never_reached_the_filter_is_not_counted() {
    let rows = "
        denied_before  x-denied-before:  yes  403  rbac_access_denied  uncounted
        fine           x-none:           -    200  via_upstream        success";
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address()).before(denying("x-denied-before"));
    all_end(setting, rows).await;
}

#[tokio::test]
async fn a_request_without_a_route_is_ignored() {
    let upstream = Upstream::start().await;
    let envoy = cased(Envoy::in_front_of(upstream.address()), &["lost"]).await;
    let connect = b"CONNECT host:443 HTTP/1.1\r\nhost: host:443\r\nx-case: lost\r\n\r\n";
    let answer = raw::exchange(envoy.address(), connect).await;
    assert_eq!(answer.status(), Some(404));
    outcomes_are(&envoy, "lost", IGNORED).await;
}

#[tokio::test]
async fn under_the_hosts_own_retries_the_last_attempt_counts_once() {
    let rows = "
        used_up        x-script:  status=503  503  via_upstream  failure
        refused_retry  x-script:  status=503  503  via_upstream  failure";
    let retried = json!({"retry_policy": {"retry_on": "5xx", "num_retries": 2}});
    let narrow = json!({"circuit_breakers": {"thresholds": [{"max_retries": 0}]}});
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address())
        .cluster("narrow", upstream.address())
        .cluster_fields("narrow", narrow)
        .route(route_of("used_up", retried.clone()))
        .route(route_of(
            "refused_retry",
            with(retried, json!({"cluster": "narrow"})),
        ));
    let envoy = all_end(setting, rows).await;
    // The flag UO of the refused retry must not hide the failure behind it.
    for (case, flags, attempts) in [("used_up", "URX", 3), ("refused_retry", "UO", 1)] {
        let path = format!("/{case}");
        assert_eq!(envoy.access(&path).await["flags"], flags);
        assert_eq!(upstream.hits_on(&path), attempts);
    }
}

#[tokio::test]
async fn the_policy_classifies_a_connection_pool_overflow() {
    let one = json!({"max_connections": 1, "max_pending_requests": 1});
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address())
        .cluster("narrow", upstream.address())
        .cluster_fields("narrow", json!({"circuit_breakers": {"thresholds": [one]}}));
    let failing = json!({"outcome": {"overflow": "failure"}});
    let policies = [policy_of("narrow"), with(policy_of("counted"), failing)];
    let envoy = setting.policy(file(json!(policies))).start().await;
    upstream.close_gate();
    let headers = [("x-case", "narrow"), ("x-to", "narrow")];
    let active = envoy.client().begin("/active", &headers);
    upstream.in_flight_reaches(1).await;
    let pending = envoy.client().begin("/pending", &headers);
    envoy
        .expect_metric(
            "envoy_cluster_upstream_rq_pending_active",
            &[("envoy_cluster_name", "narrow")],
            1,
        )
        .await;
    assert_eq!(envoy.get_with("/refused", &headers).await.status, 503);
    let entry = envoy.access("/refused").await;
    assert_eq!(
        entry["details"],
        "upstream_reset_before_response_started{overflow}"
    );
    outcomes_are(&envoy, "narrow", IGNORED).await;
    let counted = [("x-case", "counted"), ("x-to", "narrow")];
    assert_eq!(envoy.get_with("/counted", &counted).await.status, 503);
    outcomes_are(&envoy, "counted", FAILURE).await;
    upstream.open_gate();
    assert_eq!(
        (active.answer().await.status, pending.answer().await.status),
        (200, 200)
    );
    outcomes_are(&envoy, "narrow", [2, 0, 1]).await;
}

#[tokio::test]
async fn a_status_that_the_policy_ignores_wins_over_one_that_it_calls_a_failure() {
    let outcome = json!({"failure_status": ["500-504", "429"], "ignore_status": ["503"]});
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy(json!({"outcome": outcome})))
        .start()
        .await;
    for (path, status) in [("/a", 500), ("/b", 503), ("/c", 429), ("/d", 505)] {
        upstream.reply_on(path, Reply::status(status));
        all_get(&envoy, path, 1, status).await;
    }
    outcomes_are(&envoy, "p", [1, 2, 1]).await;
}

/// Sends the request of each row and asserts its ending. A row is a case, a header that causes its
/// ending, the client's status, the start of Envoy's response code details, and the expected
/// counts.
async fn all_end(setting: Setting, rows: &str) -> Envoy {
    let rows: Vec<Vec<&str>> = rows
        .lines()
        .map(|row| row.split_whitespace().collect())
        .filter(|row: &Vec<&str>| !row.is_empty())
        .collect();
    let cases: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let envoy = cased(setting, &cases).await;
    for row in rows {
        let [case, name, value, status, details, counted] = row[..] else {
            panic!("a row of {} words: {row:?}", row.len());
        };
        let path = format!("/{case}");
        let headers = [("x-case", case), (name.trim_end_matches(':'), value)];
        let answer = envoy.get_with(&path, &headers).await;
        assert_eq!(answer.status.to_string(), status, "{case}");
        let entry = envoy.access(&path).await;
        let told = entry["details"].as_str().unwrap_or_default();
        assert!(told.starts_with(details), "{case}: {told}");
        let counted =
            ["success", "failure", "ignored"].map(|outcome| u64::from(outcome == counted));
        outcomes_are(&envoy, case, counted).await;
    }
    envoy
}

/// Starts Envoy with one policy per case, none of which trips.
async fn cased(setting: Setting, cases: &[&str]) -> Envoy {
    let policies: Vec<Value> = cases.iter().map(|case| policy_of(case)).collect();
    setting.policy(file(json!(policies))).start().await
}

fn policy_of(case: &str) -> Value {
    json!({
        "name": case,
        "match": {"headers": [{"name": "x-case", "exact": case}]},
        "circuit_breaker": {"slow_threshold": format!("{}ms", SLOW.as_millis())},
    })
}

fn of_case(case: &str) -> Value {
    json!({"prefix": "/", "headers": [{"name": "x-case", "string_match": {"exact": case}}]})
}

fn route_of(case: &str, fields: Value) -> Value {
    let route = with(json!({"cluster": "upstream"}), fields);
    json!({"name": case, "match": of_case(case), "route": route})
}

/// The HTTP options of a cluster.
fn http_options(fields: Value) -> Value {
    let own = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
    });
    let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({"typed_extension_protocol_options": {name: with(own, fields)}})
}

fn fault() -> Value {
    extension(
        "fault.v3.HTTPFault",
        json!({
            "abort": {"header_abort": {}, "percentage": {"numerator": 100}},
        }),
    )
}

/// Denies requests with this header.
fn denying(header: &str) -> Value {
    let denied = json!({"header": {"name": header, "present_match": true}});
    let deny = json!({"permissions": [{"any": true}], "principals": [denied]});
    extension(
        "rbac.v3.RBAC",
        json!({"rules": {"action": "DENY", "policies": {"deny": deny}}}),
    )
}

fn lua() -> Value {
    let code = "function envoy_on_request(handle)
        if handle:headers():get('x-lua') then handle:respond({[':status'] = '503'}, '') end
    end";
    extension(
        "lua.v3.Lua",
        json!({"default_source_code": {"inline_string": code}}),
    )
}

fn extension(kind: &str, fields: Value) -> Value {
    let name = kind.split('.').next().unwrap_or_default();
    let kind = format!("type.googleapis.com/envoy.extensions.filters.http.{kind}");
    json!({
        "name": format!("envoy.filters.http.{name}"),
        "typed_config": with(json!({"@type": kind}), fields),
    })
}
