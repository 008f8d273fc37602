//! What is shown of a run.
//!
//! [`text`] for a person at a terminal, [`json`] for programs, [`html`] for a page to
//! pass on. All three are made from the same [`Run`](crate::scenario::play::Run), or from
//! the runs of a [`comparison`].

pub mod comparison;
pub mod html;
pub mod json;
pub mod text;

use crate::record::{Circuit, State};
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// The worst state that a circuit was in within a stretch of time.
pub fn worst_state(circuit: &Circuit, from: Time, to: Time) -> State {
    let bands = circuit.bands.iter().enumerate();
    let within = bands.filter(|(place, band)| {
        let end = circuit.bands.get(place + 1).map(|next| next.from);
        band.from < to && end.is_none_or(|end| end > from)
    });
    let states = within.map(|(_, band)| band.state);
    states.max().unwrap_or_default()
}

/// What was simulated, in parts of one line: how long, on how many workers, from which seed.
pub fn simulated(duration: Span, workers: usize, seed: u64) -> [String; 3] {
    let threads = if workers == 1 { "worker" } else { "workers" };
    [
        format!("{duration} simulated"),
        format!("{workers} {threads}"),
        format!("seed {seed}"),
    ]
}

/// A latency for eyes, `-` if there is none.
pub fn latency(span: Option<Span>) -> String {
    span.map_or("-".into(), Span::rounded)
}

/// A whole number with its thousands apart: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in percent, with as many digits as tell it from none and from all.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_for_eyes() {
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
