//! Turns the core's events into the host's metrics and log lines.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use serde::Serialize;
use spillway_core::Records;
use spillway_core::Transition;
use spillway_core::admin::Action;
use spillway_core::engine::Engine;
use spillway_core::event::Event;

use crate::host::Status;
use crate::metrics::{Metric, Metrics};

/// Reports events to the host. It is the only writer of metrics.
#[derive(Default)]
pub(crate) struct Reporter {
    metrics: RefCell<Metrics>,
    error_was_logged: Cell<bool>,
}

/// The log line of a state transition.
#[derive(Serialize)]
struct TransitionLine<'a> {
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
    /// Reports all events since the last call.
    pub(crate) fn report<R: Records>(&self, engine: &mut Engine<R>) {
        while let Some(event) = engine.next_event() {
            match event {
                Event::Count {
                    policy,
                    counter,
                    more,
                } => {
                    self.update_metrics(|metrics| {
                        metrics.add(Metric::Count(policy, counter), more, |at| {
                            engine.policy_name(at)
                        })
                    });
                }
                Event::Gauge {
                    policy,
                    gauge,
                    value,
                } => self.update_metrics(|metrics| {
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
                    self.update_metrics(|metrics| {
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

    /// Counts an internal error that let a request pass. Logs only the first one, since the
    /// same error may occur on every request.
    pub(crate) fn internal_error(&self, what: &str) {
        if !self.error_was_logged.replace(true) {
            log::error!("spillway: {what}; the request passes");
        }
        self.update_metrics(|metrics| metrics.add(Metric::InternalErrors, 1, |_| ""));
    }

    fn update_metrics(&self, change: impl FnOnce(&mut Metrics) -> Result<(), Status>) {
        if let Ok(mut metrics) = self.metrics.try_borrow_mut() {
            // A host without metrics fails every call.
            let _ = change(&mut metrics);
        }
    }
}

/// The log line of an operator's command.
#[derive(Serialize)]
struct OperatorLine<'a> {
    event: &'static str,
    policy: &'a str,
    key: Vec<Option<Cow<'a, str>>>,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_ms: Option<u64>,
}

/// Returns the parts of a key as text. Bytes that are not UTF-8 become U+FFFD.
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
    let line = TransitionLine {
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
