//! Requests that the shipped module sends again: timing, and events while they wait.

use host_sim::proxy::stream::info::{RouteInfo, StreamInfo};
use host_sim::proxy::{Call, CallOutcome, Callback, ClusterState, Effect, Part, StreamId};

use crate::proxy::{self, GET, Proxy, body, headers, response, trailers};

/// Returns a policy with these additional fields of `retry`.
fn policy(fields: &str) -> String {
    format!(
        r#"{{"policies": [{{"name": "p", "retry": {{
            "engine": "filter", "replay": "as_received",
            "budget": {{"min_retry_rate": {{"count": 1000}}}} {fields}
        }}}}]}}"#
    )
}

fn spillway(fields: &str) -> Proxy {
    Proxy::start(proxy::spillway(policy(fields)), 1).unwrap()
}

impl Proxy {
    /// Opens a GET that fails, and whose response the filter pauses.
    fn failed(&mut self, response_headers: &[(&str, &str)]) -> StreamId {
        let stream = self.get();
        self.fails(stream, response_headers);
        stream
    }

    /// Sends a 503 of the upstream with these headers and a body.
    fn fails(&mut self, stream: StreamId, response_headers: &[(&str, &str)]) {
        let info = self.host.info_mut(stream).unwrap();
        info.code = Some(503);
        info.details = "via_upstream".into();
        info.attempts = Some(1);
        let pairs = [&[(":status", "503")], response_headers].concat();
        self.host.response(stream, headers(false, &pairs));
        self.host.response(stream, body("first", true));
    }

    /// Runs from `from` to `to` and returns the calls with their times in milliseconds.
    fn calls_until(&mut self, from: u64, to: u64) -> Vec<(u64, Call)> {
        let mut calls = Vec::new();
        for ms in from..=to {
            self.run_to(ms);
            while let Some(effect) = self.host.next_effect() {
                if let Effect::Call(call) = effect {
                    self.calls.push(call.call);
                    calls.push((ms, call));
                }
            }
        }
        calls
    }

    fn denied(&self, reason: &str) -> u64 {
        let name = format!("spillway.policy.p.reason.{reason}.retries_denied_total");
        self.host.metrics().value(&name)
    }

    /// Closes a stream and asserts that the filter has counted no internal error.
    fn over(&mut self, stream: StreamId) {
        self.host.close(stream);
        let errors = self.host.metrics().value("spillway.internal_errors_total");
        assert_eq!(errors, 0, "{:?}", self.log());
    }
}

/// The effects of a failed response that is resumed.
const FIRST: [&str; 2] = ["client: :status=503", "client: 'first'."];

#[test]
fn backoffs_range_from_zero_to_a_limit_that_doubles() {
    let fields = r#", "backoff": {"base_interval": "100ms", "max_interval": "150ms"}"#;
    let mut proxy = spillway(fields);
    let mut waits = [Vec::new(), Vec::new()];
    let mut now = 0;
    for _ in 0..40 {
        let stream = proxy.failed(&[]);
        for waits in &mut waits {
            let calls = proxy.calls_until(now, now + 160);
            assert_eq!(calls.len(), 1, "{calls:?}");
            waits.push(calls[0].0 - now);
            now += 160;
            proxy.answer_call(response("503", ""));
        }
        proxy.over(stream);
    }
    // The tick that ends a wait may be up to five milliseconds late.
    for (waits, limit) in waits.iter().zip([100, 150]) {
        let (least, most) = (*waits.iter().min().unwrap(), *waits.iter().max().unwrap());
        assert!(
            least < limit / 5 && (limit * 4 / 5..=limit + 5).contains(&most),
            "{waits:?}"
        );
    }
}

/// Each row: a header of the response, and when the next attempt is made.
#[test]
fn a_retry_is_made_at_the_time_that_the_upstream_requests() {
    let rows = [
        (("retry-after", "2"), 2_000),
        (("retry-after", "Thu, 01 Jan 2026 00:00:03 GMT"), 3_000),
        (("grpc-retry-pushback-ms", "700"), 700),
    ];
    for (hint, expected) in rows {
        let mut proxy = spillway("");
        let stream = proxy.failed(&[hint]);
        let calls = proxy.calls_until(0, 5_000);
        assert_eq!(calls.len(), 1, "{hint:?}");
        assert!(
            (expected..=expected + 5).contains(&calls[0].0),
            "{hint:?}: {}",
            calls[0].0
        );
        proxy.answer_call(response("200", "second"));
        proxy.over(stream);
    }
}

#[test]
fn a_retry_after_the_deadline_is_denied() {
    for (fields, seconds) in [
        (r#", "timeout": "2s""#, "2"),
        (r#", "timeout": "1s""#, "3600"),
    ] {
        let mut proxy = spillway(fields);
        let stream = proxy.failed(&[("retry-after", seconds)]);
        assert_eq!(proxy.denied("deadline"), 1);
        assert_eq!(proxy.calls_until(0, 4_000), []);
        proxy.over(stream);
    }
}

#[test]
fn an_attempt_is_limited_by_the_remaining_time_and_its_per_try_timeout() {
    let rows = [
        (r#", "timeout": "3s""#, 1_995..=2_000),
        (
            r#", "timeout": "3s", "per_try_timeout": "250ms""#,
            250..=250,
        ),
        (
            r#", "timeout": "1100ms", "per_try_timeout": "250ms""#,
            95..=100,
        ),
    ];
    for (fields, expected) in rows {
        let mut proxy = spillway(fields);
        let stream = proxy.failed(&[("retry-after", "1")]);
        let calls = proxy.calls_until(0, 1_010);
        let timeout = calls[0].1.timeout.unwrap().as_millis();
        assert!(expected.contains(&timeout), "{fields}: {timeout}");
        proxy.answer_call(CallOutcome::timed_out());
        proxy.over(stream);
    }
}

#[test]
fn a_client_that_disconnects_cancels_its_waiting_retry() {
    let mut proxy = spillway("");
    let stream = proxy.failed(&[("retry-after", "1")]);
    proxy.run_to(500);
    proxy.over(stream);
    assert_eq!(proxy.calls_until(500, 3_000), []);
    assert_eq!(again(&mut proxy, 3_000), SECOND);
}

#[test]
fn a_retry_response_for_a_disconnected_client_is_dropped() {
    for outcome in [
        response("200", "second"),
        CallOutcome::Reset,
        CallOutcome::timed_out(),
    ] {
        let mut proxy = spillway("");
        let stream = proxy.failed(&[]);
        assert_eq!(proxy.calls_until(0, 100).len(), 1);
        proxy.over(stream);
        // Another stream waits for its own retry.
        let other = proxy.failed(&[("retry-after", "5")]);
        proxy.effects();
        proxy.answer_call(outcome);
        assert_eq!(proxy.effects(), [""; 0]);
        proxy.over(other);
        assert_eq!(again(&mut proxy, 1_000), SECOND);
    }
}

const SECOND: [&str; 2] = [
    "client: :status=200 content-length=6 content-type=text/plain",
    "client: 'second'.",
];

/// Sends a request that fails at `now`, and returns what its client gets from the retry.
fn again(proxy: &mut Proxy, now: u64) -> Vec<String> {
    proxy.run_to(now);
    let stream = proxy.failed(&[]);
    assert_eq!(proxy.calls_until(now, now + 100).len(), 1);
    proxy.answer_call(response("200", "second"));
    let mut effects = proxy.effects();
    effects.retain(|effect| effect.starts_with("client"));
    proxy.over(stream);
    effects
}

/// Each row: the request's cluster, and the state of `up` at the end of the wait.
#[test]
fn a_retry_that_the_host_cannot_send_resumes_the_first_response() {
    for (cluster, state) in [
        ("up", ClusterState::Refusing),
        ("nowhere", ClusterState::Ready),
    ] {
        let mut proxy = spillway("");
        let route = RouteInfo {
            cluster: cluster.into(),
            ..RouteInfo::default()
        };
        let info = StreamInfo {
            route: Some(route.into()),
            ..StreamInfo::default()
        };
        let stream = proxy.host.open(info);
        proxy.host.request(stream, headers(true, &GET));
        proxy.fails(stream, &[]);
        proxy.effects();
        proxy.host.cluster("up", state);
        proxy.run_to(100);
        assert_eq!(proxy.effects(), FIRST, "{cluster}");
        assert_eq!(proxy.denied("host"), 1);
        proxy.over(stream);
    }
}

#[test]
fn a_retry_survives_an_update_while_it_waits_and_while_it_is_in_flight() {
    let mut proxy = spillway("");
    let waiting = proxy.failed(&[("retry-after", "1")]);
    proxy.run_to(500);
    proxy
        .host
        .update(br#"{"policies": [{"name": "other"}]}"#.to_vec())
        .unwrap();
    assert_eq!(proxy.calls_until(500, 1_100).len(), 1);
    proxy.host.update(policy("").into_bytes()).unwrap();
    proxy.answer_call(response("200", "second"));
    let mut effects = proxy.effects();
    effects.retain(|effect| effect.starts_with("client"));
    assert_eq!(effects, SECOND);
    proxy.over(waiting);
    let name = "spillway.policy.p.outcome.success.retries_total";
    assert_eq!(proxy.host.metrics().value(name), 1);
    assert_eq!(again(&mut proxy, 2_000), SECOND);
}

#[test]
fn requests_that_wait_together_get_their_own_responses() {
    let mut proxy = spillway(r#", "backoff": {"base_interval": "1ms", "max_interval": "1ms"}"#);
    let streams: Vec<StreamId> = (0..4).map(|_| proxy.failed(&[])).collect();
    let calls = proxy.calls_until(0, 10);
    assert_eq!(calls.len(), 4);
    // All wait for the same tick, and the calls complete in another order than the streams began.
    // Each stream must get exactly its own response.
    let mut got = Vec::new();
    for (at, text) in [(3, "d"), (1, "b"), (0, "a"), (2, "c")] {
        proxy
            .host
            .answer_call(calls[at].1.call, response("200", text));
        while let Some(effect) = proxy.host.next_effect() {
            if let Effect::ToClient {
                stream,
                part: Part::Body { data, .. },
            } = effect
            {
                assert_eq!(&data[..], text.as_bytes());
                got.push(stream);
            }
        }
    }
    got.sort();
    assert_eq!(got, streams);
    streams.into_iter().for_each(|stream| proxy.over(stream));
}

/// Each row: whether the request has trailers, and why it is not sent again.
#[test]
fn an_incomplete_request_or_one_with_trailers_is_not_retried() {
    for (with_trailers, reason) in [(true, "request_shape"), (false, "request_body")] {
        let mut proxy = spillway("");
        let stream = put(&mut proxy, &["a"]);
        if with_trailers {
            proxy.host.request(stream, trailers(&[("t", "1")]));
        }
        proxy.effects();
        proxy.fails(stream, &[]);
        assert_eq!(proxy.effects(), FIRST);
        assert_eq!(proxy.denied(reason), 1);
        proxy.over(stream);
    }
}

#[test]
fn body_chunks_are_sent_again_as_one_body() {
    let mut proxy = spillway("");
    let stream = put(&mut proxy, &["a", "", "bc"]);
    proxy.host.request(stream, Part::bare_end());
    proxy.fails(stream, &[]);
    let calls = proxy.calls_until(0, 100);
    assert_eq!(&calls[0].1.body[..], b"abc");
    proxy.answer_call(response("200", "second"));
    proxy.over(stream);
}

/// Opens a PUT with these chunks of a body that has not ended.
fn put(proxy: &mut Proxy, chunks: &[&'static str]) -> StreamId {
    let stream = proxy.open_on(0);
    let pairs = [&[(":method", "PUT")], &GET[1..]].concat();
    proxy.host.request(stream, headers(false, &pairs));
    for chunk in chunks {
        proxy.host.request(stream, body(chunk, false));
    }
    stream
}

#[test]
fn the_tick_period_is_short_only_while_a_retry_waits() {
    let mut proxy = spillway("");
    let stream = proxy.failed(&[("retry-after", "1")]);
    assert_eq!(proxy.calls_until(0, 1_010).len(), 1);
    proxy.answer_call(response("200", "second"));
    proxy.over(stream);
    proxy.run_to(2_000);
    let before = proxy.host.counts().callback(Callback::Tick);
    proxy.run_to(3_000);
    let after = proxy.host.counts().callback(Callback::Tick);
    assert!(after - before <= 20, "{before} {after}");
}
