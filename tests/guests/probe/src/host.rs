//! Hostcalls that show their status: the SDK's wrappers panic on most of them.

use std::ptr;

/// A status, and the value that the host returned.
pub type Given<T> = (u32, T);

macro_rules! imports {
    ($($name:ident($($param:ident: $type:ty),*);)+) => {
        #[link(wasm_import_module = "env")]
        unsafe extern "C" {
            $(fn $name($($param: $type),*) -> u32;)+
        }
    };
}

imports! {
    proxy_get_log_level(out: *mut u32);
    proxy_set_tick_period_milliseconds(period: u32);
    proxy_get_buffer_bytes(
        kind: u32, start: usize, max: usize, out: *mut *mut u8, len: *mut usize);
    proxy_get_buffer_status(kind: u32, len: *mut usize, flags: *mut u32);
    proxy_set_buffer_bytes(kind: u32, start: usize, len: usize, data: *const u8, size: usize);
    proxy_get_header_map_pairs(kind: u32, out: *mut *mut u8, len: *mut usize);
    proxy_set_header_map_pairs(kind: u32, pairs: *const u8, len: usize);
    proxy_get_header_map_value(
        kind: u32, name: *const u8, name_len: usize, out: *mut *mut u8, len: *mut usize);
    proxy_add_header_map_value(
        kind: u32, name: *const u8, name_len: usize, value: *const u8, value_len: usize);
    proxy_replace_header_map_value(
        kind: u32, name: *const u8, name_len: usize, value: *const u8, value_len: usize);
    proxy_remove_header_map_value(kind: u32, name: *const u8, name_len: usize);
    proxy_get_header_map_size(kind: u32, out: *mut usize);
    proxy_get_property(path: *const u8, path_len: usize, out: *mut *mut u8, len: *mut usize);
    proxy_set_property(path: *const u8, path_len: usize, value: *const u8, value_len: usize);
    proxy_continue_stream(kind: u32);
    proxy_close_stream(kind: u32);
    proxy_send_local_response(
        code: u32, details: *const u8, details_len: usize, body: *const u8, body_len: usize,
        headers: *const u8, headers_len: usize, grpc_status: i32);
    proxy_get_status(code: *mut u32, out: *mut *mut u8, len: *mut usize);
    proxy_get_shared_data(
        key: *const u8, key_len: usize, out: *mut *mut u8, len: *mut usize, cas: *mut u32);
    proxy_set_shared_data(
        key: *const u8, key_len: usize, value: *const u8, value_len: usize, cas: u32);
    proxy_register_shared_queue(name: *const u8, len: usize, id: *mut u32);
    proxy_resolve_shared_queue(
        vm_id: *const u8, vm_id_len: usize, name: *const u8, len: usize, id: *mut u32);
    proxy_enqueue_shared_queue(id: u32, data: *const u8, len: usize);
    proxy_dequeue_shared_queue(id: u32, out: *mut *mut u8, len: *mut usize);
    proxy_define_metric(kind: u32, name: *const u8, len: usize, id: *mut u32);
    proxy_increment_metric(id: u32, delta: i64);
    proxy_record_metric(id: u32, value: u64);
    proxy_get_metric(id: u32, out: *mut u64);
    proxy_set_effective_context(id: u32);
    proxy_done();
    proxy_call_foreign_function(
        name: *const u8, name_len: usize, argument: *const u8, argument_len: usize,
        out: *mut *mut u8, len: *mut usize);
}

/// Takes ownership of the bytes that a hostcall returned.
fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Given<Vec<u8>> {
    let (mut data, mut len) = (ptr::null_mut(), 0);
    let status = call(&raw mut data, &raw mut len);
    if status != 0 || data.is_null() {
        return (status, Vec::new());
    }
    // SAFETY: the host got `data` from this module's allocator, with this length.
    (status, unsafe { Vec::from_raw_parts(data, len, len) })
}

fn number<T: Default>(call: impl FnOnce(*mut T) -> u32) -> Given<T> {
    let mut value = T::default();
    let status = call(&raw mut value);
    (status, value)
}

// SAFETY of all below: the pointers are of slices that outlive the call, or of values
// that `bytes` and `number` own.

pub fn log_level() -> Given<u32> {
    number(|out| unsafe { proxy_get_log_level(out) })
}

pub fn set_tick(period_ms: u32) -> u32 {
    unsafe { proxy_set_tick_period_milliseconds(period_ms) }
}

pub fn buffer(kind: u32, start: usize, max: usize) -> Given<Vec<u8>> {
    bytes(|out, len| unsafe { proxy_get_buffer_bytes(kind, start, max, out, len) })
}

pub fn buffer_len(kind: u32) -> Given<usize> {
    let mut flags = 0;
    number(|len| unsafe { proxy_get_buffer_status(kind, len, &raw mut flags) })
}

pub fn set_buffer(kind: u32, start: usize, len: usize, data: &[u8]) -> u32 {
    unsafe { proxy_set_buffer_bytes(kind, start, len, data.as_ptr(), data.len()) }
}

pub fn map(kind: u32) -> Given<Vec<u8>> {
    bytes(|out, len| unsafe { proxy_get_header_map_pairs(kind, out, len) })
}

pub fn set_map(kind: u32, pairs: &[(&str, &str)]) -> u32 {
    let pairs = encoded(pairs);
    unsafe { proxy_set_header_map_pairs(kind, pairs.as_ptr(), pairs.len()) }
}

pub fn header(kind: u32, name: &str) -> Given<Vec<u8>> {
    bytes(|out, len| unsafe {
        proxy_get_header_map_value(kind, name.as_ptr(), name.len(), out, len)
    })
}

pub fn add_header(kind: u32, name: &str, value: &str) -> u32 {
    let (name_len, value_len) = (name.len(), value.len());
    unsafe { proxy_add_header_map_value(kind, name.as_ptr(), name_len, value.as_ptr(), value_len) }
}

pub fn replace_header(kind: u32, name: &str, value: &str) -> u32 {
    let (name_len, value_len) = (name.len(), value.len());
    let (name, value) = (name.as_ptr(), value.as_ptr());
    unsafe { proxy_replace_header_map_value(kind, name, name_len, value, value_len) }
}

pub fn remove_header(kind: u32, name: &str) -> u32 {
    unsafe { proxy_remove_header_map_value(kind, name.as_ptr(), name.len()) }
}

pub fn map_size(kind: u32) -> Given<usize> {
    number(|out| unsafe { proxy_get_header_map_size(kind, out) })
}

/// `path` is the segments joined by NUL bytes.
pub fn property(path: &str) -> Given<Vec<u8>> {
    bytes(|out, len| unsafe { proxy_get_property(path.as_ptr(), path.len(), out, len) })
}

pub fn set_property(path: &str, value: &str) -> u32 {
    unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) }
}

pub fn resume(kind: u32) -> u32 {
    unsafe { proxy_continue_stream(kind) }
}

pub fn close(kind: u32) -> u32 {
    unsafe { proxy_close_stream(kind) }
}

pub fn reply(code: u32, details: &str, body: &str, headers: &[(&str, &str)], grpc: i32) -> u32 {
    let headers = encoded(headers);
    unsafe {
        proxy_send_local_response(
            code,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc,
        )
    }
}

pub fn status() -> Given<(u32, Vec<u8>)> {
    let mut code = 0;
    let (status, text) = bytes(|out, len| unsafe { proxy_get_status(&raw mut code, out, len) });
    (status, (code, text))
}

pub fn shared(key: &str) -> Given<(Vec<u8>, u32)> {
    let mut cas = 0;
    let (status, value) = bytes(|out, len| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), out, len, &raw mut cas)
    });
    (status, (value, cas))
}

pub fn set_shared(key: &str, value: &str, cas: u32) -> u32 {
    unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) }
}

pub fn register_queue(name: &str) -> Given<u32> {
    number(|id| unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), id) })
}

pub fn resolve_queue(vm_id: &str, name: &str) -> Given<u32> {
    let (vm_id, vm_id_len) = (vm_id.as_ptr(), vm_id.len());
    number(|id| unsafe {
        proxy_resolve_shared_queue(vm_id, vm_id_len, name.as_ptr(), name.len(), id)
    })
}

pub fn enqueue(id: u32, message: &str) -> u32 {
    unsafe { proxy_enqueue_shared_queue(id, message.as_ptr(), message.len()) }
}

pub fn dequeue(id: u32) -> Given<Vec<u8>> {
    bytes(|out, len| unsafe { proxy_dequeue_shared_queue(id, out, len) })
}

pub fn define_metric(kind: u32, name: &str) -> Given<u32> {
    number(|id| unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), id) })
}

pub fn increment(id: u32, delta: i64) -> u32 {
    unsafe { proxy_increment_metric(id, delta) }
}

pub fn record(id: u32, value: u64) -> u32 {
    unsafe { proxy_record_metric(id, value) }
}

pub fn metric(id: u32) -> Given<u64> {
    number(|out| unsafe { proxy_get_metric(id, out) })
}

pub fn set_effective(id: u32) -> u32 {
    unsafe { proxy_set_effective_context(id) }
}

pub fn done() -> u32 {
    unsafe { proxy_done() }
}

pub fn foreign(name: &str, argument: &str) -> Given<Vec<u8>> {
    let (argument, argument_len) = (argument.as_ptr(), argument.len());
    bytes(|out, len| unsafe {
        proxy_call_foreign_function(name.as_ptr(), name.len(), argument, argument_len, out, len)
    })
}

/// The ABI's encoding of a map.
fn encoded(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = (pairs.len() as u32).to_le_bytes().to_vec();
    for (name, value) in pairs {
        out.extend((name.len() as u32).to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
    }
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        out.extend(text.as_bytes());
        out.push(0);
    }
    out
}
