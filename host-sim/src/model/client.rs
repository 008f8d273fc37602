//! Groups of clients, and services that are clients of others.

use std::rc::Rc;

use crate::headers::HeaderMap;
use crate::model::distribution::Distribution;
use crate::model::rate::Pace;
use crate::model::route::Picked;
use crate::model::spec::{Calls, ClientRetry, Request, Traffic};
use crate::model::template::{BadPlaceholder, Template};
use crate::sim::clock::Time;
use crate::sim::rng::{Rng, Seed};
use crate::sim::span::Span;

/// A group of clients that are alike.
///
/// When calls come, what they are, how long clients think and how they back off are
/// drawn apart: a policy that changes how many are retried leaves what is asked, and
/// when, as it was.
pub struct Source {
    pub name: String,
    pub kind: Kind,
    pub kinds: Vec<RequestKind>,
    weights: u64,
    pub from: Time,
    pub to: Time,
    pub timeout: Option<Span>,
    pub retry: Option<ClientRetry>,
    pub address: Rc<str>,
    arrivals: Rng,
    contents: Rng,
    backoffs: Rng,
}

/// How calls come.
pub enum Kind {
    Open(Pace),
    Closed {
        clients: u32,
        think: Distribution,
    },
    /// Whenever a service needs another one.
    Service,
}

/// One kind of request that a group sends.
pub struct RequestKind {
    pub template: Template,
    /// The route that all of them take, if they are all alike; outer none: look it up.
    pub picked: Option<Option<Picked>>,
    /// How long its client waits, if not as the others of its group.
    pub timeout: Option<Span>,
    /// The sum of the weights up to this one.
    upto: u64,
}

impl Source {
    /// Group number `place` of a scenario that takes `duration`.
    ///
    /// # Errors
    ///
    /// A placeholder that means nothing.
    pub fn new(
        place: usize,
        spec: &Traffic,
        duration: Span,
        seed: Seed,
    ) -> Result<Source, BadPlaceholder> {
        let to = spec.to.map_or(duration, |to| to.min(duration));
        let kind = match spec.clients {
            Some(clients) => Kind::Closed {
                clients,
                think: spec.think.into(),
            },
            None => {
                let rate = spec.rate.unwrap_or(0.0);
                Kind::Open(Pace::new(rate, &spec.steps, spec.arrivals, spec.from))
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
            kind,
            kinds,
            weights,
            from: Time::ZERO + spec.from,
            to: Time::ZERO + to,
            timeout: spec.timeout,
            retry: spec.retry.clone(),
            address: format!("10.1.{place}.1:40000").into(),
            arrivals: split("arrivals"),
            contents: split("contents"),
            backoffs: split("backoffs"),
        })
    }

    /// The service of cluster number `place`, which calls others.
    ///
    /// # Errors
    ///
    /// A placeholder that means nothing.
    pub fn service(
        place: usize,
        name: &str,
        calls: &Calls,
        seed: Seed,
    ) -> Result<Source, BadPlaceholder> {
        let split = |what| seed.split(&format!("cluster/{name}/calls/{what}"));
        Ok(Source {
            name: name.into(),
            kind: Kind::Service,
            kinds: vec![RequestKind::new(&calls.into(), 1)?],
            weights: 1,
            from: Time::ZERO,
            to: Time::ZERO,
            timeout: calls.timeout,
            retry: None,
            address: format!("10.2.{place}.1:40000").into(),
            arrivals: split("arrivals"),
            contents: split("contents"),
            backoffs: split("backoffs"),
        })
    }

    /// When the next call of an open loop comes, if one does.
    pub fn next_arrival(&mut self) -> Option<Time> {
        match &mut self.kind {
            Kind::Open(pace) => pace.next(&mut self.arrivals).filter(|at| *at < self.to),
            Kind::Closed { .. } | Kind::Service => None,
        }
    }

    /// How long a client of a closed loop thinks.
    pub fn think(&mut self) -> Span {
        match &self.kind {
            Kind::Closed { think, .. } => think.draw(&mut self.arrivals),
            Kind::Open(_) | Kind::Service => Span::ZERO,
        }
    }

    /// Draws the kind of a request: its place.
    pub fn draw_kind(&mut self) -> usize {
        match self.kinds.len() {
            0 | 1 => 0,
            _ => {
                let draw = self.contents.below(self.weights);
                self.kinds.partition_point(|kind| kind.upto <= draw)
            }
        }
    }

    /// The headers of request `number`, which is of the kind at `kind`.
    pub fn headers(&mut self, kind: usize, number: u64) -> HeaderMap {
        let kind = self.kinds.get(kind);
        let headers = kind.map(|kind| kind.template.headers(number, &mut self.contents));
        headers.unwrap_or_default()
    }

    /// Draws one of so many workers, which has the connection of the next call.
    pub fn draw_worker(&mut self, workers: u64) -> usize {
        self.arrivals.below(workers) as usize
    }

    /// How long a client waits before it sends a call for the time `tries` + 1; none if it
    /// does not.
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
