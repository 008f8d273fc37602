//! The circuit breaker: closed, open, half-open, recovering.
//!
//! A closed breaker admits and counts. Too many failures or slow responses open it, and for
//! some time it admits nothing. Then it admits a few probes, and their outcomes decide: back
//! to closed, through a ramp if the policy has one, or open again for longer.
//!
//! Admission is a value. [`Breaker::try_acquire`] issues a [`Permit`] and [`Breaker::settle`]
//! takes it back, so a request cannot be counted twice. Two things keep late results out. A
//! permit carries the *generation* of the breaker that issued it, which rises with every change
//! of state (except from recovering to the closed state it leads to): a slow response from
//! before the outage can neither close a circuit nor reopen it. And a probe has a *lease*: when
//! that ends the probe is judged by what is known, so a request that never ends cannot hold a
//! circuit half-open forever.
//!
//! The breaker has no clock. Calls that admit and settle first apply what the clock alone has
//! changed, such as leases that have ended and a ramp that is done.
//!
//! All workers of a proxy share a breaker, and each holds a copy. Most requests need only the
//! copy: [`Breaker::decide`] admits and rejects without changing anything, and
//! [`Breaker::record`] counts. A change of state must be made to the shared breaker, see
//! [`crate::shared::replica`].

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::circuit::window::{Counts, Window};
use crate::outcome::classify::Verdict;
use crate::policy::{BreakerConfig, Outcome};
use crate::time::{Instant, Span};

mod admission;
mod encode;
mod names;
mod open_time;
mod pending;
mod probes;
mod ramp;
mod rules;
mod standing;
mod state;

pub use names::Transition;
pub(crate) use names::{Opened, Permit, Refusal, StepContext};
pub(crate) use names::{StateName, Why};
pub(crate) use pending::Pending;
pub(crate) use standing::Standing;

use probes::{Judgement, Probes};
use state::State;

/// The breaker of one key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Breaker {
    state: State,
    generation: u64,
    /// Beginning of the current state.
    since: Instant,
    /// Beginning of the last recovering or closed state that followed an outage.
    healthy_since: Instant,
    /// Openings in a row: none of them was followed by a healthy time as long as the open time.
    opens: u32,
    last_open: Span,
    /// The last opening; `None` if there was none. Boxed, because most circuits have none.
    opened: Option<Box<Opened>>,
    consecutive: u32,
    window: Window,
}

impl Breaker {
    /// Creates a closed breaker. Its first generation is the time, so that a new breaker of the
    /// same key never accepts a permit of an earlier one.
    pub(crate) fn new(config: &BreakerConfig, now: Instant) -> Breaker {
        Breaker {
            state: State::Closed,
            generation: now.as_ns(),
            since: now,
            healthy_since: now,
            opens: 0,
            last_open: Span::ZERO,
            opened: None,
            consecutive: 0,
            window: Window::new(&config.window),
        }
    }

    /// The state as of the last call.
    #[inline]
    pub(crate) fn state(&self) -> StateName {
        self.state.name()
    }

    /// Whether the circuit sheds load: open or half-open.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// Returns an empty collector of outcomes that [`Breaker::absorb`] accepts.
    pub(crate) fn pending(&self) -> Pending {
        Pending::new(self.generation, &self.window.shape())
    }

    /// Whether this breaker, last used at `idle_since`, may be dropped. It is disabled or
    /// closed, or has been idle past its own open time for the longest open time.
    pub(crate) fn is_forgettable(
        &self,
        config: &BreakerConfig,
        idle_since: Instant,
        now: Instant,
    ) -> bool {
        let busy_until = match &self.state {
            _ if !config.enabled => return true,
            State::Closed => return true,
            State::Open { until } => idle_since.max(*until),
            State::HalfOpen(probes) => idle_since.max(probes.last_deadline()),
            State::Recovering => idle_since,
        };
        now >= busy_until.after(config.open.max_duration)
    }

    /// Notes that the client has sent the whole request.
    pub(crate) fn request_complete(&mut self, permit: &Permit, now: Instant) {
        if let Some(probes) = self.probes_of(permit) {
            probes.request_complete(permit.probe, now);
        }
    }

    /// Notes the verdict by the response headers. It decides about a probe unless the response
    /// ends soon.
    pub(crate) fn headers_arrived(
        &mut self,
        permit: &Permit,
        verdict: Verdict,
        context: &StepContext<'_>,
    ) {
        if let Some(probes) = self.probes_of(permit) {
            probes.headers_arrived(permit.probe, verdict, context);
        }
    }

    /// Notes that a probe has passed the slow threshold without an end.
    pub(crate) fn mark_probe_slow(&mut self, permit: &Permit, context: &mut StepContext<'_>) {
        self.catch_up(context);
        if let Some(probes) = self.probes_of(permit) {
            probes.mark_slow(permit.probe);
            self.judge_probes(context);
        }
    }

    /// Adds `more` waiting requests that passed the slow threshold at `at`, or removes ended
    /// ones if `more` is negative. Returns false if the permit is from an earlier state.
    ///
    /// Consecutive failures count ended requests only, so this does not affect them.
    pub(crate) fn wait(&mut self, permit: &Permit, at: Instant, more: i32) -> bool {
        let counting = self.is_counting() && permit.generation == self.generation;
        if counting {
            self.window.wait(at, more);
        }
        counting
    }

    /// Takes a permit back and counts how its request ended.
    pub(crate) fn settle(
        &mut self,
        permit: Permit,
        verdict: Verdict,
        context: &mut StepContext<'_>,
    ) {
        self.catch_up(context);
        if permit.generation != self.generation {
            return;
        }
        if let State::HalfOpen(probes) = &mut self.state {
            probes.settle(permit.probe, verdict);
            self.judge_probes(context);
        } else {
            self.record(&permit, verdict, context.now);
            self.judge_window(verdict.hint, context);
        }
    }

    /// Counts how an ordinary request ended, without judging the window. Returns false if the
    /// outcome does not count: it was ignored, or the permit is from an earlier state.
    #[inline]
    pub(crate) fn record(&mut self, permit: &Permit, verdict: Verdict, now: Instant) -> bool {
        if !self.is_counting()
            || permit.generation != self.generation
            || verdict.outcome == Outcome::Ignored
        {
            return false;
        }
        let failure = verdict.outcome == Outcome::Failure;
        self.window.record(failure, verdict.slow, now);
        self.consecutive = if failure {
            self.consecutive.saturating_add(1)
        } else {
            0
        };
        true
    }

    /// Whether a rule says that the circuit should open.
    #[inline]
    pub(crate) fn wants_to_open(&self, config: &BreakerConfig) -> bool {
        self.is_counting() && self.tripped(config).is_some()
    }

    /// Merges the outcomes that a worker has counted, unless they are from an earlier state.
    /// Outcomes keep their time buckets; consecutive failures continue the shared run.
    pub(crate) fn absorb(&mut self, pending: &Pending, context: &mut StepContext<'_>) {
        if pending.generation != self.generation {
            return;
        }
        self.window.merge(&pending.window);
        self.consecutive = self.consecutive.saturating_add(pending.leading_failures);
        self.judge_window(pending.hint(), context);
        if pending.generation == self.generation && pending.had_success {
            self.consecutive = pending.trailing_failures;
        }
    }

    /// Applies what the clock or a disabled breaker changes without a request.
    pub(crate) fn catch_up(&mut self, context: &mut StepContext<'_>) {
        if !context.config.enabled {
            self.switch_off(context);
        } else if let State::HalfOpen(probes) = &mut self.state {
            probes.expire(context.now);
            self.judge_probes(context);
        } else if matches!(self.state, State::Recovering) && ramp::is_done(self.since, context) {
            self.change(State::Closed, Why::Recovered, context);
        }
    }

    /// Opens the circuit if a rule says so.
    pub(crate) fn judge_window(&mut self, hint: Option<Span>, context: &mut StepContext<'_>) {
        if self.is_counting()
            && let Some(why) = self.tripped(context.config)
        {
            self.open(why, self.window.counts(), hint, context);
        }
    }

    /// Closes the circuit and drops its counts, whatever its state. If it is closed already,
    /// the new generation also drops what workers have yet to merge.
    pub(crate) fn reset(&mut self, now: Instant, transitions: &mut Vec<Transition>) {
        if matches!(self.state, State::Closed) {
            self.generation = self.generation.wrapping_add(1);
            self.consecutive = 0;
            self.window.clear();
        } else {
            self.change_at(State::Closed, Why::Reset, self.counts(), now, transitions);
        }
        self.opens = 0;
        self.last_open = Span::ZERO;
    }

    /// Closes the circuit and drops its counts, so that nothing from before takes effect when
    /// the breaker is enabled again.
    fn switch_off(&mut self, context: &mut StepContext<'_>) {
        if !matches!(self.state, State::Closed) {
            self.change(State::Closed, Why::SwitchedOff, context);
        }
        self.window.clear();
        self.consecutive = 0;
        self.opens = 0;
        self.last_open = Span::ZERO;
    }

    /// Adapts the breaker to a configuration that was loaded at `loaded_at`, after the one that
    /// wrote it. A window of another shape loses its content. The open time and the leases become
    /// no longer than this configuration allows.
    pub(crate) fn adopt(&mut self, config: &BreakerConfig, loaded_at: Instant) {
        if self.window.shape() != config.window {
            self.window = Window::new(&config.window);
        }
        match &mut self.state {
            State::Open { until } => {
                *until = (*until).min(self.since.after(open_time::longest(&config.open)));
            }
            State::HalfOpen(probes) => {
                let latest = self.since.max(loaded_at).after(config.half_open.lease);
                probes.shorten_leases(latest);
            }
            State::Closed | State::Recovering => {}
        }
    }

    /// Whether the window contains a failure.
    pub(crate) fn has_failures(&self) -> bool {
        self.window.counts().failures > 0
    }

    /// Counts of the window or, in half-open, of the probes.
    pub(crate) fn counts(&self) -> Counts {
        match &self.state {
            State::HalfOpen(probes) => probes.counts(),
            _ => self.window.counts(),
        }
    }

    #[inline]
    fn is_counting(&self) -> bool {
        matches!(self.state, State::Closed | State::Recovering)
    }

    #[inline]
    fn tripped(&self, config: &BreakerConfig) -> Option<Why> {
        rules::tripped(&self.window, self.consecutive, config)
    }

    fn probes_of(&mut self, permit: &Permit) -> Option<&mut Probes> {
        match &mut self.state {
            State::HalfOpen(probes) if permit.generation == self.generation => Some(probes),
            _ => None,
        }
    }

    fn judge_probes(&mut self, context: &mut StepContext<'_>) {
        let State::HalfOpen(probes) = &self.state else {
            return;
        };
        let counts = probes.counts();
        match probes.judge(context.config) {
            Judgement::Undecided => {}
            Judgement::Bad { why, hint } => self.open(why, counts, hint, context),
            Judgement::Good if context.config.recovery.duration > Span::ZERO => {
                self.change(State::Recovering, Why::ProbesSucceeded, context);
            }
            Judgement::Good => self.change(State::Closed, Why::ProbesSucceeded, context),
        }
    }

    /// Whether the circuit has been healthy for as long as it was last open.
    fn has_stayed_closed(&self, now: Instant) -> bool {
        !self.is_open() && now.since(self.healthy_since) >= self.last_open
    }

    fn open(
        &mut self,
        why: Why,
        counts: Counts,
        hint: Option<Span>,
        context: &mut StepContext<'_>,
    ) {
        // An upstream that fails under returning load would otherwise flap at the shortest open
        // time forever.
        self.opens = if self.has_stayed_closed(context.now) {
            1
        } else {
            self.opens.saturating_add(1)
        };
        self.last_open = open_time::choose(&context.config.open, self.opens, hint, context.random);
        let until = context.now.after(self.last_open);
        let open = State::Open { until };
        let at = context.now;
        self.opened = Some(Box::new(Opened { at, why, counts }));
        self.change_at(open, why, counts, at, context.transitions);
    }

    fn change(&mut self, to: State, why: Why, context: &mut StepContext<'_>) {
        let counts = match &self.state {
            State::HalfOpen(probes) => probes.counts(),
            _ => Counts::default(),
        };
        self.change_at(to, why, counts, context.now, context.transitions);
    }

    /// Makes every change of state.
    fn change_at(
        &mut self,
        to: State,
        why: Why,
        counts: Counts,
        now: Instant,
        transitions: &mut Vec<Transition>,
    ) {
        let from = self.state();
        let lasted = now.since(self.since);
        self.state = to;
        self.since = now;
        if why != Why::Recovered {
            self.generation = self.generation.wrapping_add(1);
            self.healthy_since = now;
            self.consecutive = 0;
            self.window.clear();
        }
        let opened = matches!(self.state, State::Open { .. });
        transitions.push(Transition {
            from,
            to: self.state(),
            why,
            counts,
            opens: self.opens,
            lasted,
            open_for: if opened { self.last_open } else { Span::ZERO },
        });
    }
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;
