//! The run, divided into equal buckets of time.

use crate::record::Tally;
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// Tallies of equal periods, from the start of the run.
pub struct Series {
    width: Span,
    clusters: usize,
    buckets: Vec<Tally>,
    /// Index of the current bucket.
    current: usize,
    current_end: Time,
}

/// One bucket of a [`Series`].
pub struct Bucket<'a> {
    pub from: Time,
    pub width: Span,
    pub tally: &'a Tally,
}

/// Bucket widths that read well on an axis, in milliseconds.
const WIDTHS_MS: [u64; 15] = [
    100, 200, 250, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 15_000, 20_000, 30_000, 60_000,
    120_000, 300_000,
];

/// Number of points that a plot of the width of a page can show.
const BUCKETS_MAX: u64 = 240;

/// Two digits are enough for a plot.
const DIGITS: u8 = 2;

impl Series {
    /// Creates the buckets of a run of length `duration`. The run may take a little longer.
    pub fn new(clusters: usize, duration: Span) -> Series {
        let fits = |width_ms: &&u64| duration.as_ms().div_ceil(**width_ms) <= BUCKETS_MAX;
        let nice = WIDTHS_MS.iter().find(fits).map(|ms| Span::from_ms(*ms));
        let width = nice.unwrap_or(Span::from_ms(duration.as_ms().div_ceil(BUCKETS_MAX)));
        Series {
            width,
            clusters,
            buckets: vec![Tally::new(clusters, DIGITS)],
            current: 0,
            current_end: Time::ZERO + width,
        }
    }

    /// Returns the width of a bucket.
    pub fn width(&self) -> Span {
        self.width
    }

    /// Returns the tally for `at`. Time only moves forward, so the lookup is one comparison.
    pub fn at(&mut self, at: Time) -> &mut Tally {
        // Timeouts long after the end of the traffic go into the last bucket.
        while at >= self.current_end && self.buckets.len() < 2 * BUCKETS_MAX as usize {
            self.buckets.push(Tally::new(self.clusters, DIGITS));
            self.current += 1;
            self.current_end = self.current_end + self.width;
        }
        &mut self.buckets[self.current]
    }

    /// Returns all buckets, sorted by time.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Bucket<'_>> {
        let width = self.width;
        let bucket = move |(index, tally)| Bucket {
            from: Time::from_ns(width.as_ns() * index as u64),
            width,
            tally,
        };
        self.buckets.iter().enumerate().map(bucket)
    }

    /// Returns the buckets that begin before `end`, including empty ones, so that runs of the same
    /// duration have the same buckets.
    pub fn until(&self, end: Time) -> Series {
        let width_ns = self.width.as_ns().max(1);
        let count = end.as_ns().div_ceil(width_ns).max(1) as usize;
        let before = self.buckets.iter().take(count).cloned();
        let mut buckets: Vec<_> = before.collect();
        buckets.resize_with(count, || Tally::new(self.clusters, DIGITS));
        Series {
            width: self.width,
            clusters: self.clusters,
            buckets,
            current: 0,
            current_end: Time::ZERO,
        }
    }

    /// Merges buckets into at most `buckets_max` (at least 1) of a width that reads well.
    pub fn coarser(&self, buckets_max: usize) -> Series {
        let each = self.buckets.len().div_ceil(buckets_max.max(1)).max(1);
        let nice = |each: &usize| {
            let width_ms = self.width.as_ms() * *each as u64;
            WIDTHS_MS.contains(&width_ms) || width_ms.is_multiple_of(60_000)
        };
        let each = (each..each * 4).find(nice).unwrap_or(each);
        let merge = |tallies: &[Tally]| {
            let mut sum = Tally::new(self.clusters, DIGITS);
            tallies.iter().for_each(|tally| sum.add(tally));
            sum
        };
        let width = Span::from_ns(self.width.as_ns() * each as u64);
        Series {
            width,
            clusters: self.clusters,
            buckets: self.buckets.chunks(each).map(merge).collect(),
            current: 0,
            current_end: Time::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_bounds_the_number_of_buckets() {
        let rows = [
            (10, 100),
            (60, 250),
            (600, 3_000),
            (3_600, 15_000),
            (360_000, 1_500_000),
        ];
        for (seconds, width_ms) in rows {
            let series = Series::new(0, Span::from_ms(seconds * 1000));
            assert_eq!(series.width(), Span::from_ms(width_ms), "{seconds} s");
        }
    }

    #[test]
    fn counts_go_into_the_bucket_of_their_time_and_merge() {
        let mut series = Series::new(0, Span::from_ms(10_000));
        for ms in [0, 99, 100, 950, 30_000] {
            series.at(Time::from_ms(ms)).calls += 1;
        }
        let calls = |series: &Series| series.iter().map(|it| it.tally.calls).collect::<Vec<_>>();
        assert_eq!(calls(&series)[..11], [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        let coarse = series.coarser(40);
        assert_eq!(coarse.width(), Span::from_ms(1_000));
        assert_eq!(calls(&coarse)[0], 4);
        assert_eq!(calls(&coarse).iter().sum::<u64>(), 5);
    }

    #[test]
    fn runs_of_the_same_duration_have_the_same_buckets() {
        let end = Time::from_ms(10_000);
        for last_ms in [500, 9_950, 25_000] {
            let mut series = Series::new(0, Span::from_ms(10_000));
            series.at(Time::from_ms(last_ms)).calls += 1;
            assert_eq!(series.until(end).iter().len(), 100, "{last_ms}");
            let coarse = series.until(end).coarser(40);
            assert_eq!(coarse.iter().len(), 20, "{last_ms}");
        }
    }
}
