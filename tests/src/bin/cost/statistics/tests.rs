use super::{Estimate, Samples, median, quantiles};

/// Collects rounds of two plain listeners and further variants.
fn samples(rounds: &[&[f64]]) -> Samples {
    let mut samples = Samples::default();
    for costs in rounds {
        samples.add(costs);
    }
    samples
}

#[test]
fn a_median_lies_between_neighbours_if_no_number_is_in_the_middle() {
    for (numbers, expected) in [
        (vec![7.0], 7.0),
        (vec![3.0, 1.0], 2.0),
        (vec![9.0, 1.0, 2.0], 2.0),
        (vec![4.0, 1.0, 3.0, 2.0], 2.5),
        (vec![1e9, 1.0, -1e9, 3.0, 2.0], 2.0),
    ] {
        assert_eq!(median(numbers.clone()), expected, "{numbers:?}");
    }
}

#[test]
fn quantiles_are_linear_between_neighbours() {
    let numbers = (0..=100).rev().map(f64::from).collect();
    assert_eq!(
        quantiles(numbers, [0.0, 0.05, 0.5, 1.0]),
        [0.0, 5.0, 50.0, 100.0]
    );
    assert_eq!(
        quantiles(vec![4.0, 1.0, 3.0, 2.0], [0.25, 0.75]),
        [1.75, 3.25]
    );
}

#[test]
fn a_round_is_dropped_if_its_plain_listeners_differ_by_more_than_eight_percent() {
    for (first, second, counts) in [
        (100.0, 100.0, true),
        (96.0, 104.0, true),
        (104.0, 96.0, true),
        (95.9, 104.1, false),
        (104.1, 95.9, false),
        (50.0, 500.0, false),
    ] {
        let samples = samples(&[&[first, second]]);
        assert_eq!(samples.count(), usize::from(counts), "{first} {second}");
        assert_eq!(samples.dropped, usize::from(!counts), "{first} {second}");
    }
}

#[test]
fn a_dropped_round_changes_no_result() {
    let rounds: [&[f64]; 3] = [
        &[100.0, 100.0, 110.0],
        &[80.0, 120.0, 900.0],
        &[50.0, 50.0, 55.0],
    ];
    let samples = samples(&rounds);
    assert_eq!(samples.dropped, 1);
    assert_eq!(samples.plain_ns(), 75.0);
    assert_eq!(samples.over_plain(2).scaled(100.0).median, 10.0);
}

#[test]
fn a_variant_is_compared_with_the_mean_of_plain_and_the_control_with_the_other_plain_listener() {
    let samples = samples(&[&[98.0, 102.0, 150.0]]);
    let certain = |share: f64| Estimate {
        median: share,
        low: share,
        high: share,
    };
    assert_eq!(samples.over_plain(1), certain(0.04));
    assert_eq!(samples.over_plain(2), certain(0.5));
}

#[test]
fn drift_of_the_machine_between_rounds_cancels_out() {
    let rounds = [1.0, 2.0, 0.5, 7.0].map(|speed| [60.0, 60.0, 75.0].map(|cost| cost * speed));
    let rounds: Vec<&[f64]> = rounds.iter().map(<[f64; 3]>::as_slice).collect();
    let samples = samples(&rounds);
    let cost = samples.over_plain(2).scaled(60.0);
    assert_eq!((cost.median, cost.width()), (15.0, 0.0));
}

#[test]
fn a_multiple_is_taken_of_the_medians() {
    let samples = samples(&[
        &[100.0, 100.0, 110.0, 120.0],
        &[100.0, 100.0, 120.0, 150.0],
        &[100.0, 100.0, 130.0, 900.0],
    ]);
    assert_eq!(samples.multiple(3, 2).median, 2.5);
}

/// Rounds in which a variant costs 20 to 30 over a plain of 100, evenly spread.
fn spread(rounds: usize) -> Samples {
    let mut samples = Samples::default();
    for round in 0..rounds {
        samples.add(&[
            100.0,
            100.0,
            120.0 + 10.0 * round as f64 / (rounds - 1) as f64,
        ]);
    }
    samples
}

#[test]
fn an_interval_contains_the_median_and_is_the_same_each_time() {
    let cost = spread(401).over_plain(2).scaled(100.0);
    assert!((cost.median - 25.0).abs() < 1e-9, "{cost:?}");
    assert!(cost.low < 25.0 && cost.high > 25.0, "{cost:?}");
    assert_eq!(cost, spread(401).over_plain(2).scaled(100.0));
}

#[test]
fn an_interval_has_the_width_that_theory_gives() {
    // The median of n numbers spread evenly over a range r has a standard error of r / (2 sqrt n),
    // and 90 % are within 1.645 of these to either side.
    for (rounds, expected) in [(101, 1.637), (401, 0.821), (1_601, 0.411)] {
        let width = spread(rounds).over_plain(2).scaled(100.0).width();
        let ratio = width / expected;
        assert!(
            (0.85..1.15).contains(&ratio),
            "{rounds} rounds: {width}, expected {expected}"
        );
    }
}
