//! Names and ids of metrics.
//!
//! A metric is defined when it first moves: with thousands of policies most never
//! do, and each costs the host memory. Names hold their labels as segments, which
//! a host's tag rules turn into labels.

use hashbrown::HashMap;
use spillway_core::event::{Counter, Gauge};

use crate::host::{self, MetricKind, Status};

/// Ids of the metrics that were defined so far.
#[derive(Default)]
pub struct Metrics {
    ids: HashMap<Metric, u32>,
}

/// One metric.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// A counter of the policy at this place.
    Count(usize, Counter),
    /// A gauge of the policy at this place.
    Gauge(usize, Gauge),
    /// Requests that passed because something here went wrong.
    InternalErrors,
}

impl Metrics {
    /// Moves a metric. `policy` gives the name of a policy by its place.
    pub fn move_by<'p>(
        &mut self,
        metric: Metric,
        delta: i64,
        policy: impl FnOnce(usize) -> &'p str,
    ) -> Result<(), Status> {
        let id = match self.ids.get(&metric) {
            Some(id) => *id,
            None => {
                let id = host::define_metric(metric.kind(), &metric.name(policy))?;
                self.ids.insert(metric, id);
                id
            }
        };
        host::increment_metric(id, delta)
    }
}

impl Metric {
    fn kind(self) -> MetricKind {
        match self {
            Metric::Gauge(..) => MetricKind::Gauge,
            Metric::Count(..) | Metric::InternalErrors => MetricKind::Counter,
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
            Metric::Gauge(place, gauge) => {
                let name = match gauge {
                    Gauge::OpenCircuits => "open_circuits",
                    Gauge::Keys => "keys",
                };
                format!("spillway.policy.{}.{name}", policy(place))
            }
            Metric::InternalErrors => "spillway.internal_errors_total".into(),
        }
    }
}

fn counter_name(counter: Counter) -> String {
    match counter {
        Counter::Request(outcome) => format!("outcome.{}.requests_total", outcome.name()),
        Counter::Slow => "slow_total".into(),
        Counter::Rejected => "rejected_total".into(),
        Counter::WouldReject => "would_reject_total".into(),
        Counter::Transition(from, to) => {
            format!("from.{}.to.{}.transitions_total", from.name(), to.name())
        }
        Counter::Probe => "probes_total".into(),
        Counter::Fallback(on, kind) => {
            format!("on.{}.type.{}.fallbacks_total", on.name(), kind.name())
        }
        Counter::FallbackTooLate => "fallbacks_too_late_total".into(),
        Counter::KeyOverflowed => "keys_overflowed_total".into(),
    }
}
