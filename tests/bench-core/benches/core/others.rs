//! Other crates: circuit breakers with their defaults as far as they are close to ours, and a retry
//! budget of 20 %.

use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use failsafe::CircuitBreaker as _;
use failsafe::backoff::{Constant, constant};
use failsafe::failure_policy::{SuccessRateOverTimeWindow, success_rate_over_time_window};
use recloser::Recloser;
use tower::retry::budget::{Budget, TpsBudget};
use tower::{Layer, Service};
use tower_resilience_circuitbreaker::{CircuitBreaker, CircuitBreakerLayer, DefaultClassifier};

/// Half of the requests.
const FAILURE_RATE: f32 = 0.5;

/// As many as our breaker needs.
const REQUESTS_MIN: u32 = 20;

/// Longer than a benchmark.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Policy = SuccessRateOverTimeWindow<Constant>;

/// The breaker of `failsafe`, which has a time window.
pub(crate) struct Failsafe(failsafe::StateMachine<Policy, ()>);

impl Failsafe {
    pub(crate) fn new() -> Self {
        let rate = f64::from(1.0 - FAILURE_RATE);
        let window = Duration::from_secs(10);
        let policy = success_rate_over_time_window(rate, REQUESTS_MIN, window, constant(DAY));
        Self(failsafe::Config::new().failure_policy(policy).build())
    }

    /// Makes a call. Returns whether it was permitted.
    pub(crate) fn request(&self, succeeds: bool) -> bool {
        let result = self.0.call(|| outcome(succeeds));
        !matches!(result, Err(failsafe::Error::Rejected))
    }
}

fn outcome(succeeds: bool) -> Result<(), ()> {
    if succeeds { Ok(()) } else { Err(()) }
}

/// The breaker of `recloser`, which has a count window.
pub(crate) fn recloser() -> Recloser {
    Recloser::custom()
        .error_rate(FAILURE_RATE)
        .open_wait(DAY)
        .build()
}

/// Makes a call. Returns whether it was permitted.
pub(crate) fn ask_recloser(recloser: &Recloser, succeeds: bool) -> bool {
    let result = recloser.call(|| outcome(succeeds));
    !matches!(result, Err(recloser::Error::Rejected))
}

/// The breaker of `tower-resilience` with its count window: a time window holds one entry per
/// request, and reads all of them for each.
pub(crate) struct Resilience(CircuitBreaker<Inner, DefaultClassifier>);

impl Resilience {
    pub(crate) fn new() -> Self {
        let layer = CircuitBreakerLayer::builder()
            .failure_rate_threshold(f64::from(FAILURE_RATE))
            .minimum_number_of_calls(REQUESTS_MIN as usize)
            .wait_duration_in_open(DAY)
            .build();
        Self(layer.expect("a valid breaker").layer(Inner))
    }

    /// Makes a call, which never waits. Returns whether it was permitted.
    pub(crate) fn request(&mut self, succeeds: bool) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let ready = Service::<bool>::poll_ready(&mut self.0, &mut context);
        assert!(
            matches!(ready, Poll::Ready(Ok(()))),
            "a breaker that rejects and does not wait"
        );
        match pin!(self.0.call(succeeds)).poll(&mut context) {
            Poll::Ready(Err(error)) => !error.is_circuit_open(),
            Poll::Ready(Ok(())) => true,
            Poll::Pending => panic!("nothing waits"),
        }
    }
}

/// The service behind that breaker.
#[derive(Clone)]
struct Inner;

impl Service<bool> for Inner {
    type Response = ();
    type Error = ();
    type Future = Ready<Result<(), ()>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, succeeds: bool) -> Self::Future {
        ready(outcome(succeeds))
    }
}

/// The budget of `tower`, with our defaults.
pub(crate) fn budget() -> TpsBudget {
    TpsBudget::new(Duration::from_secs(10), 10, 0.2)
}

/// Pays for a success.
pub(crate) fn deposit(budget: &TpsBudget) {
    budget.deposit();
}

/// Pays for five successes, and takes out the retry that they earned.
pub(crate) fn pay_for_a_retry(budget: &TpsBudget) {
    for _ in 0..5 {
        budget.deposit();
    }
    assert!(budget.withdraw(), "20 % of five");
}
