//! How long a circuit stays open: growth, jitter, and the upstream's hint.

use crate::policy::{OpenConfig, WHOLE_BP};
use crate::random::Random;
use crate::time::Span;

/// Limit of growth steps to compute. The smallest multiplier that a policy can set, 1.01,
/// grows 1 ms to a day within 1,900 steps.
const STEPS_MAX: u32 = 2_000;

/// Returns the open time of the `opens`-th opening in a row.
///
/// It is spread evenly over the jitter's range, so that a fleet that tripped together
/// does not probe together. At the cap the range is cut, not the result: otherwise half
/// of a fleet would probe exactly at the cap. An upstream's hint is a minimum, so its
/// jitter only adds.
pub(super) fn choose(
    config: &OpenConfig,
    opens: u32,
    hint: Option<Span>,
    random: &mut Random,
) -> Span {
    let base = grown(config, opens);
    let jitter = |span: Span| span.scale(u64::from(config.jitter_bp), u64::from(WHOLE_BP));
    let low = base.as_ns().saturating_sub(jitter(base).as_ns());
    let high = base.as_ns().saturating_add(jitter(base).as_ns());
    let cap = config.max_duration.as_ns();
    let own = between(low.min(cap), high.min(cap), random);
    let hinted = hint.map_or(Span::ZERO, |hint| {
        let hint = hint.min(config.retry_after_max);
        let high = hint.as_ns().saturating_add(jitter(hint).as_ns());
        between(hint.as_ns(), high, random)
    });
    own.max(hinted)
}

/// Returns the longest open time that [`choose`] can return.
pub(super) fn longest(config: &OpenConfig) -> Span {
    let hint = config.retry_after_max;
    let jitter = hint.scale(u64::from(config.jitter_bp), u64::from(WHOLE_BP));
    let hinted = hint.as_ns().saturating_add(jitter.as_ns());
    config.max_duration.max(Span::from_ns(hinted))
}

fn between(low_ns: u64, high_ns: u64, random: &mut Random) -> Span {
    Span::from_ns(random.between(low_ns, high_ns))
}

/// Returns `duration * multiplier^(opens - 1)`, at most `max_duration`.
fn grown(config: &OpenConfig, opens: u32) -> Span {
    let mut span = config.duration;
    for _ in 1..opens.min(STEPS_MAX) {
        if span >= config.max_duration {
            break;
        }
        span = span.scale(u64::from(config.multiplier_bp), u64::from(WHOLE_BP));
    }
    span.min(config.max_duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(jitter_bp: u32) -> OpenConfig {
        OpenConfig {
            duration: Span::from_secs(5),
            multiplier_bp: 20_000,
            max_duration: Span::from_secs(60),
            jitter_bp,
            retry_after_max: Span::from_secs(30),
        }
    }

    #[test]
    fn the_open_time_doubles_up_to_its_cap() {
        let rows = [
            (1, 5),
            (2, 10),
            (3, 20),
            (4, 40),
            (5, 60),
            (6, 60),
            (u32::MAX, 60),
        ];
        for (opens, seconds) in rows {
            let span = choose(&config(0), opens, None, &mut Random::new(1));
            assert_eq!(span, Span::from_secs(seconds), "{opens}");
        }
    }

    #[test]
    fn the_slowest_growth_reaches_the_longest_open_time_within_the_limit_of_steps() {
        let day = Span::from_secs(86_400);
        let slowest = OpenConfig {
            duration: Span::from_ms(1),
            multiplier_bp: 10_100,
            max_duration: day,
            ..config(0)
        };
        for (opens, reached) in [(1_830, false), (1_840, true), (u32::MAX, true)] {
            let span = choose(&slowest, opens, None, &mut Random::new(1));
            assert_eq!(span == day, reached, "{opens} {span:?}");
        }
    }

    #[test]
    fn jitter_spreads_both_ways_and_never_exceeds_the_cap() {
        let mut random = Random::new(1);
        let times = |opens, random: &mut Random| -> (u64, u64) {
            let all = (0..2_000).map(|_| choose(&config(2_000), opens, None, random).as_ms());
            all.fold((u64::MAX, 0), |(low, high), ms| (low.min(ms), high.max(ms)))
        };
        let (low, high) = times(1, &mut random);
        assert!((4_000..4_050).contains(&low) && (5_950..=6_000).contains(&high));
        let (low, high) = times(9, &mut random);
        assert!((48_000..48_100).contains(&low) && (59_900..=60_000).contains(&high));
    }

    #[test]
    fn a_hint_lengthens_the_open_time_up_to_its_own_cap_and_jitter_only_adds() {
        let mut random = Random::new(1);
        let hint = |seconds| Some(Span::from_secs(seconds));
        for _ in 0..500 {
            let span = choose(&config(2_000), 1, hint(20), &mut random);
            assert!((20_000..=24_000).contains(&span.as_ms()));
            let span = choose(&config(2_000), 1, hint(3_600), &mut random);
            assert!((30_000..=36_000).contains(&span.as_ms()));
            let span = choose(&config(2_000), 1, hint(1), &mut random);
            assert!((4_000..=6_000).contains(&span.as_ms()));
        }
    }
}
