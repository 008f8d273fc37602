//! Compares every history of up to seven steps with a naive model.
//!
//! Short histories are few enough to try all of them: nine steps are possible, seven times in
//! a row. Most bugs in a circuit breaker need only a few steps in an unlucky order, so this
//! finds what hand-written tables miss. Some runs begin after a prefix, so that seven more
//! steps reach further.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::*;
use crate::random::Random;
use crate::testing::at_ms;

mod model;

use model::{Model, Numbers, Ticket};

const STEPS_MAX: u32 = 7;

/// 9 + 9^2 + .. + 9^7.
const HISTORIES: u64 = 5_380_839;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A complete request asks for admission.
    Acquire,
    /// An incomplete request asks for admission.
    Begin,
    /// The oldest incomplete request becomes complete.
    Sent,
    /// The oldest complete request that is not slow passes the slow threshold.
    Overdue,
    Success,
    Failure,
    Ignored,
    /// The oldest request never ends.
    Lost,
    TimePasses,
}

use Step::{Acquire, Begin, Failure, Ignored, Lost, Overdue, Sent, Success, TimePasses};

const STEPS: [Step; 9] = [
    Acquire, Begin, Sent, Overdue, Success, Failure, Ignored, Lost, TimePasses,
];

/// Step of the clock. Open times, leases, windows and ramps are small multiples of it.
const TICK_MS: u64 = 1_000;

const TWO_IN_THE_WINDOW: Numbers = Numbers {
    minimum: 2,
    rate_percent: 50,
    slow_percent: 100,
    run: 0,
    count: 0,
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

const TWO_AT_ANY_SHARE: Numbers = Numbers {
    rate_percent: 0,
    count: 2,
    ..TWO_OF_THREE_PROBES
};

const TWO_OF_THREE_PROBES: Numbers = Numbers {
    slow_percent: 60,
    permits: 3,
    lease_ms: 3 * TICK_MS,
    ..TWO_IN_THE_WINDOW
};

/// Trips, with one earlier request still in flight.
const TRIPPED: &[Step] = &[Acquire, Acquire, Acquire, Failure, Failure];

/// One probe is in flight, and nothing else.
const PROBING: &[Step] = &[Acquire, Acquire, Failure, Failure, TimePasses, Acquire];

#[test]
fn every_history_from_closed_agrees_if_two_failures_in_the_window_trip() {
    let tally = explore(&TWO_IN_THE_WINDOW, &[]);
    assert!(tally.half_open > 1_000 && tally.stale > 1_000, "{tally:?}");
    assert!(
        tally.failed_late > 10_000 && tally.opened_by_waiting > 1_000,
        "{tally:?}"
    );
}

#[test]
fn every_history_from_closed_agrees_if_two_failures_in_a_row_trip() {
    let tally = explore(&TWO_IN_A_ROW, &[]);
    assert!(tally.half_open > 500 && tally.stale > 1_000, "{tally:?}");
    assert!(tally.failed_late > 10_000, "{tally:?}");
}

#[test]
fn every_history_from_closed_agrees_if_two_failures_trip_at_any_share() {
    let tally = explore(&TWO_AT_ANY_SHARE, &[]);
    assert!(tally.half_open > 500 && tally.stale > 1_000, "{tally:?}");
    assert!(tally.failed_late > 10_000, "{tally:?}");
}

#[test]
fn every_history_after_a_trip_agrees_with_an_earlier_request_in_flight() {
    let tally = explore(&TWO_IN_THE_WINDOW, TRIPPED);
    assert!(
        tally.half_open > 500_000 && tally.displaced > 2_000 && tally.stale > 50_000,
        "{tally:?}"
    );
}

#[test]
fn every_history_after_a_first_probe_agrees_through_the_ramp() {
    let tally = explore(&TWO_IN_A_ROW, PROBING);
    assert!(
        tally.recovering > 50_000 && tally.leases_ended > 5_000,
        "{tally:?}"
    );
}

#[test]
fn every_history_after_a_first_probe_agrees_if_two_of_three_decide() {
    let tally = explore(&TWO_OF_THREE_PROBES, PROBING);
    assert!(
        tally.half_open > 500_000 && tally.displaced > 5_000,
        "{tally:?}"
    );
    assert!(tally.opened_by_waiting > 1_000, "{tally:?}");
}

/// What the histories covered, so that a run that has become trivial fails.
#[derive(Debug, Default)]
struct Tally {
    histories: u64,
    half_open: u64,
    recovering: u64,
    stale: u64,
    leases_ended: u64,
    displaced: u64,
    /// Failures of requests that had counted as slow while they waited.
    failed_late: u64,
    opened_by_waiting: u64,
}

/// Tries every sequence of seven steps after `prefix`.
fn explore(numbers: &Numbers, prefix: &[Step]) -> Tally {
    let setup = Setup {
        numbers: *numbers,
        config: numbers.config(),
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
}

#[derive(Clone)]
struct World {
    now_ms: u64,
    breaker: Breaker,
    model: Model,
    in_flight: VecDeque<Request>,
    /// Every complete probe that was admitted and not settled, with the end of its lease.
    probes: Vec<(Permit, u64)>,
    open_until_ms: u64,
}

#[derive(Clone)]
struct Request {
    permit: Permit,
    ticket: Ticket,
    sent: bool,
    /// End of its lease, if it is a probe.
    lease_end_ms: u64,
    /// When it passed the slow threshold.
    slow_at_ms: Option<u64>,
}

impl World {
    fn new(setup: &Setup) -> World {
        let now_ms = 50 * TICK_MS;
        World {
            now_ms,
            breaker: Breaker::new(&setup.config, at_ms(now_ms)),
            model: Model::new(now_ms),
            in_flight: VecDeque::new(),
            probes: Vec::new(),
            open_until_ms: 0,
        }
    }

    /// Calls the breaker with random words that the model can predict.
    fn call<T>(
        &mut self,
        setup: &Setup,
        call: impl FnOnce(&mut Breaker, &mut StepContext<'_>) -> T,
    ) -> (T, Vec<Transition>) {
        let mut transitions = Vec::new();
        let mut context = StepContext {
            config: &setup.config,
            now: at_ms(self.now_ms),
            random: &mut words(self.now_ms),
            transitions: &mut transitions,
        };
        let value = call(&mut self.breaker, &mut context);
        for change in &transitions {
            if change.to == StateName::Open {
                self.open_until_ms = self.now_ms + change.open_for.as_ms();
            }
        }
        (value, transitions)
    }

    fn take(&mut self, step: Step, setup: &Setup, history: &[Step], tally: &mut Tally) {
        match step {
            Acquire => self.acquire(true, setup, history),
            Begin => self.acquire(false, setup, history),
            Sent => self.sent(),
            Overdue => self.overdue(setup, tally),
            Success => self.settle(Outcome::Success, setup, history, tally),
            Failure => self.settle(Outcome::Failure, setup, history, tally),
            Ignored => self.settle(Outcome::Ignored, setup, history, tally),
            Lost => drop(self.in_flight.pop_front()),
            TimePasses => {
                self.now_ms += TICK_MS;
                self.expires_once(setup, history);
            }
        }
        assert_eq!(
            (self.breaker.state().name(), self.breaker.opens),
            (self.model.state_name(), self.model.opens),
            "{history:?}"
        );
        let counts = self.breaker.counts();
        let Counts {
            requests,
            failures,
            slow,
        } = counts;
        assert!(failures <= requests && slow <= requests, "{history:?}");
        // Each request counts at most once, and no failure is lost.
        assert_eq!(
            (requests as usize, failures as usize, slow as usize),
            self.model.counts(&setup.numbers),
            "{history:?}"
        );
        let live = self.probes.iter().filter(|(permit, lease_end_ms)| {
            permit.generation == self.breaker.generation && self.now_ms < *lease_end_ms
        });
        assert!(live.count() <= setup.numbers.permits, "{history:?}");
        let out = self.breaker.probes_out() as usize;
        assert!(out <= setup.numbers.permits, "{history:?}");
    }

    fn acquire(&mut self, sent: bool, setup: &Setup, history: &[Step]) {
        let was_open = self.breaker.state() == StateName::Open;
        let early = was_open && self.now_ms < self.open_until_ms;
        let draw = words(self.now_ms).between(0, 9_999);
        let expected = self.model.acquire(sent, &setup.numbers, self.now_ms, draw);
        let (admitted, _) = self.call(setup, |b, context| b.try_acquire(sent, context));
        match (admitted, expected) {
            (Ok(permit), Ok(ticket)) => {
                assert!(!early, "admitted while open: {history:?}");
                assert_eq!(permit.is_probe(), ticket.is_probe(), "{history:?}");
                let lease_end_ms = self.now_ms + setup.numbers.lease_ms;
                if permit.is_probe() && sent {
                    self.probes.push((permit.clone(), lease_end_ms));
                }
                self.in_flight.push_back(Request {
                    permit,
                    ticket,
                    sent,
                    lease_end_ms,
                    slow_at_ms: None,
                });
            }
            (Err(refusal), Err(wait_ms)) => {
                assert_eq!(refusal.retry_after.as_ms(), wait_ms, "{history:?}");
            }
            (admitted, expected) => {
                panic!("{admitted:?}, but the model says {expected:?}: {history:?}")
            }
        }
    }

    fn sent(&mut self) {
        let now = at_ms(self.now_ms);
        if let Some(request) = self.in_flight.iter_mut().find(|request| !request.sent) {
            request.sent = true;
            self.breaker.request_complete(&request.permit, now);
            let lease_end_ms = self.model.sent(&request.ticket, self.now_ms);
            request.lease_end_ms = lease_end_ms.unwrap_or(request.lease_end_ms);
            if self.model.has_probe(&request.ticket) && self.now_ms < request.lease_end_ms {
                let permit = request.permit.clone();
                self.probes.push((permit, request.lease_end_ms));
            }
        }
    }

    fn overdue(&mut self, setup: &Setup, tally: &mut Tally) {
        let mut waiting = self.in_flight.iter_mut();
        let Some(request) = waiting.find(|it| it.sent && it.slow_at_ms.is_none()) else {
            return;
        };
        request.slow_at_ms = Some(self.now_ms);
        let Request { permit, ticket, .. } = request.clone();
        self.model.overdue(&ticket, &setup.numbers, self.now_ms);
        let ((), transitions) = self.call(setup, |breaker, context| {
            if permit.is_probe() {
                breaker.mark_probe_slow(&permit, context);
            } else {
                breaker.wait(&permit, context.now, 1);
                breaker.judge_window(None, context);
            }
        });
        let opened = |change: &Transition| change.to == StateName::Open;
        tally.opened_by_waiting += u64::from(transitions.iter().any(opened));
    }

    fn settle(&mut self, outcome: Outcome, setup: &Setup, history: &[Step], tally: &mut Tally) {
        let Some(request) = self.in_flight.pop_front() else {
            return;
        };
        let permit = request.permit;
        let mut expired = self.clone();
        expired.call(setup, Breaker::catch_up);
        let is_current = permit.generation == expired.breaker.generation;
        let lease_over = permit.is_probe() && request.lease_end_ms <= self.now_ms;
        let displaced = permit.is_probe()
            && permit.generation == self.breaker.generation
            && !self.model.has_probe(&request.ticket);
        self.probes.retain(|(probe, _)| {
            (probe.generation, probe.probe) != (permit.generation, permit.probe)
        });
        tally.leases_ended += u64::from(lease_over);
        tally.displaced += u64::from(displaced && !lease_over);
        let slow = request.slow_at_ms.is_some();
        if slow && is_current && !permit.is_probe() && outcome == Outcome::Failure {
            tally.failed_late += 1;
        }
        self.model
            .settle(request.ticket, (outcome, slow), &setup.numbers, self.now_ms);
        self.call(setup, |breaker, context| {
            if let Some(slow_at_ms) = request.slow_at_ms
                && !permit.is_probe()
            {
                breaker.wait(&permit, at_ms(slow_at_ms), -1);
            }
            let verdict = Verdict {
                slow,
                ..Verdict::of(outcome)
            };
            breaker.settle(permit, verdict, context);
        });
        if lease_over || displaced || !is_current {
            tally.stale += 1;
            assert!(self.breaker == expired.breaker, "{history:?}");
        }
    }

    /// Checks that catching up twice equals catching up once.
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

    /// Checks that a recovered upstream gets its traffic back from here, too: one round ends
    /// the requests in flight, one is for the probes, one for the ramp.
    fn can_close(&self, setup: &Setup, history: &[Step]) {
        if self.breaker.state() == StateName::Closed {
            return;
        }
        let numbers = &setup.numbers;
        let mut later = self.clone();
        let acquire = |world: &mut World| {
            world
                .call(setup, |b, context| b.try_acquire(true, context))
                .0
        };
        for _ in 0..3 {
            later.now_ms += numbers.open_max_ms.max(numbers.lease_ms) + numbers.ramp_ms;
            for _ in 0..=numbers.permits {
                if let Ok(permit) = acquire(&mut later) {
                    let success = Verdict::of(Outcome::Success);
                    later.call(setup, |b, context| b.settle(permit, success, context));
                }
            }
        }
        assert!(
            acquire(&mut later).is_ok() && later.breaker.state() == StateName::Closed,
            "wedged: {history:?}"
        );
    }
}

/// Random words of any call at this time.
fn words(now_ms: u64) -> Random {
    Random::new(now_ms)
}
