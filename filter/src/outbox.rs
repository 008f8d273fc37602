//! Events for a collector: OpenTelemetry log records by OTLP/HTTP with JSON.
//!
//! A request only adds a record to a bounded queue. Ticks send the queue, in one call at a time.
//! A batch that the collector does not take is dropped: each event is in the proxy's log, too,
//! and a queue that waits for a collector would grow. What is dropped is counted.
//!
//! Names are those of the proposal for resilience in OpenTelemetry's semantic conventions (issue
//! 2355) where it has some, and begin with `spillway.` elsewhere.

use std::cell::RefCell;
use std::fmt::Write;

use spillway_core::Transition;
use spillway_core::admin::Action;
use spillway_core::policy::Events;
use spillway_core::time::{Instant, Span};

use crate::host;

/// Bytes of a batch. A record takes one to four kilobytes.
const BATCH_BYTES_MAX: usize = 262_144;

/// How long the first record of a batch waits for others.
const BATCH_DELAY: Span = Span::from_secs(1);

/// How long a collector may take.
const TIMEOUT: Span = Span::from_secs(5);

const INFO: (u32, &str) = (9, "INFO");
const WARN: (u32, &str) = (13, "WARN");

/// The records of one configuration that are to be sent.
pub(crate) struct Outbox {
    to: Events,
    /// What stands before the records of a batch: resource and scope.
    head: String,
    queue: RefCell<Queue>,
}

#[derive(Default)]
struct Queue {
    /// The records, with commas between them.
    records: String,
    count: u32,
    /// When the next batch is to be sent.
    due: Option<Instant>,
    /// The call under way, and the number of its records.
    call: Option<(u32, u32)>,
}

/// A part of a circuit's key.
type Part = Option<Box<[u8]>>;

impl Outbox {
    pub(crate) fn new(to: Events) -> Outbox {
        let mut resource = Attributes::default();
        resource.text("service.name", "spillway");
        let node = host::property("xds\0node\0id").unwrap_or_default();
        if !node.is_empty() {
            resource.text("service.instance.id", &String::from_utf8_lossy(&node));
        }
        let head = format!(
            r#"{{"resourceLogs":[{{"resource":{{"attributes":[{}]}},"scopeLogs":[{{"scope":{{"name":"spillway","version":"{}"}},"logRecords":["#,
            resource.0,
            env!("CARGO_PKG_VERSION")
        );
        Outbox {
            to,
            head,
            queue: RefCell::default(),
        }
    }

    /// Adds a record. Returns the number of records dropped.
    pub(crate) fn push(&self, record: &str) -> u32 {
        let Ok(mut queue) = self.queue.try_borrow_mut() else {
            return 1;
        };
        if queue.records.len().saturating_add(record.len()) >= BATCH_BYTES_MAX {
            return 1;
        }
        if queue.count > 0 {
            queue.records.push(',');
        }
        queue.records.push_str(record);
        queue.count = queue.count.saturating_add(1);
        0
    }

    /// When a batch is to be sent, or `None` if nothing waits or a call is under way.
    pub(crate) fn poll(&self, now: Instant) -> Option<Instant> {
        let mut queue = self.queue.try_borrow_mut().ok()?;
        if queue.count == 0 || queue.call.is_some() {
            return None;
        }
        Some(*queue.due.get_or_insert(now.after(BATCH_DELAY)))
    }

    /// Sends a batch if one is due. Returns the number of records dropped.
    pub(crate) fn send(&self, now: Instant) -> u32 {
        if self.poll(now).is_none_or(|due| now < due) {
            return 0;
        }
        let Ok(mut queue) = self.queue.try_borrow_mut() else {
            return 0;
        };
        let batch = core::mem::take(&mut *queue);
        let body = format!("{}{}]}}]}}]}}", self.head, batch.records);
        let headers = [
            (":method", "POST"),
            (":path", &*self.to.path),
            (":authority", &*self.to.cluster),
            ("content-type", "application/json"),
        ];
        match host::http_call(&self.to.cluster, &headers, body.as_bytes(), TIMEOUT) {
            Ok(call) => {
                queue.call = Some((call, batch.count));
                0
            }
            Err(_) => batch.count,
        }
    }

    /// Notes the response to a call. Returns the number of records dropped, or `None` if the call
    /// is another's.
    pub(crate) fn answered(&self, call: u32, taken: impl FnOnce() -> bool) -> Option<u32> {
        let mut queue = self.queue.try_borrow_mut().ok()?;
        let (_, count) = queue.call.take_if(|(mine, _)| *mine == call)?;
        Some(if taken() { 0 } else { count })
    }

    /// The number of records that were never sent, for a configuration that ends.
    pub(crate) fn unsent(&self) -> u32 {
        self.queue.try_borrow().map_or(0, |queue| queue.count)
    }
}

/// Returns the record of a change of state.
pub(crate) fn transition(policy: &str, key: &[Part], transition: &Transition) -> String {
    let to = transition.to.name();
    let mut attributes = Attributes::default();
    attributes.text("circuitbreaker.name", policy);
    attributes.text("circuitbreaker.state", to);
    attributes.key(key);
    attributes.text("spillway.from", transition.from.name());
    attributes.text("spillway.why", transition.why.name());
    for (name, value) in [
        ("spillway.requests", transition.counts.requests.into()),
        ("spillway.failures", transition.counts.failures.into()),
        ("spillway.slow", transition.counts.slow.into()),
        ("spillway.opens", transition.opens.into()),
        ("spillway.lasted_ms", transition.lasted.as_ms()),
        ("spillway.open_ms", transition.open_for.as_ms()),
    ] {
        attributes.number(name, value);
    }
    let severity = if to == "open" { WARN } else { INFO };
    record("circuitbreaker.state_change", severity, &attributes)
}

/// Returns the record of an operator's action.
pub(crate) fn operator(policy: &str, key: &[Part], action: Action) -> String {
    let mut attributes = Attributes::default();
    attributes.text("circuitbreaker.name", policy);
    attributes.key(key);
    attributes.text("spillway.action", action.name());
    if let Action::Force(_, span) = action {
        attributes.number("spillway.for_ms", span.as_ms());
    }
    record("spillway.operator", WARN, &attributes)
}

fn record(name: &str, (number, text): (u32, &str), attributes: &Attributes) -> String {
    let now = host::wall_time().unwrap_or_default().as_ns();
    format!(
        r#"{{"timeUnixNano":"{now}","observedTimeUnixNano":"{now}","severityNumber":{number},"severityText":"{text}","eventName":"{name}","attributes":[{}]}}"#,
        attributes.0
    )
}

/// Attributes as JSON, with commas between them.
#[derive(Default)]
struct Attributes(String);

impl Attributes {
    fn text(&mut self, name: &str, value: &str) {
        self.add(name, &string_value(value));
    }

    /// JSON has 64-bit integers as strings, by the mapping of Protocol Buffers.
    fn number(&mut self, name: &str, value: u64) {
        self.add(name, &format!(r#"{{"intValue":"{value}"}}"#));
    }

    /// Adds the parts of a key. One that the requests did not have is an empty value. Bytes that
    /// are not UTF-8 become U+FFFD.
    fn key(&mut self, key: &[Part]) {
        let mut values = String::new();
        for (at, part) in key.iter().enumerate() {
            if at > 0 {
                values.push(',');
            }
            match part {
                Some(part) => values.push_str(&string_value(&String::from_utf8_lossy(part))),
                None => values.push_str("{}"),
            }
        }
        let list = format!(r#"{{"arrayValue":{{"values":[{values}]}}}}"#);
        self.add("spillway.key", &list);
    }

    fn add(&mut self, name: &str, value: &str) {
        let comma = if self.0.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(self.0, r#"{comma}{{"key":"{name}","value":{value}}}"#);
    }
}

fn string_value(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    format!(r#"{{"stringValue":{quoted}}}"#)
}
