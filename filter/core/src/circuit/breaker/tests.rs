//! State tables. Each line has steps and, after the colon, their results. [`Bench::step`]
//! documents the words.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::policy::WindowShape;
use crate::random::Random;
use crate::testing::{at_ms, breaker};

mod half_open;
mod opening;
mod recovery;

impl Breaker {
    pub(crate) fn shape(&self) -> WindowShape {
        self.window.shape()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    pub(crate) fn probes_out(&self) -> u32 {
        match &self.state {
            State::HalfOpen(probes) => probes.live(),
            _ => 0,
        }
    }
}

/// One breaker, one clock, and the requests in flight, oldest first.
struct Bench {
    config: BreakerConfig,
    breaker: Breaker,
    now: Instant,
    random: Random,
    permits: VecDeque<Permit>,
    transitions: Vec<Transition>,
}

/// Runs a script against a breaker with these fields and compares the results of each line.
fn check(fields: &str, script: &str) {
    let mut bench = Bench::new(fields);
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (steps, expected) = line.split_once(':').expect("steps : results");
        let results: Vec<String> = steps.split(',').flat_map(|s| bench.step(s)).collect();
        assert_eq!(
            shortened(&results),
            expected.trim(),
            "in the line `{line}`\nof {fields}\n{script}"
        );
    }
}

impl Bench {
    fn new(fields: &str) -> Bench {
        let config = breaker(fields);
        let now = at_ms(1_000_000);
        Bench {
            breaker: Breaker::new(&config, now),
            config,
            now,
            random: Random::new(1),
            permits: VecDeque::new(),
            transitions: Vec::new(),
        }
    }

    /// Performs one step and returns its results.
    ///
    /// - `admit N`: N requests ask for admission. Each gives `pass`, `probe`, or `no STATE MS`
    ///   with the time to wait. They are complete; those of `begin N` are not.
    /// - `ok`, `slow`, `fail`, `slowfail`, `ignored`, `lose`, each with an optional N: the N
    ///   oldest requests end like that, or never end. `last ok` and so on: the newest.
    /// - `hint MS`: the oldest request fails with this hint.
    /// - `sent`, `head ok` and so on: the oldest request is complete, or its response headers
    ///   arrive.
    /// - `overdue N`: the N oldest requests pass the slow threshold and wait.
    /// - `wait MS`, `back MS`: the clock moves.
    ///
    /// A change of state is `from>to why requests/failures/slow #opens`, plus the open time if
    /// the circuit opened.
    fn step(&mut self, step: &str) -> Vec<String> {
        let words: Vec<&str> = step.split_whitespace().collect();
        let number = |at: usize| words.get(at).map_or(1, |w| w.parse().expect("a number"));
        let mut results = Vec::new();
        match words[0] {
            word @ ("admit" | "begin") => {
                for _ in 0..number(1) {
                    let result = self.admit(word == "admit");
                    results.append(&mut self.changes());
                    results.push(result);
                }
            }
            "wait" => self.now = self.now.after(Span::from_ms(number(1))),
            "back" => {
                let ns = Span::from_ms(number(1)).as_ns();
                self.now = Instant::from_ns(self.now.as_ns() - ns);
            }
            "sent" => self.breaker.request_complete(&self.permits[0], self.now),
            "head" => {
                let permit = self.permits[0].clone();
                let (breaker, context) = self.context();
                breaker.headers_arrived(&permit, verdict(words[1]), &context);
            }
            "overdue" => {
                for at in 0..number(1) as usize {
                    let permit = self.permits[at].clone();
                    let (breaker, mut context) = self.context();
                    if permit.is_probe() {
                        breaker.mark_probe_slow(&permit, &mut context);
                    } else if breaker.wait(&permit, context.now, 1) {
                        breaker.judge_window(None, &mut context);
                    }
                }
            }
            "lose" => drop(self.permits.drain(..number(1) as usize)),
            "hint" => {
                let hint = Some(Span::from_ms(number(1)));
                let verdict = Verdict {
                    hint,
                    ..verdict("fail")
                };
                let permit = self.permits.pop_front().expect("a request in flight");
                self.settle(permit, verdict);
            }
            "last" => {
                let permit = self.permits.pop_back().expect("a request in flight");
                self.settle(permit, verdict(words[1]));
            }
            word => {
                for _ in 0..number(1) {
                    let permit = self.permits.pop_front().expect("a request in flight");
                    self.settle(permit, verdict(word));
                }
            }
        }
        results.append(&mut self.changes());
        results
    }

    fn context(&mut self) -> (&mut Breaker, StepContext<'_>) {
        let context = StepContext {
            config: &self.config,
            now: self.now,
            random: &mut self.random,
            transitions: &mut self.transitions,
        };
        (&mut self.breaker, context)
    }

    fn admit(&mut self, complete: bool) -> String {
        let (breaker, mut context) = self.context();
        match breaker.try_acquire(complete, &mut context) {
            Ok(permit) => {
                let word = if permit.is_probe() { "probe" } else { "pass" };
                self.permits.push_back(permit);
                word.into()
            }
            Err(refusal) => format!(
                "no {} {}",
                refusal.state.name(),
                refusal.retry_after.as_ms()
            ),
        }
    }

    fn settle(&mut self, permit: Permit, verdict: Verdict) {
        let (breaker, mut context) = self.context();
        breaker.settle(permit, verdict, &mut context);
    }

    fn changes(&mut self) -> Vec<String> {
        self.transitions.drain(..).map(shown).collect()
    }
}

fn verdict(word: &str) -> Verdict {
    let (outcome, slow) = match word {
        "ok" => (Outcome::Success, false),
        "slow" => (Outcome::Success, true),
        "fail" => (Outcome::Failure, false),
        "slowfail" => (Outcome::Failure, true),
        "ignored" => (Outcome::Ignored, false),
        _ => panic!("unknown step {word}"),
    };
    Verdict {
        slow,
        ..Verdict::of(outcome)
    }
}

fn shown(change: Transition) -> String {
    let Counts {
        requests,
        failures,
        slow,
    } = change.counts;
    let open_for = match change.open_for {
        Span::ZERO => String::new(),
        open_for => format!(" {}ms", open_for.as_ms()),
    };
    format!(
        "{}>{} {} {requests}/{failures}/{slow} #{}{open_for}",
        change.from.name(),
        change.to.name(),
        change.why.name(),
        change.opens,
    )
}

/// Joins results into one line, with equal ones in a row as `result xN`.
fn shortened(results: &[String]) -> String {
    let runs = results.chunk_by(|a, b| a == b).map(|run| match run.len() {
        1 => run[0].clone(),
        many => format!("{} x{many}", run[0]),
    });
    runs.collect::<Vec<String>>().join(", ")
}
