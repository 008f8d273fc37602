//! Statistics over rounds: which rounds count, medians, and their intervals.
//!
//! The speed of a machine drifts within seconds, so no cost is compared across rounds. Within a
//! round, each variant is compared with the mean of the two plain listeners. A round in which these
//! two disagree was disturbed, and is dropped as a whole. Medians ignore the disturbances that are
//! left, and a bootstrap over rounds says how far they can be trusted.

use fastrand::Rng;

/// Index of the first listener without a filter.
pub(crate) const PLAIN: usize = 0;

/// Index of the second listener without a filter, the A/A control.
pub(crate) const CONTROL: usize = 1;

/// Largest difference of the two plain listeners in a round that counts, as a share of their mean.
const PLAIN_DIFFERENCE_MAX: f64 = 0.08;

/// Number of bootstrap samples. Twice as many move the ends of an interval by a few per cent of its
/// width.
const RESAMPLES: usize = 1_000;

/// Share of bootstrap samples outside each end of the interval, which has 90 % inside.
const TAIL: f64 = 0.05;

/// A median with its 90 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    pub(crate) fn width(self) -> f64 {
        self.high - self.low
    }

    pub(crate) fn scaled(self, by: f64) -> Self {
        Self {
            median: self.median * by,
            low: self.low * by,
            high: self.high * by,
        }
    }
}

/// The rounds of one load that count.
#[derive(Default)]
pub(crate) struct Samples {
    /// By round and variant: the cost over plain, as a share of plain in that round.
    rounds: Vec<Vec<f64>>,
    /// Cost of plain by round, in nanoseconds.
    plain: Vec<f64>,
    pub dropped: usize,
}

impl Samples {
    /// Adds a round: the cost per request of each variant, in nanoseconds. Drops it if its plain
    /// listeners differ too much.
    pub(crate) fn add(&mut self, costs: &[f64]) {
        let (first, second) = (costs[PLAIN], costs[CONTROL]);
        let plain = f64::midpoint(first, second);
        if (first - second).abs() > PLAIN_DIFFERENCE_MAX * plain {
            self.dropped += 1;
            return;
        }
        let mut over_plain: Vec<f64> = costs.iter().map(|cost| (cost - plain) / plain).collect();
        // The control is the second plain listener against the first.
        over_plain[CONTROL] = (second - first) / plain;
        self.rounds.push(over_plain);
        self.plain.push(plain);
    }

    /// Number of rounds that count.
    pub(crate) fn count(&self) -> usize {
        self.rounds.len()
    }

    /// Median cost of a request without a filter, in nanoseconds.
    pub(crate) fn plain_ns(&self) -> f64 {
        median(self.plain.clone())
    }

    /// The cost of a variant over plain, as a share of plain.
    pub(crate) fn over_plain(&self, variant: usize) -> Estimate {
        self.estimate(|rounds| self.median_of(variant, rounds))
    }

    /// The cost of a variant over plain, as a multiple of that of another variant.
    pub(crate) fn multiple(&self, variant: usize, of: usize) -> Estimate {
        self.estimate(|rounds| self.median_of(variant, rounds) / self.median_of(of, rounds))
    }

    fn median_of(&self, variant: usize, rounds: &[usize]) -> f64 {
        median(
            rounds
                .iter()
                .map(|round| self.rounds[*round][variant])
                .collect(),
        )
    }

    /// A statistic of the rounds, and its interval from rounds that are drawn with replacement.
    fn estimate(&self, statistic: impl Fn(&[usize]) -> f64) -> Estimate {
        // A constant seed: the same rounds have the same interval.
        let mut random = Rng::with_seed(1);
        let count = self.count();
        let all: Vec<usize> = (0..count).collect();
        let mut draw = || -> Vec<usize> { (0..count).map(|_| random.usize(..count)).collect() };
        let drawn = (0..RESAMPLES).map(|_| statistic(&draw())).collect();
        let [low, high] = quantiles(drawn, [TAIL, 1.0 - TAIL]);
        Estimate {
            median: statistic(&all),
            low,
            high,
        }
    }
}

fn median(numbers: Vec<f64>) -> f64 {
    let [median] = quantiles(numbers, [0.5]);
    median
}

/// The numbers below which these shares of all lie, between neighbours if no number is there.
fn quantiles<const N: usize>(mut numbers: Vec<f64>, shares: [f64; N]) -> [f64; N] {
    numbers.sort_unstable_by(f64::total_cmp);
    shares.map(|share| {
        let at = (numbers.len() - 1) as f64 * share;
        let (below, above) = (numbers[at.floor() as usize], numbers[at.ceil() as usize]);
        below + (above - below) * at.fract()
    })
}

#[cfg(test)]
mod tests;
