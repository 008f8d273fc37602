//! Reports of a run.
//!
//! [`text`] is for a terminal, [`json`] for programs, and [`html`] for a page to share. All three
//! are made from the same [`Run`](crate::scenario::play::Run), or from the runs of a
//! [`comparison`]. This module formats values in the same way for all of them.

pub mod comparison;
pub mod html;
pub mod json;
pub mod replay;
pub mod text;
pub mod transcript;
pub mod tuning;

use crate::record::{Circuit, State};
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// Returns the worst state of a circuit within a period.
pub fn worst_state(circuit: &Circuit, from: Time, to: Time) -> State {
    let bands = circuit.bands.iter().enumerate();
    let within = bands.filter(|(index, band)| {
        let end = circuit.bands.get(index + 1).map(|next| next.from);
        band.from < to && end.is_none_or(|end| end > from)
    });
    let states = within.map(|(_, band)| band.state);
    states.max().unwrap_or_default()
}

/// Returns the duration, the number of workers and the seed, as parts of one line.
pub fn simulated(duration: Span, workers: usize, seed: u64) -> [String; 3] {
    let threads = if workers == 1 { "worker" } else { "workers" };
    [
        format!("{duration} simulated"),
        format!("{workers} {threads}"),
        format!("seed {seed}"),
    ]
}

/// Formats a latency, or `-` if there is none.
pub fn latency(span: Option<Span>) -> String {
    span.map_or("-".into(), Span::rounded)
}

/// Formats a whole number with separated thousands: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a share in percent, with enough digits to tell it from 0 % and 100 %.
pub fn percent(part: u64, whole: u64) -> String {
    let share = match whole {
        0 => return "-".into(),
        whole => part as f64 * 100.0 / whole as f64,
    };
    match (part, share) {
        (0, _) => "0 %".into(),
        _ if part == whole => "100 %".into(),
        (_, 0.0..0.1 | 99.9..) => format!("{share:.3} %"),
        _ => format!("{share:.1} %"),
    }
}

/// Shortens `text` to at most `max` characters.
pub fn shortened(text: &str, max: usize) -> String {
    match text.chars().count() > max {
        true => text.chars().take(max - 1).chain(['…']).collect(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_enough_digits() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(99_999, 100_000), "99.999 %");
        assert_eq!(percent(1, 100_000), "0.001 %");
        assert_eq!(percent(3, 3), "100 %");
        assert_eq!(percent(0, 0), "-");
    }
}
