//! Scope of circuits: plugins with the same `vm_id` and name share them.
//!
//! The host models a single plugin. Two plugins of one process are two hosts here, which use
//! one map of shared data in turn.

use std::mem::swap;

use host_sim::proxy::Plugin;

use super::{Workers, policy, spillway};

const BREAKER: &str = r#"{"failure_rate_threshold": 0, "consecutive_failures": 5,
    "open": {"duration": "20s", "jitter": 0}}"#;

fn plugin(vm_id: &str, name: &str) -> Plugin {
    Plugin {
        vm_id: vm_id.into(),
        name: name.into(),
        ..spillway(&policy(BREAKER))
    }
}

fn exchange(one: &mut Workers, other: &mut Workers) {
    let (one, other) = (&mut one.proxy.host, &mut other.proxy.host);
    swap(one.shared_data_mut(), other.shared_data_mut());
}

#[test]
fn circuits_are_shared_by_vm_id_and_name() {
    let rows = [
        ("a", "n", true),
        ("b", "n", false),
        ("", "n", false),
        ("a", "m", false),
        ("a", "", false),
    ];
    for (vm_id, name, shared) in rows {
        let mut one = Workers::start(2, plugin("a", "n"));
        let mut other = Workers::start(2, plugin(vm_id, name));
        one.fail(0, 5);
        exchange(&mut one, &mut other);
        let passes = other.serve(1, "200");
        assert_eq!(passes, !shared, "{vm_id}, {name}");
        exchange(&mut one, &mut other);
        assert!(one.ask(1).is_none(), "{vm_id}, {name}");
    }
}
