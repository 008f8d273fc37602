//! Strings that policies and operators' requests share: durations, lower case, and excerpts
//! of wrong values.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use crate::time::Span;

/// Units of Go's durations. A name comes before those that it ends with.
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

/// Parses a duration in Go's syntax: `250ms`, `1.5s`, `1m30s`, `0s`.
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

/// Returns `0.fraction * unit_ns`, rounded down.
fn fraction_of(fraction: &str, unit_ns: u64) -> u64 {
    let digits = fraction.parse::<u64>().unwrap_or(0);
    let scale = 10_u64.saturating_pow(u32::try_from(fraction.len()).unwrap_or(u32::MAX));
    Span::from_ns(digits).scale(unit_ns, scale).as_ns()
}

/// Splits off the leading digits; `None` if there are none.
fn digits(text: &str) -> Option<(&str, &str)> {
    let len = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(len).filter(|_| len > 0)
}

/// Formats a span with the largest unit that keeps it whole.
pub(crate) fn show_span(span: Span) -> String {
    let ns = span.as_ns();
    let (name, unit_ns) = [UNITS[7], UNITS[6], UNITS[5], UNITS[4], UNITS[1], UNITS[0]]
        .into_iter()
        .find(|(_, unit_ns)| ns.is_multiple_of(*unit_ns) && ns >= *unit_ns)
        .unwrap_or(UNITS[5]);
    format!("{}{name}", ns.checked_div(unit_ns).unwrap_or(0))
}

/// Length of a wrong value in errors: enough to recognise it on one line.
pub(crate) const FOUND_CHARS: usize = 60;

/// Shortens a wrong value to its first [`FOUND_CHARS`].
pub(crate) fn shorten(text: String) -> String {
    match text.char_indices().nth(FOUND_CHARS) {
        None => text,
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}

/// Returns a string with its ASCII letters in lower case.
pub(crate) fn lower(text: &str) -> Box<str> {
    let mut owned = String::from(text);
    owned.make_ascii_lowercase();
    owned.into_boxed_str()
}

/// Most digits of a number.
pub(crate) const DECIMAL_LEN: usize = 20;

/// Writes a number at the end of `room`, and returns its digits.
pub(crate) fn decimal(mut number: u64, room: &mut [u8; DECIMAL_LEN]) -> &[u8] {
    let mut at = DECIMAL_LEN;
    for place in room.iter_mut().rev() {
        let digit = u8::try_from(number % 10).unwrap_or_default();
        *place = digit.wrapping_add(b'0');
        at = at.wrapping_sub(1);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    room.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_in_gos_syntax() {
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
    fn spans_are_formatted_as_a_user_would_write_them() {
        for text in ["100ms", "1h", "90s", "1500ms", "1us", "7ns"] {
            assert_eq!(show_span(duration(text).unwrap()), text);
        }
        assert_eq!(show_span(Span::ZERO), "0s");
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 1, 9, 10, 1_000, 15_000, u64::MAX - 1, u64::MAX] {
            let mut room = [b'x'; DECIMAL_LEN];
            let digits = decimal(number, &mut room);
            assert_eq!(digits, alloc::format!("{number}").as_bytes());
        }
    }
}
