//! Calls to clusters: statuses returned at once, and how calls end.

use std::time::Duration;

use host_sim::headers::HeaderMap;
use host_sim::proxy::{Call, CallKind, CallOutcome, Effect};

use crate::proxy::{Proxy, probe, response};

#[test]
fn a_call_that_cannot_be_sent_returns_an_error_status() {
    let rows = [
        ("call,nowhere,/c,0", "2"),
        ("call,up,/c,-1", "0 4"),
        ("call,vacant,/c,0", "10"),
        ("call,up,/c,0", "0 4"),
    ];
    for (action, expected) in rows {
        let mut proxy = probe(&format!("rqh={action}"));
        proxy.get();
        assert_eq!(proxy.results(), [format!("rqh {action} -> {expected}")]);
    }
}

#[test]
fn a_call_rejected_by_its_cluster_still_uses_a_token() {
    let mut proxy = probe("rqh=call,up,/c,0|call,vacant,/c,0|call,up,/c,0");
    proxy.get();
    let tokens: Vec<_> = proxy
        .results()
        .iter()
        .filter_map(|line| Some(line.split_once("-> ")?.1.to_owned()))
        .collect();
    assert_eq!(tokens, ["0 4", "10", "0 12"]);
}

#[test]
fn a_call_carries_what_envoy_adds() {
    let mut proxy = probe("rqh=call,up,/c,250,ask");
    let stream = proxy.get();
    let calls: Vec<Call> = std::iter::from_fn(|| proxy.host.next_effect())
        .filter_map(|effect| match effect {
            Effect::Call(call) => Some(call),
            _ => None,
        })
        .collect();
    let [call] = &calls[..] else {
        panic!("{calls:?}");
    };
    let expected = [
        (":method", "GET"),
        (":path", "/c"),
        (":authority", "called"),
        (":scheme", "http"),
        ("content-length", "3"),
        ("x-envoy-internal", "true"),
        ("x-envoy-expected-rq-timeout-ms", "250"),
    ];
    assert_eq!(call.headers, HeaderMap::from(expected));
    assert_eq!(
        (call.kind, call.stream, call.worker),
        (CallKind::Http, Some(stream), Some(0))
    );
    assert_eq!(call.timeout, Some(Duration::from_millis(250)));
    assert_eq!(&call.body[..], b"ask");
}

fn ended_with(outcome: CallOutcome) -> Vec<String> {
    let mut proxy = probe("rqh=call,up,/c,0|pause;call=get,6,:status|body,4|status");
    proxy.get();
    proxy.effects();
    proxy.trace();
    proxy.answer_call(outcome);
    let mut seen = proxy.trace();
    seen.remove(0);
    seen
}

#[test]
fn a_response_to_a_call_is_readable_in_its_callback() {
    let expected = [
        "2 call get,6,:status -> 0 200",
        "2 call body,4 -> 0 hello",
        "2 call status -> 0 0 ",
    ];
    assert_eq!(ended_with(response("200", "hello")), expected);
}

#[test]
fn a_refused_connection_and_a_timeout_are_responses() {
    assert_eq!(
        ended_with(CallOutcome::refused())[0],
        "2 call get,6,:status -> 0 503"
    );
    let timed_out = ended_with(CallOutcome::timed_out());
    assert_eq!(timed_out[0], "2 call get,6,:status -> 0 504");
    assert_eq!(timed_out[1], "2 call body,4 -> 0 upstream request timeout");
}

#[test]
fn a_reset_response_has_no_headers() {
    let expected = [
        "2 call get,6,:status -> 2",
        "2 call body,4 -> 1",
        "2 call status -> 0 11 reset",
    ];
    assert_eq!(ended_with(CallOutcome::Reset), expected);
}

#[test]
fn the_status_of_a_failed_call_remains_readable() {
    let mut proxy = probe("rqh=call,up,/c,0;call=status;rsh=status");
    let stream = proxy.get();
    proxy.effects();
    proxy.answer_call(CallOutcome::Reset);
    proxy.respond(stream);
    let results = proxy.results();
    assert_eq!(
        results[1..],
        ["call status -> 0 11 reset", "rsh status -> 0 11 "]
    );
}

#[test]
fn a_response_for_a_deleted_stream_is_dropped() {
    let mut proxy = probe("rqh=call,up,/c,0|pause");
    let stream = proxy.get();
    proxy.effects();
    proxy.host.close(stream);
    proxy.trace();
    proxy.answer_call(response("200", ""));
    assert_eq!(proxy.trace(), [""; 0]);
    assert_eq!(proxy.get_again(), ["call: Http up /c"]);
}

#[test]
fn a_tick_may_send_a_local_reply_to_a_paused_request() {
    let mut proxy = probe(
        "configure=tick,10;tick=effective,2|get,0,:path|reply,504,late,slow|effective,99;rqh=pause",
    );
    proxy.get();
    proxy.trace();
    proxy.run_to(10);
    let seen = proxy.results();
    assert!(
        seen.contains(&"tick get,0,:path -> 0 /x".to_owned()),
        "{seen:?}"
    );
    assert!(
        seen.contains(&"tick effective,99 -> 2".to_owned()),
        "{seen:?}"
    );
    assert_eq!(proxy.effects()[1], "client: 'slow'.");
}

impl Proxy {
    fn get_again(&mut self) -> Vec<String> {
        self.get();
        self.effects()
    }
}
