//! Thousands of policies: the cost of loading them, the cost of a request, and the memory that a
//! client can use by inventing keys under all of them.

use host_sim::proxy::{Callback, StreamId};
use host_sim::sim::clock::Time;

use super::Workers;
use crate::proxy;

const POLICIES: usize = 10_000;

/// Wasm instructions per policy that a VM loads; 66,000 are needed. A core executes some
/// thousand in a microsecond, so ten thousand policies take a fifth of a second at most.
const FUEL_PER_POLICY_MAX: u64 = 72_000;

/// How much more a request may cost under ten thousand policies than under two, in percent.
const REQUEST_PERCENT_MAX: u64 = 3;

/// Returns policies that match by cluster. The last one matches `up`, the tests' cluster.
fn by_cluster(policies: usize) -> String {
    let policy = |n: usize| {
        let cluster = match n + 1 == policies {
            true => "up".into(),
            false => format!("outbound|8080||service-{n}.shop.svc.cluster.local"),
        };
        // Not sorted by name.
        let name = format!("{:05}-service", n * 7_919 % 100_003);
        format!(
            r#"{{"name": "{name}", "match": {{"clusters": ["{cluster}"]}},
                "circuit_breaker": {{"consecutive_failures": 5}}, "retry": {{}}}}"#
        )
    };
    let all: Vec<String> = (0..policies).map(policy).collect();
    format!(r#"{{"policies": [{}]}}"#, all.join(","))
}

/// Returns the average cost of a request on a circuit that the worker knows.
fn fuel_per_request(proxy: &mut Workers) -> u64 {
    const REQUESTS: u64 = 200;
    let serve = |proxy: &mut Workers| {
        for _ in 0..REQUESTS {
            assert!(proxy.serve(0, "200"));
        }
    };
    serve(proxy);
    let before = proxy.proxy.host.counts().fuel();
    serve(proxy);
    (proxy.proxy.host.counts().fuel() - before) / REQUESTS
}

#[test]
fn ten_thousand_policies_load_in_linear_time_and_cost_requests_almost_nothing() {
    let mut loads = Vec::new();
    let mut requests = Vec::new();
    for policies in [2, POLICIES / 10, POLICIES] {
        let plugin = proxy::spillway(by_cluster(policies));
        let mut proxy = Workers::start(1, plugin);
        // Each VM parses the configuration: that of the main thread and that of the worker.
        let vms = proxy.proxy.host.counts().callback(Callback::Configure);
        loads.push(proxy.proxy.host.counts().fuel() / vms);
        println!(
            "{policies} policies: {} instructions for each of {vms}",
            loads.last().unwrap()
        );
        requests.push(fuel_per_request(&mut proxy));
        if policies == POLICIES {
            let bytes = proxy.proxy.host.vm_bytes();
            assert!(bytes < 64 << 20, "{bytes} bytes");
            // After an update of every policy the circuit is still open, at the cost of a load.
            proxy.fail(0, 5);
            let before = proxy.proxy.host.counts().fuel();
            let next = by_cluster(policies).replace("10s", "11s") + " ";
            proxy.proxy.host.update(next.into()).unwrap();
            loads.push(proxy.proxy.host.counts().fuel() - before);
            assert!(proxy.ask(0).is_none());
        }
    }
    println!("update: {} instructions; requests: {requests:?}", loads[3]);
    let each = |fuel: u64, policies: usize| (fuel - loads[0]) / policies as u64;
    let many = each(loads[2], POLICIES);
    assert!(many <= FUEL_PER_POLICY_MAX, "{many}");
    let few = each(loads[1], POLICIES / 10);
    assert!(
        many <= few * 2,
        "{few} each of a thousand, {many} each of ten thousand"
    );
    // Every VM loads the update, and the previous configuration is visited once more.
    assert!(loads[3] <= loads[2] * 4, "{loads:?}");
    let (one, all) = (requests[0], requests[2]);
    assert!(
        all * 100 <= one * (100 + REQUEST_PERCENT_MAX),
        "{requests:?}"
    );
}

/// Number of policies whose keys a client can invent, and of invented keys under each.
const TENANT_POLICIES: usize = 1_500;
const INVENTED: usize = 64;

/// Memory that a VM may use, whatever clients do: the policies, and the total limit of keys.
const VM_BYTES_MAX: usize = 24 << 20;

/// Memory that the allocator may add after the limit of keys is reached.
const SLACK_BYTES_MAX: usize = 512 << 10;

fn by_tenant() -> String {
    let policy = |n: usize| {
        format!(
            r#"{{"name": "p{n}", "match": {{"authorities": ["site-{n}"]}},
                "key": [{{"header": "x-tenant"}}], "retry": {{}},
                "circuit_breaker": {{"failure_rate_threshold": 0, "consecutive_failures": 3,
                    "open": {{"duration": "1h", "max_duration": "1h", "jitter": 0}}}}}}"#
        )
    };
    let all: Vec<String> = (0..TENANT_POLICIES).map(policy).collect();
    format!(r#"{{"policies": [{}]}}"#, all.join(","))
}

fn ask(proxy: &mut Workers, policy: usize, tenant: &str) -> Option<StreamId> {
    let authority = format!("site-{policy}:443");
    let pairs = [
        (":method", "GET"),
        (":path", "/x"),
        (":scheme", "http"),
        (":authority", &authority),
        ("x-tenant", tenant),
    ];
    proxy.ask_with(0, &pairs)
}

fn serve(proxy: &mut Workers, policy: usize, tenant: &str, status: &str) -> bool {
    let stream = ask(proxy, policy, tenant);
    let passed = stream.is_some();
    stream.into_iter().for_each(|it| proxy.respond(it, status));
    passed
}

#[test]
fn keys_invented_under_many_policies_stay_within_the_limit_and_affect_no_other_key() {
    let mut proxy = Workers::new(1, &by_tenant());
    (0..3).for_each(|_| assert!(serve(&mut proxy, 7, "victim", "503")));
    let mut flat = 0;
    for number in 0..INVENTED {
        proxy.run_to(Time::from_ms(number as u64 * 1_000));
        let tenant = format!("invented-{number}");
        for policy in 0..TENANT_POLICIES {
            assert!(
                serve(&mut proxy, policy, &tenant, "200"),
                "{policy} {number}"
            );
        }
        // The open circuit stays open, and other tenants are still served.
        assert!(!serve(&mut proxy, 7, "victim", "200"), "{number}");
        assert!(serve(&mut proxy, 8, "regular", "200"), "{number}");
        let bytes = proxy.proxy.host.vm_bytes();
        assert!(bytes <= VM_BYTES_MAX, "{bytes} bytes after {number}");
        if number == INVENTED / 2 {
            flat = bytes;
        }
    }
    let grown = proxy.proxy.host.vm_bytes() - flat;
    assert!(grown <= SLACK_BYTES_MAX, "{flat} and {grown} bytes");
    // A closed circuit keeps its failures while other keys come and go.
    for _ in 0..2 {
        assert!(serve(&mut proxy, 8, "regular", "503"));
        for policy in 0..TENANT_POLICIES {
            assert!(serve(&mut proxy, policy, "late", "200"));
        }
    }
    assert!(serve(&mut proxy, 8, "regular", "503"));
    assert!(!serve(&mut proxy, 8, "regular", "200"));
    // The names in shared data are bounded for all policies together.
    let names = proxy.records().len();
    assert!(names <= TENANT_POLICIES * 66 + 1, "{names} names");
}

#[test]
fn requests_in_flight_under_every_key_disable_no_other_policys_breaker() {
    let file = by_tenant().replacen('{', r#"{"limits": {"keys_total": 100},"#, 1);
    let mut proxy = Workers::new(1, &file);
    let in_flight: Vec<_> = (0..200)
        .filter_map(|n| ask(&mut proxy, 0, &format!("in_flight-{n}")))
        .collect();
    assert_eq!(in_flight.len(), 200, "the overflow rejects nobody");
    let overflowed = "spillway.policy.p0.keys_overflowed_total";
    assert!(proxy.proxy.host.metrics().value(overflowed) > 0);
    (0..3).for_each(|_| assert!(serve(&mut proxy, 9, "own", "503")));
    assert!(!serve(&mut proxy, 9, "own", "200"), "it has a breaker");
    in_flight
        .into_iter()
        .for_each(|it| proxy.respond(it, "200"));
}

/// Wasm instructions to look up the request's headers among those of thousands of policies.
const SEARCH_FUEL_MAX: u64 = 4_000;

#[test]
fn searching_headers_of_thousands_of_policies_costs_little() {
    // The fallback of each policy has its own routing header.
    let policy = |n: usize| {
        format!(
            r#"{{"name": "p{n}", "match": {{"clusters": ["c{n}"]}}, "circuit_breaker": {{}},
                "fallback": [{{"type": "route", "on": ["open"],
                               "header": {{"name": "x-to-{n}", "value": "1"}}}}]}}"#
        )
    };
    let file = |policies: usize| {
        let all: Vec<String> = (0..policies).map(policy).collect();
        format!(r#"{{"policies": [{}]}}"#, all.join(","))
    };
    let mut fuels = Vec::new();
    for policies in [2, 2_000] {
        let plugin = proxy::spillway(file(policies));
        fuels.push(fuel_per_request(&mut Workers::start(1, plugin)));
    }
    let (few, many) = (fuels[0], fuels[1]);
    assert!(many - few <= SEARCH_FUEL_MAX, "{fuels:?}");
}
