//! Callbacks that no proxy should make: for unknown contexts, and while another callback runs.
//!
//! The simulator makes none, as Envoy makes none, so the host here is wasmtime with the few
//! hostcalls that the filter needs. All others return 0. The filter may not trap, since that would
//! fail the requests of a whole worker.

use std::fs;

use wasmtime::{Caller, Engine, Instance, Linker, Module, Store};

/// Every request is rejected by a local reply.
const POLICY: &str =
    r#"{"policies": [{"name": "p", "mode": "forced_open", "circuit_breaker": {}}]}"#;

/// What callbacks for headers return.
const CONTINUE: i32 = 0;
const PAUSE: i32 = 1;

const ROOT: i32 = 1;
const STREAM: i32 = 2;
const UNKNOWN: i32 = 99;

/// Callbacks of a stream that return an action, with their number of parameters.
const STREAM_CALLBACKS: [(&str, usize); 6] = [
    ("proxy_on_request_headers", 3),
    ("proxy_on_request_body", 3),
    ("proxy_on_request_trailers", 2),
    ("proxy_on_response_headers", 3),
    ("proxy_on_response_body", 3),
    ("proxy_on_response_trailers", 2),
];

/// The host of one VM.
#[derive(Default)]
struct State {
    /// Whether a local reply calls back into the VM at once.
    nests: bool,
    /// What the nested callbacks returned.
    nested: Vec<i32>,
}

struct Vm {
    store: Store<State>,
    instance: Instance,
}

impl Vm {
    /// Starts a VM with a root context that has a configuration.
    fn start(nests: bool) -> Vm {
        let path = crate::commands::target().join("wasm32-wasip1/release/spillway.wasm");
        let engine = Engine::default();
        let module = Module::new(&engine, fs::read(path).unwrap()).unwrap();
        let state = State {
            nests,
            ..State::default()
        };
        let mut store = Store::new(&engine, state);
        let mut linker = Linker::new(&engine);
        linker
            .func_wrap("env", "proxy_get_buffer_bytes", give_policy)
            .unwrap();
        linker
            .func_wrap("env", "proxy_send_local_response", send_local_response)
            .unwrap();
        linker
            .define_unknown_imports_as_default_values(&mut store, &module)
            .unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let mut vm = Vm { store, instance };
        vm.call("_initialize", &[]);
        vm.call("proxy_on_context_create", &[ROOT, 0]);
        assert_eq!(vm.call("proxy_on_vm_start", &[ROOT, 0]), Some(1));
        let size = i32::try_from(POLICY.len()).unwrap();
        assert_eq!(vm.call("proxy_on_configure", &[ROOT, size]), Some(1));
        vm
    }

    fn call(&mut self, name: &str, parameters: &[i32]) -> Option<i32> {
        let function = self.instance.get_func(&mut self.store, name).unwrap();
        call(&mut self.store, function, parameters)
    }

    fn stream_callback(&mut self, name: &str, count: usize, id: i32) -> Option<i32> {
        let mut parameters = vec![0; count];
        parameters[0] = id;
        self.call(name, &parameters)
    }
}

fn call(
    store: impl wasmtime::AsContextMut,
    function: wasmtime::Func,
    parameters: &[i32],
) -> Option<i32> {
    let parameters: Vec<_> = parameters.iter().map(|it| (*it).into()).collect();
    let mut results = vec![0.into(); function.ty(&store).results().len()];
    function.call(store, &parameters, &mut results).unwrap();
    results.first().and_then(wasmtime::Val::i32)
}

fn call_back(caller: &mut Caller<'_, State>, name: &str, parameters: &[i32]) -> Option<i32> {
    let function = caller.get_export(name).unwrap().into_func().unwrap();
    call(caller, function, parameters)
}

fn give_policy(
    mut caller: Caller<'_, State>,
    _buffer: i32,
    _start: i32,
    _max: i32,
    data: i32,
    len: i32,
) -> i32 {
    let size = i32::try_from(POLICY.len()).unwrap();
    let at = call_back(&mut caller, "proxy_on_memory_allocate", &[size]).unwrap();
    let memory = caller.get_export("memory").unwrap().into_memory().unwrap();
    for (place, bytes) in [
        (at, POLICY.as_bytes()),
        (data, &at.to_le_bytes()),
        (len, &size.to_le_bytes()),
    ] {
        let place = usize::try_from(place).unwrap();
        memory.write(&mut caller, place, bytes).unwrap();
    }
    0
}

/// Sends the reply at once, so that the stream ends inside the callback that replies. Then another
/// stream begins.
#[allow(
    clippy::too_many_arguments,
    reason = "the signature is that of the ABI"
)]
fn send_local_response(
    mut caller: Caller<'_, State>,
    _status: i32,
    _details: i32,
    _details_len: i32,
    _body: i32,
    _body_len: i32,
    _headers: i32,
    _headers_len: i32,
    _grpc_status: i32,
) -> i32 {
    if !std::mem::take(&mut caller.data_mut().nests) {
        return 0;
    }
    let caller = &mut caller;
    let mut nested = Vec::new();
    nested.extend(call_back(
        caller,
        "proxy_on_response_headers",
        &[STREAM, 0, 0],
    ));
    nested.extend(call_back(caller, "proxy_on_response_body", &[STREAM, 0, 1]));
    nested.extend(call_back(caller, "proxy_on_log", &[STREAM]));
    nested.extend(call_back(caller, "proxy_on_delete", &[STREAM]));
    nested.extend(call_back(
        caller,
        "proxy_on_context_create",
        &[STREAM + 1, ROOT],
    ));
    nested.extend(call_back(
        caller,
        "proxy_on_request_headers",
        &[STREAM + 1, 0, 1],
    ));
    nested.extend(call_back(caller, "proxy_on_tick", &[ROOT]));
    caller.data_mut().nested = nested;
    0
}

#[test]
fn requests_of_unknown_contexts_pass() {
    let mut vm = Vm::start(false);
    for (name, count) in STREAM_CALLBACKS {
        assert_eq!(
            vm.stream_callback(name, count, UNKNOWN),
            Some(CONTINUE),
            "{name}"
        );
    }
    for name in ["proxy_on_log", "proxy_on_delete", "proxy_on_tick"] {
        assert_eq!(vm.call(name, &[UNKNOWN]), None);
    }
    assert_eq!(
        vm.call("proxy_on_http_call_response", &[UNKNOWN, 4, 1, 0, 0]),
        None
    );
    assert_eq!(vm.call("proxy_on_configure", &[UNKNOWN, 0]), Some(0));
    // A stream of an unknown root.
    vm.call("proxy_on_context_create", &[UNKNOWN + 1, UNKNOWN]);
    let passed = vm.call("proxy_on_request_headers", &[UNKNOWN + 1, 0, 1]);
    assert_eq!(passed, Some(CONTINUE));
    // None of that has harmed the others.
    vm.call("proxy_on_context_create", &[STREAM, ROOT]);
    assert_eq!(
        vm.call("proxy_on_request_headers", &[STREAM, 0, 1]),
        Some(PAUSE)
    );
}

#[test]
fn callbacks_after_the_end_of_a_stream_do_nothing() {
    let mut vm = Vm::start(false);
    vm.call("proxy_on_context_create", &[STREAM, ROOT]);
    assert_eq!(
        vm.call("proxy_on_request_headers", &[STREAM, 0, 1]),
        Some(PAUSE)
    );
    vm.call("proxy_on_log", &[STREAM]);
    vm.call("proxy_on_delete", &[STREAM]);
    for (name, count) in STREAM_CALLBACKS {
        assert_eq!(
            vm.stream_callback(name, count, STREAM),
            Some(CONTINUE),
            "{name}"
        );
    }
    vm.call("proxy_on_log", &[STREAM]);
    vm.call("proxy_on_delete", &[STREAM]);
    // Streams that begin under the same id, the second before the end of the first.
    for _ in 0..2 {
        vm.call("proxy_on_context_create", &[STREAM, ROOT]);
        assert_eq!(
            vm.call("proxy_on_request_headers", &[STREAM, 0, 1]),
            Some(PAUSE)
        );
    }
}

#[test]
fn a_host_may_call_back_while_a_callback_replies() {
    let mut vm = Vm::start(true);
    vm.call("proxy_on_context_create", &[STREAM, ROOT]);
    assert_eq!(
        vm.call("proxy_on_request_headers", &[STREAM, 0, 1]),
        Some(PAUSE)
    );
    // The reply's headers and body, and the request that began meanwhile.
    assert_eq!(vm.store.data().nested, [CONTINUE; 3]);
    assert_eq!(
        vm.stream_callback("proxy_on_request_headers", 3, STREAM),
        Some(CONTINUE)
    );
    // Afterwards, requests are decided again.
    assert_eq!(
        vm.stream_callback("proxy_on_request_headers", 3, STREAM + 1),
        Some(PAUSE)
    );
}
