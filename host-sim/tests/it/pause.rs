//! Paused streams: what a pause blocks, and the order after a resume.

use host_sim::proxy::Plugin;

use crate::proxy::{GET, OK, Proxy, body, built, headers, probe, response, trailers};

#[test]
fn a_pause_on_headers_pauses_the_whole_request() {
    let mut proxy = probe("rqh=call,up,/c,0|pause;call=resume,0");
    let stream = proxy.open_on(0);
    proxy.host.request(stream, headers(false, &GET));
    proxy.host.request(stream, body("a", false));
    proxy.host.request(stream, body("b", true));
    assert_eq!(proxy.effects(), ["call: Http up /c"]);
    assert!(!proxy.trace().iter().any(|line| line.contains("rqb")));
    proxy.answer_call(response("200", ""));
    assert_eq!(proxy.effects(), ["up: :path=/x", "up: 'ab'."]);
    let trace = proxy.trace();
    assert_eq!(
        trace,
        ["2 call 4 1 0 0", "2 call resume,0 -> 0", "2 rqb 2 true"]
    );
}

#[test]
fn a_paused_response_resumes_in_order() {
    let mut proxy = probe("rsh=call,up,/c,0|pause;call=resume,1");
    let stream = proxy.get();
    proxy.host.response(stream, headers(false, &OK));
    proxy.host.response(stream, body("a", false));
    proxy.host.response(stream, trailers(&[("t", "1")]));
    assert_eq!(proxy.effects(), ["up: :path=/x.", "call: Http up /c"]);
    proxy.answer_call(response("200", ""));
    let expected = [
        "client: :status=200 server=up",
        "client: 'a'",
        "client: 1 trailers.",
    ];
    assert_eq!(proxy.effects(), expected);
}

#[test]
fn resuming_the_other_direction_resumes_nothing() {
    let mut proxy = probe("rsh=call,up,/c,0|pause;call=resume,0");
    let stream = proxy.get();
    proxy.host.response(stream, headers(true, &OK));
    proxy.effects();
    proxy.answer_call(response("200", ""));
    assert_eq!(proxy.effects(), [""; 0]);
}

#[test]
fn a_resumed_request_has_no_maps() {
    let mut proxy = probe("rqh=call,up,/c,0|pause;call=get,0,:path|resume,0|get,0,:path");
    proxy.get();
    proxy.effects();
    proxy.answer_call(response("200", ""));
    let expected = [
        "call get,0,:path -> 0 /x",
        "call resume,0 -> 0",
        "call get,0,:path -> 2",
    ];
    assert_eq!(proxy.results()[1..], expected);
}

#[test]
fn a_pause_on_the_body_buffers_it() {
    let mut proxy = probe("rqb=length,0|pause");
    let stream = proxy.open_on(0);
    proxy.host.request(stream, headers(false, &GET));
    for text in ["a", "b", "c"] {
        proxy.host.request(stream, body(text, false));
    }
    assert_eq!(proxy.effects(), ["up: :path=/x"]);
    let lengths = [1, 2, 3].map(|len| format!("rqb length,0 -> 0 {len}"));
    assert_eq!(proxy.results(), lengths);
    proxy.host.request(stream, trailers(&[("t", "1")]));
    assert_eq!(proxy.effects(), ["up: 'abc'", "up: 1 trailers."]);
}

#[test]
fn a_plugin_may_see_the_body_while_headers_are_paused() {
    let plugin = Plugin {
        allow_on_headers_stop_iteration: true,
        ..Plugin::new(built("probe"), "rqh=pause")
    };
    let mut proxy = Proxy::start(plugin, 1).unwrap();
    let stream = proxy.open_on(0);
    proxy.host.request(stream, headers(false, &GET));
    assert_eq!(proxy.effects(), [""; 0]);
    // If this callback returns "continue", the headers are sent, too.
    proxy.host.request(stream, body("a", true));
    assert_eq!(proxy.effects(), ["up: :path=/x", "up: 'a'."]);
}

#[test]
fn a_request_that_is_never_resumed_ends_when_the_client_disconnects() {
    let mut proxy = probe("rqh=pause");
    let stream = proxy.get();
    proxy.run_to(60_000);
    assert_eq!(proxy.effects(), [""; 0]);
    proxy.trace();
    proxy.host.close(stream);
    assert_eq!(proxy.trace(), ["2 log ", "2 done ", "2 delete"]);
}

#[test]
fn resuming_a_stream_that_is_not_paused_does_nothing() {
    let mut proxy = probe("rqh=resume,0");
    proxy.get();
    assert_eq!(proxy.effects(), ["up: :path=/x."]);
}

#[test]
fn tcp_streams_cannot_be_resumed() {
    let mut proxy = probe("rqh=resume,2|resume,3|resume,4|close,2|close,4");
    proxy.trace();
    proxy.get();
    let statuses: Vec<_> = proxy
        .results()
        .iter()
        .map(|line| line[line.len() - 2..].to_owned())
        .collect();
    assert_eq!(statuses, [" 0", "12", " 2", " 0", " 2"]);
}
