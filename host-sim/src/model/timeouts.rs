//! The time limits of a request, from its route and its headers.
//!
//! Two components of the proxy set limits. The connection manager limits the stream: its duration
//! and its idle time. The router limits the request to the upstream: from the end of the request to
//! the end of the response, and each attempt.

use crate::headers::HeaderMap;
use crate::model::spec::Route;
use crate::sim::span::Span;

/// Limits of a stream. Zero means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamLimits {
    /// From the first byte of the request.
    pub duration: Span,
    /// Longest time in which nothing is sent in either direction.
    pub idle: Span,
}

impl StreamLimits {
    /// Returns the limits of a request with these headers on `route`.
    pub fn new(route: &Route, headers: &HeaderMap) -> StreamLimits {
        let duration = route.max_stream_duration.as_ref().map(|limits| {
            let asked = limits
                .grpc_timeout_header_max
                .and_then(|max| Some((grpc_timeout(headers)?, max)));
            match asked {
                Some((asked, max)) => {
                    shortened(capped(asked, max), limits.grpc_timeout_header_offset)
                }
                None => limits.max_stream_duration.unwrap_or(Span::ZERO),
            }
        });
        StreamLimits {
            duration: duration.unwrap_or(Span::ZERO),
            idle: route.idle_timeout,
        }
    }
}

/// Returns the router's limit from the end of the request to the end of the response. Zero means
/// no limit.
pub fn route_timeout(route: &Route, headers: &HeaderMap) -> Span {
    match route.max_grpc_timeout {
        _ if route.max_stream_duration.is_some() => Span::ZERO,
        Some(max) if is_grpc(headers) => {
            let asked = grpc_timeout(headers).unwrap_or(Span::ZERO);
            capped(shortened(asked, route.grpc_timeout_offset), max)
        }
        _ => route.timeout,
    }
}

/// Returns the shorter of the two, where zero means no limit.
fn capped(asked: Span, max: Span) -> Span {
    match (asked == Span::ZERO, max == Span::ZERO) {
        (_, true) => asked,
        (true, false) => max,
        (false, false) => asked.min(max),
    }
}

/// Subtracts the offset, unless nothing would be left.
fn shortened(span: Span, offset: Option<Span>) -> Span {
    let offset = offset.filter(|offset| *offset < span);
    Span::from_ns(span.as_ns() - offset.unwrap_or(Span::ZERO).as_ns())
}

/// Returns whether the content type is gRPC's.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let rest = headers
        .value(b"content-type")
        .and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+"))
}

/// Returns the value of `grpc-timeout`, rounded up to milliseconds as in Envoy. `None` if it is
/// missing or malformed.
fn grpc_timeout(headers: &HeaderMap) -> Option<Span> {
    let text = headers.text("grpc-timeout")?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    // The protocol allows eight digits.
    let number: u64 = number.parse().ok().filter(|_| digits <= 8)?;
    Some(Span::from_ms(match unit {
        "H" => number * 3_600_000,
        "M" => number * 60_000,
        "S" => number * 1_000,
        "m" => number,
        "u" => number.div_ceil(1_000),
        "n" => number.div_ceil(1_000_000),
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::MaxStreamDuration;

    const ZERO: Span = Span::ZERO;

    fn ms(ms: u64) -> Span {
        Span::from_ms(ms)
    }

    fn headers(grpc_timeout: &str) -> HeaderMap {
        HeaderMap::from([
            ("content-type", "application/grpc+proto"),
            ("grpc-timeout", grpc_timeout),
        ])
    }

    #[test]
    fn a_grpc_timeout_is_a_number_of_at_most_eight_digits_and_a_unit() {
        let rows = [
            ("2H", Some(7_200_000)),
            ("3M", Some(180_000)),
            ("1S", Some(1_000)),
            ("200m", Some(200)),
            ("1001u", Some(2)),
            ("1n", Some(1)),
            ("0m", Some(0)),
            ("99999999m", Some(99_999_999)),
            ("100000000m", None),
            ("m", None),
            ("20", None),
            ("-1m", None),
            ("1mm", None),
        ];
        for (text, expected) in rows {
            let seen = grpc_timeout(&headers(text));
            assert_eq!(seen, expected.map(ms), "{text}");
        }
        assert_eq!(grpc_timeout(&HeaderMap::default()), None);
    }

    #[test]
    fn a_route_timeout_defaults_to_fifteen_seconds() {
        let plain = Route::default();
        let new = Route {
            max_stream_duration: Some(MaxStreamDuration::default()),
            ..Route::default()
        };
        let grpc = |max, offset| Route {
            max_grpc_timeout: Some(ms(max)),
            grpc_timeout_offset: Some(ms(offset)),
            ..Route::default()
        };
        let http = HeaderMap::from([("grpc-timeout", "200m")]);
        let rows = [
            (&plain, headers("200m"), 15_000),
            (&new, headers("200m"), 0),
            (&grpc(0, 0), headers("200m"), 200),
            (&grpc(0, 0), headers("none"), 0),
            (&grpc(0, 0), http, 15_000),
            (&grpc(100, 0), headers("200m"), 100),
            (&grpc(100, 0), headers("none"), 100),
            (&grpc(0, 50), headers("200m"), 150),
            (&grpc(0, 200), headers("200m"), 200),
        ];
        for (route, headers, expected) in rows {
            let seen = route_timeout(route, &headers);
            assert_eq!(seen, ms(expected), "{route:?} {headers:?}");
        }
    }

    #[test]
    fn a_stream_is_limited_by_its_route_or_by_grpc_timeout() {
        let limited = |cause, max: Option<u64>, offset| Route {
            max_stream_duration: Some(MaxStreamDuration {
                max_stream_duration: Some(cause),
                grpc_timeout_header_max: max.map(ms),
                grpc_timeout_header_offset: Some(offset),
            }),
            ..Route::default()
        };
        let rows = [
            (limited(ms(500), None, ZERO), 500),
            (limited(ms(500), Some(0), ZERO), 200),
            (limited(ms(50), Some(0), ZERO), 200),
            (limited(ms(50), Some(100), ZERO), 100),
            (limited(ms(50), Some(0), ms(60)), 140),
            (Route::default(), 0),
        ];
        for (route, expected) in rows {
            let seen = StreamLimits::new(&route, &headers("200m"));
            let idle = ms(300_000);
            let duration = ms(expected);
            assert_eq!(seen, StreamLimits { duration, idle }, "{route:?}");
        }
    }
}
