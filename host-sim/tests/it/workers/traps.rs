//! VMs that trap and are restarted: the circuits live on in shared data.

use host_sim::proxy::{FailurePolicy, Plugin};
use host_sim::sim::clock::Time;

use super::{Workers, policy, spillway};
use crate::proxy::{GET, headers};

const BREAKER: &str = r#"{"failure_rate_threshold": 0, "consecutive_failures": 5,
    "open": {"duration": "20s", "multiplier": 1, "jitter": 0},
    "half_open": {"permits": 3, "lease": "5s"}}"#;

const TRIPPED: &str = "closed>open consecutive_failures";

/// More than twice the cost of any callback, except for one that searches thousands of headers.
const FUEL: u64 = 700_000;

/// Makes the policy search the request's headers more than once.
pub(super) fn with_repeated_header_search(file: &str) -> String {
    let absent = |name| format!(r#"{{"name": "{name}", "present": false}}"#);
    let conditions = [absent("x-a"), absent("x-b")].join(",");
    let wanted = format!(r#""name": "p", "match": {{"headers": [{conditions}]}}"#);
    file.replacen(r#""name": "p""#, &wanted, 1)
}

/// Workers whose VMs can trap and are restarted.
pub(super) fn reloading(workers: usize, file: &str) -> Workers {
    let plugin = Plugin {
        failure_policy: FailurePolicy::Reload,
        fuel_per_callback: Some(FUEL),
        ..spillway(&with_repeated_header_search(file))
    };
    let mut proxy = Workers::start(workers, plugin);
    // A VM is not restarted within a second of its start.
    proxy.run_to(Time::from_ms(2_000));
    proxy
}

impl Workers {
    /// Sends a request with so many headers that searching them exceeds the fuel limit.
    pub(super) fn trap(&mut self, worker: usize) {
        let crowd = vec![("x-c", "c"); 20_000];
        let stream = self.proxy.open_on(worker);
        let pairs = [&GET[..], &crowd].concat();
        self.proxy.host.request(stream, headers(true, &pairs));
        let info = self.proxy.host.close(stream).unwrap();
        assert_eq!(&*info.details, "wasm_fail_stream");
        while self.proxy.host.next_effect().is_some() {}
    }
}

#[test]
fn a_restarted_vm_finds_the_circuit_open() {
    let mut proxy = reloading(3, &policy(BREAKER));
    proxy.fail(0, 5);
    proxy.trap(0);
    for worker in 0..3 {
        assert!(proxy.rejects(worker), "{worker}");
    }
    assert_eq!(proxy.history(), [TRIPPED]);
    assert_eq!(proxy.gauges(), (1, 1));
    proxy.run_to(Time::from_ms(22_000));
    (0..3).for_each(|worker| assert!(proxy.serve(worker, "200")));
    let closed = "half_open>closed probes_succeeded";
    assert_eq!(proxy.history().last().unwrap(), closed);
    assert_eq!(proxy.gauges(), (1, 0));
}

#[test]
fn probes_lost_in_a_trap_end_with_their_lease() {
    let mut proxy = reloading(2, &policy(BREAKER));
    proxy.fail(0, 5);
    proxy.run_to(Time::from_ms(22_000));
    let probes: Vec<_> = (0..3).map(|_| proxy.ask(0).unwrap()).collect();
    proxy.trap(0);
    assert!(proxy.rejects(0) && proxy.rejects(1));
    probes.into_iter().for_each(|it| proxy.respond(it, "200"));
    proxy.run_to(Time::from_ms(26_999));
    assert!(proxy.rejects(0) && proxy.rejects(1));
    assert_eq!(proxy.history()[1..], ["open>half_open open_elapsed"]);
    proxy.run_to(Time::from_ms(27_000));
    assert!(proxy.rejects(1) && proxy.rejects(0));
    assert_eq!(proxy.history()[2..], ["half_open>open probes_failed"]);
}

#[test]
fn a_trap_loses_only_outcomes_that_were_not_merged() {
    let mut proxy = reloading(2, &policy(BREAKER));
    // The first failure is merged at once. The others are pending, and lost with the VM.
    proxy.fail(0, 4);
    proxy.trap(0);
    for (worker, ms) in [(1, 2_000), (0, 2_100), (1, 2_200)] {
        proxy.run_to(Time::from_ms(ms));
        proxy.fail(worker, 1);
    }
    assert_eq!(proxy.history(), [""; 0]);
    proxy.run_to(Time::from_ms(2_300));
    proxy.fail(0, 1);
    assert_eq!(proxy.history(), [TRIPPED]);
}
