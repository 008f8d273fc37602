//! A parsed policy together with its JSON.
//!
//! The parser fills in defaults, so a threshold of 100 % in the file and one by default look the
//! same. Only the JSON tells them apart.

use serde_json::Value;
use spillway_core::policy::{Config, Mode, Policy};
use spillway_core::time::Span;

/// A whole file.
pub(super) struct FileView<'a> {
    pub config: &'a Config,
    written: Value,
}

/// One policy of it.
pub(super) struct PolicyView<'a> {
    pub policy: &'a Policy,
    /// Index in the file.
    pub index: usize,
    written: &'a Value,
}

impl<'a> FileView<'a> {
    /// Creates the view of a file that the parser has accepted.
    pub(super) fn new(config: &'a Config, json: &[u8]) -> FileView<'a> {
        // Cannot fail: the parser accepts only JSON, and no duplicate names.
        let written = serde_json::from_slice(json).unwrap_or_default();
        FileView { config, written }
    }

    /// Returns the policies in order.
    pub(super) fn policies(&self) -> impl Iterator<Item = PolicyView<'_>> {
        let policies = self.config.policies.iter().enumerate();
        policies.map(|(index, policy)| PolicyView {
            policy,
            index,
            written: &self.written["policies"][index],
        })
    }

    /// Returns whether the file has a value at this JSON pointer.
    pub(super) fn says(&self, pointer: &str) -> bool {
        self.written.pointer(pointer).is_some()
    }
}

impl PolicyView<'_> {
    /// Returns whether the policy has no effect at all.
    pub(super) fn is_disabled(&self) -> bool {
        self.policy.mode == Mode::Disabled
    }

    /// Returns whether every request is rejected, so that none reaches the breaker.
    pub(super) fn rejects_all(&self) -> bool {
        self.policy.mode == Mode::ForcedOpen
    }

    /// Returns whether the mode decides in the breaker's place.
    pub(super) fn is_forced(&self) -> bool {
        matches!(self.policy.mode, Mode::ForcedOpen | Mode::ForcedClosed)
    }

    /// Returns whether the policy has a value at a path such as `a.b`.
    pub(super) fn says(&self, fields: &str) -> bool {
        let pointer = format!("/{}", fields.replace('.', "/"));
        self.written.pointer(&pointer).is_some()
    }

    /// Returns the path of a field of the policy, or of the policy itself if `fields` is empty.
    pub(super) fn path(&self, fields: &str) -> String {
        let dot = if fields.is_empty() { "" } else { "." };
        format!("policies[{}]{dot}{fields}", self.index)
    }

    /// Returns whether any rate can open the circuit.
    pub(super) fn has_rates(&self) -> bool {
        let breaker = &self.policy.breaker;
        breaker.failure_rate_bp > 0 || breaker.effective_slow_rate_bp() > 0
    }

    /// Returns whether any rule can open the circuit.
    pub(super) fn can_trip(&self) -> bool {
        self.has_rates() || self.policy.breaker.counts_failures()
    }

    /// Returns whether the policy has a circuit that can open.
    pub(super) fn has_circuit(&self) -> bool {
        !self.is_disabled()
            && !self.rejects_all()
            && self.says("circuit_breaker")
            && self.can_trip()
    }
}

/// Formats a span as policies write it.
pub(super) fn show_span(span: Span) -> String {
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

/// Formats basis points as percent, as policies write them.
pub(super) fn show_percent(bp: u32) -> String {
    format!("{}", f64::from(bp) / 100.0)
}
