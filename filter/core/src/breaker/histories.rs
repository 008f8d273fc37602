//! Every history of up to eight steps, each compared with a naive model.
//!
//! Short histories are few enough to try them all: seven things can happen next,
//! eight times over. What goes wrong in a circuit breaker goes wrong in a few steps
//! in an unlucky order, so this finds what hand-written tables did not think of.
//! Some runs begin behind a prefix, so that eight more steps reach further.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::*;
use crate::testing::at_ms;

mod model;

use model::{Model, Numbers, Ticket};

const STEPS_MAX: u32 = 8;

/// 7 + 7^2 + .. + 7^8.
const HISTORIES: u64 = 6_725_600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Acquire,
    Success,
    Failure,
    Ignored,
    /// The oldest request is never heard of again.
    Lost,
    TimePasses,
    ClockStands,
}

use Step::{Acquire, ClockStands, Failure, Ignored, Lost, Success, TimePasses};

const STEPS: [Step; 7] = [
    Acquire,
    Success,
    Failure,
    Ignored,
    Lost,
    TimePasses,
    ClockStands,
];

/// How far the clock moves at once: open times, leases, windows and ramps are
/// small multiples of it.
const TICK_MS: u64 = 1_000;

const TWO_IN_THE_WINDOW: Numbers = Numbers {
    minimum: 2,
    rate_percent: 50,
    run: 0,
    window_ms: 2 * TICK_MS,
    open_ms: TICK_MS,
    multiplier: 2,
    open_max_ms: 4 * TICK_MS,
    permits: 2,
    lease_ms: TICK_MS,
    ramp_ms: 0,
    ramp_start_percent: 0,
};

const TWO_IN_A_ROW: Numbers = Numbers {
    minimum: 1_000,
    rate_percent: 0,
    run: 2,
    lease_ms: 2 * TICK_MS,
    ramp_ms: 2 * TICK_MS,
    ramp_start_percent: 40,
    ..TWO_IN_THE_WINDOW
};

const TWO_OF_THREE_PROBES: Numbers = Numbers {
    permits: 3,
    lease_ms: 3 * TICK_MS,
    ..TWO_IN_THE_WINDOW
};

/// Trips, with one request from before still under way.
const TRIPPED: &[Step] = &[Acquire, Acquire, Acquire, Failure, Failure];

/// One probe is out, and nothing else.
const PROBING: &[Step] = &[Acquire, Acquire, Failure, Failure, TimePasses, Acquire];

#[test]
fn every_history_from_closed_agrees_when_two_failures_in_the_window_trip() {
    let tally = explore(&TWO_IN_THE_WINDOW, true, &[]);
    assert!(tally.half_open > 1_000 && tally.stale > 1_000, "{tally:?}");
}

#[test]
fn every_history_from_closed_agrees_when_two_failures_in_a_row_trip() {
    let tally = explore(&TWO_IN_A_ROW, false, &[]);
    assert!(tally.half_open > 1_000 && tally.stale > 1_000, "{tally:?}");
}

#[test]
fn every_history_after_a_trip_agrees_where_probes_of_unfinished_requests_are_lost() {
    let tally = explore(&TWO_IN_THE_WINDOW, false, TRIPPED);
    assert!(
        tally.leases_ended > 50_000 && tally.stale > 50_000,
        "{tally:?}"
    );
}

#[test]
fn every_history_after_a_first_probe_agrees_through_the_ramp() {
    let tally = explore(&TWO_IN_A_ROW, true, PROBING);
    assert!(
        tally.recovering > 200_000 && tally.leases_ended > 10_000,
        "{tally:?}"
    );
}

#[test]
fn every_history_after_a_first_probe_agrees_when_two_of_three_decide() {
    let tally = explore(&TWO_OF_THREE_PROBES, true, PROBING);
    assert!(
        tally.half_open > 1_000_000 && tally.leases_ended > 10_000,
        "{tally:?}"
    );
}

/// What the histories came across, so that a run that shrank cannot pass.
#[derive(Debug, Default)]
struct Tally {
    histories: u64,
    half_open: u64,
    recovering: u64,
    stale: u64,
    leases_ended: u64,
}

/// Tries everything that can happen in eight steps after `prefix`. With `sent`, every
/// request is complete at once, so that a lost probe is the upstream's fault.
fn explore(numbers: &Numbers, sent: bool, prefix: &[Step]) -> Tally {
    let setup = Setup {
        numbers: *numbers,
        config: numbers.config(),
        sent,
    };
    let mut world = World::new(&setup);
    let mut tally = Tally::default();
    let mut history = Vec::new();
    for &step in prefix {
        history.push(step);
        world.take(step, &setup, &history, &mut tally);
    }
    descend(&world, STEPS_MAX, &setup, &mut history, &mut tally);
    assert_eq!(tally.histories, HISTORIES);
    tally
}

fn descend(world: &World, left: u32, setup: &Setup, history: &mut Vec<Step>, tally: &mut Tally) {
    for step in STEPS {
        let mut next = world.clone();
        history.push(step);
        next.take(step, setup, history, tally);
        next.can_close(setup, history);
        tally.histories += 1;
        tally.half_open += u64::from(next.breaker.state() == StateName::HalfOpen);
        tally.recovering += u64::from(next.breaker.state() == StateName::Recovering);
        if left > 1 {
            descend(&next, left - 1, setup, history, tally);
        }
        history.pop();
    }
}

struct Setup {
    numbers: Numbers,
    config: BreakerConfig,
    sent: bool,
}

#[derive(Clone)]
struct World {
    now_ms: u64,
    breaker: Breaker,
    model: Model,
    under_way: VecDeque<(Permit, Ticket)>,
    /// Every probe that was admitted and not settled, and the end of its lease.
    probes: Vec<(Permit, u64)>,
    open_until_ms: u64,
}

impl World {
    fn new(setup: &Setup) -> World {
        let now_ms = 50 * TICK_MS;
        World {
            now_ms,
            breaker: Breaker::new(&setup.config, at_ms(now_ms)),
            model: Model::new(now_ms),
            under_way: VecDeque::new(),
            probes: Vec::new(),
            open_until_ms: 0,
        }
    }

    /// Calls the breaker with words that the model can foresee.
    fn call<T>(
        &mut self,
        setup: &Setup,
        call: impl FnOnce(&mut Breaker, &mut Moment<'_>) -> T,
    ) -> (T, Vec<Transition>) {
        let mut transitions = Vec::new();
        let mut moment = Moment {
            config: &setup.config,
            now: at_ms(self.now_ms),
            random: &mut words(self.now_ms),
            transitions: &mut transitions,
        };
        let value = call(&mut self.breaker, &mut moment);
        for change in &transitions {
            if change.to == StateName::Open {
                self.open_until_ms = self.now_ms + change.open_for.as_ms();
            }
        }
        (value, transitions)
    }

    fn take(&mut self, step: Step, setup: &Setup, history: &[Step], tally: &mut Tally) {
        match step {
            Acquire => self.acquire(setup, history),
            Success => self.settle(Outcome::Success, setup, history, tally),
            Failure => self.settle(Outcome::Failure, setup, history, tally),
            Ignored => self.settle(Outcome::Ignored, setup, history, tally),
            Lost => drop(self.under_way.pop_front()),
            TimePasses => self.now_ms += TICK_MS,
            ClockStands => self.expires_once(setup, history),
        }
        assert_eq!(
            (self.breaker.state().name(), self.breaker.opens),
            (self.model.state_name(), self.model.opens),
            "{history:?}"
        );
        let live = self.probes.iter().filter(|(permit, lease_end_ms)| {
            permit.generation == self.breaker.generation && self.now_ms < *lease_end_ms
        });
        assert!(live.count() <= setup.numbers.permits, "{history:?}");
    }

    fn acquire(&mut self, setup: &Setup, history: &[Step]) {
        let was_open = self.breaker.state() == StateName::Open;
        let early = was_open && self.now_ms < self.open_until_ms;
        let draw = words(self.now_ms).between(0, 9_999);
        let expected = self.model.acquire(&setup.numbers, self.now_ms, draw);
        let (admitted, _) = self.call(setup, Breaker::try_acquire);
        match (admitted, expected) {
            (Ok(permit), Ok(mut ticket)) => {
                assert!(!early, "admitted while open: {history:?}");
                assert_eq!(permit.is_probe(), ticket.is_probe(), "{history:?}");
                if permit.is_probe() {
                    let lease_end_ms = self.now_ms + setup.numbers.lease_ms;
                    self.probes.push((permit.clone(), lease_end_ms));
                }
                if setup.sent {
                    self.breaker.request_complete(&permit, at_ms(self.now_ms));
                    self.model.sent(&mut ticket);
                }
                self.under_way.push_back((permit, ticket));
            }
            (Err(refusal), Err(wait_ms)) => {
                assert_eq!(refusal.retry_after.as_ms(), wait_ms, "{history:?}");
            }
            (admitted, expected) => {
                panic!("{admitted:?}, but the model says {expected:?}: {history:?}")
            }
        }
    }

    fn settle(&mut self, outcome: Outcome, setup: &Setup, history: &[Step], tally: &mut Tally) {
        let Some((permit, ticket)) = self.under_way.pop_front() else {
            return;
        };
        let mut expired = self.clone();
        expired.call(setup, Breaker::catch_up);
        let lease = self.probes.iter().position(|(probe, _)| {
            (probe.generation, probe.probe) == (permit.generation, permit.probe)
        });
        let lease_over = lease.is_some_and(|at| self.probes.remove(at).1 <= self.now_ms);
        let stale = lease_over || permit.generation != expired.breaker.generation;
        tally.leases_ended += u64::from(lease_over);
        self.model
            .settle(ticket, outcome, &setup.numbers, self.now_ms);
        self.call(setup, |breaker, moment| {
            breaker.settle(permit, Verdict::of(outcome), moment);
        });
        if stale {
            tally.stale += 1;
            assert!(self.breaker == expired.breaker, "{history:?}");
        }
    }

    /// What time alone brings about is done at once, and is then done.
    fn expires_once(&self, setup: &Setup, history: &[Step]) {
        let mut once = self.clone();
        once.call(setup, Breaker::catch_up);
        let mut twice = once.clone();
        let ((), transitions) = twice.call(setup, Breaker::catch_up);
        assert!(
            transitions.is_empty() && once.breaker == twice.breaker,
            "{history:?}"
        );
    }

    /// From here too, an upstream that does well again gets its traffic back: one
    /// round to end what is out, one for the probes, one for the ramp.
    fn can_close(&self, setup: &Setup, history: &[Step]) {
        if self.breaker.state() == StateName::Closed {
            return;
        }
        let numbers = &setup.numbers;
        let mut later = self.clone();
        for _ in 0..3 {
            later.now_ms += numbers.open_max_ms.max(numbers.lease_ms) + numbers.ramp_ms;
            for _ in 0..=numbers.permits {
                let (admitted, _) = later.call(setup, Breaker::try_acquire);
                if let Ok(permit) = admitted {
                    let success = Verdict::of(Outcome::Success);
                    later.call(setup, |b, moment| b.settle(permit, success, moment));
                }
            }
        }
        let (admitted, _) = later.call(setup, Breaker::try_acquire);
        assert!(
            admitted.is_ok() && later.breaker.state() == StateName::Closed,
            "wedged: {history:?}"
        );
    }
}

/// The random words of any call at this time.
fn words(now_ms: u64) -> Random {
    Random::new(now_ms)
}
