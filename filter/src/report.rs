//! Turns the core's events into the host's metrics and log lines.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use serde::Serialize;
use spillway_core::Records;
use spillway_core::Transition;
use spillway_core::admin::Action;
use spillway_core::engine::Engine;
use spillway_core::event::{Counter, Event, Series};
use spillway_core::policy::Events;
use spillway_core::time::{Instant, Span};

use crate::host::Status;
use crate::metrics::{self, Metric, Metrics};
use crate::outbox::{self, Outbox};

/// How long increments of earlier metric names wait.
const ALIAS_DELAY: Span = Span::from_secs(1);

/// Reports events to the host. It is the only writer of metrics.
#[derive(Default)]
pub(crate) struct Reporter {
    metrics: RefCell<Metrics>,
    /// Increments of the earlier names of counters, and since when the first one waits.
    aliases: RefCell<Vec<(usize, Counter, u32)>>,
    aliases_since: Cell<Option<Instant>>,
    /// Hash of the configuration in use.
    build: Cell<Option<u64>>,
    /// The events for a collector. `None` if events are only logged.
    outbox: Option<Outbox>,
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
    /// Creates the reporter of a configuration. `events` is the collector that events are sent
    /// to.
    pub(crate) fn new(events: Option<Events>) -> Reporter {
        Reporter {
            outbox: events.filter(|_| !cfg!(feature = "lite")).map(Outbox::new),
            ..Reporter::default()
        }
    }

    /// When events are to be sent, or `None` if none wait.
    pub(crate) fn poll_events(&self, now: Instant) -> Option<Instant> {
        self.outbox()?.poll(now)
    }

    /// Sends events if they are due.
    pub(crate) fn send_events(&self, now: Instant) {
        if let Some(outbox) = self.outbox() {
            self.count_dropped(outbox.send(now));
        }
    }

    /// Notes the response to a call. Returns false if the call did not send events. `taken`
    /// returns whether the collector has taken them.
    pub(crate) fn events_answered(&self, call: u32, taken: impl FnOnce() -> bool) -> bool {
        let dropped = self.outbox().and_then(|it| it.answered(call, taken));
        self.count_dropped(dropped.unwrap_or(0));
        dropped.is_some()
    }

    /// Counts the events that were never sent, for a configuration that ends.
    pub(crate) fn drop_events(&self) {
        self.count_dropped(self.outbox().map_or(0, Outbox::unsent));
    }

    fn outbox(&self) -> Option<&Outbox> {
        // The lite module sees no responses to calls, and refuses the field.
        self.outbox.as_ref().filter(|_| !cfg!(feature = "lite"))
    }

    fn count_dropped(&self, events: u32) {
        if events > 0 {
            self.update_metrics(|metrics| metrics.add(Metric::EventsDropped, events, |_| ""));
        }
    }

    fn post(&self, record: impl FnOnce() -> String) {
        if let Some(outbox) = self.outbox() {
            self.count_dropped(outbox.push(&record()));
        }
    }

    /// Defines the series that the first policies can have, and shows that the configuration
    /// with this hash is in use.
    pub(crate) fn begin<R: Records>(&self, engine: &Engine<R>, hash: u64) {
        engine.visit_series(&mut |policy, series| {
            let metric = match series {
                Series::Counter(counter) => Metric::Count(policy, counter),
                Series::Gauge(gauge) => Metric::Gauge(policy, gauge),
            };
            self.update_metrics(|metrics| metrics.define(metric, |at| engine.policy_name(at)));
        });
        if self.outbox().is_some() {
            self.update_metrics(|metrics| metrics.define(Metric::EventsDropped, |_| ""));
        }
        self.build.set(Some(hash));
        self.update_metrics(|metrics| metrics.set(Metric::BuildInfo(hash), 1, |_| ""));
    }

    /// Shows that the configuration is no longer in use. Only the first call does something: a
    /// later configuration may have the same hash.
    pub(crate) fn end(&self) {
        if let Some(hash) = self.build.take() {
            self.update_metrics(|metrics| metrics.set(Metric::BuildInfo(hash), 0, |_| ""));
        }
    }

    /// Reports the increments of earlier names if they have waited for a second, so that they
    /// cost requests no hostcall and no tick.
    pub(crate) fn report_late_aliases<R: Records>(&self, engine: &Engine<R>, now: Instant) {
        let waiting = self.aliases.try_borrow().is_ok_and(|it| !it.is_empty());
        match self.aliases_since.get() {
            Some(since) if now >= since.after(ALIAS_DELAY) => self.report_aliases(engine),
            None if waiting => self.aliases_since.set(Some(now)),
            _ => {}
        }
    }

    /// Reports the increments of earlier names.
    pub(crate) fn report_aliases<R: Records>(&self, engine: &Engine<R>) {
        self.aliases_since.set(None);
        let Ok(mut aliases) = self.aliases.try_borrow_mut() else {
            return;
        };
        for (policy, counter, more) in aliases.drain(..) {
            self.update_metrics(|metrics| {
                let metric = Metric::Alias(policy, counter);
                metrics.add(metric, more, |at| engine.policy_name(at))
            });
        }
    }

    fn note_alias(&self, policy: usize, counter: Counter, more: u32) {
        if metrics::alias(counter).is_none() {
            return;
        }
        if let Ok(mut aliases) = self.aliases.try_borrow_mut() {
            let mut same = aliases.iter_mut();
            match same.find(|it| (it.0, it.1) == (policy, counter)) {
                Some(it) => it.2 = it.2.saturating_add(more),
                None => aliases.push((policy, counter, more)),
            }
        }
    }

    /// Reports all events since the last call.
    pub(crate) fn report<R: Records>(&self, engine: &mut Engine<R>) {
        while let Some(event) = engine.next_event() {
            match event {
                Event::Count {
                    policy,
                    counter,
                    more,
                } => {
                    self.note_alias(policy, counter, more);
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
                Event::CircuitState {
                    policy,
                    circuit: (at, name),
                    state,
                    is,
                } => self.update_metrics(|metrics| {
                    let policy = engine.policy_name(policy);
                    metrics.set_state(policy, (at, &name), state.name(), is)
                }),
                Event::Operator {
                    policy,
                    key,
                    action,
                } => {
                    let policy = engine.policy_name(policy);
                    log_operator(policy, &key, action);
                    self.post(|| outbox::operator(policy, &key, action));
                }
                Event::Discarded(records) => {
                    self.update_metrics(|metrics| {
                        metrics.add(Metric::RecordsDiscarded, records, |_| "")
                    });
                }
                Event::Transition {
                    policy,
                    key,
                    transition,
                } => {
                    let policy = engine.policy_name(policy);
                    log_transition(policy, &key, &transition);
                    self.post(|| outbox::transition(policy, &key, &transition));
                }
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
