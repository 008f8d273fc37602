//! Judges the expectations of a run.

use super::{Bounds, ClientMeasure, Expectation, Memory, Subject, UpstreamMetric};
use crate::model::world::{Observer, World};
use crate::record::{ClusterTally, Outcome, Record, State, Tally};
use crate::scenario::expect::around::{events, rows};
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// Observes a run and judges it.
pub struct Judge<'a> {
    expectations: &'a [Expectation],
    marks: Vec<Time>,
    /// For each expectation about a moment: whether it was met, and what was seen.
    moments: Vec<Option<Moment>>,
    /// For each expectation about a metric of the plugin: its value at both ends of the window.
    metrics: Vec<(u64, Option<u64>)>,
    progress: &'a mut dyn FnMut(Time),
}

struct Moment {
    held: bool,
    seen: String,
    around: Vec<String>,
}

/// The result of one expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The statement.
    pub text: String,
    pub held: bool,
    pub expected: String,
    pub seen: String,
    /// If it was not met: lines that show what happened around it.
    pub around: Vec<String>,
}

impl<'a> Judge<'a> {
    /// Creates a judge for a run whose plan has the marks of these expectations.
    pub fn new(expectations: &'a [Expectation], progress: &'a mut dyn FnMut(Time)) -> Judge<'a> {
        Judge {
            marks: super::marks(expectations),
            moments: expectations.iter().map(|_| None).collect(),
            metrics: vec![(0, None); expectations.len()],
            expectations,
            progress,
        }
    }

    /// Adds the windows of the expectations to the record. Call it before the run.
    pub fn prepare(&self, record: &mut Record) {
        for it in self.expectations {
            let source = source_of(it, record);
            if it.window.is_some() || source.is_some() {
                let (from, to) = it.window.unwrap_or(WHOLE_RUN);
                record.window(from, to, source);
            }
        }
    }

    /// Returns the verdicts, in the order of the expectations. Call it after the run.
    pub fn verdicts(self, world: &World) -> Vec<Verdict> {
        let verdict = |(number, it): (usize, &Expectation)| self.verdict(number, it, world);
        self.expectations.iter().enumerate().map(verdict).collect()
    }

    fn verdict(&self, number: usize, it: &Expectation, world: &World) -> Verdict {
        if let Subject::State { state, .. } = &it.subject {
            let moment = self.moments.get(number).and_then(Option::as_ref);
            return Verdict {
                text: it.text.clone(),
                held: moment.is_some_and(|moment| moment.held),
                expected: state.name().into(),
                seen: moment.map_or("the run had ended".into(), |moment| moment.seen.clone()),
                around: moment
                    .map(|moment| moment.around.clone())
                    .unwrap_or_default(),
            };
        }
        let value = self.value(number, it, world);
        let held = value.is_some_and(|value| it.bounds.hold(value));
        let is_time = it.subject.is_time();
        Verdict {
            text: it.text.clone(),
            held,
            expected: it.bounds.show(is_time),
            seen: value.map_or("no call ended".into(), |value| show(value, is_time)),
            around: match held {
                true => Vec::new(),
                false => rows(&world.record, it.window),
            },
        }
    }

    fn value(&self, number: usize, it: &Expectation, world: &World) -> Option<f64> {
        let record = &world.record;
        let source = source_of(it, record);
        let tally = match (it.window, source) {
            (None, None) => &record.total,
            (window, source) => {
                let (from, to) = window.unwrap_or(WHOLE_RUN);
                let found = record
                    .windows
                    .iter()
                    .find(|it| it.from == from && it.to == to && it.source == source);
                &found?.tally
            }
        };
        match &it.subject {
            Subject::State { .. } => None,
            Subject::Enters { policy, key, state } => {
                let (from, to) = it.window.unwrap_or(WHOLE_RUN);
                let entered = record
                    .circuits
                    .entered(policy, key.as_deref(), *state, from, to);
                Some(entered as f64)
            }
            Subject::Client(measure) => client(*measure, tally),
            Subject::Upstream { metric, cluster } => {
                Some(upstream(*metric, cluster.as_deref(), record, tally))
            }
            Subject::Plugin(name) => {
                let (from, to) = self.metrics.get(number).copied().unwrap_or_default();
                let to = to.unwrap_or_else(|| world.host.metrics().value(name));
                Some(to as f64 - from as f64)
            }
            Subject::Memory(Memory::SharedNames) => {
                Some(world.host.shared_data().key_count() as f64)
            }
            Subject::Memory(Memory::SharedBytes) => Some(world.host.shared_data().bytes() as f64),
            Subject::Memory(Memory::Vm) => Some(world.host.vm_bytes() as f64),
            Subject::Amplification(cluster) => {
                let metric = UpstreamMetric::Requests;
                let attempts = upstream(metric, cluster.as_deref(), record, tally);
                Some(tally.per_call(attempts))
            }
        }
    }
}

/// From the beginning to the end.
const WHOLE_RUN: (Time, Time) = (Time::ZERO, Time::from_ns(u64::MAX));

/// Returns the index of the group of clients that an expectation is about.
fn source_of(it: &Expectation, record: &Record) -> Option<usize> {
    let name = it.source.as_ref()?;
    record.names.sources.iter().position(|other| other == name)
}

impl Observer for Judge<'_> {
    fn mark(&mut self, number: usize, world: &World) {
        let Some(now) = self.marks.get(number).copied() else {
            return;
        };
        for (index, it) in self.expectations.iter().enumerate() {
            match &it.subject {
                Subject::State {
                    at,
                    policy,
                    key,
                    state,
                } if *at == now => {
                    let moment = look(world, policy, key.as_deref(), *state);
                    self.moments[index] = Some(moment);
                }
                Subject::Plugin(name) => {
                    let value = world.host.metrics().value(name);
                    if it.window.is_some_and(|(from, _)| from == now) {
                        self.metrics[index].0 = value;
                    }
                    if it.window.is_some_and(|(_, to)| to == now) {
                        self.metrics[index].1 = Some(value);
                    }
                }
                _ => {}
            }
        }
    }

    fn progress(&mut self, now: Time) {
        (self.progress)(now);
    }
}

/// Compares the current state of a policy's circuits with the wanted one. A circuit without
/// transitions is closed, and the record does not know it.
fn look(world: &World, policy: &str, key: Option<&[String]>, wanted: State) -> Moment {
    let circuits: Vec<_> = world.record.circuits.of(policy, key).collect();
    let held = match circuits.is_empty() {
        true => wanted == State::Closed,
        false => circuits.iter().all(|it| it.state() == wanted),
    };
    let seen = match &circuits[..] {
        [] => "closed (no transitions)".into(),
        [one] => one.state().name().into(),
        several => {
            let each = several
                .iter()
                .map(|it| format!("{} {}", it.name(), it.state().name()));
            each.collect::<Vec<_>>().join(", ")
        }
    };
    let around = match held {
        true => Vec::new(),
        false => events(&world.record),
    };
    Moment { held, seen, around }
}

fn client(measure: ClientMeasure, tally: &Tally) -> Option<f64> {
    let outcome = |outcome| Some(tally.outcome(outcome) as f64);
    let percentile = |percent| tally.percentile(percent).map(|span| span.as_ns() as f64);
    match measure {
        ClientMeasure::SuccessRate => (tally.calls_ended > 0).then(|| tally.success_percent()),
        ClientMeasure::Calls => Some(tally.calls as f64),
        ClientMeasure::Requests => Some(tally.requests as f64),
        ClientMeasure::Success => outcome(Outcome::Success),
        ClientMeasure::Fallback => outcome(Outcome::Fallback),
        ClientMeasure::Rejected => outcome(Outcome::Rejected),
        ClientMeasure::Error => outcome(Outcome::Error),
        ClientMeasure::GaveUp => outcome(Outcome::GaveUp),
        ClientMeasure::Broken => outcome(Outcome::Broken),
        ClientMeasure::P50 => percentile(50.0),
        ClientMeasure::P90 => percentile(90.0),
        ClientMeasure::P95 => percentile(95.0),
        ClientMeasure::P99 => percentile(99.0),
        ClientMeasure::P999 => percentile(99.9),
        ClientMeasure::Slowest => tally.latency_max().map(|span| span.as_ns() as f64),
    }
}

fn upstream(metric: UpstreamMetric, cluster: Option<&str>, record: &Record, tally: &Tally) -> f64 {
    let names = record.names.clusters.iter();
    let wanted = names
        .zip(&tally.clusters)
        .filter(|(name, _)| cluster.is_none_or(|it| it == *name));
    let of = |it: &ClusterTally| match metric {
        UpstreamMetric::Requests => it.attempts,
        UpstreamMetric::Retries => it.retries,
        UpstreamMetric::Failures => it.failures,
        UpstreamMetric::Overflows => it.overflows,
        UpstreamMetric::Callouts => it.callouts,
        UpstreamMetric::ServingMax => it.serving_max.into(),
        UpstreamMetric::LineMax => it.line_max.into(),
    };
    let values = wanted.map(|(_, it)| of(it));
    let value = match metric {
        UpstreamMetric::ServingMax | UpstreamMetric::LineMax => values.max().unwrap_or(0),
        _ => values.sum(),
    };
    value as f64
}

impl Bounds {
    fn hold(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }

    fn show(&self, is_time: bool) -> String {
        let show = |value| show(value, is_time);
        match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => show(min),
            (Some(min), Some(max)) => format!("{} to {}", show(min), show(max)),
            (Some(min), None) => format!("at least {}", show(min)),
            (None, Some(max)) => format!("at most {}", show(max)),
            (None, None) => String::new(),
        }
    }
}

fn show(value: f64, is_time: bool) -> String {
    if is_time {
        return Span::from_ns(value as u64).rounded();
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
