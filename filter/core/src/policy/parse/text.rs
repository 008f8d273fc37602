//! Small texts with a form of their own: durations, percentages, statuses, names.

use alloc::format;
use alloc::string::String;
use core::ops::RangeInclusive;

use crate::time::Span;

/// Units of Go's duration form, longest names first where one begins another.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// [`duration`] as a regular expression: its form, not its range.
pub(super) const DURATION_PATTERN: &str =
    "^([0-9]+(\\.[0-9]{1,9})?(ns|us|\u{b5}s|\u{3bc}s|ms|s|m|h))+$";
/// [`status_range`] as a regular expression, but for the order of a range's ends.
pub(super) const STATUS_PATTERN: &str = "^([1-5]xx|[1-5][0-9]{2}(-[1-5][0-9]{2})?)$";
/// [`is_token`] as a regular expression.
pub(super) const TOKEN_PATTERN: &str = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";
/// The path of a request, with its query.
pub(super) const REQUEST_PATH_PATTERN: &str = "^/[!\"$-~]*$";
/// The value of a header, one character or more.
pub(super) const VISIBLE_PATTERN: &str = "^[!-~]+$";
/// A path whose segments are plain or one `{name}` each, as a regular expression.
pub(super) const TEMPLATE_PATTERN: &str = r"^(/(\{[^{}/?#]+\}|[^{}/?#]*))+$";

/// [`is_path_prefix`] as a regular expression, but for its length.
pub(super) const PATH_PREFIX_PATTERN: &str =
    r"^(/([A-Za-z0-9_~-]|\.[A-Za-z0-9_~-]|\.\.[A-Za-z0-9._~-])[A-Za-z0-9._~-]*)+$";
/// Length of a path prefix: it is compared with the path of every request.
pub(super) const PATH_PREFIX_BYTES: RangeInclusive<usize> = 2..=64;

/// Parses Go's form of a duration: `250ms`, `1.5s`, `1m30s`, `0s`.
///
/// Stricter than Go: no sign, a unit after every number, at most nine decimals.
pub(crate) fn duration(text: &str) -> Option<Span> {
    let mut rest = text;
    let mut total_ns: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest)?;
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after).filter(|(fraction, _)| fraction.len() <= 9)?,
            None => ("", after),
        };
        let unit_len = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit_len)?;
        let &(_, unit_ns) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let whole_ns = whole.parse::<u64>().ok()?.checked_mul(unit_ns)?;
        total_ns = total_ns
            .checked_add(whole_ns)?
            .checked_add(fraction_of(fraction, unit_ns))?;
        rest = next;
    }
    (!text.is_empty()).then_some(Span::from_ns(total_ns))
}

/// `0.fraction * unit_ns`, rounded down.
fn fraction_of(fraction: &str, unit_ns: u64) -> u64 {
    let digits = fraction.parse::<u64>().unwrap_or(0);
    let scale = 10_u64.saturating_pow(u32::try_from(fraction.len()).unwrap_or(u32::MAX));
    Span::from_ns(digits).scale(unit_ns, scale).as_ns()
}

/// The digits at the beginning, at least one, and what follows.
fn digits(text: &str) -> Option<(&str, &str)> {
    let len = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(len).filter(|_| len > 0)
}

/// A span in the form in which it is written: the largest unit that keeps it whole.
pub(super) fn show_span(span: Span) -> String {
    let ns = span.as_ns();
    let (name, unit_ns) = [UNITS[7], UNITS[6], UNITS[5], UNITS[4], UNITS[1], UNITS[0]]
        .into_iter()
        .find(|(_, unit_ns)| ns.is_multiple_of(*unit_ns) && ns >= *unit_ns)
        .unwrap_or(UNITS[5]);
    format!("{}{name}", ns.checked_div(unit_ns).unwrap_or(0))
}

/// How much of a wrong value is shown: enough to recognise it on one line.
pub(super) const FOUND_CHARS: usize = 60;

/// The beginning of a text that was found where another should stand.
pub(crate) fn shorten(text: String) -> String {
    match text.char_indices().nth(FOUND_CHARS) {
        None => text,
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}

/// A share in basis points as a percentage: 2,550 is `25.5`.
pub(super) fn show_percent(bp: u32) -> String {
    let (whole, rest) = (bp / 100, bp % 100);
    match (rest / 10, rest % 10) {
        (0, 0) => format!("{whole}"),
        (tenth, 0) => format!("{whole}.{tenth}"),
        _ => format!("{whole}.{rest:02}"),
    }
}

/// A whole number, however it is written: `20.0` and `2e1` are 20.
pub(super) fn whole(number: &serde_json::Number) -> Option<u32> {
    if let Some(whole) = number.as_u64() {
        return u32::try_from(whole).ok();
    }
    let float = number.as_f64()?;
    let whole = float as u32;
    (f64::from(whole) == float).then_some(whole)
}

/// A number with at most two decimals, in hundredths.
pub(super) fn hundredths(number: &serde_json::Number) -> Option<u32> {
    if let Some(whole) = number.as_u64() {
        return u32::try_from(whole).ok()?.checked_mul(100);
    }
    let scaled = number.as_f64()? * 100.0;
    if !(0.0..4e9).contains(&scaled) {
        return None;
    }
    let nearest = (scaled + 0.5) as u32;
    // A decimal such as 0.07 has no exact float; a third decimal is far larger
    // than that error.
    ((scaled - f64::from(nearest)).abs() < 1e-4).then_some(nearest)
}

/// `"5xx"`, `"503"` or `"500-504"` as the statuses from low to high, 100 to 599.
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

/// A header name or method: one or more characters of RFC 9110's `token`.
pub(super) fn is_token(text: &str) -> bool {
    let special = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || special(b))
}

/// Whether a text is a request's path, and maybe query.
pub(super) fn is_request_path(text: &str) -> bool {
    text.starts_with('/') && is_visible(text) && !text.contains('#')
}

/// Whether a text is one or more visible ASCII characters.
pub(super) fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A path that stays as it is however a proxy normalises paths: of unreserved
/// characters (RFC 3986), no segment of it empty, `.` or `..`, and no `/` at its end.
pub(super) fn is_path_prefix(text: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
    let stays = |segment: &str| !matches!(segment, "" | "." | "..");
    PATH_PREFIX_BYTES.contains(&text.len())
        && text.strip_prefix('/').is_some_and(|segments| {
            segments
                .split('/')
                .all(|segment| stays(segment) && segment.bytes().all(unreserved))
        })
}

/// The name of `known` nearest to `word`, if it is near enough to be a slip.
pub(super) fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let slips = (word.len() / 3).clamp(1, 4);
    known
        .iter()
        .map(|name| (distance(word.as_bytes(), name.as_bytes()), *name))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's edit distance.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: alloc::vec::Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b) {
            let changed = diagonal.saturating_add(usize::from(x != y));
            diagonal = *cell;
            left = changed
                .min(diagonal.saturating_add(1))
                .min(left.saturating_add(1));
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_gos_form() {
        let rows: &[(&str, Option<u64>)] = &[
            ("0s", Some(0)),
            ("250ms", Some(250_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1h", Some(3_600_000_000_000)),
            ("1h1m1s1ms1us1ns", Some(3_661_001_001_001)),
            ("0.25ms", Some(250_000)),
            ("1\u{b5}s", Some(1_000)),
            ("1.123456789s", Some(1_123_456_789)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1 s", None),
            ("1d", None),
            (".5s", None),
            ("1.s", None),
            ("1.1234567891s", None),
            ("99999999999h", None),
        ];
        for (text, ns) in rows {
            assert_eq!(duration(text).map(Span::as_ns), *ns, "{text}");
        }
    }

    #[test]
    fn spans_are_shown_as_they_would_be_written() {
        for text in ["100ms", "1h", "90s", "1500ms", "1us", "7ns"] {
            assert_eq!(show_span(duration(text).unwrap()), text);
        }
        assert_eq!(show_span(Span::ZERO), "0s");
    }

    #[test]
    fn whole_numbers_may_have_a_point() {
        let rows: &[(&str, Option<u32>)] = &[
            ("20", Some(20)),
            ("20.0", Some(20)),
            ("2e1", Some(20)),
            ("0.0", Some(0)),
            ("4294967295.0", Some(u32::MAX)),
            ("4294967296.0", None),
            ("4294967296", None),
            ("20.5", None),
            ("-1", None),
            ("-1.0", None),
            ("1e300", None),
        ];
        for (text, expected) in rows {
            let number = serde_json::from_str(text).unwrap();
            assert_eq!(whole(&number), *expected, "{text}");
        }
    }

    #[test]
    fn percentages_have_at_most_two_decimals() {
        let rows: &[(&str, Option<u32>)] = &[
            ("0", Some(0)),
            ("50", Some(5_000)),
            ("0.01", Some(1)),
            ("0.07", Some(7)),
            ("33.33", Some(3_333)),
            ("99.99", Some(9_999)),
            ("100.0", Some(10_000)),
            ("33.333", None),
            ("0.001", None),
            ("-1", None),
            ("1e300", None),
        ];
        for (text, bp) in rows {
            let number = serde_json::from_str(text).unwrap();
            assert_eq!(hundredths(&number), *bp, "{text}");
        }
        assert_eq!(show_percent(2_550), "25.5");
        assert_eq!(show_percent(2_505), "25.05");
    }

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
    fn a_path_prefix_is_one_that_no_proxy_rewrites() {
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

    #[test]
    fn a_slip_of_the_pen_is_recognised_and_another_word_is_not() {
        let known = ["circuit_breaker", "fallback", "on", "mode"];
        assert_eq!(nearest("circuit_braker", &known), Some("circuit_breaker"));
        assert_eq!(nearest("circuitBreaker", &known), Some("circuit_breaker"));
        assert_eq!(nearest("fallbacks", &known), Some("fallback"));
        assert_eq!(nearest("timeouts", &known), None);
    }
}
