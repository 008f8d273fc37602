//! Times of access logs: RFC 3339, or a number since 1970.

use jiff::Timestamp;

/// Digits of a number of whole seconds. Three, six or nine more mean milli-, micro- or
/// nanoseconds.
const SECONDS_DIGITS: usize = 11;

/// Nanoseconds of 2100, above which a time is a mistake.
const LATEST_NS: u64 = 4_102_444_800_000_000_000;

/// Parses a time, as nanoseconds since 1970. `None` if it is neither a timestamp nor a number, or
/// not from 1970 to 2100.
pub(super) fn parse(text: &str) -> Option<u64> {
    let ns = match text.as_bytes().first()?.is_ascii_digit() && !text.contains('-') {
        true => parse_number(text)?,
        false => u64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()?,
    };
    (ns < LATEST_NS).then_some(ns)
}

/// Parses seconds with a fraction, or a whole number whose length tells its unit.
fn parse_number(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let number: u64 = whole.parse().ok()?;
    let unit_ns: u64 = match whole.len() {
        ..=SECONDS_DIGITS => 1_000_000_000,
        12..=14 => 1_000_000,
        15..=17 => 1_000,
        _ => 1,
    };
    let digits = fraction.get(..9).unwrap_or(fraction);
    let part: u64 = format!("{digits:0<9}").parse().ok()?;
    number
        .checked_mul(unit_ns)?
        .checked_add(part / (1_000_000_000 / unit_ns))
}

/// Formats nanoseconds since 1970 to the millisecond: `2026-01-02T03:04:05.678Z`.
pub fn wall_clock(ns: u64) -> String {
    match Timestamp::from_nanosecond(i128::from(ns)) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => "-".into(),
    }
}
