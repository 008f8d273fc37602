//! The end of a stream.

use host_sim::headers::HeaderMap;
use host_sim::sim::clock::Time;

use crate::proxy::{GET, OK, body, headers, probe};

#[test]
fn a_stream_is_logged_then_done_then_deleted() {
    let mut proxy = probe("");
    proxy.trace();
    let stream = proxy.get();
    proxy.respond(stream);
    proxy.host.close(stream);
    let expected = [
        "2 rqh 4 true",
        "2 rsh 2 true",
        "2 log ",
        "2 done ",
        "2 delete",
    ];
    assert_eq!(proxy.trace(), expected);
}

#[test]
fn a_stream_with_a_reply_from_another_filter_is_only_logged() {
    let mut proxy = probe("log=get,0,:path|get,2,:status|prop,response/code");
    proxy.trace();
    let stream = proxy.open_on(0);
    proxy.host.info_mut(stream).unwrap().code = Some(429);
    let response = HeaderMap::from([(":status", "429")]);
    proxy
        .host
        .answered_elsewhere(stream, Some(GET.into()), Some(response));
    proxy.host.close(stream);
    let expected = [
        "2 log ",
        "2 log get,0,:path -> 0 /x",
        "2 log get,2,:status -> 0 429",
        "2 log prop,response/code -> 0 0xad01000000000000",
    ];
    assert_eq!(proxy.trace()[..4], expected);
}

#[test]
fn a_client_that_disconnects_before_the_response_has_no_status() {
    let mut proxy = probe("log=get,2,:status|prop,response/code|prop,response/code_details");
    let stream = proxy.get();
    proxy.host.info_mut(stream).unwrap().details = "downstream_remote_disconnect".into();
    proxy.trace();
    proxy.host.close(stream);
    let expected = [
        "log get,2,:status -> 1",
        "log prop,response/code -> 1",
        "log prop,response/code_details -> 0 downstream_remote_disconnect",
    ];
    assert_eq!(proxy.results(), expected);
}

#[test]
fn a_reset_after_the_headers_is_only_visible_in_the_log() {
    let mut proxy = probe("log=get,2,:status|prop,response/code_details");
    let stream = proxy.get();
    proxy.host.response(stream, headers(false, &OK));
    proxy.host.response(stream, body("part", false));
    proxy.effects();
    proxy.host.info_mut(stream).unwrap().details =
        "upstream_reset_after_response_started{protocol_error}".into();
    proxy.host.upstream_reset_after_headers(stream);
    let reset = "reset: upstream_reset_after_response_started{protocol_error}";
    assert_eq!(proxy.effects(), [reset]);
    proxy.trace();
    proxy.host.close(stream);
    assert_eq!(proxy.results()[0], "log get,2,:status -> 0 200");
}

#[test]
fn the_duration_is_known_only_at_the_end() {
    let script = "rqh=prop,request/duration;log=prop,request/duration;done=prop,request/path";
    let mut proxy = probe(script);
    let stream = proxy.get();
    proxy.host.advance_to(Time::from_ms(2));
    proxy.host.close(stream);
    let expected = [
        "rqh prop,request/duration -> 1",
        "log prop,request/duration -> 0 0x80841e0000000000",
        "done prop,request/path -> 1",
    ];
    assert_eq!(proxy.results(), expected);
}

#[test]
fn nothing_can_be_resumed_from_the_log_callback() {
    let mut proxy = probe("log=resume,0|resume,1");
    let stream = proxy.get();
    proxy.effects();
    proxy.host.close(stream);
    assert_eq!(proxy.effects(), [""; 0]);
    assert_eq!(proxy.host.halt(), None);
}
