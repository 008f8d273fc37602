//! Strings with a fixed form: statuses, names, paths. The patterns are for the schema.

use alloc::format;
use core::ops::RangeInclusive;

use crate::http_value::without_port;

/// [`duration`](crate::text::duration) as a regular expression, without its range.
pub(super) const DURATION_PATTERN: &str =
    "^([0-9]+(\\.[0-9]{1,9})?(ns|us|\u{b5}s|\u{3bc}s|ms|s|m|h))+$";
/// [`status_range`] as a regular expression, which cannot say that a range ascends.
pub(super) const STATUS_PATTERN: &str = "^([1-5]xx|[1-5][0-9]{2}(-[1-5][0-9]{2})?)$";
/// [`is_token`] as a regular expression.
pub(super) const TOKEN_PATTERN: &str = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";
/// [`is_request_path`] as a regular expression.
pub(super) const REQUEST_PATH_PATTERN: &str = "^/[!\"$-~]*$";
/// The name of a query parameter, or the beginning of a name and `*`, as a regular expression.
pub(super) const PARAMETER_PATTERN: &str = "^[!\"$%'()+-:<>@-~]+\\*?$";
/// [`is_authority`] as a regular expression, without its length and the highest port.
pub(super) const AUTHORITY_PATTERN: &str =
    r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[1-9][0-9]{0,4})?$";
/// Longest authority: no name in the DNS is longer (RFC 3986, 3.2.2).
pub(super) const AUTHORITY_BYTES_MAX: usize = 255;
/// [`is_visible`] as a regular expression.
pub(super) const VISIBLE_PATTERN: &str = "^[!-~]+$";
/// A path whose segments are plain text or one `{name}`, as a regular expression.
pub(super) const TEMPLATE_PATTERN: &str = r"^(/(\{[^{}/?#]+\}|[^{}/?#]*))+$";

/// [`is_path_prefix`] as a regular expression, without its length.
pub(super) const PATH_PREFIX_PATTERN: &str =
    r"^(/([A-Za-z0-9_~-]|\.[A-Za-z0-9_~-]|\.\.[A-Za-z0-9._~-])[A-Za-z0-9._~-]*)+$";
/// Length of a path prefix. It is compared with the path of every request.
pub(super) const PATH_PREFIX_BYTES: RangeInclusive<usize> = 2..=64;

/// Reads `"5xx"`, `"503"` or `"500-504"` as the first and the last status, 100 to 599.
pub(super) fn status_range(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx") {
        let low = one_status(&format!("{class}00"))?;
        return Some((low, low.saturating_add(99)));
    }
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (one_status(low)?, one_status(high)?);
    (low <= high).then_some((low, high))
}

fn one_status(text: &str) -> Option<u16> {
    let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    let status = text.parse().ok().filter(|_| digits)?;
    (100..=599).contains(&status).then_some(status)
}

/// Whether a string is a header name or method: a `token` of RFC 9110.
pub(super) fn is_token(text: &str) -> bool {
    let special = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || special(b))
}

/// What [`is_request_path`] allows.
pub(super) const REQUEST_PATH: &str =
    "a path such as /lite or /lite?a=b, of visible ASCII characters without #";

/// Whether a string is a request's path, with or without a query.
pub(super) fn is_request_path(text: &str) -> bool {
    text.starts_with('/') && is_visible(text) && !text.contains('#')
}

/// Whether a string is a host, by name or address, with or without a port.
pub(super) fn is_authority(text: &str) -> bool {
    let bytes = text.as_bytes();
    let host = without_port(bytes);
    let port = text.get(host.len()..).and_then(|it| it.strip_prefix(':'));
    let is_port = |digits: &str| !digits.starts_with('0') && digits.parse::<u16>().is_ok();
    let is_host = match host {
        [b'[', address @ .., b']'] if !address.is_empty() => address
            .iter()
            .all(|b| b.is_ascii_hexdigit() || b":.".contains(b)),
        _ => host
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b)),
    };
    let fits = !host.is_empty() && bytes.len() <= AUTHORITY_BYTES_MAX;
    fits && is_host && port.is_none_or(is_port)
}

/// Whether a string is one or more visible ASCII characters.
pub(super) fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a string is a path that no proxy changes when it normalizes paths: unreserved
/// characters (RFC 3986), no segment that is empty, `.` or `..`, and no `/` at the end.
pub(super) fn is_path_prefix(text: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
    let is_stable = |segment: &str| !matches!(segment, "" | "." | "..");
    PATH_PREFIX_BYTES.contains(&text.len())
        && text.strip_prefix('/').is_some_and(|segments| {
            segments
                .split('/')
                .all(|segment| is_stable(segment) && segment.bytes().all(unreserved))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_a_class_a_number_or_a_range() {
        let rows: &[(&str, Option<(u16, u16)>)] = &[
            ("5xx", Some((500, 599))),
            ("503", Some((503, 503))),
            ("500-504", Some((500, 504))),
            ("6xx", None),
            ("99", None),
            ("504-500", None),
            ("+50", None),
            ("5XX", None),
            ("xx", None),
            ("", None),
        ];
        for (text, range) in rows {
            assert_eq!(status_range(text), *range, "{text}");
        }
    }

    #[test]
    fn an_authority_is_a_host_with_or_without_a_port() {
        let longest = "a".repeat(255);
        let too_long = "a".repeat(256);
        let rows = [
            ("a", true),
            ("lite.example.com", true),
            ("Lite_1.shop-a.svc:8080", true),
            ("10.0.0.1:1", true),
            ("[::1]", true),
            ("[::ffff:10.0.0.1]:65535", true),
            (&longest, true),
            (&too_long, false),
            ("", false),
            (":80", false),
            ("a:", false),
            ("a:b", false),
            ("a:0", false),
            ("a:080", false),
            ("a:+80", false),
            ("a:65536", false),
            ("a:99999999999999999999", false),
            ("a:80:80", false),
            ("::1", false),
            ("[]", false),
            ("[", false),
            ("[::1", false),
            ("[::1]a", false),
            ("[g::1]", false),
            ("user@a", false),
            ("a/b", false),
            ("a b", false),
            ("a\r\nx: y", false),
            ("*.a", false),
            ("a%41", false),
            ("\u{e4}", false),
        ];
        for (text, expected) in rows {
            assert_eq!(is_authority(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_path_prefix_is_a_path_that_no_proxy_rewrites() {
        let longest = alloc::format!("/{}", "a".repeat(63));
        let too_long = alloc::format!("/{}", "a".repeat(64));
        let rows = [
            ("/spillway", true),
            ("/a", true),
            ("/A-z0/9._~-/v1", true),
            ("/.well-known/..a/...", true),
            (&longest, true),
            (&too_long, false),
            ("", false),
            ("/", false),
            ("a", false),
            ("a/b", false),
            ("//", false),
            ("//a", false),
            ("/a//b", false),
            ("/a/", false),
            ("/.", false),
            ("/a/../b", false),
            ("/a b", false),
            ("/a?b", false),
            ("/a%20", false),
            ("/a;b", false),
            ("/\u{e4}", false),
            ("/a\n", false),
        ];
        for (text, expected) in rows {
            assert_eq!(is_path_prefix(text), expected, "{text:?}");
        }
    }
}
