//! The callbacks of the proxy-wasm ABI 0.2.1 that a host calls.
//!
//! The SDK exports all callbacks of the ABI by the ABI's names, and two functions of one name
//! cannot be linked. So these have names of their own, with `spill` in place of `proxy`, and
//! `link.sh` gives their exports the ABI's names.
//!
//! `_initialize` and `proxy_abi_version_0_2_1` are the SDK's.

use proxy_wasm::types::Action;

use crate::contexts::{self, in_root, in_stream};
use crate::host;
#[cfg(not(feature = "lite"))]
use crate::replay::paused::CallSizes;

#[unsafe(export_name = "spill_on_memory_allocate")]
extern "C" fn on_memory_allocate(len: usize) -> *mut u8 {
    host::allocate(len)
}

#[unsafe(export_name = "spill_on_context_create")]
extern "C" fn on_context_create(id: u32, parent: u32) {
    contexts::create(id, parent);
}

#[unsafe(export_name = "spill_on_delete")]
extern "C" fn on_delete(id: u32) {
    contexts::delete(id);
}

/// The VM's configuration is not used.
#[unsafe(export_name = "spill_on_vm_start")]
extern "C" fn on_vm_start(_root: u32, _size: usize) -> bool {
    true
}

#[unsafe(export_name = "spill_on_configure")]
extern "C" fn on_configure(root: u32, size: usize) -> bool {
    in_root(root, |root| root.configure(size)).unwrap_or(false)
}

#[unsafe(export_name = "spill_on_tick")]
extern "C" fn on_tick(root: u32) {
    in_root(root, |root| root.tick());
}

#[unsafe(export_name = "spill_on_request_headers")]
extern "C" fn on_request_headers(id: u32, _count: usize, end_of_stream: bool) -> Action {
    in_stream(id, |http| http.request_headers(end_of_stream)).unwrap_or(Action::Continue)
}

#[cfg(not(feature = "lite"))]
#[unsafe(export_name = "spill_on_request_body")]
extern "C" fn on_request_body(id: u32, size: usize, end_of_stream: bool) -> Action {
    in_stream(id, |http| http.request_body(size, end_of_stream)).unwrap_or(Action::Continue)
}

#[cfg(not(feature = "lite"))]
#[unsafe(export_name = "spill_on_request_trailers")]
extern "C" fn on_request_trailers(id: u32, _count: usize) -> Action {
    in_stream(id, |http| http.request_trailers()).unwrap_or(Action::Continue)
}

#[cfg(not(feature = "lite"))]
#[unsafe(export_name = "spill_on_response_headers")]
extern "C" fn on_response_headers(id: u32, _count: usize, end_of_stream: bool) -> Action {
    in_stream(id, |http| http.response_headers(end_of_stream)).unwrap_or(Action::Continue)
}

#[cfg(not(feature = "lite"))]
#[unsafe(export_name = "spill_on_response_body")]
extern "C" fn on_response_body(id: u32, size: usize, end_of_stream: bool) -> Action {
    in_stream(id, |http| http.response_body(size, end_of_stream)).unwrap_or(Action::Continue)
}

#[cfg(not(feature = "lite"))]
#[unsafe(export_name = "spill_on_response_trailers")]
extern "C" fn on_response_trailers(id: u32, _count: usize) -> Action {
    in_stream(id, |http| http.response_trailers()).unwrap_or(Action::Continue)
}

/// The host calls the root context, also for calls that a stream has made.
#[cfg(not(feature = "lite"))]
#[unsafe(export_name = "spill_on_http_call_response")]
extern "C" fn on_http_call_response(
    _context: u32,
    call: u32,
    headers: usize,
    body: usize,
    trailers: usize,
) {
    let sizes = CallSizes {
        headers,
        body,
        trailers,
    };
    contexts::answered(call, &sizes);
}

#[unsafe(export_name = "spill_on_log")]
extern "C" fn on_log(id: u32) {
    in_stream(id, |http| http.log());
}
