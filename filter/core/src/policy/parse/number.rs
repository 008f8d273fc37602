//! JSON numbers, and percentages.

use alloc::format;
use alloc::string::String;

/// Returns a whole number, however it is written: `20.0` and `2e1` are 20.
pub(super) fn whole(number: &serde_json::Number) -> Option<u32> {
    if let Some(whole) = number.as_u64() {
        return u32::try_from(whole).ok();
    }
    let float = number.as_f64()?;
    let whole = float as u32;
    (f64::from(whole) == float).then_some(whole)
}

/// Returns a number with at most two decimals, in hundredths.
pub(super) fn hundredths(number: &serde_json::Number) -> Option<u32> {
    if let Some(whole) = number.as_u64() {
        return u32::try_from(whole).ok()?.checked_mul(100);
    }
    let scaled = number.as_f64()? * 100.0;
    if !(0.0..4e9).contains(&scaled) {
        return None;
    }
    let nearest = (scaled + 0.5) as u32;
    // A decimal such as 0.07 has no exact float. The error is far below a third decimal.
    ((scaled - f64::from(nearest)).abs() < 1e-4).then_some(nearest)
}

/// Formats basis points as a percentage: 2,550 is `25.5`.
pub(super) fn show_percent(bp: u32) -> String {
    let (whole, rest) = (bp / 100, bp % 100);
    match (rest / 10, rest % 10) {
        (0, 0) => format!("{whole}"),
        (tenth, 0) => format!("{whole}.{tenth}"),
        _ => format!("{whole}.{rest:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_may_have_a_decimal_point() {
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
}
