//! What the engine knows about one request, from its headers to its end.

use alloc::boxed::Box;

use crate::circuit::breaker::{Permit, StateName};
use crate::circuit::budget::Grant;
use crate::exchange::{Request, RequestTiming};
use crate::fallback::Skip;
use crate::outcome::classify::Verdict;
use crate::policy::On;
use crate::retry::Denial;
use crate::stale::{Handle, Purpose};
use crate::time::{Instant, Span};

use super::decision::Decision;

/// A request that passed or was rejected, and what is known about it so far.
///
/// The engine takes it back when the request ends. A ticket that is dropped instead keeps its
/// key in the table, and its probe's permit until the lease ends.
#[must_use = "an unsettled ticket keeps its key in use"]
#[derive(Debug)]
pub struct Ticket {
    /// Index of its policy, or [`NO_POLICY`].
    pub(super) policy: usize,
    /// Whether the policy acts on it, rather than only counting.
    pub(super) enforced: bool,
    pub(super) decision: Option<Decision>,
    pub(super) circuit: CircuitUse,
    pub(super) timing: RequestTiming,
    pub(super) client: Client,
    pub(super) watches: Watches,
    pub(super) judged: Judged,
    pub(super) retry: Plan,
    pub(super) fallback: FallbackUse,
    pub(super) stale: Storing,
}

/// The index of no policy.
pub(super) const NO_POLICY: usize = usize::MAX;

/// How a request uses its key's circuit.
#[derive(Debug)]
pub(super) struct CircuitUse {
    /// The circuit's state when the request arrived.
    pub(super) state: StateName,
    /// `None` if it was rejected, or its circuit could not be asked.
    pub(super) admitted: Option<Admitted>,
    /// Its position among the requests that wait for their upstreams.
    pub(super) waits: Option<u32>,
    /// Whether it is a probe that the upstream has answered, with whatever status.
    pub(super) answered: bool,
}

#[derive(Debug)]
pub(super) struct Admitted {
    /// Position in the table of keys.
    pub(super) at: u32,
    /// The permit by which the outcome counts. `None` if it counts for nothing, or has counted.
    pub(super) permit: Option<Permit>,
}

/// What the client sent, as far as a response made here depends on it.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// Whether the method is HEAD, if that matters.
    pub(super) is_head: bool,
    /// Whether an earlier filter has made the request gRPC, and its client expects HTTP.
    pub(super) transcoded: bool,
    /// Whether a part of its body has come, or trailers.
    pub(super) has_body: bool,
    pub(super) echo: Option<Box<EchoedFields>>,
}

/// Which later events the engine has to see.
#[derive(Debug)]
pub(super) struct Watches {
    /// When the request ended and when the response began.
    pub(super) clock: bool,
    /// The response's headers.
    pub(super) response: bool,
}

/// How the upstream's response was judged.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// The verdict by the response's headers, if those were seen.
    pub(super) seen: Option<Verdict>,
    /// The verdict by the headers that have just come, if the short path has judged them.
    pub(super) fresh: Option<Verdict>,
    /// Whether the outcome is in the metrics.
    pub(super) counted: bool,
}

/// Who retries a request.
#[derive(Debug)]
pub(super) enum Plan {
    /// Nobody: the policy has no `retry`.
    None,
    /// The host's router, at most as often as was granted.
    Router(Option<Grant>),
    /// The filter.
    Filter(Box<Series>),
}

/// A request that the filter may send again.
#[derive(Debug)]
pub(super) struct Series {
    /// Whether its attempts count for the breaker: not if its circuit is forced, nor in the
    /// overflow.
    pub(super) counts: bool,
    /// Why it cannot be sent again, once that is known.
    pub(super) denial: Option<Denial>,
    /// Maximum number of retries.
    pub(super) most: u32,
    /// Number of retries made.
    pub(super) made: u32,
    /// Deadline of all attempts.
    pub(super) until: Instant,
    /// When the host gives up the last retry that was made.
    pub(super) attempt_until: Instant,
    /// The grant for the next attempt.
    pub(super) grant: Option<Grant>,
}

/// How a request uses its policy's fallbacks.
#[derive(Debug, Default)]
pub(super) struct FallbackUse {
    /// `None` as long as the request needs no fallback.
    pub(super) progress: Option<Box<FallbackProgress>>,
    /// Why no other cluster can be asked.
    pub(super) uncallable: Option<Skip>,
    /// Whether another cluster may be asked in place of a failed response.
    pub(super) may_call: bool,
    /// Whether the upstream's response was replaced, or is to be.
    pub(super) replaced: bool,
}

/// Why a request needs a fallback, and how far that has got.
#[derive(Debug)]
pub(super) struct FallbackProgress {
    pub(super) on: On,
    pub(super) retry_after: Span,
    /// The entry of `fallback` to try next.
    pub(super) next: usize,
    /// Whether the request was sent to another route.
    pub(super) diverted: bool,
}

/// What a request has to do with stored responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storing {
    /// Nothing.
    None,
    /// It may get one, and leave one if it is a GET.
    CacheRequest(Handle, Purpose),
    /// Its response is being recorded.
    Recording(Handle),
    /// It changes the resource with this URI.
    Change(u64),
}

impl Client {
    /// What a request that has no body yet says.
    pub(super) fn of(request: &impl Request, grpc: bool) -> Client {
        // Envoy's gRPC-JSON transcoder leaves the method of the request that it translated.
        let original = "x-envoy-original-method";
        Client {
            is_head: request.header(":method") == Some(b"HEAD"),
            transcoded: grpc && request.header(original).is_some(),
            ..Client::default()
        }
    }
}

impl Storing {
    /// The request, for the store.
    pub(super) fn handle(self) -> Option<Handle> {
        match self {
            Storing::CacheRequest(handle, _) | Storing::Recording(handle) => Some(handle),
            Storing::None | Storing::Change(_) => None,
        }
    }
}

/// Fields of a request that a response made here may repeat. Empty if the request has none.
#[derive(Debug, Default)]
pub struct EchoedFields {
    pub(super) path: Box<[u8]>,
    pub(super) request_id: Box<[u8]>,
    pub(super) accept: Box<[u8]>,
}

impl EchoedFields {
    /// Size in bytes. A client chooses how large the fields are, and how many such requests
    /// there are.
    pub fn bytes(&self) -> usize {
        let texts = [&self.path, &self.request_id, &self.accept];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        texts.saturating_add(size_of::<EchoedFields>())
    }

    pub(super) fn of(request: &impl Request) -> Box<EchoedFields> {
        let value = |name| request.header(name).unwrap_or_default().into();
        Box::new(EchoedFields {
            path: value(":path"),
            request_id: value("x-request-id"),
            accept: value("accept"),
        })
    }
}

impl Ticket {
    /// A ticket of a request whose circuit was not asked yet.
    pub(super) fn new(
        policy: usize,
        enforced: bool,
        timing: RequestTiming,
        watches: Watches,
    ) -> Ticket {
        Ticket {
            policy,
            enforced,
            decision: None,
            circuit: CircuitUse {
                state: StateName::Closed,
                admitted: None,
                waits: None,
                answered: false,
            },
            timing,
            client: Client::default(),
            watches,
            judged: Judged::default(),
            retry: Plan::None,
            fallback: FallbackUse::default(),
            stale: Storing::None,
        }
    }

    /// The ticket of a request without a policy that changes the resource with this URI. Its
    /// response is watched for that alone.
    pub(super) fn of_change(uri: u64, complete: bool, now: Instant) -> Ticket {
        let timing = RequestTiming {
            grpc: false,
            request_complete: complete,
            started: now,
            request_end: None,
            response_start: None,
            deadlines: None,
        };
        let watches = Watches {
            clock: false,
            response: true,
        };
        Ticket {
            stale: Storing::Change(uri),
            ..Ticket::new(NO_POLICY, false, timing, watches)
        }
    }

    /// Whether the engine needs to know when the request ended and when the response began. If
    /// not, the host's clock need not be read for them.
    pub fn watches_clock(&self) -> bool {
        self.watches.clock
    }

    /// Whether the engine has to see the response's headers.
    pub fn watches_response(&self) -> bool {
        self.watches.response || self.watches.clock
    }

    /// Number of retries that the host's router may make. `None` if nobody retries the request.
    pub(super) fn granted(&self) -> Option<u32> {
        match &self.retry {
            Plan::None => None,
            Plan::Router(grant) => Some(grant.as_ref().map_or(0, Grant::retries)),
            Plan::Filter(_) => Some(0),
        }
    }

    /// Whether a copy of the request is needed, to be sent again or to another cluster.
    pub(super) fn wants_copy(&self) -> bool {
        let again = matches!(&self.retry, Plan::Filter(series) if series.denial.is_none());
        again || (self.fallback.may_call && self.fallback.uncallable.is_none())
    }

    /// Notes that there is no copy of the request that could be sent.
    pub fn spoil(&mut self, denial: Denial) {
        if let Plan::Filter(series) = &mut self.retry {
            series.denial = Some(denial);
        }
        self.fallback.uncallable = Some(Skip::without_copy(denial));
    }

    /// Takes the echoed fields, to be saved elsewhere until the response's headers come.
    pub fn take_saved(&mut self) -> Option<Box<EchoedFields>> {
        self.client.echo.take()
    }

    /// Gives back what [`Ticket::take_saved`] took.
    pub fn give_saved(&mut self, saved: Box<EchoedFields>) {
        self.client.echo = Some(saved);
    }

    /// Whether the client has sent its whole request.
    pub fn is_complete(&self) -> bool {
        self.timing.request_complete
    }

    /// Whether a response to it has no body, if the engine may answer.
    pub fn is_head(&self) -> bool {
        self.client.is_head
    }

    /// Whether the request was rejected: a response to it is not its upstream's.
    pub fn is_rejected(&self) -> bool {
        let progress = self.fallback.progress.as_ref();
        progress.is_some_and(|it| it.on == On::Open)
    }

    /// Notes that a part of the request's body has come, or trailers: its response is for no
    /// other request.
    pub fn body_came(&mut self) {
        self.client.has_body = true;
    }

    /// Whether the request is known to have no body.
    pub(super) fn is_bodiless(&self) -> bool {
        self.timing.request_complete && !self.client.has_body
    }

    /// Whether the response's body is being recorded.
    pub fn is_keeping(&self) -> bool {
        matches!(self.stale, Storing::Recording(_))
    }

    /// The position and the permit, if the request is a probe.
    pub(super) fn probe(&self) -> Option<(u32, &Permit)> {
        let Admitted { at, permit } = self.circuit.admitted.as_ref()?;
        let permit = permit.as_ref().filter(|permit| permit.is_probe())?;
        Some((*at, permit))
    }
}
