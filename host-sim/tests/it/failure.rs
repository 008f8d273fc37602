//! Traps, and how the requests of a trapped VM end.

use host_sim::proxy::{FailurePolicy, Plugin};

use crate::proxy::{OK, Proxy, body, built, headers, response, text_guest};

fn with_policy(failure_policy: FailurePolicy, workers: usize) -> Proxy {
    let plugin = Plugin {
        failure_policy,
        ..Plugin::new(built("probe"), "configure=setshared,k,v,0")
    };
    Proxy::start(plugin, workers).unwrap()
}

const FAILED: &str = "client: :status=503.";
const PASSED: &str = "up: :path=/x.";

#[test]
fn a_panic_of_go_shows_its_message() {
    let guest = text_guest("go_panic").unwrap();
    let mut proxy = Proxy::start(Plugin::new(guest, ""), 1).unwrap();
    proxy.get();
    assert_eq!(proxy.effects(), [FAILED]);
    let log = proxy.log();
    assert_eq!(log[..2], ["panic: boom", "poll_oneoff: 0, 0 events, E"]);
}

#[test]
fn a_stream_that_traps_gets_a_503() {
    let mut proxy = with_policy(FailurePolicy::Closed, 1);
    let stream = proxy.get_with("rqh=trap");
    assert_eq!(proxy.effects(), [FAILED]);
    let log = proxy.log();
    let line = "Function: proxy_on_request_headers failed: Uncaught RuntimeError: unreachable";
    assert!(
        log.iter().any(|text| text.lines().next() == Some(line)),
        "{log:?}"
    );
    assert_eq!(
        &*proxy.host.info(stream).unwrap().details,
        "wasm_fail_stream"
    );
    proxy.host.close(stream);
    assert_eq!(proxy.trace(), [""; 0]);
}

#[test]
fn a_trap_fails_its_vm_and_no_other() {
    let mut proxy = with_policy(FailurePolicy::Closed, 2);
    let other = proxy.get();
    assert_eq!(proxy.effects(), [PASSED]);
    proxy.get_with("rqh=trap");
    assert_eq!(proxy.effects(), [FAILED]);
    // A request in flight on this worker fails at its next callback, and is not logged.
    proxy.respond(other);
    assert_eq!(proxy.effects(), [FAILED]);
    proxy.trace();
    proxy.host.close(other);
    assert_eq!(proxy.trace(), [""; 0]);
    proxy.run_to(10_000);
    proxy.get();
    assert_eq!(proxy.effects(), [FAILED]);
    let stream = proxy.open_on(1);
    proxy
        .host
        .request(stream, headers(true, &crate::proxy::GET));
    assert_eq!(proxy.effects(), [PASSED]);
}

#[test]
fn fail_open_passes_later_requests_but_not_the_trapped_one() {
    let mut proxy = with_policy(FailurePolicy::Open, 1);
    proxy.get_with("rqh=trap");
    assert_eq!(proxy.effects(), [FAILED]);
    let stream = proxy.get();
    proxy.respond(stream);
    assert_eq!(proxy.effects(), [PASSED, "client: :status=200 server=up."]);
}

#[test]
fn reload_starts_a_new_vm_after_about_a_second() {
    let mut proxy = with_policy(FailurePolicy::Reload, 1);
    proxy.get_with("rqh=trap");
    proxy.run_to(999);
    proxy.get();
    assert_eq!(proxy.effects(), [FAILED, FAILED]);
    proxy.run_to(1_500);
    proxy.trace();
    proxy.get_with("rqh=shared,k");
    assert_eq!(proxy.effects(), [PASSED]);
    let trace = proxy.trace();
    assert_eq!(trace[0], "1 configure");
    assert!(
        trace
            .iter()
            .any(|line| line.starts_with("2 rqh shared,k -> 0 v")),
        "{trace:?}"
    );
}

#[test]
fn a_trap_after_sent_headers_resets_the_stream() {
    let mut proxy = with_policy(FailurePolicy::Closed, 1);
    let stream = proxy.get_with("rsb=trap");
    proxy.host.response(stream, headers(false, &OK));
    proxy.effects();
    proxy.host.response(stream, body("x", true));
    assert_eq!(proxy.effects(), ["reset: wasm_fail_stream"]);
}

#[test]
fn a_trap_on_response_headers_replaces_the_response() {
    let mut proxy = with_policy(FailurePolicy::Closed, 1);
    let stream = proxy.get_with("rsh=trap");
    proxy.effects();
    proxy.host.response(stream, headers(false, &OK));
    assert_eq!(proxy.effects(), [FAILED, "cancel upstream"]);
}

#[test]
fn a_trap_in_the_log_callback_affects_no_client() {
    let mut proxy = with_policy(FailurePolicy::Closed, 1);
    let stream = proxy.get_with("log=trap");
    proxy.respond(stream);
    proxy.host.close(stream);
    assert_eq!(proxy.effects(), [PASSED, "client: :status=200 server=up."]);
    proxy.get();
    assert_eq!(proxy.effects(), [FAILED]);
}

#[test]
fn a_trap_in_a_call_response_leaves_the_request_paused() {
    let mut proxy = with_policy(FailurePolicy::Reload, 1);
    proxy.get_with("rqh=call,up,/c,0|pause;call=trap");
    proxy.effects();
    proxy.answer_call(response("200", ""));
    proxy.run_to(5_000);
    assert_eq!(proxy.effects(), [""; 0]);
    proxy.get();
    assert_eq!(proxy.effects(), [PASSED]);
}

#[test]
fn a_grpc_client_gets_unavailable() {
    let mut proxy = with_policy(FailurePolicy::Closed, 1);
    proxy.get_with("rqh=trap");
    proxy.effects();
    let stream = proxy.open_on(0);
    let pairs = [
        &crate::proxy::GET[..],
        &[("content-type", "application/grpc")],
    ]
    .concat();
    proxy.host.request(stream, headers(true, &pairs));
    let expected = "client: :status=200 content-type=application/grpc grpc-status=14.";
    assert_eq!(proxy.effects(), [expected]);
}
