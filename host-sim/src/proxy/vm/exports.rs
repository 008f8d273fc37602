//! The functions that a guest exports, looked up once per VM.

use wasmtime::{Instance, Store, TypedFunc, WasmParams, WasmResults};

use super::state::VmState;
use crate::proxy::process::counts::Callback;

/// A guest's functions. A missing callback is skipped and counts as "continue".
#[derive(Clone)]
pub(crate) struct Exports {
    pub initialize: Option<TypedFunc<(), ()>>,
    pub start: Option<TypedFunc<(), ()>>,
    pub main: Option<TypedFunc<(u32, u32), u32>>,
    pub context_create: Option<TypedFunc<(u32, u32), ()>>,
    pub vm_start: Option<TypedFunc<(u32, u32), u32>>,
    pub configure: Option<TypedFunc<(u32, u32), u32>>,
    pub tick: Option<TypedFunc<u32, ()>>,
    pub queue_ready: Option<TypedFunc<(u32, u32), ()>>,
    pub request: Direction,
    pub response: Direction,
    pub http_call_response: Option<TypedFunc<CallResponse, ()>>,
    pub grpc_receive_initial_metadata: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub grpc_receive: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub grpc_receive_trailing_metadata: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub grpc_close: Option<TypedFunc<(u32, u32, u32), ()>>,
    pub done: Option<TypedFunc<u32, u32>>,
    pub log: Option<TypedFunc<u32, ()>>,
    pub delete: Option<TypedFunc<u32, ()>>,
}

/// Context, token, and the numbers of headers, body bytes and trailers.
type CallResponse = (u32, u32, u32, u32, u32);

/// The callbacks of one direction of a stream.
#[derive(Clone)]
pub(crate) struct Direction {
    pub headers: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub body: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub trailers: Option<TypedFunc<(u32, u32), u32>>,
}

impl Exports {
    /// Looks up all functions.
    ///
    /// # Errors
    ///
    /// If a function has the wrong signature; the message is Envoy's.
    pub(crate) fn find(store: &mut Store<VmState>, instance: &Instance) -> Result<Exports, String> {
        let finder = &mut Finder { store, instance };
        Ok(Exports {
            initialize: finder.find(Callback::Initialize)?,
            start: finder.find(Callback::Start)?,
            main: finder.find(Callback::Main)?,
            context_create: finder.find(Callback::ContextCreate)?,
            vm_start: finder.find(Callback::VmStart)?,
            configure: finder.find(Callback::Configure)?,
            tick: finder.find(Callback::Tick)?,
            queue_ready: finder.find(Callback::QueueReady)?,
            request: Direction {
                headers: finder.find(Callback::RequestHeaders)?,
                body: finder.find(Callback::RequestBody)?,
                trailers: finder.find(Callback::RequestTrailers)?,
            },
            response: Direction {
                headers: finder.find(Callback::ResponseHeaders)?,
                body: finder.find(Callback::ResponseBody)?,
                trailers: finder.find(Callback::ResponseTrailers)?,
            },
            http_call_response: finder.find(Callback::HttpCallResponse)?,
            grpc_receive_initial_metadata: finder.find(Callback::GrpcReceiveInitialMetadata)?,
            grpc_receive: finder.find(Callback::GrpcReceive)?,
            grpc_receive_trailing_metadata: finder.find(Callback::GrpcReceiveTrailingMetadata)?,
            grpc_close: finder.find(Callback::GrpcClose)?,
            done: finder.find(Callback::Done)?,
            log: finder.find(Callback::Log)?,
            delete: finder.find(Callback::Delete)?,
        })
    }
}

struct Finder<'a> {
    store: &'a mut Store<VmState>,
    instance: &'a Instance,
}

impl Finder<'_> {
    fn find<P: WasmParams, R: WasmResults>(
        &mut self,
        callback: Callback,
    ) -> Result<Option<TypedFunc<P, R>>, String> {
        let Some(func) = self.instance.get_func(&mut *self.store, callback.name()) else {
            return Ok(None);
        };
        let typed = func.typed(&*self.store);
        typed
            .map(Some)
            .map_err(|error| format!("Bad function signature for: {}, {error}", callback.name()))
    }
}
