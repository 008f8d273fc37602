//! Groups of clients, and services that call others.

use std::rc::Rc;

use crate::headers::HeaderMap;
use crate::model::distribution::Distribution;
use crate::model::rate::Pace;
use crate::model::recorded::{RecordedRequest, Recording};
use crate::model::route::Picked;
use crate::model::spec::{Calls, ClientRetry, Request, Traffic};
use crate::model::template::{BadPlaceholder, Template};
use crate::sim::clock::Time;
use crate::sim::rng::{Rng, Seed};
use crate::sim::span::Span;

/// A group of clients with the same behaviour.
///
/// Arrivals, contents and backoffs are drawn from separate random streams, so a policy that
/// changes the number of retries does not change which requests arrive, and when.
pub struct Source {
    pub name: String,
    pub mode: ArrivalMode,
    pub kinds: Vec<RequestKind>,
    weights: u64,
    pub from: Time,
    pub to: Time,
    /// Whether it sends a request before its end even if the draw says later: see [`owes_one`].
    owes_one: bool,
    pub timeout: Option<Span>,
    pub retry: Option<ClientRetry>,
    pub address: Rc<str>,
    arrivals: Rng,
    contents: Rng,
    backoffs: Rng,
}

/// When calls are made.
pub enum ArrivalMode {
    /// At a given rate.
    Open(Pace),
    /// By a fixed number of clients, each after its think time.
    Closed { clients: u32, think: Distribution },
    /// Whenever a request of the service needs another service.
    Service,
    /// As recorded.
    Recorded {
        recording: Box<dyn Recording>,
        /// The request that arrives next.
        next: Option<RecordedRequest>,
    },
}

/// One kind of request that a group sends.
pub struct RequestKind {
    pub template: Template,
    /// The route of all of them, if they are constant. The outer `None` means that it is looked up
    /// for each request.
    pub picked: Option<Option<Picked>>,
    /// How long the client waits, if it differs from the group's timeout.
    pub timeout: Option<Span>,
    /// The sum of the weights up to this one.
    upto: u64,
}

/// The name of the source of recorded requests.
pub const RECORDED: &str = "recorded";

/// Whether a group with a constant rate is expected to send at least one request. `rate: 1` for a
/// second sends one, wherever in the second the arrival is drawn.
fn owes_one(spec: &Traffic, to: Span) -> bool {
    let seconds = to.as_seconds() - spec.from.as_seconds();
    let rate = spec.rate.filter(|_| spec.steps.is_empty());
    rate.is_some_and(|rate| rate * seconds >= 1.0)
}

impl Source {
    /// Creates group `number` of a scenario of length `duration`.
    ///
    /// # Errors
    ///
    /// If a request has an unknown placeholder.
    pub fn new(
        number: usize,
        spec: &Traffic,
        duration: Span,
        seed: Seed,
    ) -> Result<Source, BadPlaceholder> {
        let to = spec.to.map_or(duration, |to| to.min(duration));
        let mode = match spec.clients {
            Some(clients) => ArrivalMode::Closed {
                clients,
                think: spec.think.into(),
            },
            None => {
                let rate = spec.rate.unwrap_or(0.0);
                ArrivalMode::Open(Pace::new(rate, &spec.steps, spec.arrivals, spec.from))
            }
        };
        let mut weights = 0;
        let mut kinds = Vec::new();
        for request in &spec.requests {
            weights += u64::from(request.weight);
            kinds.push(RequestKind::new(request, weights)?);
        }
        let split = |what| seed.split(&format!("traffic/{}/{what}", spec.name));
        Ok(Source {
            name: spec.name.clone(),
            mode,
            kinds,
            weights,
            from: Time::ZERO + spec.from,
            to: Time::ZERO + to,
            timeout: spec.timeout,
            retry: spec.retry.clone(),
            owes_one: owes_one(spec, to),
            address: format!("10.1.{number}.1:40000").into(),
            arrivals: split("arrivals"),
            contents: split("contents"),
            backoffs: split("backoffs"),
        })
    }

    /// Creates the source of a service that calls others. `number` is its cluster.
    ///
    /// # Errors
    ///
    /// If the call has an unknown placeholder.
    pub fn service(
        number: usize,
        name: &str,
        calls: &Calls,
        seed: Seed,
    ) -> Result<Source, BadPlaceholder> {
        let split = |what| seed.split(&format!("cluster/{name}/calls/{what}"));
        Ok(Source {
            name: name.into(),
            mode: ArrivalMode::Service,
            kinds: vec![RequestKind::new(&calls.into(), 1)?],
            weights: 1,
            from: Time::ZERO,
            to: Time::ZERO,
            owes_one: false,
            timeout: calls.timeout,
            retry: None,
            address: format!("10.2.{number}.1:40000").into(),
            arrivals: split("arrivals"),
            contents: split("contents"),
            backoffs: split("backoffs"),
        })
    }

    /// Creates the source of the requests of a recording.
    pub fn recorded(recording: Box<dyn Recording>, seed: Seed) -> Source {
        let split = |what| seed.split(&format!("traffic/{RECORDED}/{what}"));
        let kind = RequestKind {
            template: Template::recorded(),
            picked: None,
            timeout: None,
            upto: 1,
        };
        Source {
            name: RECORDED.into(),
            mode: ArrivalMode::Recorded {
                recording,
                next: None,
            },
            kinds: vec![kind],
            weights: 1,
            from: Time::ZERO,
            to: Time::ZERO,
            owes_one: false,
            timeout: None,
            retry: None,
            address: "10.1.0.1:40000".into(),
            arrivals: split("arrivals"),
            contents: split("contents"),
            backoffs: split("backoffs"),
        }
    }

    /// Takes the recorded request that arrives now.
    pub fn take_recorded(&mut self) -> Option<RecordedRequest> {
        match &mut self.mode {
            ArrivalMode::Recorded { next, .. } => next.take(),
            _ => None,
        }
    }

    /// Returns when the next call of an open loop arrives. `None` if there is none left.
    pub fn next_arrival(&mut self) -> Option<Time> {
        match &mut self.mode {
            ArrivalMode::Open(pace) => {
                let at = pace.next(&mut self.arrivals)?;
                if std::mem::take(&mut self.owes_one) && at >= self.to {
                    return Some(Time::from_ns(self.to.as_ns().saturating_sub(1)));
                }
                Some(at).filter(|at| *at < self.to)
            }
            ArrivalMode::Recorded { recording, next } => {
                *next = recording.next_request();
                next.as_ref().map(|request| request.at)
            }
            ArrivalMode::Closed { .. } | ArrivalMode::Service => None,
        }
    }

    /// Draws the think time of a client of a closed loop.
    pub fn think(&mut self) -> Span {
        match &self.mode {
            ArrivalMode::Closed { think, .. } => think.draw(&mut self.arrivals),
            _ => Span::ZERO,
        }
    }

    /// Draws the kind of a request, as its index.
    pub fn draw_kind(&mut self) -> usize {
        match self.kinds.len() {
            0 | 1 => 0,
            _ => {
                let draw = self.contents.below(self.weights);
                self.kinds.partition_point(|kind| kind.upto <= draw)
            }
        }
    }

    /// Returns the headers of request `number`, which is of kind `kind`.
    pub fn headers(&mut self, kind: usize, number: u64) -> HeaderMap {
        let kind = self.kinds.get(kind);
        let headers = kind.map(|kind| kind.template.headers(number, &mut self.contents));
        headers.unwrap_or_default()
    }

    /// Draws the worker that has the connection of the next call.
    pub fn draw_worker(&mut self, workers: u64) -> usize {
        self.arrivals.below(workers) as usize
    }

    /// Returns how long a client waits before it retries a call for the `tries`-th time. `None` if
    /// it does not.
    pub fn backoff(&mut self, tries: u32, retry_after: Option<u64>) -> Option<Span> {
        let retry = self.retry.as_ref().filter(|retry| tries <= retry.max)?;
        let limit = retry.backoff.base.as_ns().checked_shl(tries - 1);
        let limit_ns = limit.unwrap_or(u64::MAX).min(retry.backoff.max.as_ns());
        let drawn_ns = self.backoffs.below(limit_ns);
        let hint = retry_after
            .filter(|_| retry.honour_retry_after)
            .unwrap_or(0);
        Some(Span::from_ns(
            drawn_ns.max(hint.saturating_mul(1_000_000_000)),
        ))
    }
}

impl RequestKind {
    fn new(spec: &Request, upto: u64) -> Result<RequestKind, BadPlaceholder> {
        Ok(RequestKind {
            template: Template::new(spec)?,
            picked: None,
            timeout: spec.timeout,
            upto,
        })
    }
}
