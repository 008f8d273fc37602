//! Further actions, at the edges of the ABI: whole maps, bytes that are no text, sizes, calls with
//! a body, gRPC, queues and metrics by number.

use std::ptr;
use std::time::Duration;

use proxy_wasm::hostcalls;

use crate::act::{decode, encode, said};
use crate::raw::{self, Said};

unsafe extern "C" {
    fn proxy_set_header_map_pairs(map: u32, data: *const u8, len: usize) -> u32;
    fn proxy_get_header_map_size(map: u32, size: *mut u32) -> u32;
    fn proxy_get_buffer_status(buffer: u32, size: *mut u32, flags: *mut u32) -> u32;
    fn proxy_resolve_shared_queue(
        vm: *const u8,
        vm_len: usize,
        name: *const u8,
        name_len: usize,
        id: *mut u32,
    ) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_done() -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        key: *const u8,
        key_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> u32;
}

/// Runs one step. Returns the status as text, followed by the value if there is one.
pub fn run(words: &[&str]) -> String {
    let number = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
    match *words {
        ["order", map] => order(raw::pairs(number(map))),
        ["setpairs", map, list] => {
            let data = encode(&pairs(list));
            let status =
                unsafe { proxy_set_header_map_pairs(number(map), data.as_ptr(), data.len()) };
            status.to_string()
        }
        ["addhex", map, name, digits] => add_bytes(number(map), name, digits),
        ["size", map] => one(|size| unsafe { proxy_get_header_map_size(number(map), size) }),
        ["length", buffer] => {
            let (mut size, mut flags) = (0, 0);
            let (size_out, flags_out) = (&raw mut size, &raw mut flags);
            let status = unsafe { proxy_get_buffer_status(number(buffer), size_out, flags_out) };
            format!("{status} {size} {flags}")
        }
        ["callwith", cluster, headers, body, trailers, timeout_ms] => {
            let timeout = Duration::from_millis(number(timeout_ms).into());
            let body = Some(body.as_bytes()).filter(|it| !it.is_empty());
            let (headers, trailers) = (pairs(headers), pairs(trailers));
            called(hostcalls::dispatch_http_call(
                cluster, headers, body, trailers, timeout,
            ))
        }
        ["grpc", cluster, service, method, timeout_ms] => {
            let timeout = Duration::from_millis(number(timeout_ms).into());
            let message = Some(&b"asked"[..]);
            called(hostcalls::dispatch_grpc_call(
                cluster,
                service,
                method,
                vec![],
                message,
                timeout,
            ))
        }
        ["resolve", vm, name] => {
            let mut id = 0;
            let status = unsafe {
                proxy_resolve_shared_queue(
                    vm.as_ptr(),
                    vm.len(),
                    name.as_ptr(),
                    name.len(),
                    &raw mut id,
                )
            };
            status.to_string()
        }
        ["enqueueid", id, value] => raw::enqueue(number(id), value).to_string(),
        ["dequeueid", id] => said(raw::dequeue(number(id))),
        ["incrementid", id] => raw::increment_metric(number(id), 1).to_string(),
        ["recordid", id] => raw::record_metric(number(id), 1).to_string(),
        ["metricid", id] => raw::metric(number(id)).0.to_string(),
        ["loglevel"] => one(|level| unsafe { proxy_get_log_level(level) }),
        ["effective", id] => unsafe { proxy_set_effective_context(number(id)) }.to_string(),
        ["finish"] => unsafe { proxy_done() }.to_string(),
        _ => "no such step".into(),
    }
}

/// The status, pseudo-headers by name, and headers for tests with their values, in order.
fn order((status, value): Said) -> String {
    let pairs = decode(&value.unwrap_or_default());
    let shown = pairs
        .into_iter()
        .filter_map(|(name, value)| match name.as_bytes() {
            [b':', ..] => Some(name),
            [b'x', b'-', b't', b'-', ..] => Some(format!("{name}={value}")),
            _ => None,
        });
    format!("{status} {}", shown.collect::<Vec<_>>().join(","))
}

/// Reads `name~value,name~value`.
fn pairs(list: &str) -> Vec<(&str, &str)> {
    let pairs = list.split(',');
    pairs.filter_map(|pair| pair.split_once('~')).collect()
}

fn add_bytes(map: u32, name: &str, digits: &str) -> String {
    let bytes = (0..digits.len() / 2).filter_map(|at| digits.get(2 * at..2 * at + 2));
    let bytes: Vec<u8> = bytes
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect();
    let status = unsafe {
        proxy_add_header_map_value(map, name.as_ptr(), name.len(), bytes.as_ptr(), bytes.len())
    };
    status.to_string()
}

fn called<T>(call: Result<T, proxy_wasm::types::Status>) -> String {
    match call {
        Ok(_token) => "0".into(),
        Err(status) => format!("{status:?}"),
    }
}

fn one(call: impl FnOnce(*mut u32) -> u32) -> String {
    let mut value = 0;
    let status = call(ptr::from_mut(&mut value));
    format!("{status} {value}")
}
