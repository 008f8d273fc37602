//! Every hostcall of the project.
//!
//! The externs are declared here because the SDK's wrappers panic on any unexpected status,
//! and its `String` readers panic on a header that is not UTF-8. The functions here return the
//! host's status as an `Err`. All values are bytes.

use core::alloc::Layout;
use core::ptr;
use std::alloc::alloc;

use spillway_core::time::{Instant, Span};

pub(crate) mod pairs;
pub(crate) mod records;

/// A status other than OK, as the host returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(u32);

/// A header map of the ABI.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Map {
    RequestHeaders = 0,
    ResponseHeaders = 2,
    ResponseTrailers = 3,
    CallResponseHeaders = 6,
}

/// A buffer of the ABI.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    CallResponseBody = 4,
    PluginConfiguration = 7,
}

/// A metric type of the ABI.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum MetricKind {
    Counter = 0,
    Gauge = 1,
}

const NOT_FOUND: u32 = 1;
/// An argument is invalid, such as an unknown cluster.
const BAD_ARGUMENT: u32 = 2;
/// Another write came first.
const CAS_MISMATCH: u32 = 8;
/// The stream types of `proxy_continue_stream`.
const REQUEST: u32 = 0;
const RESPONSE: u32 = 1;
const NOT_GRPC: i32 = -1;

// SAFETY: these are imports of the proxy-wasm ABI 0.2.1, module `env`, with the signatures of
// the specification. The host writes through the out-pointers only.
unsafe extern "C" {
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        buffer: u32,
        start: usize,
        len: usize,
        data: *const u8,
        data_len: usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_len: usize) -> u32;
    fn proxy_set_header_map_pairs(map: u32, pairs: *const u8, pairs_len: usize) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_len: usize,
        headers: *const u8,
        headers_len: usize,
        body: *const u8,
        body_len: usize,
        trailers: *const u8,
        trailers_len: usize,
        timeout_ms: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_len: usize,
        body: *const u8,
        body_len: usize,
        headers: *const u8,
        headers_len: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
        cas: u32,
    ) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, delta: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
}

// SAFETY: these are imports of WASI preview 1, with the signatures of the specification.
#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
    fn random_get(data: *mut u8, len: usize) -> u32;
}

const CLOCK_MONOTONIC: u32 = 1;

fn check(status: u32) -> Result<(), Status> {
    match status {
        0 => Ok(()),
        other => Err(Status(other)),
    }
}

/// Returns the bytes that `call` hands out, and takes ownership of them. The host writes them
/// to memory from [`allocate`].
fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Box<[u8]>, Status> {
    let (mut data, mut len) = (ptr::null_mut(), 0);
    check(call(&raw mut data, &raw mut len))?;
    if data.is_null() {
        return Ok(Box::default());
    }
    // SAFETY: `data` comes from `allocate(len)`, and the host has written all of it.
    Ok(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(data, len)) })
}

/// Allocates memory for a value that the host writes. Null if no memory is left.
pub(crate) fn allocate(len: usize) -> *mut u8 {
    match Layout::array::<u8>(len) {
        Ok(layout) if len > 0 => {
            // SAFETY: the layout has a size.
            unsafe { alloc(layout) }
        }
        Ok(_) => ptr::dangling_mut(),
        Err(_) => ptr::null_mut(),
    }
}

/// Returns the first `len` bytes of the plugin's configuration, or all if it has fewer.
pub(crate) fn plugin_configuration(len: usize) -> Result<Vec<u8>, Status> {
    buffer(Buffer::PluginConfiguration, len)
}

/// Returns the first `len` bytes of a buffer, or all if it has fewer.
pub(crate) fn buffer(buffer: Buffer, len: usize) -> Result<Vec<u8>, Status> {
    // SAFETY: `bytes` gives valid out-pointers.
    bytes(|data, size| unsafe { proxy_get_buffer_bytes(buffer as u32, 0, len, data, size) })
        .map(<[u8]>::into_vec)
}

/// Replaces the first `len` bytes of a paused body.
pub(crate) fn set_front(buffer: Buffer, len: usize, bytes: &[u8]) -> Result<(), Status> {
    // SAFETY: `bytes` outlives the call.
    check(unsafe { proxy_set_buffer_bytes(buffer as u32, 0, len, bytes.as_ptr(), bytes.len()) })
}

/// Returns all headers of a map in the host's encoding, see [`pairs`].
pub(crate) fn header_pairs(map: Map) -> Result<Box<[u8]>, Status> {
    // SAFETY: `bytes` gives valid out-pointers.
    bytes(|data, len| unsafe { proxy_get_header_map_pairs(map as u32, data, len) })
}

/// Returns the first value of a header.
pub(crate) fn header(map: Map, name: &str) -> Result<Box<[u8]>, Status> {
    // SAFETY: `name` outlives the call; `bytes` gives valid out-pointers.
    bytes(|data, len| unsafe {
        proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, len)
    })
}

/// Replaces all values of a header with one.
pub(crate) fn set_header(map: Map, name: &str, value: impl AsRef<[u8]>) -> Result<(), Status> {
    let value = value.as_ref();
    // SAFETY: both texts outlive the call.
    check(unsafe {
        proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Adds a value to a header.
pub(crate) fn add_header(map: Map, name: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: both texts outlive the call.
    check(unsafe {
        proxy_add_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Removes a header with all its values.
pub(crate) fn remove_header(map: Map, name: &str) -> Result<(), Status> {
    // SAFETY: `name` outlives the call.
    check(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Replaces all headers of a map.
pub(crate) fn set_headers(map: Map, headers: &[(String, Vec<u8>)]) -> Result<(), Status> {
    let pairs = pairs::encode(headers);
    // SAFETY: `pairs` outlives the call.
    check(unsafe { proxy_set_header_map_pairs(map as u32, pairs.as_ptr(), pairs.len()) })
}

/// Resumes a paused request.
pub(crate) fn continue_request() -> Result<(), Status> {
    // SAFETY: the call takes no pointers.
    check(unsafe { proxy_continue_stream(REQUEST) })
}

/// Resumes a paused response.
pub(crate) fn continue_response() -> Result<(), Status> {
    // SAFETY: the call takes no pointers.
    check(unsafe { proxy_continue_stream(RESPONSE) })
}

/// Selects the context that later hostcalls act on.
pub(crate) fn set_effective_context(context: u32) -> Result<(), Status> {
    // SAFETY: the call takes no pointers.
    check(unsafe { proxy_set_effective_context(context) })
}

/// Returns whether the host supports HTTP calls. A host that does rejects a call to a cluster
/// with an empty name as a bad argument.
pub(crate) fn sends_requests() -> bool {
    let none = ptr::null();
    let mut token = 0;
    // SAFETY: the host reads nothing through pointers of length zero, and `token` is a valid
    // out-pointer.
    let status = unsafe { proxy_http_call(none, 0, none, 0, none, 0, none, 0, 1, &raw mut token) };
    status == BAD_ARGUMENT
}

/// Sends a request to a cluster, and returns the host's number of the call.
pub(crate) fn http_call(
    cluster: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    timeout: Span,
) -> Result<u32, Status> {
    let headers = pairs::encode(headers);
    let trailers = pairs::encode::<&str, &str>(&[]);
    let timeout_ms = u32::try_from(timeout.as_ms()).unwrap_or(u32::MAX);
    let mut token = 0;
    // SAFETY: all slices outlive the call, and `token` is a valid out-pointer.
    check(unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout_ms,
            &raw mut token,
        )
    })?;
    Ok(token)
}

/// Returns a property. The segments of `path` are separated by NUL.
pub(crate) fn property(path: &str) -> Result<Box<[u8]>, Status> {
    // SAFETY: `path` outlives the call; `bytes` gives valid out-pointers.
    bytes(|data, len| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, len) })
}

/// Returns a property of eight bytes, little-endian. `None` if it is missing or has another
/// length.
pub(crate) fn property_u64(path: &str) -> Option<u64> {
    let bytes = property(path).ok()?;
    let bytes: &[u8; 8] = bytes.as_ref().try_into().ok()?;
    Some(u64::from_le_bytes(*bytes))
}

/// Sets a property of the stream, for access logs and later filters.
pub(crate) fn set_property(path: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: both slices outlive the call.
    check(unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// Sends a local reply to the stream's request.
pub(crate) fn send_local_response(
    status: u16,
    details: &str,
    headers: &[(String, Vec<u8>)],
    body: &[u8],
    grpc_status: Option<u8>,
) -> Result<(), Status> {
    let headers = pairs::encode(headers);
    // SAFETY: all slices outlive the call.
    check(unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status.map_or(NOT_GRPC, i32::from),
        )
    })
}

/// Returns a shared value and the CAS number of its last write. `None` if it was never
/// written.
pub(crate) fn shared_data(key: &str) -> Result<Option<(Vec<u8>, u32)>, Status> {
    let mut cas = 0;
    // SAFETY: `key` outlives the call; `bytes` and `cas` give valid out-pointers.
    let value = bytes(|data, len| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, len, &raw mut cas)
    });
    match value {
        Ok(value) => Ok(Some((value.into_vec(), cas))),
        Err(Status(NOT_FOUND)) => Ok(None),
        Err(status) => Err(status),
    }
}

/// Writes a shared value if `cas` is the number of its last write. Returns whether it did.
pub(crate) fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Result<bool, Status> {
    // SAFETY: both slices outlive the call.
    let written = check(unsafe {
        proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
    });
    match written {
        Ok(()) => Ok(true),
        Err(Status(CAS_MISMATCH)) => Ok(false),
        Err(status) => Err(status),
    }
}

/// Sets the tick period of the root context, counted from now. Zero stops the ticks.
pub(crate) fn set_tick_period(period_ms: u32) -> Result<(), Status> {
    // SAFETY: the call takes no pointers.
    check(unsafe { proxy_set_tick_period_milliseconds(period_ms) })
}

/// Returns the id of a metric. Creates the metric if it does not exist.
pub(crate) fn define_metric(kind: MetricKind, name: &str) -> Result<u32, Status> {
    let mut id = 0;
    // SAFETY: `name` outlives the call, and `id` is a valid out-pointer.
    check(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds `delta` to a metric. It must not be negative for a counter.
pub(crate) fn increment_metric(id: u32, delta: i64) -> Result<(), Status> {
    // SAFETY: the call takes no pointers.
    check(unsafe { proxy_increment_metric(id, delta) })
}

/// Sets a gauge.
pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), Status> {
    // SAFETY: the call takes no pointers.
    check(unsafe { proxy_record_metric(id, value) })
}

/// Returns the host's monotonic time. All workers of a process share this clock.
pub(crate) fn monotonic_time() -> Result<Instant, Status> {
    let mut ns = 0;
    // SAFETY: `ns` is a valid out-pointer.
    check(unsafe { clock_time_get(CLOCK_MONOTONIC, 0, &raw mut ns) })?;
    Ok(Instant::from_ns(ns))
}

/// Returns the time since 1970. It can jump in either direction.
pub(crate) fn wall_time() -> Result<Span, Status> {
    let mut ns = 0;
    // SAFETY: `ns` is a valid out-pointer.
    check(unsafe { proxy_get_current_time_nanoseconds(&raw mut ns) })?;
    Ok(Span::from_ns(ns))
}

/// Returns a random word.
pub(crate) fn random_word() -> Result<u64, Status> {
    let mut word = [0; 8];
    // SAFETY: `word` is valid for its length.
    check(unsafe { random_get(word.as_mut_ptr(), word.len()) })?;
    Ok(u64::from_le_bytes(word))
}
