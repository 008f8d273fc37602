//! A worker's engine, with the calls that the filter makes for a request without a body.

use std::collections::BTreeMap;
use std::rc::Rc;

use spillway_core::engine::{Admission, Capabilities, Engine};
use spillway_core::policy::Config;
use spillway_core::time::{Instant, Span};
use spillway_core::{Map, Name, Records, Request, Response, Version};

/// Time between two requests: 10,000 per second.
const PACE: Span = Span::from_ns(100_000);

/// An engine, and the time of its proxy.
pub(crate) struct Worker {
    engine: Engine<Memory>,
    now: Instant,
}

impl Worker {
    pub(crate) fn new(policy: &str) -> Self {
        let config = Config::parse(policy.as_bytes()).expect("a valid policy");
        let now = Instant::from_ns(0).after(Span::from_secs(1));
        let engine = Engine::new(config, 1, Memory::default(), Rc::new(Able), now);
        Self { engine, now }
    }

    /// Admits a request, and settles it with this status. Returns whether it passed.
    pub(crate) fn request(&mut self, status: u16) -> bool {
        self.now = self.now.after(PACE);
        let (response, now) = (Answer(status), self.now);
        let mut passed = true;
        let slip = &mut None;
        match self.engine.request_arrived(&Get, true, slip, now) {
            Admission::Count(_) => self.engine.settle_slip(slip, Some(&response), now),
            Admission::Pass(ticket, _) => self.engine.settle(ticket, &response, now),
            Admission::Reject(ticket, ..) => {
                passed = false;
                self.engine.settle(ticket, &response, now);
            }
            Admission::Unmatched => panic!("the policy is for every request"),
        }
        while self.engine.next_event().is_some() {}
        if self
            .engine
            .next_tick(self.now)
            .is_some_and(|due| due <= self.now)
        {
            self.engine.tick(self.now);
        }
        passed
    }
}

/// A GET that the proxy routes to one cluster.
struct Get;

impl Request for Get {
    fn cluster(&self) -> Option<&[u8]> {
        Some(b"outbound|8080||checkout.shop.svc.cluster.local")
    }

    fn route(&self) -> Option<&[u8]> {
        Some(b"default")
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == ":method").then_some(b"GET")
    }

    fn any_header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.header(name).is_some_and(test)
    }

    fn each_header<'r>(&'r self, mut look: impl FnMut(&'r [u8], &'r [u8])) {
        look(b":method", b"GET");
    }

    fn copy_headers(&self) -> Map {
        Map::default()
    }
}

/// A response of the upstream.
struct Answer(u16);

impl Response for Answer {
    fn status(&self) -> Option<u16> {
        Some(self.0)
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
        None
    }

    fn header(&self, _name: &str) -> Option<impl AsRef<[u8]>> {
        None::<&[u8]>
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
struct Memory {
    records: BTreeMap<String, (Vec<u8>, Version)>,
    writes: Version,
}

impl Memory {
    fn set(&mut self, name: Name<'_>, record: &[u8]) {
        self.writes += 1;
        let record = (record.to_vec(), self.writes);
        self.records.insert(format!("{name:?}"), record);
    }
}

impl Records for Memory {
    fn read(&mut self, name: Name<'_>) -> Option<(Vec<u8>, Version)> {
        self.records.get(&format!("{name:?}")).cloned()
    }

    fn write(&mut self, name: Name<'_>, record: &[u8], version: Option<Version>) -> bool {
        let last = self
            .records
            .get(&format!("{name:?}"))
            .map(|(_, last)| *last);
        let unchanged = last.is_none() || last == version;
        if unchanged {
            self.set(name, record);
        }
        unchanged
    }

    fn put(&mut self, name: Name<'_>, record: &[u8]) {
        self.set(name, record);
    }
}
