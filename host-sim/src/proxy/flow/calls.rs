//! Callbacks for responses to a plugin's calls, and for their failures.

use std::rc::Rc;

use bytes::Bytes;

use super::{Flow, count};
use crate::grpc;
use crate::headers::HeaderMap;
use crate::proxy::ids::CallId;
use crate::proxy::process::call::{CallKind, CallOutcome, OpenCall};
use crate::proxy::process::counts::Callback;
use crate::proxy::vm::{Incoming, Root, Status, Vm};

impl Flow<'_> {
    /// Handles what comes back on a call.
    pub(crate) fn response(&mut self, call: CallId, open: OpenCall, outcome: CallOutcome) {
        if !self.knows_root(open.root) {
            return;
        }
        match (open.kind, outcome) {
            (
                CallKind::Http,
                CallOutcome::Response {
                    headers,
                    body,
                    trailers,
                },
            ) => {
                self.forget_call(call, open);
                self.http_response(open, headers, body, trailers);
            }
            (CallKind::Http, CallOutcome::Reset) => {
                self.forget_call(call, open);
                self.http_reset(open);
            }
            (CallKind::Grpc | CallKind::GrpcStream, CallOutcome::Message(message)) => {
                self.grpc_message(call, open, message);
            }
            (CallKind::GrpcStream, CallOutcome::InitialMetadata(map)) => {
                self.grpc_initial_metadata(open, map);
            }
            (CallKind::GrpcStream, CallOutcome::TrailingMetadata(map)) => {
                self.grpc_trailing_metadata(open, map);
            }
            (CallKind::Grpc | CallKind::GrpcStream, CallOutcome::Closed { status, message }) => {
                self.grpc_closed(call, open, status, message);
            }
            // No other outcome fits the kind of call.
            _ => {}
        }
    }

    fn forget_call(&mut self, call: CallId, open: OpenCall) {
        self.process.calls.remove(&call);
        if let Some(vm) = self.vm.as_deref_mut() {
            vm.state_mut().calls.remove(&open.token);
        }
    }

    fn incoming(&mut self, incoming: Incoming) {
        if let Some(vm) = self.vm.as_deref_mut() {
            vm.state_mut().incoming = incoming;
        }
    }

    fn http_response(
        &mut self,
        open: OpenCall,
        headers: HeaderMap,
        body: Bytes,
        trailers: HeaderMap,
    ) {
        let params = (
            open.root,
            open.token,
            count(headers.len()),
            count(body.len()),
            count(trailers.len()),
        );
        let http = Some((headers, body, trailers));
        self.incoming(Incoming {
            http,
            ..Incoming::default()
        });
        let which = Callback::HttpCallResponse;
        self.root_without_deferred(which, open.root, |x| &x.http_call_response, params);
        self.incoming(Incoming::default());
        self.after_guest();
    }

    fn http_reset(&mut self, open: OpenCall) {
        self.set_status(open.root, Status::BrokenConnection as u32, "reset".into());
        let params = (open.root, open.token, 0, 0, 0);
        let which = Callback::HttpCallResponse;
        self.root_without_deferred(which, open.root, |x| &x.http_call_response, params);
        self.clear_message(open.root);
        self.after_guest();
    }

    fn grpc_message(&mut self, call: CallId, open: OpenCall, message: Bytes) {
        if open.kind == CallKind::Grpc {
            self.forget_call(call, open);
        }
        let params = (open.root, open.token, count(message.len()));
        self.incoming(Incoming {
            message: Some(message),
            ..Incoming::default()
        });
        self.root_without_deferred(
            Callback::GrpcReceive,
            open.root,
            |x| &x.grpc_receive,
            params,
        );
        self.incoming(Incoming::default());
        self.after_guest();
    }

    fn grpc_initial_metadata(&mut self, open: OpenCall, map: HeaderMap) {
        let params = (open.root, open.token, count(map.len()));
        self.incoming(Incoming {
            initial_metadata: Some(map),
            ..Incoming::default()
        });
        let which = Callback::GrpcReceiveInitialMetadata;
        self.root(
            which,
            open.root,
            |x| &x.grpc_receive_initial_metadata,
            params,
        );
        self.incoming(Incoming::default());
    }

    fn grpc_trailing_metadata(&mut self, open: OpenCall, map: HeaderMap) {
        let params = (open.root, open.token, count(map.len()));
        self.incoming(Incoming {
            trailing_metadata: Some(map),
            ..Incoming::default()
        });
        let which = Callback::GrpcReceiveTrailingMetadata;
        self.root(
            which,
            open.root,
            |x| &x.grpc_receive_trailing_metadata,
            params,
        );
        self.incoming(Incoming::default());
    }

    /// A gRPC stream stays open until the guest has closed its side, too.
    fn grpc_closed(&mut self, call: CallId, open: OpenCall, status: u32, message: Rc<str>) {
        if open.kind == CallKind::Grpc || open.closed_here {
            self.forget_call(call, open);
        } else if let Some(open) = self.process.calls.get_mut(&call) {
            open.closed_there = true;
        }
        self.set_status(open.root, status, message);
        let params = (open.root, open.token, status);
        self.root_without_deferred(Callback::GrpcClose, open.root, |x| &x.grpc_close, params);
        self.clear_message(open.root);
        self.after_guest();
    }

    /// Handles a gRPC call that failed at once. Envoy sets the status and calls back with a
    /// token that the guest never got.
    pub(crate) fn grpc_refused(&mut self, root: u32, token: u32) {
        self.set_status(root, grpc::UNAVAILABLE, "no healthy upstream".into());
        let params = (root, token, grpc::UNAVAILABLE);
        self.root_without_deferred(Callback::GrpcClose, root, |x| &x.grpc_close, params);
        self.clear_message(root);
    }

    fn root_entry(&mut self, root: u32) -> Option<&mut Root> {
        let vm: &mut Vm = self.vm.as_deref_mut()?;
        vm.state_mut().roots.get_mut(&root)
    }

    fn set_status(&mut self, root: u32, status: u32, message: Rc<str>) {
        if let Some(root) = self.root_entry(root) {
            (root.status, root.status_message) = (status, message);
        }
    }

    fn clear_message(&mut self, root: u32) {
        if let Some(root) = self.root_entry(root) {
            root.status_message = "".into();
        }
    }
}
