//! Rounds in which the variants take short turns.
//!
//! A turn takes 15 to 35 ms, so that a round is over before the machine's speed has drifted. The
//! order of the variants is random in each round: none always follows the same one, nor falls into
//! the same phase of something periodic.

use fastrand::Rng;
use spillway_tests::Envoy;

use crate::Arguments;
use crate::cores::WorkerClock;
use crate::load::{Caller, Load};
use crate::statistics::{CONTROL, Samples};
use crate::variant::{Variant, listener};

/// Widest interval that counts as resolved, as a share of plain: 1 us where plain takes 60 us.
pub(crate) const RESOLVED: f64 = 1.0 / 60.0;

/// Uncounted turns of each variant: V8 compiles what is hot, and tables grow.
const WARM_UP: usize = 20;

/// Number of rounds between two looks at the intervals.
const LOOK: usize = 50;

/// Rounds without success after which a measurement is given up: ten for each that must count, and
/// enough for the shortest measurement on a busy machine.
fn rounds_max(wanted: usize) -> usize {
    200 + 10 * wanted
}

/// The results of one load.
pub(crate) struct Results {
    pub load: Load,
    /// Indices of the measured variants, in the order of the samples.
    pub variants: Vec<usize>,
    pub samples: Samples,
    /// The variant with the widest interval, and that width as a share of plain.
    pub widest: (usize, f64),
}

/// Measures a load until every interval is resolved or the limit of rounds is reached.
///
/// # Errors
///
/// Returns a message if nearly all rounds were disturbed.
pub(crate) async fn load(
    load: Load,
    (envoy, clock): (&Envoy, &WorkerClock),
    variants: &[Variant],
    arguments: &Arguments,
) -> Result<Results, String> {
    let measured: Vec<usize> = (0..variants.len())
        .filter(|index| load.has(&variants[*index]))
        .collect();
    let connect = |index: &usize| {
        let address = envoy.listener(&listener(*index));
        Caller::connect(load, &variants[*index], address)
    };
    let mut callers: Vec<Caller> = measured.iter().map(connect).collect();
    let requests = load.requests(arguments.requests);
    for caller in &mut callers {
        for _ in 0..WARM_UP {
            caller.send(requests).await;
        }
    }
    let mut results = Results {
        load,
        variants: measured,
        samples: Samples::default(),
        widest: (CONTROL, f64::INFINITY),
    };
    let mut random = Rng::with_seed(arguments.seed);
    let mut rounds = 0;
    while !results.are_enough(rounds, arguments)? {
        let costs = round(clock, &mut callers, requests, &mut random).await;
        results.samples.add(&costs);
        rounds += 1;
    }
    Ok(results)
}

/// Gives each variant a turn. Returns their costs per request, in nanoseconds.
async fn round(
    clock: &WorkerClock,
    callers: &mut [Caller],
    requests: usize,
    random: &mut Rng,
) -> Vec<f64> {
    let mut order: Vec<usize> = (0..callers.len()).collect();
    random.shuffle(&mut order);
    let mut costs = vec![0.0; callers.len()];
    for index in order {
        let before = clock.at_rest().await;
        callers[index].send(requests).await;
        let used = clock.at_rest().await - before;
        costs[index] = used.as_nanos() as f64 / requests as f64;
    }
    costs
}

impl Results {
    pub(crate) fn are_resolved(&self) -> bool {
        self.widest.1 < RESOLVED
    }

    fn are_enough(&mut self, rounds: usize, arguments: &Arguments) -> Result<bool, String> {
        let counted = self.samples.count();
        if counted < arguments.rounds {
            return match rounds < rounds_max(arguments.rounds) {
                true => Ok(false),
                false => Err(format!(
                    "only {counted} of {rounds} rounds count: the plain listeners differ too much"
                )),
            };
        }
        let last = rounds >= arguments.limit();
        if !last && !(rounds - arguments.rounds).is_multiple_of(LOOK) {
            return Ok(false);
        }
        let width = |row: usize| (self.variants[row], self.samples.over_plain(row).width());
        let widths = (CONTROL..self.variants.len()).map(width);
        let widest = widths.max_by(|one, other| one.1.total_cmp(&other.1));
        self.widest = widest.unwrap_or(self.widest);
        eprintln!(
            "{}: {rounds} rounds, {} dropped, widest interval {:.2} % of plain",
            self.load.title(),
            self.samples.dropped,
            self.widest.1 * 100.0
        );
        Ok(last || self.are_resolved())
    }
}
