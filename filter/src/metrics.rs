//! Names and ids of metrics.
//!
//! The series of the first policies are defined at the start, so that they exist with value 0
//! before their first event. All others are defined on their first use. With thousands of
//! policies most metrics are never used, and each costs the host memory. Labels are segments of
//! the name, which the host's tag rules extract.

use spillway_core::event::{Counter, Gauge};

use crate::host::{self, MetricKind, Status};

mod ids;

/// Ids of the metrics that a configuration has used so far.
#[derive(Default)]
pub(crate) struct Metrics {
    /// By policy. Those of a policy are in the order in which they were defined, so the one that
    /// most requests need is found at once.
    of_policies: Vec<Vec<(Metric, u32)>>,
    of_plugin: Vec<(Metric, u32)>,
    /// States of circuits, by the circuit's place in the list of those that have series.
    of_circuits: Vec<Vec<(&'static str, u32)>>,
}

/// A metric of a policy or of the plugin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    /// A counter of the policy with this index.
    Count(usize, Counter),
    /// The earlier name of such a counter.
    Alias(usize, Counter),
    /// A gauge of the policy with this index.
    Gauge(usize, Gauge),
    /// 1 for the configuration with this hash.
    BuildInfo(u64),
    /// Number of requests that passed because of an internal error.
    InternalErrors,
    /// Number of unreadable shared records discarded.
    RecordsDiscarded,
    /// Number of events that no collector has taken.
    EventsDropped,
}

impl Metrics {
    /// Adds to a counter. `policy` returns the name of a policy by its index.
    pub(crate) fn add<'p>(
        &mut self,
        metric: Metric,
        more: u32,
        policy: impl FnOnce(usize) -> &'p str,
    ) -> Result<(), Status> {
        host::increment_metric(self.id(metric, policy)?, i64::from(more))
    }

    /// Sets a gauge. `policy` returns the name of a policy by its index.
    pub(crate) fn set<'p>(
        &mut self,
        metric: Metric,
        value: u64,
        policy: impl FnOnce(usize) -> &'p str,
    ) -> Result<(), Status> {
        host::record_metric(self.id(metric, policy)?, value)
    }

    /// Sets whether a circuit of a policy is in a state.
    pub(crate) fn set_state(
        &mut self,
        policy: &str,
        (at, circuit): (usize, &str),
        state: &'static str,
        is: bool,
    ) -> Result<(), Status> {
        if at >= self.of_circuits.len() {
            self.of_circuits.resize_with(at.saturating_add(1), Vec::new);
        }
        let Some(defined) = self.of_circuits.get_mut(at) else {
            return Ok(());
        };
        let id = match defined.iter().find(|(other, _)| *other == state) {
            Some((_, id)) => *id,
            None => {
                let name = format!(
                    "spillway.policy.{policy}.circuit.{circuit}.state.{state}.circuit_state"
                );
                let id = ids::id_of(MetricKind::Gauge, &name)?;
                defined.push((state, id));
                id
            }
        };
        host::record_metric(id, u64::from(is))
    }

    /// Defines a metric, so that it exists before its first use.
    pub(crate) fn define<'p>(
        &mut self,
        metric: Metric,
        policy: impl FnOnce(usize) -> &'p str,
    ) -> Result<(), Status> {
        self.id(metric, policy).map(|_| ())
    }

    fn id<'p>(
        &mut self,
        metric: Metric,
        policy: impl FnOnce(usize) -> &'p str,
    ) -> Result<u32, Status> {
        let defined = match metric {
            Metric::Count(place, _) | Metric::Alias(place, _) | Metric::Gauge(place, _) => {
                if place >= self.of_policies.len() {
                    self.of_policies
                        .resize_with(place.saturating_add(1), Vec::new);
                }
                self.of_policies.get_mut(place)
            }
            Metric::BuildInfo(_)
            | Metric::InternalErrors
            | Metric::RecordsDiscarded
            | Metric::EventsDropped => None,
        };
        let defined = defined.unwrap_or(&mut self.of_plugin);
        if let Some((_, id)) = defined.iter().find(|(other, _)| *other == metric) {
            return Ok(*id);
        }
        let id = ids::id_of(metric.kind(), &metric.name(policy))?;
        defined.push((metric, id));
        Ok(id)
    }
}

impl Metric {
    fn kind(self) -> MetricKind {
        match self {
            Metric::Gauge(..) | Metric::BuildInfo(_) => MetricKind::Gauge,
            Metric::Count(..)
            | Metric::Alias(..)
            | Metric::InternalErrors
            | Metric::RecordsDiscarded
            | Metric::EventsDropped => MetricKind::Counter,
        }
    }

    fn name<'p>(self, policy: impl FnOnce(usize) -> &'p str) -> String {
        match self {
            Metric::Count(place, counter) => {
                format!(
                    "spillway.policy.{}.{}",
                    policy(place),
                    counter_name(counter)
                )
            }
            Metric::Alias(place, counter) => {
                let name = alias(counter).unwrap_or_default();
                format!("spillway.policy.{}.{name}", policy(place))
            }
            Metric::BuildInfo(hash) => {
                let version = env!("CARGO_PKG_VERSION");
                format!("spillway.version.{version}.policy_hash.{hash:016x}.build_info")
            }
            Metric::Gauge(place, gauge) => {
                let name = match gauge {
                    Gauge::OpenCircuits => "open_circuits",
                    Gauge::HalfOpenCircuits => "half_open_circuits",
                    Gauge::FailureRate => "failure_rate_percent",
                    Gauge::Keys => "keys",
                    Gauge::RetryBudget => "retry_budget",
                };
                format!("spillway.policy.{}.{name}", policy(place))
            }
            Metric::InternalErrors => "spillway.internal_errors_total".into(),
            Metric::RecordsDiscarded => "spillway.records_discarded_total".into(),
            Metric::EventsDropped => "spillway.events_dropped_total".into(),
        }
    }
}

/// Returns the earlier name of a counter that has been renamed.
pub(crate) fn alias(counter: Counter) -> Option<&'static str> {
    match counter {
        Counter::Slow => Some("slow_total"),
        Counter::Rejected => Some("rejected_total"),
        Counter::WouldReject => Some("would_reject_total"),
        _ => None,
    }
}

fn counter_name(counter: Counter) -> String {
    match counter {
        Counter::Request(outcome) => format!("outcome.{}.requests_total", outcome.name()),
        Counter::Slow => "slow_requests_total".into(),
        Counter::Rejected => "rejected_requests_total".into(),
        Counter::WouldReject => "would_reject_requests_total".into(),
        Counter::Transition(from, to) => {
            format!("from.{}.to.{}.transitions_total", from.name(), to.name())
        }
        Counter::Probe => "probes_total".into(),
        Counter::Fallback(on, kind) => {
            format!("on.{}.type.{}.fallbacks_total", on.name(), kind.name())
        }
        Counter::FallbackSkipped(kind, skip) => format!(
            "reason.{}.type.{}.fallbacks_skipped_total",
            skip.name(),
            kind.name()
        ),
        Counter::StaleStored => "stale_kept_total".into(),
        Counter::StaleEvicted => "stale_evicted_total".into(),
        Counter::StaleTooLarge => "stale_too_large_total".into(),
        Counter::StaleOverflowed => "stale_overflowed_total".into(),
        Counter::FallbackTooLate => "fallbacks_too_late_total".into(),
        Counter::Retries(outcome) => format!("outcome.{}.retries_total", outcome.name()),
        Counter::RetryDenied(why) => format!("reason.{}.retries_denied_total", why.name()),
        Counter::WouldDenyRetry(why) => format!("reason.{}.would_deny_retry_total", why.name()),
        Counter::NothingSaved => "nothing_saved_total".into(),
        Counter::KeyOverflowed => "keys_overflowed_total".into(),
        Counter::MergeGivenUp => "merges_given_up_total".into(),
        Counter::PermitGivenUp => "permits_given_up_total".into(),
    }
}
