//! Open-loop arrivals: when the next call arrives.
//!
//! The rate is a piecewise linear function of time (constant, steps, ramps). The next arrival is
//! where the area under it has grown by the next draw: 1 for constant arrivals, an exponential
//! number for Poisson arrivals. Thinning would be shorter, but its draws depend on the highest
//! rate, so a new peak at the end of a scenario would change all traffic before it.

use crate::model::spec::{Arrivals, Step};
use crate::sim::clock::Time;
use crate::sim::rng::Rng;
use crate::sim::span::Span;

/// The arrivals of one open loop.
#[derive(Clone, Debug)]
pub struct Pace {
    segments: Vec<Segment>,
    arrivals: Arrivals,
    /// Index of the segment with the last arrival.
    index: usize,
    /// The last arrival, in seconds. Not in nanoseconds like the clock, which would round each
    /// step.
    at: f64,
}

/// A stretch of time in which the rate is linear. Times in seconds, rates per second.
#[derive(Clone, Copy, Debug)]
struct Segment {
    from: f64,
    to: f64,
    rate: f64,
    /// Change of the rate per second.
    slope: f64,
}

impl Pace {
    /// Creates arrivals from `from` on at `rate` per second, changed by `steps`, which are sorted
    /// by time.
    pub fn new(rate: f64, steps: &[Step], arrivals: Arrivals, from: Span) -> Pace {
        let mut segments = Vec::new();
        let mut rate = rate;
        let mut at = 0.0;
        for step in steps {
            let (begin, ramp) = (step.at.as_seconds(), step.ramp.as_seconds());
            segments.push(Segment::level(at, begin, rate));
            if ramp > 0.0 {
                let slope = (step.rate - rate) / ramp;
                segments.push(Segment {
                    from: begin,
                    to: begin + ramp,
                    rate,
                    slope,
                });
            }
            at = begin + ramp;
            rate = step.rate;
        }
        segments.push(Segment::level(at, f64::INFINITY, rate));
        let at = from.as_seconds();
        Pace {
            segments,
            arrivals,
            index: 0,
            at,
        }
    }

    /// Returns the next arrival. `None` if the rate stays at zero.
    pub fn next(&mut self, rng: &mut Rng) -> Option<Time> {
        let mut area = match self.arrivals {
            Arrivals::Poisson => rng.exponential(),
            Arrivals::Constant => 1.0,
        };
        while let Some(segment) = self.segments.get(self.index) {
            let from = self.at.max(segment.from);
            let rate = segment.rate + segment.slope * (from - segment.from);
            let rest = segment.to - from;
            // An endless segment at rate zero would have an area of infinity times zero, a NaN.
            let rest_area = match rate > 0.0 || segment.slope != 0.0 {
                true => rest * (rate + 0.5 * segment.slope * rest),
                false => 0.0,
            };
            if segment.slope == 0.0 && rate > 0.0 && (rest.is_infinite() || area < rest_area) {
                return Some(self.arrive(from + area / rate));
            }
            if segment.slope != 0.0 && area < rest_area {
                let root = libm::sqrt(rate * rate + 2.0 * segment.slope * area);
                // This form of the solution does not divide by a slope near zero.
                return Some(self.arrive(from + 2.0 * area / (rate + root)));
            }
            area -= rest_area.max(0.0);
            self.at = self.at.max(segment.to);
            self.index += 1;
        }
        None
    }

    fn arrive(&mut self, at: f64) -> Time {
        self.at = at;
        Time::ZERO + Span::from_seconds(at)
    }
}

impl Segment {
    fn level(from: f64, to: f64, rate: f64) -> Segment {
        Segment {
            from,
            to,
            rate,
            slope: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::rng::Seed;

    fn arrivals(rate: f64, steps: &[Step], arrivals: Arrivals, seconds: u64) -> Vec<u64> {
        let mut pace = Pace::new(rate, steps, arrivals, Span::ZERO);
        let mut rng = Seed(2).split("test");
        let mut by_second = vec![0; seconds as usize];
        while let Some(at) = pace.next(&mut rng) {
            match by_second.get_mut((at.as_ns() / 1_000_000_000) as usize) {
                Some(count) => *count += 1,
                None => break,
            }
        }
        by_second
    }

    /// Compares counts per second. Rounding may move an arrival into the next second.
    fn about(seen: &[u64], expected: &[u64]) {
        let near = |(seen, expected): (&u64, &u64)| seen.abs_diff(*expected) <= 1;
        assert!(
            seen.iter().zip(expected).all(near),
            "{seen:?} for {expected:?}"
        );
    }

    fn step(at: u64, rate: f64, ramp: u64) -> Step {
        let (at, ramp) = (Span::from_ms(at * 1000), Span::from_ms(ramp * 1000));
        Step { at, rate, ramp }
    }

    #[test]
    fn constant_arrivals_follow_steps_and_ramps() {
        let steps = [step(2, 40.0, 0), step(4, 0.0, 2), step(8, 10.0, 0)];
        let seen = arrivals(20.0, &steps, Arrivals::Constant, 10);
        about(&seen, &[20, 20, 40, 40, 30, 10, 0, 0, 10, 10]);
    }

    #[test]
    fn a_ramp_may_begin_at_zero() {
        let seen = arrivals(0.0, &[step(1, 100.0, 2)], Arrivals::Constant, 4);
        about(&seen, &[0, 25, 75, 100]);
    }

    #[test]
    fn poisson_arrivals_have_the_given_rate_and_variance() {
        let seen = arrivals(100.0, &[], Arrivals::Poisson, 1000);
        let total: u64 = seen.iter().sum();
        assert!((99_000..101_000).contains(&total), "{total}");
        let variance: f64 = seen
            .iter()
            .map(|n| *n as f64 - 100.0)
            .map(|difference| difference * difference)
            .sum::<f64>()
            / 1e3;
        assert!((85.0..115.0).contains(&variance), "{variance}");
    }

    #[test]
    fn rate_zero_has_no_arrivals() {
        assert_eq!(arrivals(0.0, &[], Arrivals::Poisson, 3), [0, 0, 0]);
    }

    #[test]
    fn a_step_does_not_change_the_traffic_before_it() {
        let without = arrivals(50.0, &[], Arrivals::Poisson, 5);
        let with = arrivals(50.0, &[step(5, 5000.0, 0)], Arrivals::Poisson, 5);
        assert_eq!(without, with);
    }
}
