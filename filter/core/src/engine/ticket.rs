//! What the engine hands out about one request: its admission, its ticket, the note
//! for the access log.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::circuit::breaker::{Permit, StateName};
use crate::circuit::budget::Grant;
use crate::fallback::{Answer, Skip};
use crate::outcome::classify::{RequestTiming, Verdict};
use crate::policy::On;
use crate::retry::Denial;
use crate::select::Request;
use crate::stale::{Handle, Purpose};
use crate::time::{Instant, Span};

#[cfg(doc)]
use super::Engine;

/// What becomes of a request at its headers.
#[derive(Debug)]
pub enum Admission {
    /// The filter has nothing to do with it: no policy is for it, and it changes nothing that
    /// may be stored.
    Unmatched,
    /// It passes; the ticket wants to be settled.
    Pass(Box<Ticket>),
    /// It does not get to its upstream, and this is what becomes of it. The ticket wants to be
    /// settled all the same.
    Reject(Box<Ticket>, Step),
}

/// What was decided about a request, where that was something else than "pass".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionNote {
    pub(super) policy: usize,
    /// The circuit's state as the request met it.
    pub state: StateName,
    /// What was decided.
    pub decision: Decision,
}

/// What can be decided about a request, besides letting it pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was rejected.
    Reject,
    /// It would have been, but the mode let it through.
    WouldReject,
    /// It passed as a probe.
    Probe,
    /// It was rejected, and sent elsewhere.
    Divert,
    /// Its upstream's answer was replaced.
    Fallback,
    /// It was sent again, and has the answer to that.
    Retry,
}

/// Headers of an answer: names in lower case, and values without control characters.
pub type Pairs = Vec<(String, Vec<u8>)>;

/// What becomes of a request that was rejected, or of a response.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The response is handed on.
    Pass,
    /// The response is handed on with these headers, which it has from nobody else.
    Label(Pairs),
    /// This is the answer.
    Answer(Answer),
    /// It is held back: after this time the request is sent again, by
    /// [`Engine::replay`].
    Retry(Span),
    /// It is held back: the request is sent to where [`Engine::call`] says, and what comes
    /// of that is for [`Engine::called`].
    Call,
    /// The answer of the call that was made is handed on.
    HandOn {
        /// Headers that it has from nobody else.
        labels: Pairs,
        /// What access logs show as response code details.
        details: &'static str,
    },
    /// The request goes on with the header of [`Engine::route`].
    Divert,
}

/// What the host's router has to be told about retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryHeaders<'a> {
    /// Most retries.
    pub max_retries: u32,
    /// A header that says what is retried, and its words.
    pub conditions: Option<(&'static str, &'a str)>,
    /// How long one attempt may take.
    pub per_try_timeout: Option<Span>,
}

impl Decision {
    /// The word for it in access logs.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Reject => "reject",
            Decision::WouldReject => "would_reject",
            Decision::Probe => "probe",
            Decision::Divert => "divert",
            Decision::Fallback => "fallback",
            Decision::Retry => "retry",
        }
    }
}

/// A request that passed or was rejected, and what is known of it so far.
///
/// To be given to [`Engine::settle`], or to [`Engine::abandon`] where the host says
/// nothing of how the request ended.
#[must_use = "an unsettled ticket keeps its key in use"]
#[derive(Debug)]
pub struct Ticket {
    pub(super) policy: usize,
    pub(super) admitted: Option<Admitted>,
    pub(super) enforced: bool,
    pub(super) state: StateName,
    pub(super) decision: Option<Decision>,
    pub(super) course: RequestTiming,
    /// Whether the method is HEAD, where that matters.
    pub(super) is_head: bool,
    /// Whether a filter in front has made the request gRPC, and its client expects HTTP.
    pub(super) transcoded: bool,
    pub(super) watches_clock: bool,
    pub(super) watches_response: bool,
    pub(super) echo: Option<Box<EchoedFields>>,
    pub(super) plan: Plan,
    /// Whether its outcome is in the metrics.
    pub(super) counted: bool,
    /// The verdict by the response's headers, where those were looked at.
    pub(super) seen: Option<Verdict>,
    /// Whether it is a probe that the upstream has answered, whatever the answer says.
    pub(super) answered: bool,
    /// Its place among the requests that wait for their upstreams.
    pub(super) waits: Option<u32>,
    /// Whether the upstream's answer was replaced, or is to be.
    pub(super) replaced: bool,
    /// Why it needs an answer, if it does.
    pub(super) trouble: Option<Box<FallbackProgress>>,
    /// Why no other cluster can be asked for one.
    pub(super) uncallable: Option<Skip>,
    /// Whether one may be asked in place of a failed answer.
    pub(super) may_call: bool,
    /// Its part in the stale cache, if it has one.
    pub(super) storing: Storing,
    /// Whether some of its body has come, or trailers.
    pub(super) has_body: bool,
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
    /// It changes what this URI names.
    Change(u64),
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

/// Why a request needs an answer, and how far that has got.
#[derive(Debug)]
pub(super) struct FallbackProgress {
    pub(super) on: On,
    pub(super) retry_after: Span,
    /// The entry of `fallback` that has its turn next.
    pub(super) next: usize,
    /// Whether the request was sent elsewhere.
    pub(super) diverted: bool,
}

#[derive(Debug)]
pub(super) struct Admitted {
    /// Where the key stands in its table.
    pub(super) at: u32,
    /// By which the outcome counts; absent where it counts for nothing, or did already.
    pub(super) permit: Option<Permit>,
}

/// What is done about sending a request again.
#[derive(Debug)]
pub(super) enum Plan {
    /// Nothing: the policy has no `retry`.
    None,
    /// The host's router does it, at most as often as was granted.
    Router(Option<Grant>),
    /// The filter does it.
    Filter(Box<Series>),
}

/// A request that the filter may send again.
#[derive(Debug)]
pub(super) struct Series {
    /// Whether its attempts count for the breaker: not where its circuit is forced, nor in
    /// the overflow.
    pub(super) counts: bool,
    /// Why it cannot be, once that is known.
    pub(super) spoilt: Option<Denial>,
    /// Most retries.
    pub(super) most: u32,
    /// Those that were made.
    pub(super) made: u32,
    /// When all has to be over.
    pub(super) until: Instant,
    /// What the next one is paid from.
    pub(super) grant: Option<Grant>,
}

/// What an answer may repeat of its request; empty where none does.
#[derive(Debug, Default)]
pub struct EchoedFields {
    pub(super) path: Box<[u8]>,
    pub(super) request_id: Box<[u8]>,
    pub(super) accept: Box<[u8]>,
}

impl EchoedFields {
    /// The bytes that it takes. A client chooses how many that are, and how many such requests
    /// there are.
    pub fn bytes(&self) -> usize {
        let texts = [&self.path, &self.request_id, &self.accept];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        texts.saturating_add(size_of::<EchoedFields>())
    }

    /// Reads what answers repeat.
    pub(super) fn of(request: &impl Request) -> Box<EchoedFields> {
        let value = |name| request.header(name).unwrap_or_default().into();
        Box::new(EchoedFields {
            path: value(":path"),
            request_id: value("x-request-id"),
            accept: value("accept"),
        })
    }
}

/// The place of no policy.
pub(super) const NO_POLICY: usize = usize::MAX;

impl Ticket {
    /// Of a request that no policy is for and that changes what this URI names. Its response
    /// is looked at for that alone.
    pub(super) fn of_change(uri: u64, complete: bool, now: Instant) -> Ticket {
        Ticket {
            policy: NO_POLICY,
            admitted: None,
            enforced: false,
            state: StateName::Closed,
            decision: None,
            course: RequestTiming {
                grpc: false,
                request_complete: complete,
                started: now,
                request_end: None,
                response_start: None,
                deadlines: None,
            },
            is_head: false,
            transcoded: false,
            watches_clock: false,
            watches_response: true,
            trouble: None,
            uncallable: None,
            may_call: false,
            storing: Storing::Change(uri),
            has_body: false,
            echo: None,
            plan: Plan::None,
            counted: false,
            seen: None,
            answered: false,
            waits: None,
            replaced: false,
        }
    }

    /// Whether it matters when the request ended and when the response began: where
    /// not, the host's clock need not be read for them.
    pub fn watches_clock(&self) -> bool {
        self.watches_clock
    }

    /// Whether [`Engine::response_headers`] must be called.
    pub fn watches_response(&self) -> bool {
        self.watches_response || self.watches_clock
    }

    /// Asks for [`Engine::response_headers`], so that [`Engine::abandon`] has
    /// something to go by on a host that may never say how the request ended.
    pub fn watch_response(&mut self) {
        self.watches_response = true;
    }

    /// Whether a copy of the request has to be kept, to be sent again or elsewhere.
    pub fn wants_copy(&self) -> bool {
        let again = matches!(&self.plan, Plan::Filter(series) if series.spoilt.is_none());
        again || (self.may_call && self.uncallable.is_none())
    }

    /// Notes that there is no copy of the request that could be sent.
    pub fn spoil(&mut self, denial: Denial) {
        if let Plan::Filter(series) = &mut self.plan {
            series.spoilt = Some(denial);
        }
        self.uncallable = Some(Skip::without_copy(denial));
    }

    /// Takes what is saved of the request for placeholders, to be kept elsewhere until
    /// [`Engine::response_headers`] is called.
    pub fn take_saved(&mut self) -> Option<Box<EchoedFields>> {
        self.echo.take()
    }

    /// Gives back what [`Ticket::take_saved`] took.
    pub fn give_saved(&mut self, saved: Box<EchoedFields>) {
        self.echo = Some(saved);
    }

    /// Whether the client has sent its whole request.
    pub fn is_complete(&self) -> bool {
        self.course.request_complete
    }

    /// Whether no response has a body, as far as [`Engine::response_headers`] may answer.
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// Notes what a response made here depends on, besides its policy.
    pub(super) fn note_client(&mut self, request: &impl Request) {
        self.is_head = request.header(":method") == Some(b"HEAD");
        // Envoy's gRPC-JSON transcoder leaves the method of the request that it translated.
        let original = "x-envoy-original-method";
        self.transcoded = self.course.grpc && request.header(original).is_some();
    }

    /// Whether the filter answers the request, or had it answered elsewhere: then what comes
    /// back is nothing that was asked of the upstream.
    pub fn is_rejected(&self) -> bool {
        self.trouble.as_ref().is_some_and(|it| it.on == On::Open)
    }

    /// Notes that some of the request's body has come, or trailers: its response is for no
    /// other request.
    pub fn body_came(&mut self) {
        self.has_body = true;
    }

    /// Whether it is known to have no body.
    pub(super) fn is_bodiless(&self) -> bool {
        self.course.request_complete && !self.has_body
    }

    /// Whether the response's body is wanted by [`Engine::collect`].
    pub fn is_keeping(&self) -> bool {
        matches!(self.storing, Storing::Recording(_))
    }

    /// The permit, if the request is a probe.
    pub(super) fn probe(&self) -> Option<(u32, &Permit)> {
        let Admitted { at, permit } = self.admitted.as_ref()?;
        let permit = permit.as_ref().filter(|permit| permit.is_probe())?;
        Some((*at, permit))
    }

    /// What was decided, if that was something else than "pass".
    pub fn note(&self) -> Option<DecisionNote> {
        self.decision.map(|decision| DecisionNote {
            policy: self.policy,
            state: self.state,
            decision,
        })
    }
}
