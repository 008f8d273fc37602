//! The states of circuits over time, read from the filter's log.
//!
//! The source is the filter's log, not a model of what it should do: a line such as
//! `{"event":"transition","policy":"p","key":["c"],"from":"closed","to":"open"}` is all that is
//! known about a circuit, in the simulator as in production.
//!
//! A breaker may exist in each worker or be shared by all. In the first case, each worker logs the
//! transitions of its own circuit. In the second, the worker that changes the state logs it. The
//! field `from` tells them apart: a transition is applied to the worker whose circuit was in that
//! state, and first of all to the worker that logged it. The circuit as a whole has the worst state
//! of all workers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::proxy::LogLine;
use crate::sim::clock::Time;

/// The state of a circuit, from best to worst.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    #[default]
    Closed,
    Recovering,
    HalfOpen,
    Open,
}

impl State {
    /// Returns its name in policies, log lines and scenarios.
    pub fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Recovering => "recovering",
            State::HalfOpen => "half_open",
            State::Open => "open",
        }
    }
}

/// A change of state, as the filter logged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub at: Time,
    pub worker: Option<usize>,
    /// Index of the circuit.
    pub circuit: usize,
    pub from: State,
    pub to: State,
    pub why: String,
}

/// A circuit and its states.
#[derive(Clone, Debug)]
pub struct Circuit {
    pub policy: String,
    /// The key. A missing part is `-`.
    pub key: Vec<String>,
    /// The states of the circuit as a whole. The first is closed, from the start of the run.
    pub bands: Vec<Band>,
    workers: BTreeMap<Option<usize>, State>,
}

/// A state and when it began. It lasts until the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    pub from: Time,
    pub state: State,
}

/// All circuits in the log.
#[derive(Clone, Debug, Default)]
pub struct Circuits {
    pub all: Vec<Circuit>,
    pub transitions: Vec<Transition>,
    /// Number of lines dropped because there were too many circuits or transitions.
    pub dropped: u64,
}

/// A report cannot show more.
const CIRCUITS_MAX: usize = 256;

/// Two transitions per second for an hour.
const TRANSITIONS_MAX: usize = 8_192;

/// The beginning of every line about a transition.
const PREFIX: &str = "{\"event\":\"transition\"";

#[derive(Deserialize)]
struct Line {
    policy: String,
    #[serde(default)]
    key: Vec<Option<String>>,
    from: State,
    to: State,
    #[serde(default)]
    why: String,
}

impl Circuits {
    /// Reads a log line. Returns the number of its transition, counted from 1, or `None` if it has
    /// none.
    pub fn read(&mut self, line: &LogLine) -> Option<u32> {
        if !line.text.starts_with(PREFIX) {
            return None;
        }
        let logged: Line = serde_json::from_str(&line.text).ok()?;
        let key = logged.key.into_iter();
        let key: Vec<_> = key.map(|part| part.unwrap_or_else(|| "-".into())).collect();
        let Some(circuit) = self.find_or_add(&logged.policy, key) else {
            self.dropped += 1;
            return None;
        };
        if self.transitions.len() >= TRANSITIONS_MAX {
            self.dropped += 1;
            return None;
        }
        self.all[circuit].change(line.at, line.worker, logged.from, logged.to);
        self.transitions.push(Transition {
            at: line.at,
            worker: line.worker,
            circuit,
            from: logged.from,
            to: logged.to,
            why: logged.why,
        });
        u32::try_from(self.transitions.len()).ok()
    }

    /// Returns the circuits of a policy, or the one with `key`.
    pub fn of<'a>(
        &'a self,
        policy: &'a str,
        key: Option<&'a [String]>,
    ) -> impl Iterator<Item = &'a Circuit> {
        let wanted =
            move |it: &&Circuit| it.policy == policy && key.is_none_or(|key| it.key == key);
        self.all.iter().filter(wanted)
    }

    /// Counts the transitions of a policy's circuits to `state`, from `from` to before `to`.
    pub fn entered(
        &self,
        policy: &str,
        key: Option<&[String]>,
        state: State,
        from: Time,
        to: Time,
    ) -> u64 {
        let counts = |it: &&Transition| {
            let circuit = &self.all[it.circuit];
            it.to == state
                && from <= it.at
                && it.at < to
                && circuit.policy == policy
                && key.is_none_or(|key| circuit.key == key)
        };
        self.transitions.iter().filter(counts).count() as u64
    }

    /// Returns the transitions, each with its circuit.
    pub fn changes(&self) -> impl Iterator<Item = (&Transition, &Circuit)> {
        self.transitions
            .iter()
            .map(|it| (it, &self.all[it.circuit]))
    }

    /// Returns the number of transitions after the first `shown`, dropped ones included.
    pub fn further(&self, shown: usize) -> u64 {
        self.transitions.len().saturating_sub(shown) as u64 + self.dropped
    }

    /// Counts how often circuits opened, as far as transitions were kept.
    pub fn opened(&self) -> u64 {
        let opens = |it: &&Transition| it.to == State::Open;
        self.transitions.iter().filter(opens).count() as u64
    }

    fn find_or_add(&mut self, policy: &str, key: Vec<String>) -> Option<usize> {
        let known = self
            .all
            .iter()
            .position(|it| it.policy == policy && it.key == key);
        if known.is_some() || self.all.len() >= CIRCUITS_MAX {
            return known;
        }
        self.all.push(Circuit {
            policy: policy.into(),
            key,
            bands: vec![Band {
                from: Time::ZERO,
                state: State::Closed,
            }],
            workers: BTreeMap::new(),
        });
        Some(self.all.len() - 1)
    }
}

impl Circuit {
    /// Returns the policy, and the key if there is one.
    pub fn name(&self) -> String {
        match self.key.is_empty() {
            true => self.policy.clone(),
            false => format!("{} [{}]", self.policy, self.key.join(", ")),
        }
    }

    /// Returns the current state of the circuit as a whole.
    pub fn state(&self) -> State {
        self.bands.last().map_or(State::Closed, |band| band.state)
    }

    fn change(&mut self, at: Time, worker: Option<usize>, from: State, to: State) {
        let current = self.workers.get(&worker).copied().unwrap_or_default();
        let changed = match current == from {
            true => worker,
            false => {
                let other = self.workers.iter().find(|(_, state)| **state == from);
                other.map_or(worker, |(worker, _)| *worker)
            }
        };
        self.workers.insert(changed, to);
        let state = self.workers.values().copied().max().unwrap_or_default();
        if state != self.state() {
            self.bands.push(Band { from: at, state });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::LogLevel;

    fn read(lines: &[(u64, usize, &str, &str)]) -> Vec<(u64, &'static str)> {
        let mut circuits = Circuits::default();
        for (ms, worker, from, to) in lines {
            circuits.read(&LogLine {
                at: Time::from_ms(*ms),
                worker: Some(*worker),
                level: LogLevel::Warn,
                text: format!(
                    "{PREFIX},\"policy\":\"p\",\"key\":[\"c\",null],\
                     \"from\":\"{from}\",\"to\":\"{to}\"}}"
                ),
            });
        }
        let circuit = &circuits.all[0];
        assert_eq!(circuit.name(), "p [c, -]");
        let bands = circuit.bands.iter();
        bands
            .map(|band| (band.from.as_ns() / 1_000_000, band.state.name()))
            .collect()
    }

    #[test]
    fn a_circuit_of_one_worker_has_the_logged_states() {
        let seen = read(&[(5, 0, "closed", "open"), (9, 0, "open", "half_open")]);
        assert_eq!(seen, [(0, "closed"), (5, "open"), (9, "half_open")]);
    }

    #[test]
    fn a_circuit_of_several_workers_has_the_worst_state() {
        let seen = read(&[
            (5, 0, "closed", "open"),
            (6, 1, "closed", "open"),
            (9, 0, "open", "closed"),
            (11, 1, "open", "closed"),
        ]);
        assert_eq!(seen, [(0, "closed"), (5, "open"), (11, "closed")]);
    }

    #[test]
    fn any_worker_may_log_a_transition_of_a_shared_circuit() {
        let seen = read(&[
            (5, 0, "closed", "open"),
            (9, 1, "open", "half_open"),
            (10, 0, "half_open", "closed"),
        ]);
        assert_eq!(
            seen,
            [(0, "closed"), (5, "open"), (9, "half_open"), (10, "closed")]
        );
    }

    #[test]
    fn other_lines_are_ignored() {
        let mut circuits = Circuits::default();
        for text in [
            "hello",
            r#"{"event":"transition"}"#,
            r#"{"event":"transition","#,
        ] {
            let (at, worker, level) = (Time::ZERO, None, LogLevel::Warn);
            assert_eq!(
                circuits.read(&LogLine {
                    at,
                    worker,
                    level,
                    text: text.into()
                }),
                None
            );
        }
        assert!(circuits.all.is_empty());
    }
}
