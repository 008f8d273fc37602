//! Updates of the configuration while streams are open.

use host_sim::proxy::{FailurePolicy, Plugin};

use crate::proxy::{Proxy, built, probe};

const NEW: &str = "rsh=get,2,:status";

#[test]
fn a_stream_ends_under_the_configuration_that_it_began_under() {
    let mut proxy = probe("rsh=get,2,server");
    let old = proxy.get();
    proxy.trace();
    proxy.host.update(NEW.into()).unwrap();
    let new = proxy.get();
    proxy.respond(old);
    proxy.respond(new);
    let trace = proxy.trace();
    let results: Vec<_> = trace
        .iter()
        .filter(|line| line.contains("rsh get"))
        .collect();
    assert_eq!(
        results,
        ["2 rsh get,2,server -> 0 up", "4 rsh get,2,:status -> 0 200"]
    );
}

#[test]
fn the_old_root_ends_after_its_last_stream() {
    let mut proxy = probe("");
    let streams = [proxy.get(), proxy.get()];
    proxy.trace();
    proxy.host.update(NEW.into()).unwrap();
    let done = |proxy: &mut Proxy| {
        let trace = proxy.trace();
        trace.into_iter().filter(|line| line == "1 done").count()
    };
    // The main thread has no streams.
    assert_eq!(done(&mut proxy), 1);
    proxy.host.close(streams[0]);
    assert_eq!(done(&mut proxy), 0);
    proxy.host.close(streams[1]);
    assert_eq!(done(&mut proxy), 1);
}

#[test]
fn an_old_root_continues_until_it_is_done() {
    let mut proxy = probe("configure=tick,100;done=refuse;tick=done");
    proxy.host.update(NEW.into()).unwrap();
    proxy.trace();
    proxy.run_to(100);
    let results = proxy.results();
    assert_eq!(
        results,
        ["tick done -> 0", "tick done -> 0"],
        "both threads"
    );
    proxy.run_to(1_000);
    assert_eq!(proxy.results(), [""; 0]);
}

#[test]
fn a_rejected_update_changes_nothing() {
    let mut proxy = probe("rsh=get,2,server");
    let error = proxy.host.update(b"configure=refuse".into()).unwrap_err();
    assert_eq!(error.to_string(), "Failed to configure base Wasm plugin");
    let error = proxy.host.update(b"configure=trap".into()).unwrap_err();
    assert_eq!(error.to_string(), "Failed to configure base Wasm plugin");
    let stream = proxy.get();
    proxy.trace();
    proxy.respond(stream);
    assert_eq!(proxy.results(), ["rsh get,2,server -> 0 up"]);
}

#[test]
fn an_unchanged_configuration_is_not_an_update() {
    let mut proxy = probe(NEW);
    proxy.trace();
    proxy.host.update(NEW.into()).unwrap();
    assert_eq!(proxy.trace(), [""; 0]);
}

#[test]
fn an_update_restarts_a_failed_vm() {
    let plugin = Plugin {
        failure_policy: FailurePolicy::Closed,
        ..Plugin::new(built("probe"), "rqh=trap")
    };
    let mut proxy = Proxy::start(plugin, 1).unwrap();
    proxy.get();
    assert_eq!(proxy.effects(), ["client: :status=503."]);
    proxy.host.update(NEW.into()).unwrap();
    proxy.get();
    assert_eq!(proxy.effects(), ["up: :path=/x."]);
}

#[test]
fn call_tokens_and_shared_data_survive_an_update() {
    let mut proxy = probe("rqh=setshared,k,v,0|call,up,/c,0");
    proxy.get();
    proxy
        .host
        .update(b"rqh=shared,k|call,up,/c,0".into())
        .unwrap();
    proxy.trace();
    proxy.get();
    assert_eq!(
        proxy.results(),
        ["rqh shared,k -> 0 v 1", "rqh call,up,/c,0 -> 0 8"]
    );
}
