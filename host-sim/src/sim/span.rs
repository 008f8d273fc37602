//! Durations of virtual time, in the notation of scenario files.

use std::fmt;
use std::ops::Add;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::sim::clock::Time;

/// A duration in nanoseconds.
///
/// Written in Go's notation (`250ms`, `1.5s`, `1m30s`), like the durations of policies and of
/// Envoy's documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Span(u64);

/// Units, from the largest to the smallest.
const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Span {
    /// The empty duration.
    pub const ZERO: Span = Span(0);

    /// Returns a duration of `ns` nanoseconds.
    pub const fn from_ns(ns: u64) -> Span {
        Span(ns)
    }

    /// Returns a duration of `ms` milliseconds.
    pub const fn from_ms(ms: u64) -> Span {
        Span(ms.saturating_mul(1_000_000))
    }

    /// Returns a duration of `seconds`, or zero if `seconds` is negative.
    pub fn from_seconds(seconds: f64) -> Span {
        // The cast saturates, and maps NaN to 0.
        Span((seconds * 1e9) as u64)
    }

    /// Returns the duration in nanoseconds.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// Returns the duration in whole milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Returns the duration in seconds.
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Returns the time from `earlier` to `later`, or zero if `later` is earlier.
    pub fn between(earlier: Time, later: Time) -> Span {
        Span(later.as_ns().saturating_sub(earlier.as_ns()))
    }

    /// For display: three digits in the unit that fits, such as `12.3ms`.
    pub fn rounded(self) -> String {
        let ns = self.0 as f64;
        let (number, unit) = match self.0 {
            0 => return "0s".into(),
            1..1_000 => return format!("{}ns", self.0),
            1_000..999_500 => (ns / 1e3, "us"),
            999_500..999_500_000 => (ns / 1e6, "ms"),
            999_500_000..120_000_000_000 => (ns / 1e9, "s"),
            _ => (ns / 60e9, "m"),
        };
        let decimals = match number {
            ..9.995 => 2,
            ..99.95 => 1,
            _ => 0,
        };
        let digits = format!("{number:.decimals$}");
        let digits = match digits.contains('.') {
            true => digits.trim_end_matches('0').trim_end_matches('.'),
            false => &digits,
        };
        format!("{digits}{unit}")
    }
}

impl Add<Span> for Time {
    type Output = Time;

    fn add(self, span: Span) -> Time {
        Time::from_ns(self.as_ns().saturating_add(span.0))
    }
}

/// Error for a text that is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSpan;

impl fmt::Display for InvalidSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a duration; use one such as 250ms, 1.5s or 1m30s")
    }
}

impl std::error::Error for InvalidSpan {}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Span, InvalidSpan> {
        let mut rest = text;
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (ns, after) = one_part(rest).ok_or(InvalidSpan)?;
            total = total.checked_add(ns).ok_or(InvalidSpan)?;
            rest = after;
        }
        match text.is_empty() {
            true => Err(InvalidSpan),
            false => Ok(Span(total)),
        }
    }
}

/// Parses the number and unit at the start of `text`. Returns their nanoseconds and the rest.
fn one_part(text: &str) -> Option<(u64, &str)> {
    let number_len = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, after) = text.split_at(number_len);
    let unit_len = after.find(|c: char| !c.is_ascii_alphabetic());
    let (unit, rest) = after.split_at(unit_len.unwrap_or(after.len()));
    let &(_, unit_ns) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // At most six decimals: even those of an hour fit 64 bits when multiplied.
    if fraction.is_empty() || fraction.len() > 6 || fraction.contains('.') {
        return None;
    }
    let whole_ns = whole.parse::<u64>().ok()?.checked_mul(unit_ns)?;
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let fraction_ns = fraction.parse::<u64>().ok()?.checked_mul(unit_ns)? / scale;
    Some((whole_ns.checked_add(fraction_ns)?, rest))
}

/// In the largest unit that divides it: `1500ms`, `2m`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole =
            |(_, unit_ns): &&(&str, u64)| self.0 >= *unit_ns && self.0.is_multiple_of(*unit_ns);
        let (name, unit_ns) = UNITS.iter().find(whole).unwrap_or(&("s", 1));
        write!(f, "{}{name}", self.0 / unit_ns)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 250ms, 1.5s or 1m30s")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse()
                    .map_err(|error: InvalidSpan| E::custom(format!("{text:?} is {error}")))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_in_gos_notation() {
        let rows = [
            ("250ms", Some(250_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("0s", Some(0)),
            ("2h", Some(7_200_000_000_000)),
            ("", None),
            ("5", None),
            ("-1s", None),
            ("1.s", None),
            ("1.2.3s", None),
            ("3 s", None),
            ("99999999h", None),
        ];
        for (text, expected) in rows {
            let seen = text.parse::<Span>().ok().map(Span::as_ns);
            assert_eq!(seen, expected, "{text}");
        }
    }

    #[test]
    fn a_duration_prints_as_it_was_written() {
        for text in ["250ms", "1500ms", "90s", "2h", "0s", "7us"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_rounded_duration_has_three_digits() {
        let rows = [
            (12_345, "12.3us"),
            (999_600, "1ms"),
            (20_007_000, "20ms"),
            (104_123_456, "104ms"),
            (1_500_000_000, "1.5s"),
            (3_600_000_000_000, "60m"),
        ];
        for (ns, expected) in rows {
            assert_eq!(Span::from_ns(ns).rounded(), expected);
        }
    }
}
