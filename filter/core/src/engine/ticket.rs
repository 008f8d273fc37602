//! What the engine hands out about one request: its admission, its ticket, the note
//! for the access log.

use alloc::boxed::Box;

use crate::breaker::{Permit, StateName};
use crate::budget::Grant;
use crate::classify::{Course, Verdict};
use crate::fallback::Answer;
use crate::retry::Denial;
use crate::select::Request;
use crate::time::{Instant, Span};

#[cfg(doc)]
use super::Engine;

/// What becomes of a request at its headers.
#[derive(Debug)]
pub enum Admission {
    /// No policy is for it: the filter has nothing to do with it.
    Unmatched,
    /// It passes; the ticket wants to be settled.
    Pass(Ticket),
    /// It is answered here.
    Reject(Answer, Note),
}

/// What was decided about a request, where that was something else than "pass".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
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
    /// Its upstream's answer was replaced.
    Fallback,
    /// It was sent again, and has the answer to that.
    Retry,
}

/// What becomes of a response.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It is handed on.
    Pass,
    /// This is the answer in its place.
    Answer(Answer),
    /// It is held back: after this time the request is sent again, by
    /// [`Engine::replay`].
    Retry(Span),
}

/// What the host's router has to be told about retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order<'a> {
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
            Decision::Fallback => "fallback",
            Decision::Retry => "retry",
        }
    }
}

/// A request that passed, and what is known of it so far.
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
    pub(super) course: Course,
    pub(super) watches_clock: bool,
    pub(super) watches_response: bool,
    pub(super) echo: Echo,
    pub(super) plan: Plan,
    /// The verdict by the response's headers, where those were looked at.
    pub(super) seen: Option<Verdict>,
    /// Whether the upstream's answer was replaced.
    pub(super) replaced: bool,
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
pub(super) struct Echo {
    pub(super) path: Box<[u8]>,
    pub(super) request_id: Box<[u8]>,
}

impl Echo {
    /// Reads what answers repeat, if any does.
    pub(super) fn wanted(wanted: bool, request: &impl Request) -> Echo {
        if !wanted {
            return Echo::default();
        }
        let value = |name| request.header(name).unwrap_or_default().into();
        Echo {
            path: value(":path"),
            request_id: value("x-request-id"),
        }
    }
}

impl Ticket {
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

    /// Whether a copy of the request has to be kept, to be sent again.
    pub fn wants_copy(&self) -> bool {
        matches!(&self.plan, Plan::Filter(series) if series.spoilt.is_none())
    }

    /// Notes that there is no copy of the request that could be sent again.
    pub fn spoil(&mut self, denial: Denial) {
        if let Plan::Filter(series) = &mut self.plan {
            series.spoilt = Some(denial);
        }
    }

    /// The permit, if the request is a probe.
    pub(super) fn probe(&self) -> Option<(u32, &Permit)> {
        let Admitted { at, permit } = self.admitted.as_ref()?;
        let permit = permit.as_ref().filter(|permit| permit.is_probe())?;
        Some((*at, permit))
    }

    /// What was decided, if that was something else than "pass".
    pub fn note(&self) -> Option<Note> {
        self.decision.map(|decision| Note {
            policy: self.policy,
            state: self.state,
            decision,
        })
    }
}
