//! What the core wants counted and logged, handed to the host.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use serde::Serialize;
use spillway_core::admin::Action;
use spillway_core::circuit::breaker::Transition;
use spillway_core::engine::Engine;
use spillway_core::event::Event;
use spillway_core::shared::records::Records;

use crate::host::Status;
use crate::metrics::{Metric, Metrics};

/// The way from the core's events to the host's metrics and log.
#[derive(Default)]
pub struct Reporter {
    metrics: RefCell<Metrics>,
    error_was_logged: Cell<bool>,
}

/// The log line of a change of state.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    policy: &'a str,
    key: Vec<Option<Cow<'a, str>>>,
    from: &'static str,
    to: &'static str,
    why: &'static str,
    requests: u32,
    failures: u32,
    slow: u32,
    opens: u32,
    lasted_ms: u64,
    open_ms: u64,
}

impl Reporter {
    /// Hands on what happened since the last call.
    pub fn report<R: Records>(&self, engine: &mut Engine<R>) {
        while let Some(event) = engine.next_event() {
            match event {
                Event::Count {
                    policy,
                    counter,
                    more,
                } => {
                    self.move_metrics(|metrics| {
                        metrics.add(Metric::Count(policy, counter), more, |at| {
                            engine.policy_name(at)
                        })
                    });
                }
                Event::Gauge {
                    policy,
                    gauge,
                    value,
                } => self.move_metrics(|metrics| {
                    metrics.set(Metric::Gauge(policy, gauge), value, |at| {
                        engine.policy_name(at)
                    })
                }),
                Event::Operator {
                    policy,
                    key,
                    action,
                } => log_operator(engine.policy_name(policy), &key, action),
                Event::Discarded(records) => {
                    self.move_metrics(|metrics| {
                        metrics.add(Metric::RecordsDiscarded, records, |_| "")
                    });
                }
                Event::Transition {
                    policy,
                    key,
                    transition,
                } => log_transition(engine.policy_name(policy), &key, &transition),
            }
        }
    }

    /// Counts that something went wrong here, and a request passed for it. Only the
    /// first is logged: what went wrong once may go wrong for every request.
    pub fn internal_error(&self, what: &str) {
        if !self.error_was_logged.replace(true) {
            log::error!("spillway: {what}; the request passes");
        }
        self.move_metrics(|metrics| metrics.add(Metric::InternalErrors, 1, |_| ""));
    }

    fn move_metrics(&self, change: impl FnOnce(&mut Metrics) -> Result<(), Status>) {
        if let Ok(mut metrics) = self.metrics.try_borrow_mut() {
            // A host without metrics has nowhere to count it.
            let _ = change(&mut metrics);
        }
    }
}

/// The log line of what an operator did.
#[derive(Serialize)]
struct OperatorLine<'a> {
    event: &'static str,
    policy: &'a str,
    key: Vec<Option<Cow<'a, str>>>,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_ms: Option<u64>,
}

/// The parts of a key as text, where they are none lossily.
fn shown(key: &[Option<Box<[u8]>>]) -> Vec<Option<Cow<'_, str>>> {
    let mut parts = Vec::new();
    for part in key {
        parts.push(part.as_deref().map(String::from_utf8_lossy));
    }
    parts
}

fn log_operator(policy: &str, key: &[Option<Box<[u8]>>], action: Action) {
    let for_ms = match action {
        Action::Force(_, span) => Some(span.as_ms()),
        Action::Reset | Action::Automatic => None,
    };
    let line = OperatorLine {
        event: "operator",
        policy,
        key: shown(key),
        action: action.name(),
        for_ms,
    };
    if let Ok(json) = serde_json::to_string(&line) {
        log::warn!("{json}");
    }
}

fn log_transition(policy: &str, key: &[Option<Box<[u8]>>], transition: &Transition) {
    let line = Line {
        event: "transition",
        policy,
        key: shown(key),
        from: transition.from.name(),
        to: transition.to.name(),
        why: transition.why.name(),
        requests: transition.counts.requests,
        failures: transition.counts.failures,
        slow: transition.counts.slow,
        opens: transition.opens,
        lasted_ms: transition.lasted.as_ms(),
        open_ms: transition.open_for.as_ms(),
    };
    if let Ok(json) = serde_json::to_string(&line) {
        log::warn!("{json}");
    }
}
