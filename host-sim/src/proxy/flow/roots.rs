//! Callbacks of root contexts: configuration, ticks, queues, answers to calls.

use std::rc::Rc;

use bytes::Bytes;
use wasmtime::{TypedFunc, WasmParams, WasmResults};

use super::Flow;
use crate::headers::HeaderMap;
use crate::proxy::process::OpenCall;
use crate::proxy::vm::{Exports, Incoming, Owner, Root, RootPhase, Status, Vm};
use crate::proxy::{CallId, CallKind, CallOutcome, Callback};

const NOT_STARTED: &str = "Failed to start base Wasm";
const NOT_CONFIGURED: &str = "Failed to configure base Wasm plugin";

impl Flow<'_> {
    /// Makes a root context and hands it the configuration.
    ///
    /// # Errors
    ///
    /// Envoy's text, if the guest refuses or traps.
    pub fn start_root(&mut self, configuration: &Rc<[u8]>) -> Result<u32, &'static str> {
        let vm = self.vm.as_deref_mut().ok_or(NOT_STARTED)?;
        let state = vm.state_mut();
        let root = state.new_context();
        state.roots.insert(root, Root::default());
        let vm_size = size(&state.setup.vm_configuration);
        state.configuration = Some(configuration.clone());
        self.root(
            Callback::ContextCreate,
            root,
            |x| &x.context_create,
            (root, 0),
        );
        self.show_configuration(None);
        let started = self.root(Callback::VmStart, root, |x| &x.vm_start, (root, vm_size));
        if !is_yes(started) || self.has_failed() {
            return Err(NOT_STARTED);
        }
        self.show_configuration(Some(configuration.clone()));
        let params = (root, size(configuration));
        let configured = self.root(Callback::Configure, root, |x| &x.configure, params);
        self.show_configuration(None);
        if is_yes(configured) {
            Ok(root)
        } else {
            Err(NOT_CONFIGURED)
        }
    }

    fn show_configuration(&mut self, configuration: Option<Rc<[u8]>>) {
        if let Some(vm) = self.vm.as_deref_mut() {
            vm.state_mut().configuration = configuration;
        }
    }

    fn has_failed(&self) -> bool {
        self.vm.as_ref().is_none_or(|vm| vm.has_failed())
    }

    /// Calls into the guest for a root context, and does what it asked for. The outer
    /// absence: the guest has no such function.
    fn root<P: WasmParams, R: WasmResults>(
        &mut self,
        callback: Callback,
        root: u32,
        func: impl FnOnce(&Exports) -> &Option<TypedFunc<P, R>>,
        params: P,
    ) -> Option<Option<R>> {
        let result = self.root_without_deferred(callback, root, func, params);
        self.after_guest();
        result
    }

    fn root_without_deferred<P: WasmParams, R: WasmResults>(
        &mut self,
        callback: Callback,
        root: u32,
        func: impl FnOnce(&Exports) -> &Option<TypedFunc<P, R>>,
        params: P,
    ) -> Option<Option<R>> {
        let vm = self.vm.as_deref_mut()?;
        let func = func(&vm.exports).clone()?;
        Some(vm.call(self.world, callback, Owner::Root(root), &func, params))
    }

    /// `proxy_on_tick`, if the context is still there; its timer starts anew.
    pub fn tick(&mut self, root: u32) {
        if self.knows_root(root) {
            self.root(Callback::Tick, root, |x| &x.tick, root);
            if let Some(vm) = self.vm.as_deref_mut() {
                vm.state_mut().arm_outside(self.world, root);
            }
        }
    }

    /// `proxy_on_queue_ready`, if the context is still there.
    pub fn queue_ready(&mut self, root: u32, queue: u32) {
        if self.knows_root(root) {
            self.root(
                Callback::QueueReady,
                root,
                |x| &x.queue_ready,
                (root, queue),
            );
        }
    }

    fn knows_root(&self, root: u32) -> bool {
        let vm = self.vm.as_ref().filter(|vm| !vm.has_failed());
        vm.is_some_and(|vm| vm.state().roots.contains_key(&root))
    }

    /// Lets a configuration end with its last stream.
    pub fn drain_root(&mut self, root: u32) {
        let Some(vm) = self.vm.as_deref_mut() else {
            return;
        };
        let Some(entry) = vm.state_mut().roots.get_mut(&root) else {
            return;
        };
        entry.phase = RootPhase::Draining;
        if entry.streams == 0 {
            self.finish_root(root);
        }
    }

    /// `proxy_on_done`, then `proxy_on_delete`, at once or once `proxy_done` is called.
    pub fn finish_root(&mut self, root: u32) {
        let done = self.root(Callback::Done, root, |x| &x.done, root);
        if is_yes(done) || self.has_failed() {
            self.delete_root(root);
        } else if let Some(vm) = self.vm.as_deref_mut()
            && let Some(entry) = vm.state_mut().roots.get_mut(&root)
            && entry.phase == RootPhase::Draining
        {
            entry.phase = RootPhase::Finishing;
        }
    }

    /// `proxy_on_delete`; what the context still waits for is given up.
    pub(crate) fn delete_root(&mut self, root: u32) {
        self.root_without_deferred(Callback::Delete, root, |x| &x.delete, root);
        if let Some(vm) = self.vm.as_deref_mut() {
            vm.forget_root(self.world, root);
        }
        self.after_guest();
    }

    /// What comes back on a call.
    pub fn answer(&mut self, call: CallId, open: OpenCall, outcome: CallOutcome) {
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
            // What does not fit the kind of call cannot come.
            _ => {}
        }
    }

    fn forget_call(&mut self, call: CallId, open: OpenCall) {
        self.world.calls.remove(&call);
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
            len(headers.len()),
            len(body.len()),
            len(trailers.len()),
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
        let params = (open.root, open.token, len(message.len()));
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
        let params = (open.root, open.token, len(map.len()));
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
        let params = (open.root, open.token, len(map.len()));
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

    /// A stream that the guest has not ended on its side stays known until it does.
    fn grpc_closed(&mut self, call: CallId, open: OpenCall, status: u32, message: Rc<str>) {
        if open.kind == CallKind::Grpc || open.closed_here {
            self.forget_call(call, open);
        } else if let Some(open) = self.world.calls.get_mut(&call) {
            open.closed_there = true;
        }
        self.set_status(open.root, status, message);
        let params = (open.root, open.token, status);
        self.root_without_deferred(Callback::GrpcClose, open.root, |x| &x.grpc_close, params);
        self.clear_message(open.root);
        self.after_guest();
    }

    /// A call that found no host: its status is kept, and the guest is told of a token
    /// that it never got.
    pub(crate) fn grpc_refused(&mut self, root: u32, token: u32) {
        const UNAVAILABLE: u32 = 14;
        self.set_status(root, UNAVAILABLE, "no healthy upstream".into());
        let params = (root, token, UNAVAILABLE);
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

/// A guest that lacks the function has nothing against it; one that trapped has.
fn is_yes(returned: Option<Option<u32>>) -> bool {
    returned.is_none_or(|returned| returned.is_some_and(|value| value != 0))
}

fn size(bytes: &[u8]) -> u32 {
    len(bytes.len())
}

fn len(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
