//! Threads: which are configured, and which tick.

use host_sim::proxy::{Callback, Plugin};

use crate::proxy::{Proxy, built, probe};

fn with_workers(script: &str, workers: usize) -> Proxy {
    Proxy::start(Plugin::new(built("probe"), script), workers).unwrap()
}

#[test]
fn a_plugin_is_configured_for_validation_the_main_thread_and_each_worker() {
    for workers in [1, 2, 5] {
        let proxy = with_workers("", workers);
        let counts = proxy.host.counts();
        let expected = workers as u64 + 2;
        assert_eq!(counts.callback(Callback::Configure), expected);
        assert_eq!(counts.callback(Callback::VmStart), expected);
    }
}

#[test]
fn the_main_thread_ticks_with_the_workers() {
    let mut proxy = with_workers("configure=tick,100", 2);
    proxy.host.take_log();
    proxy.run_to(100);
    let threads: Vec<_> = proxy
        .host
        .take_log()
        .into_iter()
        .map(|line| line.worker)
        .collect();
    assert_eq!(threads, [None, Some(0), Some(1)]);
    proxy.run_to(350);
    assert_eq!(proxy.host.counts().callback(Callback::Tick), 9);
}

#[test]
fn setting_a_period_restarts_the_timer_and_zero_stops_it() {
    let mut proxy = probe("configure=tick,100");
    proxy.run_to(90);
    proxy.get_with("rqh=tick,100");
    proxy.run_to(180);
    // The main thread's timer continued; the worker's restarted.
    assert_eq!(proxy.host.counts().callback(Callback::Tick), 1);
    proxy.get_with("rqh=tick,0");
    proxy.run_to(1_000);
    assert_eq!(proxy.host.counts().callback(Callback::Tick), 10);
}

#[test]
fn each_vm_numbers_its_own_contexts() {
    let mut proxy = with_workers("", 2);
    proxy.trace();
    for worker in [0, 1, 0] {
        let stream = proxy.open_on(worker);
        proxy.host.close(stream);
    }
    let logged: Vec<_> = proxy
        .trace()
        .into_iter()
        .filter(|line| line.ends_with("log "))
        .collect();
    assert_eq!(logged, ["2 log ", "2 log ", "3 log "]);
}
