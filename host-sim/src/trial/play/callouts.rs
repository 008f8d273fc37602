//! Calls of plugins to clusters, and their mocked answers.

use bytes::Bytes;

use super::router::{broken, headers};
use super::state::{Event, OpenCallout, Player};
use crate::grpc::{UNAVAILABLE, failure, status_of_plain};
use crate::headers::HeaderMap;
use crate::model::outgoing::Unwritable;
use crate::proxy::{Call, CallId, CallKind, CallOutcome};
use crate::trial::chain::VIA_UPSTREAM;
use crate::trial::file::Reset;
use crate::trial::mock::{Answer, Grpc};
use crate::trial::transcript::{Callout, Message, What};

/// Status of a call for which there is no mock.
const NO_MOCK: u16 = 404;

impl Player<'_> {
    pub(super) fn begin_callout(&mut self, plugin: usize, call: Call) {
        let unwritable = Unwritable::find(&call.headers);
        let path = call.headers.text(":path").unwrap_or_default();
        // A call that is not written reaches no service, so it takes no mock's turn.
        let answer = match &unwritable {
            Some(_) => Some(Answer::bare(503)),
            None => self.mocks.answer(&call.cluster, path),
        };
        let answer = answer.unwrap_or_else(|| Answer {
            chunks: vec![Bytes::from_static(b"no mock fits")],
            ..Answer::bare(NO_MOCK)
        });
        let at = self.step.callouts.len();
        self.queue.push(
            self.now + answer.delay,
            Event::CalloutAnswer(plugin, call.call),
        );
        if let Some(timeout) = call.timeout {
            let timed_out = Event::CalloutTimeout(plugin, call.call);
            self.queue.push(self.now + timeout, timed_out);
        }
        let open = OpenCallout {
            kind: call.kind,
            is_head: call.headers.text(":method") == Some("HEAD"),
            answer,
            unwritable,
            cluster: call.cluster.to_string(),
            step: self.steps,
            at,
        };
        self.callouts.insert((plugin, call.call), open);
        self.step.callouts.push(Callout {
            plugin,
            cluster: call.cluster.to_string(),
            request: Message {
                headers: call.headers,
                body: call.body,
                trailers: call.trailers,
                fault: None,
            },
            answer: None,
            response: None,
        });
        self.push(What::Callout(at));
    }

    pub(super) fn time_out_callout(&mut self, plugin: usize, call: CallId) {
        let Some(open) = self.callouts.remove(&(plugin, call)) else {
            return;
        };
        self.note_answer(&open, "timed out".into());
        let outcome = match open.kind {
            CallKind::Http => CallOutcome::timed_out(),
            CallKind::Grpc | CallKind::GrpcStream => {
                let message = failure("upstream request timeout", "response_timeout").into();
                let status = UNAVAILABLE;
                CallOutcome::Closed { status, message }
            }
        };
        self.chain.answer_call(plugin, call, outcome);
    }

    pub(super) fn answer_callout(&mut self, plugin: usize, call: CallId) {
        let Some(open) = self.callouts.remove(&(plugin, call)) else {
            return;
        };
        if let Some(why) = &open.unwritable {
            self.note_answer(&open, "503".into());
            return self.chain.answer_call(plugin, call, why.outcome(open.kind));
        }
        let grpc = open.answer.grpc.as_ref();
        let grpc = grpc.filter(|_| open.kind != CallKind::Http);
        let text = match (open.answer.reset, grpc) {
            (Some(Reset::Connect), _) => "connection refused".into(),
            (Some(_), _) => "reset".into(),
            (None, Some(grpc)) => format!("grpc-status {}", grpc.status),
            (None, None) => open.answer.status.to_string(),
        };
        self.note_answer(&open, text);
        if let Some(callout) = self.noted(&open) {
            callout.response = response(&open);
        }
        let outcomes = match open.kind {
            CallKind::Http => vec![http(&open)],
            CallKind::Grpc => vec![unary(&open.answer)],
            CallKind::GrpcStream => stream(&open.answer),
        };
        for outcome in outcomes {
            self.chain.answer_call(plugin, call, outcome);
            self.note();
        }
    }

    fn note_answer(&mut self, open: &OpenCallout, answer: String) {
        if let Some(callout) = self.noted(open) {
            callout.answer.get_or_insert_with(|| answer.clone());
        }
        let cluster = open.cluster.clone();
        self.push(What::CalloutAnswer { cluster, answer });
    }

    /// Returns the record of a call, if this step began it.
    fn noted(&mut self, open: &OpenCallout) -> Option<&mut Callout> {
        let of_this_step = open.step == self.steps;
        let callout = self.step.callouts.get_mut(open.at);
        callout.filter(|_| of_this_step)
    }
}

/// Returns the answer to a call: the whole body, or messages without their prefix if it is a call
/// of gRPC. `None` if the answer breaks off.
fn response(open: &OpenCallout) -> Option<Message> {
    let answer = &open.answer;
    let (body, trailers) = match (open.kind, &answer.grpc) {
        (CallKind::Http, _) if open.is_head => Default::default(),
        (CallKind::Grpc | CallKind::GrpcStream, Some(grpc)) => {
            (grpc.messages.concat().into(), answer.all_trailers())
        }
        (_, _) => (answer.body(), answer.all_trailers()),
    };
    answer.reset.is_none().then(|| Message {
        headers: headers(answer, answer.delay.as_ms()),
        body,
        trailers: trailers.into_iter().collect(),
        fault: None,
    })
}

fn http(open: &OpenCallout) -> CallOutcome {
    match (open.answer.reset, response(open)) {
        (Some(Reset::Connect), _) => CallOutcome::refused(),
        (Some(Reset::BeforeHeaders), _) => CallOutcome::terminated(),
        (Some(Reset::AfterHeaders), _) | (None, None) => CallOutcome::Reset,
        (None, Some(message)) => CallOutcome::Response {
            headers: message.headers,
            body: message.body,
            trailers: message.trailers,
        },
    }
}

fn unary(answer: &Answer) -> CallOutcome {
    match grpc(answer) {
        Grpc {
            status: 0,
            messages,
            ..
        } => CallOutcome::Message(messages.into_iter().next().unwrap_or_default()),
        failed => closed(answer, failed),
    }
}

fn stream(answer: &Answer) -> Vec<CallOutcome> {
    let mut ending = grpc(answer);
    let messages = std::mem::take(&mut ending.messages);
    let mut outcomes = Vec::new();
    if answer.reset.is_none() {
        let headers = headers(answer, answer.delay.as_ms());
        outcomes.push(CallOutcome::InitialMetadata(headers));
        outcomes.extend(messages.into_iter().map(CallOutcome::Message));
        let trailers = match answer.grpc {
            Some(_) => answer.all_trailers().into_iter().collect(),
            None => HeaderMap::default(),
        };
        outcomes.push(CallOutcome::TrailingMetadata(trailers));
    }
    outcomes.push(closed(answer, ending));
    outcomes
}

/// Returns the gRPC answer of a mock. A reset and an answer of plain HTTP are failures.
fn grpc(answer: &Answer) -> Grpc {
    let failed = |status, message: &str| Grpc {
        status,
        message: message.into(),
        messages: Vec::new(),
    };
    match (&answer.reset, &answer.grpc) {
        (Some(reset), _) => failed(UNAVAILABLE, broken(*reset).1),
        (None, Some(grpc)) if answer.status == 200 => grpc.clone(),
        (None, _) => failed(status_of_plain(answer.status, &answer.body()), ""),
    }
}

/// Returns the end of a call. The message of a failure has the details of the response.
fn closed(answer: &Answer, ending: Grpc) -> CallOutcome {
    let details = match answer.reset {
        Some(reset) => broken(reset).0,
        None => VIA_UPSTREAM,
    };
    let message = match ending.status {
        0 => ending.message,
        _ => failure(&ending.message, details),
    };
    CallOutcome::Closed {
        status: ending.status,
        message: message.into(),
    }
}
