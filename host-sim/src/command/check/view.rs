//! A parsed policy beside its text: lints ask both what holds and what was written.
//!
//! The parser fills defaults in, so that a threshold of 100 % that stands in the file
//! and one that merely is the default look alike; only the text tells them apart.

use serde_json::Value;
use spillway_core::policy::{Config, Mode, Policy};
use spillway_core::time::Span;

/// A whole file.
pub struct FileView<'a> {
    /// What holds.
    pub config: &'a Config,
    written: Value,
}

/// One policy of it.
pub struct PolicyView<'a> {
    /// What holds.
    pub policy: &'a Policy,
    /// Its place in the file.
    pub place: usize,
    written: &'a Value,
}

impl<'a> FileView<'a> {
    /// The view of a file that the parser has accepted.
    pub fn new(config: &'a Config, json: &[u8]) -> FileView<'a> {
        // What the parser accepts is JSON, and no name stands twice in it.
        let written = serde_json::from_slice(json).unwrap_or_default();
        FileView { config, written }
    }

    /// The policies, in their order.
    pub fn policies(&self) -> impl Iterator<Item = PolicyView<'_>> {
        let policies = self.config.policies.iter().enumerate();
        policies.map(|(place, policy)| PolicyView {
            policy,
            place,
            written: &self.written["policies"][place],
        })
    }

    /// Whether the file says something at this JSON pointer.
    pub fn says(&self, pointer: &str) -> bool {
        self.written.pointer(pointer).is_some()
    }
}

impl PolicyView<'_> {
    /// Whether the policy is as if it were absent.
    pub fn is_disabled(&self) -> bool {
        self.policy.mode == Mode::Disabled
    }

    /// Whether every request is rejected, and none ever reaches the breaker.
    pub fn rejects_all(&self) -> bool {
        self.policy.mode == Mode::ForcedOpen
    }

    /// Whether the policy says something at these fields, such as `a.b`.
    pub fn says(&self, fields: &str) -> bool {
        let pointer = format!("/{}", fields.replace('.', "/"));
        self.written.pointer(&pointer).is_some()
    }

    /// The path of a field of the policy; of the policy itself where empty.
    pub fn path(&self, fields: &str) -> String {
        let dot = if fields.is_empty() { "" } else { "." };
        format!("policies[{}]{dot}{fields}", self.place)
    }

    /// Whether any rate can open the circuit.
    pub fn has_rates(&self) -> bool {
        let breaker = &self.policy.breaker;
        breaker.failure_rate_bp > 0 || breaker.effective_slow_rate_bp() > 0
    }

    /// Whether any rule can open the circuit.
    pub fn can_trip(&self) -> bool {
        self.has_rates() || self.policy.breaker.consecutive_failures > 0
    }

    /// Whether requests meet a circuit that can open.
    pub fn has_circuit(&self) -> bool {
        !self.is_disabled()
            && !self.rejects_all()
            && self.says("circuit_breaker")
            && self.can_trip()
    }
}

/// A span in the form in which a policy has it.
pub fn show_span(span: Span) -> String {
    const UNITS: [(&str, u64); 5] = [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ];
    let ns = span.as_ns();
    let whole = |(_, unit): &&(&str, u64)| ns >= *unit && ns.is_multiple_of(*unit);
    match UNITS.iter().find(whole) {
        Some((name, unit)) => format!("{}{name}", ns / unit),
        None => format!("{ns}ns"),
    }
}

/// Basis points in percent, as a policy has them.
pub fn show_percent(bp: u32) -> String {
    format!("{}", f64::from(bp) / 100.0)
}
