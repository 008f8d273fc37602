//! The facade, from a request's headers to its end, with plain data in place of a host.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;
use crate::admin::Search;
use crate::circuit::breaker::StateName;
use crate::fallback::{FallbackResponse, Kind};
use crate::policy::{Mode, On};
use crate::testing::{Memory, TestRequest, TestResponse, at_ms, config};
use crate::time::Span;

mod attempts;
mod changes;
mod configurations;
mod counting;
mod fallbacks;
mod gauges;
mod ladder;
mod listing;
mod merging;
mod modes;
mod operator;
mod outage;
mod probes;
mod races;
mod retries;
mod sharing;
mod short_path;
mod stale;
mod states;
mod steps;
mod streams;
mod surveys;
mod switches;
mod timeouts;
mod waiting;
mod workers;

/// One engine and its clock.
struct Bench {
    engine: Engine<Memory>,
    now: Instant,
}

/// Opens at the second failure of two for a second; one probe decides.
const FRAGILE: &str = r#""circuit_breaker": {"minimum_requests": 2, "failure_rate_threshold": 100,
    "open": {"duration": "1s", "multiplier": 1, "jitter": 0, "retry_after_max": "0s"}, "half_open": {"permits": 1, "lease": "10s"}}"#;

/// What a host can do.
struct Abilities {
    sends_requests: bool,
    reports_ends: bool,
}

impl Capabilities for Abilities {
    fn sends_requests(&self) -> bool {
        self.sends_requests
    }

    fn reports_ends(&self) -> bool {
        self.reports_ends
    }
}

/// An engine on a host that can do everything.
fn engine_of<R: Records>(config: Config, seed: u64, records: R, now: Instant) -> Engine<R> {
    let abilities = Abilities {
        sends_requests: true,
        reports_ends: true,
    };
    Engine::new(config, seed, records, Rc::new(abilities), now)
}

impl<R: Records> Engine<R> {
    /// Whether something waits to be shared, or to be counted.
    fn has_pending(&self) -> bool {
        self.workspace.has_pending()
    }

    /// Admits a request, always with a ticket. One that passed by the short path gets it now.
    pub(in crate::engine) fn admit(
        &mut self,
        request: &impl Request,
        complete: bool,
        now: Instant,
    ) -> Admission {
        let mut slip = None;
        match self.request_arrived(request, complete, &mut slip, now) {
            Admission::Count(orders) => {
                let slip = slip.expect("a slip");
                let instructions = orders.map(|orders| Instructions {
                    note: None,
                    orders: Some(orders),
                    saves: None,
                    copies: false,
                });
                let ticket = self.policies.own[slip.policy].ticket_of(slip, None);
                Admission::Pass(Box::new(ticket), instructions.map(Box::new))
            }
            other => other,
        }
    }

    /// What the host's router is told about a request: each header, with `+` if its value is
    /// added to those of the name.
    fn edits(&self, admission: &Admission) -> Vec<(String, String)> {
        let orders = match admission {
            Admission::Count(orders) => *orders,
            Admission::Pass(_, instructions) => instructions.as_ref().and_then(|it| it.orders),
            other => panic!("{other:?}"),
        };
        let mut edits = Vec::new();
        let mut edit = |name: &str, value: &[u8], adds| {
            let sign = if adds { "+" } else { "" };
            let value = String::from_utf8_lossy(value);
            edits.push((format!("{sign}{name}"), value.into_owned()));
        };
        if let Some(orders) = orders {
            self.each_edit(orders, &mut edit);
        }
        edits
    }
}

/// The note about a request, without the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    state: StateName,
    decision: Decision,
}

impl Ticket {
    /// How many retries the host's router is told to make, or `None` if it is told nothing.
    fn ordered(&self) -> Option<u32> {
        self.granted().filter(|_| self.enforced)
    }

    fn note(&self) -> Option<Note> {
        Some(Note {
            state: self.circuit.state,
            decision: self.decision?,
        })
    }
}

/// The ticket of a request that passed, with what was saved of it.
/// A search for this many circuits of any name.
fn first(most: usize) -> Search<'static> {
    let contains = b"";
    Search { most, contains }
}

fn passed(admission: Admission) -> Box<Ticket> {
    match admission {
        Admission::Pass(mut ticket, instructions) => {
            ticket.client.echo = instructions.and_then(|it| it.saves);
            ticket
        }
        other => panic!("{other:?}"),
    }
}

impl Bench {
    /// Policies with these fields are called `p0`, `p1` and so on.
    fn new(policies: &[&str]) -> Bench {
        Bench::seeded(policies, 1_000, 1)
    }

    fn limited(policies: &[&str], keys: u32) -> Bench {
        Bench::seeded(policies, keys, 1)
    }

    fn seeded(policies: &[&str], keys: u32, seed: u64) -> Bench {
        let policies: Vec<String> = policies
            .iter()
            .enumerate()
            .map(|(n, fields)| {
                let comma = if fields.is_empty() { "" } else { "," };
                format!(r#"{{"name":"p{n}"{comma}{fields}}}"#)
            })
            .collect();
        let json = format!(
            r#"{{"policies":[{}],"limits":{{"keys":{keys}}}}}"#,
            policies.join(",")
        );
        Bench::of_file(&json, seed)
    }

    fn of_file(json: &str, seed: u64) -> Bench {
        Bench {
            engine: engine_of(config(json), seed, Memory::default(), at_ms(5_000)),
            now: at_ms(5_000),
        }
    }

    fn set_abilities(&mut self, sends_requests: bool, reports_ends: bool) {
        self.engine.workspace.capabilities = Rc::new(Abilities {
            sends_requests,
            reports_ends,
        });
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.after(Span::from_ms(ms));
    }

    fn admit(&mut self, request: &TestRequest) -> Admission {
        self.engine.admit(request, true, self.now)
    }

    /// The ticket of a request that must pass.
    fn pass(&mut self, request: &TestRequest) -> Box<Ticket> {
        passed(self.admit(request))
    }

    /// The response to a request that must be rejected.
    fn reject(&mut self, request: &TestRequest) -> (FallbackResponse, DecisionNote) {
        match self.admit(request) {
            Admission::Reject(ticket, Step::Respond(reply), note) => {
                let note = note.expect("a note");
                self.settle(ticket, &TestResponse::status(reply.status));
                (Rc::unwrap_or_clone(reply), note)
            }
            other => panic!("{other:?}"),
        }
    }

    fn settle(&mut self, ticket: Box<Ticket>, ending: &TestResponse) {
        self.engine.settle(ticket, ending, self.now);
    }

    /// A request that passes and ends at once with this status.
    fn serve(&mut self, request: &TestRequest, status: u16) {
        let ticket = self.pass(request);
        self.settle(ticket, &TestResponse::status(status));
    }

    /// Two failures, which open the circuit of this request.
    fn trip(&mut self, request: &TestRequest) {
        self.serve(request, 503);
        self.serve(request, 503);
        self.events();
    }

    fn head(&mut self, ticket: &mut Ticket, ending: &TestResponse) -> Option<FallbackResponse> {
        match self.engine.response_headers(ticket, ending, self.now) {
            Step::Pass => None,
            Step::Respond(reply) => Some(Rc::unwrap_or_clone(reply)),
            other => panic!("{other:?}"),
        }
    }

    /// The events since the last call, a line each.
    fn events(&mut self) -> Vec<String> {
        self.engine
            .policies
            .count_requests(&mut self.engine.workspace);
        core::iter::from_fn(|| self.engine.next_event())
            .map(shown)
            .collect()
    }

    /// Whether this event happened since the last call.
    fn happened(&mut self, what: &str) -> bool {
        self.count(what) > 0
    }

    /// How often this event happened since the last call.
    fn count(&mut self, what: &str) -> usize {
        self.events().iter().filter(|e| *e == what).count()
    }
}

fn shown(event: Event) -> String {
    let (policy, words) = match event {
        Event::Count {
            policy,
            counter,
            more,
        } => match more {
            1 => (policy, counted(counter)),
            _ => (policy, format!("{} x{more}", counted(counter))),
        },
        Event::Gauge {
            policy,
            gauge,
            value,
        } => (policy, format!("{gauge:?} {value}")),
        Event::CircuitState {
            policy,
            circuit: (_, name),
            state,
            is,
        } => (policy, format!("{name} {} {is}", state.name())),
        Event::Operator { policy, action, .. } => (policy, format!("operator {}", action.name())),
        Event::Discarded(records) => return format!("discarded {records}"),
        Event::Transition {
            policy,
            key,
            transition,
        } => {
            let part = |part: &Option<Box<[u8]>>| match part {
                None => "-".to_string(),
                Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            };
            let key: Vec<String> = key.iter().map(part).collect();
            let (from, to) = (transition.from.name(), transition.to.name());
            let why = transition.why.name();
            (policy, format!("[{}] {from}>{to} {why}", key.join(" ")))
        }
    };
    format!("p{policy} {words}")
}

fn counted(counter: Counter) -> String {
    match counter {
        Counter::Request(outcome) => outcome.name().into(),
        Counter::Slow => "slow".into(),
        Counter::Rejected => "rejected".into(),
        Counter::WouldReject => "would reject".into(),
        Counter::Transition(from, to) => format!("{}>{}", from.name(), to.name()),
        Counter::Probe => "probe".into(),
        Counter::Fallback(on, kind) => format!("fallback {on:?} {}", kind.name()),
        Counter::FallbackSkipped(kind, skip) => {
            format!("skipped {} {}", kind.name(), skip.name())
        }
        Counter::StaleStored => "kept".into(),
        Counter::StaleEvicted => "evicted".into(),
        Counter::StaleTooLarge => "too large".into(),
        Counter::StaleOverflowed => "not recorded".into(),
        Counter::FallbackTooLate => "too late".into(),
        Counter::Retries(outcome) => format!("{} retries", outcome.name()),
        Counter::RetryDenied(denial) => format!("denied by {}", denial.name()),
        Counter::WouldDenyRetry(denial) => format!("would deny by {}", denial.name()),
        Counter::KeyOverflowed => "overflowed".into(),
        Counter::NothingSaved => "nothing saved".into(),
        Counter::MergeGivenUp => "merge given up".into(),
        Counter::PermitGivenUp => "permit given up".into(),
    }
}
