//! The state of a plugin test that is being played.

use std::collections::{BTreeMap, VecDeque};

use crate::framing::Reading;
use crate::grpc;
use crate::headers::HeaderMap;
use crate::model::outgoing::Unwritable;
use crate::proxy::{CallId, CallKind, Part};
use crate::sim::clock::Time;
use crate::sim::queue::Queue;
use crate::trial::chain::Chain;
use crate::trial::mock::{Answer, Mock, Mocks};
use crate::trial::transcript::{Ending, Message, StepTranscript};

/// A plugin test that is being played.
pub(super) struct Player<'a> {
    pub chain: Chain,
    pub mocks: Mocks<'a>,
    pub now: Time,
    pub queue: Queue<Event>,
    /// Parts of the response that the plugins get next, at the same time.
    pub feeds: VecDeque<Part>,
    pub router: Router,
    pub callouts: BTreeMap<(usize, CallId), OpenCallout>,
    pub step: StepTranscript,
    /// The response, as the client reads it.
    pub response_read: Reading,
    /// Whether the client has the whole response.
    pub is_done: bool,
    /// Number of the step.
    pub steps: u64,
    /// Number of the request. An event with another number is too late.
    pub stream: u64,
    pub last_byte: Time,
    /// Number of local replies that the request got for being idle.
    pub idle_replies: u32,
    /// Number of events in the step.
    pub events: u32,
    pub ending: Option<Ending>,
}

/// What happens later. The numbers are those of requests.
pub(super) enum Event {
    Answer(u64),
    RouteTimeout(u64),
    Idle(u64),
    CalloutAnswer(usize, CallId),
    CalloutTimeout(usize, CallId),
}

/// A call without an answer so far.
pub(super) struct OpenCallout {
    pub kind: CallKind,
    pub is_head: bool,
    pub answer: Answer,
    /// Why it is not written, if that is so.
    pub unwritable: Option<Unwritable>,
    pub cluster: String,
    /// Number of the step that began it, and its index in the transcript of that step.
    pub step: u64,
    pub at: usize,
}

/// The router's part of one request.
#[derive(Default)]
pub(super) struct Router {
    pub is_grpc: bool,
    pub is_head: bool,
    /// The request, as the upstream reads it.
    pub request_read: Reading,
    pub state: State,
}

#[derive(Default)]
pub(super) enum State {
    /// The plugins have the request.
    #[default]
    Waiting,
    /// The upstream has a part of it.
    Receiving(Message),
    /// The upstream has the request, since this time.
    Sent(Answer, Time),
    /// The response has begun, or is no longer wanted.
    Done,
}

impl Router {
    /// Creates the router's part of a request with these headers.
    pub(super) fn new(headers: &HeaderMap) -> Router {
        Router {
            is_grpc: grpc::is_request(headers),
            is_head: headers.text(":method") == Some("HEAD"),
            request_read: Reading::default(),
            state: State::Waiting,
        }
    }

    /// Ends the router's work.
    pub(super) fn cancel(&mut self) {
        self.state = State::Done;
    }
}

impl<'a> Player<'a> {
    /// Creates the state at the start.
    pub(super) fn new(chain: Chain, mocks: &'a [Mock]) -> Player<'a> {
        Player {
            chain,
            mocks: Mocks::new(mocks),
            now: Time::ZERO,
            queue: Queue::default(),
            feeds: VecDeque::new(),
            router: Router::default(),
            callouts: BTreeMap::new(),
            step: StepTranscript::default(),
            response_read: Reading::default(),
            is_done: true,
            steps: 0,
            stream: 0,
            last_byte: Time::ZERO,
            idle_replies: 0,
            events: 0,
            ending: None,
        }
    }
}
