//! How long a failing upstream asks clients to wait.
//!
//! `retry-after` on 429 and 503 (RFC 9110, 10.2.3: seconds or a date), and
//! `grpc-retry-pushback-ms` (gRFC A6). An invalid value is no hint.

use crate::exchange::Response;
use crate::http_value::{date, number};
use crate::time::Span;

/// Returns the hint of a response; `None` if it has none.
pub(crate) fn read(grpc: bool, status: Option<u16>, response: &impl Response) -> Option<Span> {
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
