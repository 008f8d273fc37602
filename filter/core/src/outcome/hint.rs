//! What a failing upstream says about when to come back.
//!
//! `retry-after` on 429 and 503 (RFC 9110, 10.2.3: seconds or a date), and
//! `grpc-retry-pushback-ms` (gRFC A6). What cannot be understood is no hint.

use crate::exchange::Response;
use crate::http_value::{date, number};
use crate::time::Span;

/// The hint of an answer; absent where it gives none.
pub fn read(grpc: bool, status: Option<u16>, response: &impl Response) -> Option<Span> {
    if grpc {
        let value = response.header("grpc-retry-pushback-ms")?;
        return number(value.as_ref()).map(Span::from_ms);
    }
    if !matches!(status, Some(429 | 503)) {
        return None;
    }
    let value = response.header("retry-after")?;
    let value = value.as_ref().trim_ascii();
    number(value).map(Span::from_secs).or_else(|| {
        let seconds = date(value)?.saturating_sub(response.unix_secs());
        Some(Span::from_secs(seconds))
    })
}
