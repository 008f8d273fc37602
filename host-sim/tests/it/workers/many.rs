//! Thousands of policies: what they cost to load, what a request costs then, and what a client
//! that invents keys under all of them can take.

use host_sim::proxy::Module;
use host_sim::proxy::{Callback, Plugin, StreamId};
use host_sim::sim::clock::Time;

use super::Workers;
use crate::proxy::built;

const POLICIES: usize = 10_000;

/// Wasm instructions for each policy that a VM loads; a build of the day needs 66,000. A core
/// does some thousand in a microsecond: ten thousand policies are a fifth of a second at most.
const FUEL_PER_POLICY_MAX: u64 = 72_000;

/// By how many percent a request under ten thousand policies may cost more than under two.
const REQUEST_PERCENT_MAX: u64 = 3;

/// So many policies, told apart by cluster; the last is for `up`, where the tests' requests go.
fn by_cluster(policies: usize) -> String {
    let policy = |n: usize| {
        let cluster = match n + 1 == policies {
            true => "up".into(),
            false => format!("outbound|8080||service-{n}.shop.svc.cluster.local"),
        };
        // Not in the order of their names.
        let name = format!("{:05}-service", n * 7_919 % 100_003);
        format!(
            r#"{{"name": "{name}", "match": {{"clusters": ["{cluster}"]}},
                "circuit_breaker": {{"consecutive_failures": 5}}, "retry": {{}}}}"#
        )
    };
    let all: Vec<String> = (0..policies).map(policy).collect();
    format!(r#"{{"policies": [{}]}}"#, all.join(","))
}

/// What one of many requests on a circuit that is known costs.
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
fn ten_thousand_policies_load_in_linear_time_and_cost_a_request_nothing() {
    let module: Module = built("spillway");
    let mut loads = Vec::new();
    let mut requests = Vec::new();
    for policies in [2, POLICIES / 10, POLICIES] {
        let plugin = Plugin::new(module.clone(), by_cluster(policies).as_str());
        let mut proxy = Workers::start(1, plugin);
        // Each virtual machine reads the configuration: those of the main thread and a worker.
        let machines = proxy.proxy.host.counts().callback(Callback::Configure);
        loads.push(proxy.proxy.host.counts().fuel() / machines);
        println!(
            "{policies} policies: {} instructions for each of {machines}",
            loads.last().unwrap()
        );
        requests.push(fuel_per_request(&mut proxy));
        if policies == POLICIES {
            let bytes = proxy.proxy.host.vm_bytes();
            assert!(bytes < 64 << 20, "{bytes} bytes");
            // An update of all finds the circuit as it was, and costs no more.
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
    // All VMs read an update, and the configuration before it looks back once.
    assert!(loads[3] <= loads[2] * 4, "{loads:?}");
    let (one, all) = (requests[0], requests[2]);
    assert!(
        all * 100 <= one * (100 + REQUEST_PERCENT_MAX),
        "{requests:?}"
    );
}

/// Policies whose keys a client can invent, and how many it invents under each.
const TENANT_POLICIES: usize = 1_500;
const INVENTED: usize = 64;

/// What a machine may take, whatever clients do: its limit of keys in total, with what each
/// takes, and the policies.
const MACHINE_BYTES_MAX: usize = 24 << 20;

/// What an allocator may need more, once the keys are as many as they may be.
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
    stream.into_iter().for_each(|it| proxy.answer(it, status));
    passed
}

#[test]
fn keys_invented_under_many_policies_stay_within_the_total_and_change_nothing_for_others() {
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
        // The open circuit stays open, and who is served is served.
        assert!(!serve(&mut proxy, 7, "victim", "200"), "{number}");
        assert!(serve(&mut proxy, 8, "regular", "200"), "{number}");
        let bytes = proxy.proxy.host.vm_bytes();
        assert!(bytes <= MACHINE_BYTES_MAX, "{bytes} bytes after {number}");
        if number == INVENTED / 2 {
            flat = bytes;
        }
    }
    let grown = proxy.proxy.host.vm_bytes() - flat;
    assert!(grown <= SLACK_BYTES_MAX, "{flat} and {grown} bytes");
    // A circuit that is not open yet counts on while strangers pass by.
    for _ in 0..2 {
        assert!(serve(&mut proxy, 8, "regular", "503"));
        for policy in 0..TENANT_POLICIES {
            assert!(serve(&mut proxy, policy, "late", "200"));
        }
    }
    assert!(serve(&mut proxy, 8, "regular", "503"));
    assert!(!serve(&mut proxy, 8, "regular", "200"));
    // The host's names are bounded for all policies together.
    let names = proxy.records().len();
    assert!(names <= TENANT_POLICIES * 66 + 1, "{names} names");
}

#[test]
fn who_keeps_requests_under_way_with_all_keys_takes_no_policy_its_breaker() {
    let file = by_tenant().replacen('{', r#"{"limits": {"keys_total": 100},"#, 1);
    let mut proxy = Workers::new(1, &file);
    let held: Vec<_> = (0..200)
        .filter_map(|n| ask(&mut proxy, 0, &format!("held-{n}")))
        .collect();
    assert_eq!(held.len(), 200, "the overflow rejects nobody");
    let overflowed = "spillway.policy.p0.keys_overflowed_total";
    assert!(proxy.proxy.host.metrics().value(overflowed) > 0);
    (0..3).for_each(|_| assert!(serve(&mut proxy, 9, "own", "503")));
    assert!(!serve(&mut proxy, 9, "own", "200"), "it has a breaker");
    held.into_iter().for_each(|it| proxy.answer(it, "200"));
}

/// Wasm instructions of the search for each header of a request among thousands.
const SEARCH_FUEL_MAX: u64 = 4_000;

#[test]
fn headers_of_thousands_of_policies_are_looked_for_by_those_of_the_request() {
    // Each has a header of its own by which it sends requests elsewhere.
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
        let plugin = Plugin::new(built("spillway"), file(policies).as_str());
        fuels.push(fuel_per_request(&mut Workers::start(1, plugin)));
    }
    let (few, many) = (fuels[0], fuels[1]);
    assert!(many - few <= SEARCH_FUEL_MAX, "{fuels:?}");
}
