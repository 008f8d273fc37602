//! Random durations.
//!
//! Uses the `libm` crate instead of the platform's math library: the same seed must give the
//! same run on every machine, and C libraries differ in the last bit.

use crate::model::spec::{Latency, Shape};
use crate::sim::rng::Rng;
use crate::sim::span::Span;

/// The 99th percentile of the standard normal distribution.
const NORMAL_P99: f64 = 2.326_347_874_040_841;

/// A [`Latency`] prepared for drawing.
#[derive(Clone, Copy, Debug)]
pub enum Distribution {
    Constant(Span),
    Uniform { min_ns: u64, range_ns: u64 },
    Exponential { mean_ns: f64 },
    Lognormal { mu: f64, sigma: f64 },
}

impl Distribution {
    /// Draws a duration.
    pub fn draw(&self, rng: &mut Rng) -> Span {
        match *self {
            Distribution::Constant(span) => span,
            Distribution::Uniform { min_ns, range_ns } => {
                Span::from_ns(min_ns + rng.below(range_ns.saturating_add(1)))
            }
            Distribution::Exponential { mean_ns } => capped(mean_ns * rng.exponential()),
            Distribution::Lognormal { mu, sigma } => capped(libm::exp(mu + sigma * rng.normal())),
        }
    }
}

impl From<Latency> for Distribution {
    fn from(Latency(shape): Latency) -> Distribution {
        match shape {
            Shape::Constant(span) => Distribution::Constant(span),
            Shape::Uniform { min, max } => Distribution::Uniform {
                min_ns: min.as_ns(),
                range_ns: max.as_ns().saturating_sub(min.as_ns()),
            },
            Shape::Exponential { mean } => Distribution::Exponential {
                mean_ns: mean.as_ns() as f64,
            },
            Shape::Lognormal { median, p99 } => {
                let mu = libm::log(median.as_ns().max(1) as f64);
                let far = libm::log(p99.max(median).as_ns().max(1) as f64);
                let sigma = (far - mu) / NORMAL_P99;
                Distribution::Lognormal { mu, sigma }
            }
        }
    }
}

/// One day. Caps the tail of a distribution, so times cannot overflow.
const MAX_NS: f64 = 86_400e9;

fn capped(ns: f64) -> Span {
    Span::from_ns(ns.min(MAX_NS) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::rng::Seed;

    fn sorted(shape: Shape) -> Vec<Span> {
        let distribution = Distribution::from(Latency(shape));
        let mut rng = Seed(5).split("test");
        let mut draws: Vec<_> = (0..20_000).map(|_| distribution.draw(&mut rng)).collect();
        draws.sort();
        draws
    }

    fn about(seen: Span, expected_ms: f64) {
        let seen_ms = seen.as_seconds() * 1e3;
        assert!(
            (seen_ms / expected_ms - 1.0).abs() < 0.08,
            "{seen_ms} for {expected_ms}"
        );
    }

    #[test]
    fn a_lognormal_latency_has_the_given_median_and_p99() {
        let (median, p99) = (Span::from_ms(20), Span::from_ms(200));
        let draws = sorted(Shape::Lognormal { median, p99 });
        about(draws[10_000], 20.0);
        about(draws[19_800], 200.0);
    }

    #[test]
    fn an_exponential_latency_has_its_mean() {
        let mean = Span::from_ms(50);
        let draws = sorted(Shape::Exponential { mean });
        about(draws[12_642], 50.0);
    }

    #[test]
    fn a_uniform_latency_stays_within_its_bounds() {
        let (min, max) = (Span::from_ms(10), Span::from_ms(30));
        let draws = sorted(Shape::Uniform { min, max });
        assert!(draws[0] >= min && draws[19_999] <= max);
        about(draws[10_000], 20.0);
    }
}
