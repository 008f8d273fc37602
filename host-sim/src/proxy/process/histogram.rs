//! Histograms with the bins of Envoy's, those of libcircllhist.
//!
//! A bin holds the samples whose first two digits are equal, so its width is a tenth of its power
//! of ten. Shares and sums that are read from bins are approximate, and equal to Envoy's.

use std::collections::BTreeMap;

/// Samples by bin. Numbers of 64 bits fall into less than 4,000 bins.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Numbers of samples, by the bin's bound that is nearest to 0.
    bins: BTreeMap<i64, u64>,
}

impl Histogram {
    /// Adds a sample. Envoy takes samples of 2^63 and more for negative numbers.
    pub(crate) fn record(&mut self, sample: u64) {
        let sample = sample.cast_signed();
        let width = 10_u64.pow(exponent(sample).saturating_sub(1));
        let bound = (sample.unsigned_abs() / width * width).cast_signed();
        *self.bins.entry(bound * sample.signum()).or_default() += 1;
    }

    /// Returns the number of samples.
    pub fn count(&self) -> u64 {
        self.bins.values().sum()
    }

    /// Returns the number of samples in the bins that begin at `limit` or below it.
    pub fn count_to(&self, limit: f64) -> u64 {
        let bins = self.bins.iter();
        let below = bins.take_while(|(bound, _)| **bound as f64 <= limit);
        below.map(|(_, count)| count).sum()
    }

    /// Returns the sum of all samples, each taken for the middle of its bin.
    pub fn sum(&self) -> f64 {
        let bins = self.bins.iter();
        // A sum of nothing would be -0.
        bins.fold(0.0, |sum, (bound, count)| {
            sum + middle(*bound) * *count as f64
        })
    }
}

/// Returns the power of ten of a number's first digit.
fn exponent(number: i64) -> u32 {
    number.unsigned_abs().checked_ilog10().unwrap_or(0)
}

/// Returns the middle of a bin, weighted so that its relative error is the same for both bounds.
fn middle(bound: i64) -> f64 {
    if bound == 0 {
        return 0.0;
    }
    let (exponent, bound) = (exponent(bound), bound as f64);
    let power = 10_u64.pow(exponent) as f64;
    let width = (power / 10.0).copysign(bound);
    bound + width * (bound / (bound + (bound + width)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        samples.iter().for_each(|sample| histogram.record(*sample));
        histogram
    }

    /// The sums are those of Envoy 1.40.
    #[test]
    fn a_sum_takes_each_sample_for_the_middle_of_its_bin() {
        let rows: [(&[u64], f64); 8] = [
            (&[], 0.0),
            (&[0], 0.0),
            (&[3], 3.049_180_327_868_852),
            (&[105], 104.761_904_761_904_76),
            (&[259], 254.901_960_784_313_73),
            (&[250], 254.901_960_784_313_73),
            (&[30_999, 30_000], 60_983.606_557_377_05),
            (
                &[-5_i64 as u64, -123_456_i64 as u64],
                -124_805.049_504_950_5,
            ),
        ];
        for (samples, sum) in rows {
            let found = of(samples).sum();
            assert!(
                (found - sum).abs() <= sum.abs() * 1e-12,
                "{samples:?}: {found}"
            );
        }
    }

    #[test]
    fn a_sample_counts_up_to_a_limit_by_the_beginning_of_its_bin() {
        let rows: [(&[u64], f64, u64); 9] = [
            (&[0, 1], 0.5, 1),
            (&[0, 1], 1.0, 2),
            (&[105, 109, 110], 100.0, 2),
            (&[259, 260], 250.0, 1),
            (&[2_599, 2_600], 2_500.0, 1),
            (&[25, 26], 25.0, 1),
            (&[i64::MIN as u64, u64::MAX], 0.5, 2),
            (&[i64::MAX as u64], 3_600_000.0, 0),
            (&[], 1.0, 0),
        ];
        for (samples, limit, count) in rows {
            let histogram = of(samples);
            assert_eq!(histogram.count_to(limit), count, "{samples:?} to {limit}");
            assert_eq!(histogram.count(), samples.len() as u64);
        }
    }
}
