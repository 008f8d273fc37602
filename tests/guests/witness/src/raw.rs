//! The raw ABI: every call returns the host's status and output unchanged.

use std::ptr;

/// A status, and the bytes that an OK returned.
pub type Said = (u32, Option<Vec<u8>>);

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
    fn proxy_add_header_map_value(
        map: u32,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_len: usize) -> u32;
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
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
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
    fn proxy_register_shared_queue(name: *const u8, name_len: usize, id: *mut u32) -> u32;
    fn proxy_enqueue_shared_queue(id: u32, value: *const u8, value_len: usize) -> u32;
    fn proxy_dequeue_shared_queue(id: u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, delta: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
    fn proxy_get_status(code: *mut u32, data: *mut *mut u8, len: *mut usize) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_len: usize,
        value: *const u8,
        value_len: usize,
        data: *mut *mut u8,
        len: *mut usize,
    ) -> u32;
}

fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Said {
    let (mut data, mut len) = (ptr::null_mut(), 0);
    let status = call(&raw mut data, &raw mut len);
    if status != 0 || data.is_null() {
        return (status, (status == 0).then(Vec::new));
    }
    (status, Some(unsafe { Vec::from_raw_parts(data, len, len) }))
}

fn number(call: impl FnOnce(*mut u32) -> u32) -> (u32, u32) {
    let mut value = 0;
    (call(&raw mut value), value)
}

pub fn buffer(kind: u32, start: usize, max: usize) -> Said {
    bytes(|data, len| unsafe { proxy_get_buffer_bytes(kind, start, max, data, len) })
}

pub fn set_buffer(kind: u32, start: usize, len: usize, data: &str) -> u32 {
    unsafe { proxy_set_buffer_bytes(kind, start, len, data.as_ptr(), data.len()) }
}

pub fn pairs(map: u32) -> Said {
    bytes(|data, len| unsafe { proxy_get_header_map_pairs(map, data, len) })
}

pub fn header(map: u32, name: &str) -> Said {
    bytes(|data, len| unsafe {
        proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, len)
    })
}

pub fn add_header(map: u32, name: &[u8], value: &[u8]) -> u32 {
    unsafe {
        proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    }
}

pub fn set_header(map: u32, name: &[u8], value: &[u8]) -> u32 {
    unsafe {
        proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    }
}

pub fn remove_header(map: u32, name: &str) -> u32 {
    unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) }
}

pub fn property(path: &str) -> Said {
    bytes(|data, len| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, len) })
}

pub fn set_property(path: &str, value: &str) -> u32 {
    unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) }
}

pub fn continue_stream(stream: u32) -> u32 {
    unsafe { proxy_continue_stream(stream) }
}

pub fn close_stream(stream: u32) -> u32 {
    unsafe { proxy_close_stream(stream) }
}

pub fn local_response(status: u32, details: &str, body: &str, headers: &[u8], grpc: i32) -> u32 {
    unsafe {
        proxy_send_local_response(
            status,
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

/// The status, the value, and its compare-and-swap token.
pub fn shared_data(key: &str) -> (Said, u32) {
    let mut cas = 0;
    let said = bytes(|data, len| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, len, &raw mut cas)
    });
    (said, cas)
}

pub fn set_shared_data(key: &str, value: &str, cas: u32) -> u32 {
    unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) }
}

pub fn register_queue(name: &str) -> (u32, u32) {
    number(|id| unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), id) })
}

pub fn enqueue(id: u32, value: &str) -> u32 {
    unsafe { proxy_enqueue_shared_queue(id, value.as_ptr(), value.len()) }
}

pub fn dequeue(id: u32) -> Said {
    bytes(|data, len| unsafe { proxy_dequeue_shared_queue(id, data, len) })
}

pub fn define_metric(kind: u32, name: &str) -> (u32, u32) {
    number(|id| unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), id) })
}

pub fn increment_metric(id: u32, delta: i64) -> u32 {
    unsafe { proxy_increment_metric(id, delta) }
}

pub fn record_metric(id: u32, value: u64) -> u32 {
    unsafe { proxy_record_metric(id, value) }
}

pub fn metric(id: u32) -> (u32, u64) {
    let mut value = 0;
    (unsafe { proxy_get_metric(id, &raw mut value) }, value)
}

pub fn status() -> (Said, u32) {
    let mut code = 0;
    let said = bytes(|data, len| unsafe { proxy_get_status(&raw mut code, data, len) });
    (said, code)
}

pub fn tick(period_ms: u32) -> u32 {
    unsafe { proxy_set_tick_period_milliseconds(period_ms) }
}

pub fn foreign(name: &str, value: &str) -> Said {
    bytes(|data, len| unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
            data,
            len,
        )
    })
}
