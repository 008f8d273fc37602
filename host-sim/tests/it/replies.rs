//! Local replies, and which callbacks they pass.

use crate::proxy::{GET, OK, body, headers, probe, response};

#[test]
fn a_local_reply_to_a_request_passes_the_response_callbacks_of_its_sender() {
    let mut proxy = probe("rqh=reply,429,too_much,slow_down,-1,x-a~b|pause");
    proxy.trace();
    let stream = proxy.get();
    let expected = [
        "client: :status=429 x-a=b content-length=9 content-type=text/plain",
        "client: 'slow down'.",
    ];
    assert_eq!(proxy.effects(), expected);
    let trace = proxy.trace();
    assert_eq!(trace[2..], ["2 rsh 4 false", "2 rsb 9 true"]);
    let info = proxy.host.info(stream).unwrap();
    assert_eq!((info.code, &*info.details), (Some(429), "too_much"));
}

#[test]
fn a_pause_does_not_stop_a_local_reply() {
    let mut proxy = probe("rqh=reply,429,d,b");
    proxy.get();
    assert!(proxy.effects()[0].starts_with("client: :status=429"));
}

#[test]
fn the_first_of_two_local_replies_is_sent() {
    let mut proxy = probe("rqh=reply,429,d,first|reply,500,d,second");
    proxy.get();
    assert_eq!(proxy.effects()[1], "client: 'first'.");
}

#[test]
fn a_local_reply_on_a_local_reply_replaces_it() {
    let mut proxy = probe("rqh=reply,429,d,first;rsh=reply,418,d,second");
    proxy.trace();
    proxy.get();
    let seen = proxy.effects();
    assert!(seen[0].starts_with("client: :status=418"), "{seen:?}");
    assert_eq!(seen[1..], ["client: 'second'."]);
    assert!(!proxy.trace().iter().any(|line| line.contains("rsb")));
}

#[test]
fn a_local_reply_on_response_headers_bypasses_the_filter() {
    let mut proxy = probe("rsh=reply,418,tea,pot");
    let stream = proxy.get();
    proxy.effects();
    proxy.trace();
    let up = [&OK[..], &[("x-up", "1")]].concat();
    proxy.host.response(stream, headers(false, &up));
    proxy.host.response(stream, body("never seen", true));
    let expected = [
        "client: :status=418 content-length=3 content-type=text/plain",
        "client: 'pot'.",
        "cancel upstream",
    ];
    assert_eq!(proxy.effects(), expected);
    proxy.host.close(stream);
    let trace = proxy.trace();
    assert_eq!(trace[2..], ["2 log ", "2 done ", "2 delete"]);
}

#[test]
fn a_local_reply_replaces_a_paused_response() {
    let mut proxy = probe("rsh=call,up,/c,0|pause;call=reply,418,tea,pot;log=get,2,:status");
    let stream = proxy.get();
    proxy.host.response(stream, headers(false, &OK));
    proxy.host.response(stream, body("held", true));
    proxy.effects();
    proxy.answer_call(response("200", ""));
    assert_eq!(proxy.effects()[1], "client: 'pot'.");
    proxy.trace();
    proxy.host.close(stream);
    assert_eq!(proxy.results(), ["log get,2,:status -> 0 418"]);
}

#[test]
fn a_local_reply_after_sent_headers_resets_the_stream() {
    let mut proxy = probe("rsb=reply,418,tea,pot");
    let stream = proxy.get();
    proxy.host.response(stream, headers(false, &OK));
    proxy.effects();
    proxy.host.response(stream, body("some", false));
    assert_eq!(proxy.effects(), ["cancel upstream", "reset: tea"]);
}

#[test]
fn a_local_reply_from_a_call_response_passes_the_filter() {
    let mut proxy = probe("rqh=call,up,/c,0|pause;call=reply,403,d,no");
    proxy.get();
    proxy.effects();
    proxy.trace();
    proxy.answer_call(response("200", ""));
    assert_eq!(proxy.effects()[1], "client: 'no'.");
    assert!(proxy.trace().iter().any(|line| line == "2 rsh 3 false"));
}

#[test]
fn an_empty_local_reply_has_only_headers() {
    let mut proxy = probe("rqh=reply,503,,,-1,content-type~text/html");
    proxy.get();
    assert_eq!(proxy.effects(), ["client: :status=503."]);
}

#[test]
fn a_plugin_cannot_set_the_status_or_length_of_a_local_reply() {
    let mut proxy = probe("rqh=reply,200,d,plain,-1,:status~500,content-length~99");
    proxy.get();
    let expected = "client: :status=200 content-length=5 content-type=text/plain";
    assert_eq!(proxy.effects()[0], expected);
}

#[test]
fn a_head_request_gets_no_body() {
    let mut proxy = probe("rqh=reply,503,d,text");
    let stream = proxy.open_on(0);
    let head = [&[(":method", "HEAD")], &GET[1..]].concat();
    proxy.host.request(stream, headers(true, &head));
    let expected = ["client: :status=503 content-length=4 content-type=text/plain."];
    assert_eq!(proxy.effects(), expected);
}

#[test]
fn a_grpc_request_gets_trailers_only() {
    let mut proxy = probe("rqh=reply,503,d,no_way;rsh=prop,response/code|get,2,:status");
    let stream = proxy.open_on(0);
    let grpc = [&GET[..], &[("content-type", "application/grpc")]].concat();
    proxy.host.request(stream, headers(true, &grpc));
    let expected = "client: :status=200 content-type=application/grpc grpc-status=14 \
                    grpc-message=no way.";
    assert_eq!(proxy.effects(), [expected]);
    let seen = &proxy.results()[1..];
    assert_eq!(seen[0], "rsh prop,response/code -> 0 0xf701000000000000");
    assert_eq!(seen[1], "rsh get,2,:status -> 0 200");
}

#[test]
fn closing_a_stream_resets_it() {
    let mut proxy = probe("rqh=close,0");
    let stream = proxy.get();
    assert_eq!(proxy.effects(), ["reset: wasm_close_stream"]);
    proxy.trace();
    proxy.host.close(stream);
    assert_eq!(proxy.trace(), ["2 log ", "2 done ", "2 delete"]);
}

#[test]
fn a_local_reply_from_a_root_context_has_no_effect() {
    let mut proxy = probe("configure=tick,10;tick=reply,500,d,b|resume,0");
    proxy.trace();
    proxy.run_to(10);
    let results = proxy.results();
    assert!(
        results.iter().all(|line| line.ends_with("-> 0")),
        "{results:?}"
    );
    assert_eq!(proxy.effects(), [""; 0]);
}
