//! Calls that plugins make to clusters, over the network.

mod common;
mod grpc;
mod http;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;

use super::engine::Engine;
use super::pipe::{Pipe, PipeBody, pipe, whole};
use super::upstream::Upstream;
use crate::model::cause::LocalCause;
use crate::model::outgoing::Unwritable;
use crate::proxy::{Call, CallId, CallKind, CallOutcome, Effect};
use common::answer;

/// Clusters by their names.
pub(super) type Clusters = HashMap<String, Rc<Upstream>>;

type OpenCalls = Rc<RefCell<HashMap<CallId, Open>>>;

/// A call without a response so far.
struct Open {
    task: AbortHandle,
    /// gRPC stream: where the plugin's messages go.
    messages: Option<Pipe>,
}

/// Makes the calls that `effects` ask for.
pub(super) async fn run(
    engine: Rc<Engine>,
    clusters: Clusters,
    mut effects: UnboundedReceiver<Effect>,
) {
    let open = OpenCalls::default();
    while let Some(effect) = effects.recv().await {
        match effect {
            Effect::Call(call) => {
                let upstream = clusters.get(&*call.cluster).cloned();
                begin(&engine, &open, upstream, call);
            }
            Effect::SendMessage { call, data, end } => send(&open, call, &data, end),
            Effect::CancelCall { call } => {
                if let Some(open) = open.borrow_mut().remove(&call) {
                    open.task.abort();
                }
            }
            Effect::ToUpstream { .. }
            | Effect::ToClient { .. }
            | Effect::CancelUpstream { .. }
            | Effect::ResetClient { .. } => {}
        }
    }
}

fn begin(engine: &Rc<Engine>, open: &OpenCalls, upstream: Option<Rc<Upstream>>, call: Call) {
    let (messages, body) = request_body(&call);
    let (id, engine, calls) = (call.call, engine.clone(), open.clone());
    let task = tokio::task::spawn_local(async move {
        make(&engine, upstream, &call, body).await;
        calls.borrow_mut().remove(&id);
    });
    let task = task.abort_handle();
    open.borrow_mut().insert(id, Open { task, messages });
}

async fn make(engine: &Rc<Engine>, upstream: Option<Rc<Upstream>>, call: &Call, body: PipeBody) {
    if let Some(why) = Unwritable::find(&call.headers) {
        return answer(engine, call.call, why.outcome(call.kind));
    }
    let permit = upstream.as_ref().and_then(Upstream::permit);
    match (upstream.filter(|_| permit.is_some()), call.kind) {
        (None, CallKind::Http) => answer(engine, call.call, CallOutcome::refused()),
        (None, _) => answer(engine, call.call, grpc::failed(LocalCause::Overflow)),
        (Some(upstream), CallKind::Http) => {
            let outcome = http::call(&upstream, call, body).await;
            answer(engine, call.call, outcome);
        }
        (Some(upstream), _) => grpc::call(engine, &upstream, call, body).await,
    }
}

/// Sends a message on a gRPC stream. An end without a message only ends it.
fn send(open: &OpenCalls, call: CallId, data: &Bytes, end: bool) {
    let open = open.borrow();
    let Some(messages) = open.get(&call).and_then(|it| it.messages.as_ref()) else {
        return;
    };
    if !(end && data.is_empty()) {
        messages.push(grpc::frame(data));
    }
    if end {
        messages.end();
    }
}

fn request_body(call: &Call) -> (Option<Pipe>, PipeBody) {
    match call.kind {
        CallKind::Http => (None, whole(call.body.clone())),
        CallKind::Grpc => (None, whole(grpc::frame(&call.body))),
        CallKind::GrpcStream => {
            let (messages, body) = pipe();
            (Some(messages), body)
        }
    }
}
