//! The result table: medians and quartiles over the rounds.

use std::fmt::Write;

use crate::variant::Variant;
use crate::{Arguments, WORKERS};

/// Formats one row per variant. The first variant is the baseline.
pub(crate) fn text(arguments: &Arguments, variants: &[Variant], costs: &[Vec<f64>]) -> String {
    let Arguments {
        rounds,
        requests,
        connections,
        ..
    } = arguments;
    let mut text = format!(
        "CPU time of Envoy per request, {WORKERS} workers: medians of {rounds} rounds of {requests} \
         requests over {connections} connections\n\n"
    );
    let longest = variants.iter().map(|variant| variant.name.len()).max();
    let width = longest.unwrap_or_default();
    let headings = ["us", "more us", "ratio", "middle half"];
    let [us, more, ratio, half] = headings;
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{:width$} {us:>8} {more:>8} {ratio:>7}  {half:>14}",
        ""
    );
    let plain = &costs[0];
    for (variant, costs) in variants.iter().zip(costs) {
        let each = |of: fn((&f64, &f64)) -> f64| costs.iter().zip(plain).map(of).collect();
        let us = quartiles(costs.clone())[1];
        let more = quartiles(each(|(cost, plain)| cost - plain))[1];
        let [low, ratio, high] = quartiles(each(|(cost, plain)| cost / plain));
        let _ = writeln!(
            text,
            "{:width$} {us:>8.2} {more:>8.2} {ratio:>7.3}  {low:.3} to {high:.3}",
            variant.name,
        );
    }
    text
}

/// The quartiles of the numbers.
fn quartiles(mut numbers: Vec<f64>) -> [f64; 3] {
    numbers.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| {
        let at = (numbers.len() - 1) as f64 * f64::from(quarter) / 4.0;
        let (below, above) = (numbers[at.floor() as usize], numbers[at.ceil() as usize]);
        below + (above - below) * at.fract()
    })
}

#[cfg(test)]
mod tests {
    use super::quartiles;

    #[test]
    fn quartiles_lie_between_neighbours_where_no_number_is_in_the_middle() {
        assert_eq!(quartiles(vec![4.0, 1.0, 3.0, 2.0]), [1.75, 2.5, 3.25]);
        assert_eq!(quartiles(vec![7.0]), [7.0; 3]);
    }
}
