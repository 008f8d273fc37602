//! Details of a gRPC response: `grpc-status-details-bin`, a `google.rpc.Status` with a
//! `google.rpc.ErrorInfo` and, if the circuit knows when to retry, a `google.rpc.RetryInfo`
//! (Google AIP-193). Clients read it with the helpers of their gRPC library.
//!
//! The few fields are encoded by hand. A protobuf library would be several times as large.

use alloc::string::String;
use alloc::vec::Vec;

use super::occasion::Occasion;
use crate::headers::Pairs;
use crate::policy::{On, Policy};

/// The header's name.
pub(super) const HEADER: &str = "grpc-status-details-bin";

const STATUS_CODE: u8 = 1;
const STATUS_MESSAGE: u8 = 2;
const STATUS_DETAILS: u8 = 3;
const ANY_TYPE: u8 = 1;
const ANY_VALUE: u8 = 2;
const INFO_REASON: u8 = 1;
const INFO_DOMAIN: u8 = 2;
const INFO_METADATA: u8 = 3;
const ENTRY_KEY: u8 = 1;
const ENTRY_VALUE: u8 = 2;
const RETRY_DELAY: u8 = 1;
const DURATION_SECONDS: u8 = 1;

/// The domain of the reasons.
const DOMAIN: &[u8] = b"spillway";

/// Adds the header for a response with this code and message.
pub(super) fn push(
    headers: &mut Pairs,
    policy: &Policy,
    occasion: &Occasion<'_>,
    code: u8,
    message: &[u8],
) {
    let mut status = Vec::new();
    number(STATUS_CODE, u64::from(code), &mut status);
    // A client may have chosen parts of it, and a protobuf string is UTF-8.
    let message = String::from_utf8_lossy(message);
    text(STATUS_MESSAGE, message.as_bytes(), &mut status);
    detail(
        b"type.googleapis.com/google.rpc.ErrorInfo",
        &info(policy, occasion),
        &mut status,
    );
    if occasion.on == On::Open {
        let (mut delay, mut retry) = (Vec::new(), Vec::new());
        number(DURATION_SECONDS, occasion.wait_secs(), &mut delay);
        text(RETRY_DELAY, &delay, &mut retry);
        detail(
            b"type.googleapis.com/google.rpc.RetryInfo",
            &retry,
            &mut status,
        );
    }
    headers.push((HEADER.into(), base64(&status)));
}

fn info(policy: &Policy, occasion: &Occasion<'_>) -> Vec<u8> {
    let reason = match occasion.on {
        On::Open => "CIRCUIT_OPEN",
        On::Failure => "UPSTREAM_FAILURE",
        On::Timeout => "UPSTREAM_TIMEOUT",
    };
    let mut info = Vec::new();
    text(INFO_REASON, reason.as_bytes(), &mut info);
    text(INFO_DOMAIN, DOMAIN, &mut info);
    for (key, value) in [("policy", &*policy.name), ("state", occasion.state.name())] {
        let mut entry = Vec::new();
        text(ENTRY_KEY, key.as_bytes(), &mut entry);
        text(ENTRY_VALUE, value.as_bytes(), &mut entry);
        text(INFO_METADATA, &entry, &mut info);
    }
    info
}

fn detail(type_url: &[u8], message: &[u8], out: &mut Vec<u8>) {
    let mut any = Vec::new();
    text(ANY_TYPE, type_url, &mut any);
    text(ANY_VALUE, message, &mut any);
    text(STATUS_DETAILS, &any, out);
}

/// Writes a field that is a string, bytes, or a message.
fn text(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(field << 3 | 2);
    varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(bytes);
}

fn number(field: u8, value: u64, out: &mut Vec<u8>) {
    out.push(field << 3);
    varint(value, out);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Encodes without padding, as gRPC requires ("gRPC over HTTP2", Custom-Metadata).
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..chunk.len().saturating_add(1) {
            let shift = [18, 12, 6, 0].get(digit).copied().unwrap_or(0);
            let value = usize::try_from(word >> shift & 63).unwrap_or(0);
            out.extend(DIGITS.get(value));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    use super::*;

    #[test]
    fn base64_is_standard() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..bytes.len() {
            let text = base64(&bytes[..len]);
            assert_eq!(text, STANDARD_NO_PAD.encode(&bytes[..len]).into_bytes());
        }
    }

    #[test]
    fn numbers_take_as_many_bytes_as_they_need() {
        let rows: [(u64, &[u8]); 5] = [
            (0, &[0]),
            (127, &[127]),
            (128, &[128, 1]),
            (300, &[0xac, 2]),
            (u64::from(u32::MAX), &[255, 255, 255, 255, 15]),
        ];
        for (value, bytes) in rows {
            let mut out = Vec::new();
            varint(value, &mut out);
            assert_eq!(out, bytes, "{value}");
        }
    }
}
