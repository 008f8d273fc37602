//! Values of HTTP headers that several modules parse.

use crate::time::Span;

/// Parses decimal digits and nothing else. At most ten: as seconds, some 300 years.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    let mut number: u64 = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.wrapping_mul(10).wrapping_add(digit.into());
    }
    Some(number)
}

/// Parses an HTTP date into seconds since 1970, in any of its three forms (RFC 9110, 5.6.7):
/// `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT`, and
/// `Sun Nov  6 08:49:37 1994`. The day of the week is not checked.
pub(crate) fn date(text: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(text).ok()?;
    let mut words = text.split([' ', '-', ',']).filter(|word| !word.is_empty());
    let _day_name = words.next()?;
    let second = words.next()?;
    if second.as_bytes().first()?.is_ascii_alphabetic() {
        let (day, clock, year) = (words.next()?, words.next()?, words.next()?);
        return unix(year, second, day, clock);
    }
    let (month, year, clock) = (words.next()?, words.next()?, words.next()?);
    (words.next()? == "GMT").then(|| unix(year, month, second, clock))?
}

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

fn unix(year: &str, month: &str, day: &str, clock: &str) -> Option<u64> {
    let month_at = MONTHS
        .find(month)
        .filter(|at| at % 3 == 0 && month.len() == 3)?;
    let month = u64::try_from(month_at / 3).ok()?.saturating_add(1);
    let year = match year.len() {
        // A two-digit year more than 50 years ahead means the past (RFC 9110). 1977 to 2076
        // satisfies that for as long as this code is likely to run.
        2 => match number(year.as_bytes())? {
            short @ 77.. => short.saturating_add(1_900),
            short => short.saturating_add(2_000),
        },
        4 => number(year.as_bytes())?,
        _ => return None,
    };
    let day = number(day.as_bytes()).filter(|day| (1..=31).contains(day))?;
    let mut parts = clock.split(':').map(|part| number(part.as_bytes()));
    let (h, m, s) = (parts.next()??, parts.next()??, parts.next()??);
    if h > 23 || m > 59 || s > 60 || parts.next().is_some() {
        return None;
    }
    let seconds = h
        .saturating_mul(3_600)
        .saturating_add(m.saturating_mul(60))
        .saturating_add(s);
    days_since_1970(year, month, day)?
        .checked_mul(86_400)?
        .checked_add(seconds)
}

/// Returns the days since 1970 of a civil date, for years from 1970 (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`).
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let shifted_month = month.checked_add(9)? % 12;
    let era = year / 400;
    let year_of_era = year % 400;
    let day_of_year = shifted_month
        .checked_mul(153)?
        .checked_add(2)?
        .checked_div(5)?
        .checked_add(day)?
        .checked_sub(1)?;
    let day_of_era = year_of_era
        .checked_mul(365)?
        .checked_add(year_of_era / 4)?
        .checked_sub(year_of_era / 100)?
        .checked_add(day_of_year)?;
    era.checked_mul(146_097)?
        .checked_add(day_of_era)?
        .checked_sub(719_468)
}

/// Parses a `grpc-timeout`: at most eight digits and a unit (gRPC over HTTP/2, "Timeout").
pub(crate) fn grpc_timeout(value: &[u8]) -> Option<Span> {
    let (unit, digits) = value.split_last()?;
    let amount = number(digits).filter(|_| digits.len() <= 8)?;
    let unit_ns: u64 = match unit {
        b'H' => 3_600_000_000_000,
        b'M' => 60_000_000_000,
        b'S' => 1_000_000_000,
        b'm' => 1_000_000,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    Some(Span::from_ns(amount.saturating_mul(unit_ns)))
}

/// Whether a content type is gRPC's. gRPC-Web is not: its responses are plain HTTP.
#[inline]
pub fn is_grpc(content_type: Option<&[u8]>) -> bool {
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Removes the port from `host:80` and `[::1]:80`, and leaves `::1` unchanged.
#[inline]
pub(crate) fn without_port(authority: &[u8]) -> &[u8] {
    let Some(colon) = authority.iter().rposition(|b| *b == b':') else {
        return authority;
    };
    let (host, port) = authority.split_at_checked(colon).unwrap_or_default();
    let is_port = port.len() > 1 && port.iter().skip(1).all(u8::is_ascii_digit);
    if is_port && (host.ends_with(b"]") || !host.contains(&b':')) {
        host
    } else {
        authority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_parsed_in_all_three_forms() {
        let rows: &[(&str, Option<u64>)] = &[
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 2024 23:59:60 GMT", Some(1_709_251_200)),
            ("Wed, 01 Mar 2000 00:00:00 GMT", Some(951_868_800)),
            ("Friday, 01-Jan-27 00:00:00 GMT", Some(1_798_761_600)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Sun, 32 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 nov 1994 08:49:37 GMT", None),
            ("Sun, 06 anF 1994 08:49:37 GMT", None),
            ("soon", None),
            ("", None),
            ("\u{fe0f}", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(date(text.as_bytes()), *seconds, "{text}");
        }
    }

    #[test]
    fn numbers_are_digits_only() {
        let rows: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            ("120", Some(120)),
            ("9999999999", Some(9_999_999_999)),
            ("99999999999", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ];
        for (text, value) in rows {
            assert_eq!(number(text.as_bytes()), *value, "{text}");
        }
    }
}
