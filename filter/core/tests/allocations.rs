//! How often the core allocates per request in the steady state, counted by the allocator of this
//! test. Time stands still meanwhile, so that nothing is due.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use spillway_core::engine::{Admission, Arrival, Capabilities, Engine, Reaction};
use spillway_core::policy::Config;
use spillway_core::time::{Instant, Span};
use spillway_core::{Map, Name, Records, Request, Response, Version};

thread_local! {
    static ALLOCATIONS: Cell<u32> = const { Cell::new(0) };
}

/// Counts the allocations of each thread.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the system's allocator does everything, and counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those of this call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those of this call.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those of this call.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// A request with these headers.
struct Sent(&'static [(&'static str, &'static str)]);

impl Request for Sent {
    fn cluster(&self) -> Option<&[u8]> {
        Some(b"outbound|8080||checkout.shop.svc.cluster.local")
    }

    fn route(&self) -> Option<&[u8]> {
        Some(b"default")
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let first = self.0.iter().find(|(other, _)| *other == name);
        first.map(|(_, value)| value.as_bytes())
    }

    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.header(name).is_some_and(test)
    }

    fn each_header<'r>(&'r self, mut look: impl FnMut(&'r [u8], &'r [u8])) {
        for (name, value) in self.0 {
            look(name.as_bytes(), value.as_bytes());
        }
    }

    fn copy_headers(&self) -> Map {
        Map::default()
    }
}

/// The upstream's response: to gRPC, a successful one.
struct Answer {
    status: u16,
    grpc: bool,
}

impl Response for Answer {
    fn status(&self) -> Option<u16> {
        Some(self.status)
    }

    fn details(&self) -> Option<impl AsRef<[u8]>> {
        Some(b"via_upstream")
    }

    fn flags(&self) -> u64 {
        0
    }

    fn attempts(&self) -> Option<u64> {
        Some(1)
    }

    fn grpc_status(&self) -> Option<u32> {
        self.grpc.then_some(0)
    }

    fn header(&self, name: &str) -> Option<impl AsRef<[u8]>> {
        (self.grpc && name == "content-type").then_some(b"application/grpc")
    }

    fn unix_secs(&self) -> u64 {
        0
    }
}

struct Able;

impl Capabilities for Able {
    fn sends_requests(&self) -> bool {
        true
    }

    fn reports_ends(&self) -> bool {
        true
    }
}

/// Shared data of a host with one worker.
#[derive(Default)]
struct Memory(BTreeMap<String, (Vec<u8>, Version)>, Version);

impl Records for Memory {
    fn read(&mut self, name: Name<'_>) -> Option<(Vec<u8>, Version)> {
        self.0.get(&format!("{name:?}")).cloned()
    }

    fn write(&mut self, name: Name<'_>, record: &[u8], _version: Option<Version>) -> bool {
        self.put(name, record);
        true
    }

    fn put(&mut self, name: Name<'_>, record: &[u8]) {
        self.1 += 1;
        self.0.insert(format!("{name:?}"), (record.into(), self.1));
    }
}

struct Worker {
    engine: Engine<Memory>,
    now: Instant,
}

impl Worker {
    fn new(policies: &str) -> Worker {
        let json = format!(r#"{{"policies": [{policies}], "sync": {{"interval": "5s"}}}}"#);
        let config = Config::parse(json.as_bytes()).expect("a valid policy");
        let now = Instant::from_ns(0).after(Span::from_secs(1));
        let engine = Engine::new(config, 1, Memory::default(), Rc::new(Able), now);
        Worker { engine, now }
    }

    /// Serves a request as the adapter does, with a response whose headers come first.
    fn serve(&mut self, request: &Sent, status: u16) {
        let (engine, now) = (&mut self.engine, self.now);
        let grpc = request.header("content-type") == Some(b"application/grpc");
        let response = Answer { status, grpc };
        let arrival = Arrival {
            ends: false,
            has_copy: false,
        };
        let place = &mut None;
        match engine.request_arrived(request, false, place, now) {
            Admission::Count(orders) => {
                let slip = place.as_mut().expect("a slip");
                if let Some(orders) = orders {
                    engine.each_edit(orders, &mut |_, _, _| {});
                }
                if slip.watches_clock() {
                    engine.slip_complete(slip, now);
                }
                slip.request_complete();
                if slip.watches_response() {
                    assert!(engine.slip_answered(place, &response, now).is_none());
                }
                engine.settle_slip(place, Some(&response), now);
            }
            Admission::Pass(mut ticket, _) => {
                engine.request_complete(&mut ticket, Some(now));
                if ticket.watches_response() {
                    let reaction = engine.response_arrived(&mut ticket, &response, arrival, now);
                    assert!(matches!(reaction, Reaction::Pass));
                }
                engine.settle(ticket, &response, now);
            }
            Admission::Reject(ticket, ..) => engine.abandon(ticket, now),
            Admission::Unmatched => panic!("the policy is for every request"),
        }
        while engine.next_event().is_some() {}
    }

    /// Allocations per request, once the first requests have made what is kept.
    fn allocations(&mut self, request: &Sent, status: u16) -> u32 {
        for _ in 0..20 {
            self.serve(request, status);
        }
        let before = ALLOCATIONS.get();
        for _ in 0..100 {
            self.serve(request, status);
        }
        let all = ALLOCATIONS.get() - before;
        assert_eq!(all % 100, 0, "not the same number for each request: {all}");
        all / 100
    }
}

const GET: Sent = Sent(&[
    (":method", "GET"),
    (":authority", "shop.test"),
    (":path", "/cart/7?full=1"),
    ("x-request-id", "8f1f2a0e"),
    ("x-tenant", "blue"),
]);
const GRPC: Sent = Sent(&[
    (":method", "POST"),
    (":authority", "shop.test"),
    (":path", "/cart.Cart/Get"),
    ("content-type", "application/grpc"),
]);

/// Each policy, without its name.
const STEADY: [&str; 9] = [
    r#""circuit_breaker": {}"#,
    r#""mode": "shadow", "circuit_breaker": {}"#,
    r#""circuit_breaker": {"slow_threshold": "1s"}"#,
    r#""circuit_breaker": {"slow_threshold": "1s", "slow_until": "end"}"#,
    r#""timeout": "2s", "circuit_breaker": {}"#,
    r#""retry": {"per_try_timeout": "1s"}, "circuit_breaker": {}"#,
    r#""retry": {}, "timeout": "2s", "circuit_breaker": {"slow_threshold": "1s"},
       "fallback": [{"type": "respond", "on": ["open", "failure"], "json": {}}]"#,
    r#""key": ["cluster", "route", "authority", "method", {"header": "x-tenant"}],
       "circuit_breaker": {}"#,
    r#""key": [], "circuit_breaker": {}"#,
];

#[test]
fn a_request_that_passes_needs_no_allocation() {
    for fields in STEADY {
        for request in [&GET, &GRPC] {
            let mut worker = Worker::new(&format!(r#"{{"name": "p", {fields}}}"#));
            let path = request.header(":path").map(String::from_utf8_lossy);
            assert_eq!(worker.allocations(request, 200), 0, "{fields}: {path:?}");
        }
    }
}

#[test]
fn one_policy_among_ten_thousand_needs_no_allocation_either() {
    let other = |n| format!(r#"{{"name": "p{n}", "match": {{"clusters": ["c{n}"]}}}}"#);
    let mut policies: Vec<String> = (0..10_000).map(other).collect();
    policies.push(r#"{"name": "last", "circuit_breaker": {}}"#.into());
    let mut worker = Worker::new(&policies.join(","));
    assert_eq!(worker.allocations(&GET, 200), 0);
}

/// How many allocations a rejected request needs, by the policy's fields. Three are its ticket, how
/// far its fallback has got, and the note for the access log. A response that repeats something of
/// the request cannot be that of the request before.
const REJECTED: [(&str, u32); 3] = [
    ("", 3),
    (
        r#", "fallback": [{"type": "respond", "on": ["open"], "json": {"policy": "{policy}"}}]"#,
        3,
    ),
    (
        r#", "fallback": [{"type": "respond", "on": ["open"], "json": {"path": "{path}"}}]"#,
        18,
    ),
];

#[test]
fn a_rejection_needs_few_allocations() {
    let needed = REJECTED.map(|(fields, _)| {
        let policy = format!(r#"{{"name": "p", "mode": "forced_open"{fields}}}"#);
        (fields, Worker::new(&policy).allocations(&GET, 503))
    });
    assert_eq!(needed, REJECTED);
}
