//! The states of circuits over time, read from the lines that the filter logs.
//!
//! The filter's own words are taken, not a model of what it should have done: a line
//! such as `{"event":"transition","policy":"p","key":["c"],"from":"closed","to":"open"}`
//! is all that is known of a circuit, in the simulator as in production.
//!
//! A breaker may live in each worker or be shared by all. With one in each worker,
//! workers tell of a circuit side by side; with a shared one, the worker that made the
//! change tells. A line's `from` says which: it is applied to the worker whose circuit
//! was in that state, the teller's own first. The circuit as a whole is in the worst
//! state of any worker.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::proxy::LogLine;
use crate::sim::clock::Time;

/// A state, from good to bad.
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
    /// Its name in policies, log lines and scenarios.
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
    /// Its place among the circuits.
    pub circuit: usize,
    pub from: State,
    pub to: State,
    pub why: String,
}

/// A circuit, and the states that it was in.
#[derive(Clone, Debug)]
pub struct Circuit {
    pub policy: String,
    /// The key, as far as it was known.
    pub key: Vec<String>,
    /// Its states as a whole, each with its begin; the first is closed, from the start on.
    pub bands: Vec<Band>,
    workers: BTreeMap<Option<usize>, State>,
}

/// A state that lasts until the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    pub from: Time,
    pub state: State,
}

/// All circuits of which the log told.
#[derive(Clone, Debug, Default)]
pub struct Circuits {
    pub all: Vec<Circuit>,
    pub transitions: Vec<Transition>,
    /// Lines that were not kept, since there were too many circuits or changes.
    pub dropped: u64,
}

/// More bands than that are no picture any more.
const CIRCUITS_MAX: usize = 256;

/// Two changes a second for an hour.
const TRANSITIONS_MAX: usize = 8_192;

/// Every line that tells of a transition begins so.
const MARK: &str = "{\"event\":\"transition\"";

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
    /// Takes in a line of the log; if it tells of a transition, gives the number of it.
    pub fn read(&mut self, line: &LogLine) -> Option<u32> {
        if !line.text.starts_with(MARK) {
            return None;
        }
        let told: Line = serde_json::from_str(&line.text).ok()?;
        let key = told.key.into_iter();
        let key: Vec<_> = key.map(|part| part.unwrap_or_else(|| "-".into())).collect();
        let Some(circuit) = self.place(&told.policy, key) else {
            self.dropped += 1;
            return None;
        };
        if self.transitions.len() >= TRANSITIONS_MAX {
            self.dropped += 1;
            return None;
        }
        self.all[circuit].change(line.at, line.worker, told.from, told.to);
        self.transitions.push(Transition {
            at: line.at,
            worker: line.worker,
            circuit,
            from: told.from,
            to: told.to,
            why: told.why,
        });
        u32::try_from(self.transitions.len()).ok()
    }

    /// The circuits of a policy, with a key if one is given.
    pub fn of<'a>(
        &'a self,
        policy: &'a str,
        key: Option<&'a [String]>,
    ) -> impl Iterator<Item = &'a Circuit> {
        let wanted =
            move |it: &&Circuit| it.policy == policy && key.is_none_or(|key| it.key == key);
        self.all.iter().filter(wanted)
    }

    /// How often circuits of a policy went into `state` from `from` to before `to`.
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

    /// How often a circuit opened, as far as changes were kept.
    pub fn opened(&self) -> u64 {
        let opens = |it: &&Transition| it.to == State::Open;
        self.transitions.iter().filter(opens).count() as u64
    }

    fn place(&mut self, policy: &str, key: Vec<String>) -> Option<usize> {
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
    /// The policy, and the key where it says more than nothing.
    pub fn name(&self) -> String {
        match self.key.is_empty() {
            true => self.policy.clone(),
            false => format!("{} [{}]", self.policy, self.key.join(", ")),
        }
    }

    /// The state as a whole just now.
    pub fn state(&self) -> State {
        self.bands.last().map_or(State::Closed, |band| band.state)
    }

    fn change(&mut self, at: Time, worker: Option<usize>, from: State, to: State) {
        let own = self.workers.get(&worker).copied().unwrap_or_default();
        let teller = match own == from {
            true => worker,
            false => {
                let other = self.workers.iter().find(|(_, state)| **state == from);
                other.map_or(worker, |(worker, _)| *worker)
            }
        };
        self.workers.insert(teller, to);
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
                    "{MARK},\"policy\":\"p\",\"key\":[\"c\",null],\
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
    fn a_circuit_of_one_worker_has_the_states_it_tells() {
        let seen = read(&[(5, 0, "closed", "open"), (9, 0, "open", "half_open")]);
        assert_eq!(seen, [(0, "closed"), (5, "open"), (9, "half_open")]);
    }

    #[test]
    fn circuits_of_several_workers_show_the_worst() {
        let seen = read(&[
            (5, 0, "closed", "open"),
            (6, 1, "closed", "open"),
            (9, 0, "open", "closed"),
            (11, 1, "open", "closed"),
        ]);
        assert_eq!(seen, [(0, "closed"), (5, "open"), (11, "closed")]);
    }

    #[test]
    fn a_shared_circuit_may_be_told_of_by_any_worker() {
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
    fn other_lines_tell_nothing() {
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
