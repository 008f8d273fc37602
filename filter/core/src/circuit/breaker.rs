//! The circuit breaker: closed, open, half-open, recovering.
//!
//! Closed lets through and counts; too many failures, or too many slow answers,
//! open the circuit, and for a while nothing passes. Then a few probes do, and
//! what becomes of them decides: back to closed, through a ramp if there is one,
//! or open again for longer.
//!
//! Admission is a value. [`Breaker::try_acquire`] gives a [`Permit`] that
//! [`Breaker::settle`] takes away again, so that a request cannot be counted
//! twice. Two things keep stale news out. A permit carries the *generation* of
//! the breaker that issued it, which rises with every change of state (except
//! from recovering to the closed state it leads to): a slow answer from before
//! the outage can neither close a circuit nor open it again. And a probe has a
//! *lease*: when it ends the probe is judged by what is known, so that a request
//! which never ends cannot hold a circuit half-open for ever.
//!
//! Time moves only when a caller brings it. What a clock alone would change
//! (leases that end, a ramp that is done) is done first by the calls that admit and
//! settle.
//!
//! A breaker belongs to all workers of a proxy, each of which holds a copy. Most
//! requests need no more than that: [`Breaker::answer`] admits and refuses without
//! changing anything, and [`Breaker::note`] counts. What changes the state must be
//! done to the one that is shared, see [`crate::shared::replica`].

use alloc::vec::Vec;

use crate::circuit::window::{Counts, Window};
use crate::outcome::classify::Verdict;
use crate::policy::{BreakerConfig, Outcome, WHOLE_BP};
use crate::random::Random;
use crate::time::{Instant, Span};

mod layout;
mod names;
mod open_time;
mod pending;
mod probes;
mod standing;

pub use names::{Permit, Refusal, StateName, Transition, Why};
pub use pending::Pending;
pub use standing::Standing;

use probes::{Judgement, Probes};

/// A breaker of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    state: State,
    generation: u64,
    /// Time at which the current state began.
    since: Instant,
    /// When traffic last returned: the beginning of recovering or of closed.
    healthy_since: Instant,
    /// Openings in a row, without a closed time as long as the last open one.
    opens: u32,
    last_open: Span,
    consecutive: u32,
    window: Window,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen(Probes),
    Recovering,
}

/// What every call on a breaker needs: its numbers, the time, random words, and
/// a place for the changes it makes.
pub struct StepContext<'a> {
    /// The numbers of its policy.
    pub config: &'a BreakerConfig,
    /// The host's monotonic time.
    pub now: Instant,
    /// Random words, for jitter and for the ramp.
    pub random: &'a mut Random,
    /// The changes of state, oldest first.
    pub transitions: &'a mut Vec<Transition>,
}

impl Breaker {
    /// A closed breaker. Its first generation is the time, so that a breaker made
    /// anew for the same key cannot take an old permit for one of its own.
    pub fn new(config: &BreakerConfig, now: Instant) -> Breaker {
        Breaker {
            state: State::Closed,
            generation: now.as_ns(),
            since: now,
            healthy_since: now,
            opens: 0,
            last_open: Span::ZERO,
            consecutive: 0,
            window: Window::new(&config.window),
        }
    }

    /// The state as of the last call.
    #[inline]
    pub fn state(&self) -> StateName {
        match self.state {
            State::Closed => StateName::Closed,
            State::Open { .. } => StateName::Open,
            State::HalfOpen(_) => StateName::HalfOpen,
            State::Recovering => StateName::Recovering,
        }
    }

    /// Whether the circuit sheds load: open or half-open.
    #[inline]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::HalfOpen(_))
    }

    /// Whether nothing is lost by forgetting this breaker, which was last used at
    /// `idle_since`: it is closed, or has been idle for the longest open time
    /// beyond its own.
    pub fn is_forgettable(
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

    /// The answer to a request, where giving it changes nothing. `complete` says that the
    /// client has sent all of it.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] where the state, or the ramp's draw, says no.
    #[inline]
    pub fn answer(
        &self,
        complete: bool,
        moment: &mut StepContext<'_>,
    ) -> Option<Result<Permit, Refusal>> {
        let wait = match &self.state {
            // Requests do not wait until the state is put right, see `catch_up`.
            _ if !moment.config.enabled => None,
            State::Closed => None,
            State::Recovering if self.ramp_is_done(moment) => return None,
            State::Recovering => (!self.ramp_admits(moment)).then_some(Span::ZERO),
            State::Open { until } if moment.now >= *until => return None,
            State::Open { until } => Some(until.since(moment.now)),
            State::HalfOpen(probes) => {
                let full = probes.is_full(complete, moment.config, moment.now);
                Some(full.then_some(Span::ZERO)?)
            }
        };
        Some(match wait {
            None => Ok(self.permit(None)),
            Some(retry_after) => Err(self.refusal(retry_after)),
        })
    }

    /// Asks for admission, for a request of which the client has sent all if it is `complete`.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] where the state, or the ramp's draw, says no.
    pub fn try_acquire(
        &mut self,
        complete: bool,
        moment: &mut StepContext<'_>,
    ) -> Result<Permit, Refusal> {
        self.catch_up(moment);
        if let State::Open { until } = self.state
            && moment.now >= until
        {
            let probes = State::HalfOpen(Probes::default());
            self.change(probes, Why::OpenElapsed, moment);
        }
        if let State::HalfOpen(probes) = &mut self.state {
            return match probes.start(complete, moment) {
                Some(number) => Ok(self.permit(Some(number))),
                None => Err(self.refusal(Span::ZERO)),
            };
        }
        let refused = Err(self.refusal(Span::ZERO));
        self.answer(complete, moment).unwrap_or(refused)
    }

    /// Notes that the client has sent its whole request.
    pub fn request_complete(&mut self, permit: &Permit, now: Instant) {
        if let Some(probes) = self.probes_of(permit) {
            probes.request_complete(permit.probe, now);
        }
    }

    /// Notes what the response's headers say: the probe is judged by them unless the response
    /// ends soon.
    pub fn answered(&mut self, permit: &Permit, verdict: Verdict, moment: &StepContext<'_>) {
        if let Some(probes) = self.probes_of(permit) {
            probes.answered(permit.probe, verdict, moment);
        }
    }

    /// Notes that a probe has passed the threshold for slowness and still waits: it is a slow
    /// one from now on.
    pub fn probe_is_slow(&mut self, permit: &Permit, moment: &mut StepContext<'_>) {
        self.catch_up(moment);
        if let Some(probes) = self.probes_of(permit) {
            probes.is_slow(permit.probe);
            self.judge_probes(moment);
        }
    }

    /// Notes that so many ordinary requests more have passed the threshold at `at` and wait, or
    /// so many fewer where they have ended. False where that does not count: it belongs to an
    /// earlier state.
    ///
    /// A run of failures goes by how requests end, so this neither adds to one nor ends it.
    pub fn wait(&mut self, permit: &Permit, at: Instant, more: i32) -> bool {
        let counting = self.is_counting() && permit.generation == self.generation;
        if counting {
            self.window.wait(at, more);
        }
        counting
    }

    /// Takes the permit back, with how its request ended.
    pub fn settle(&mut self, permit: Permit, verdict: Verdict, moment: &mut StepContext<'_>) {
        self.catch_up(moment);
        if permit.generation != self.generation {
            return;
        }
        if let State::HalfOpen(probes) = &mut self.state {
            probes.settle(permit.probe, verdict);
            self.judge_probes(moment);
        } else {
            self.note(&permit, verdict, moment.now);
            self.judge_window(verdict.hint, moment);
        }
    }

    /// Counts how an ordinary request ended, and draws no conclusion. False where it
    /// does not count: it was ignored, or belongs to an earlier state.
    #[inline]
    pub fn note(&mut self, permit: &Permit, verdict: Verdict, now: Instant) -> bool {
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

    /// Whether what was counted says that the circuit should open.
    #[inline]
    pub fn wants_to_open(&self, config: &BreakerConfig) -> bool {
        self.is_counting() && self.tripped(config).is_some()
    }

    /// Adds what a worker has counted by itself, unless that belongs to an earlier
    /// state. Outcomes keep their time buckets; a run of failures goes on from where
    /// the shared one stands.
    pub fn absorb(&mut self, pending: &Pending, moment: &mut StepContext<'_>) {
        if pending.generation != self.generation {
            return;
        }
        self.window.merge(&pending.window);
        self.consecutive = self.consecutive.saturating_add(pending.leading_failures);
        self.judge_window(pending.hint, moment);
        if pending.generation == self.generation && pending.had_success {
            self.consecutive = pending.trailing_failures;
        }
    }

    /// Does what time, what was counted, and a breaker that was switched off have brought
    /// about.
    pub fn catch_up(&mut self, moment: &mut StepContext<'_>) {
        if !moment.config.enabled {
            self.switch_off(moment);
        } else if let State::HalfOpen(probes) = &mut self.state {
            probes.expire(moment.now);
            self.judge_probes(moment);
        } else if matches!(self.state, State::Recovering) && self.ramp_is_done(moment) {
            self.change(State::Closed, Why::Recovered, moment);
        }
    }

    /// Opens the circuit if what was counted says so.
    pub fn judge_window(&mut self, hint: Option<Span>, moment: &mut StepContext<'_>) {
        if self.is_counting()
            && let Some(why) = self.tripped(moment.config)
        {
            self.open(why, self.window.counts(), hint, moment);
        }
    }

    /// Closes the circuit as if it were new, whatever its state. A closed one only forgets
    /// what it has counted, and what workers have yet to merge into it.
    pub fn reset(&mut self, now: Instant, transitions: &mut Vec<Transition>) {
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

    /// Closes the circuit and forgets what was counted, so that nothing acts from before
    /// when the breaker is switched on again.
    fn switch_off(&mut self, moment: &mut StepContext<'_>) {
        if !matches!(self.state, State::Closed) {
            self.change(State::Closed, Why::SwitchedOff, moment);
        }
        self.window.clear();
        self.consecutive = 0;
        self.opens = 0;
        self.last_open = Span::ZERO;
    }

    /// Admits a request to which the breaker's state could not be asked, unless it is open.
    pub fn admit_unasked(&self) -> Option<Permit> {
        (!self.is_open()).then(|| self.permit(None))
    }

    /// Fits the breaker to a configuration that was loaded at `loaded_at`, later than the
    /// one that wrote it: what its window held in another shape is lost, and neither the
    /// open time nor a lease is longer than this configuration allows.
    pub fn adopt(&mut self, config: &BreakerConfig, loaded_at: Instant) {
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

    #[inline]
    fn is_counting(&self) -> bool {
        matches!(self.state, State::Closed | State::Recovering)
    }

    /// The rule that says the circuit should open, if one does.
    ///
    /// The share of failures is taken over the outcomes, if they are enough: requests that
    /// wait would only hide it, since none of them has failed yet. It is taken over all that is
    /// in the window besides.
    #[inline]
    fn tripped(&self, config: &BreakerConfig) -> Option<Why> {
        let (ended, waiting) = (self.window.outcomes(), self.window.waiting());
        let all = ended.requests.saturating_add(waiting);
        let volume = config.volume();
        let reached = |part: u32, requests: u32, share_bp: u32| {
            let share = u64::from(requests).saturating_mul(u64::from(share_bp));
            share_bp > 0 && u64::from(part).saturating_mul(u64::from(WHOLE_BP)) >= share
        };
        if all >= volume {
            let failed = |requests| reached(ended.failures, requests, config.failure_rate_bp);
            let slow = ended.slow.saturating_add(waiting);
            if failed(all) || (waiting > 0 && ended.requests >= volume && failed(ended.requests)) {
                return Some(Why::FailureRate);
            } else if reached(slow, all, config.effective_slow_rate_bp()) {
                return Some(Why::SlowRate);
            }
        }
        let run = config.consecutive_failures;
        (run > 0 && self.consecutive >= run).then_some(Why::ConsecutiveFailures)
    }

    #[inline]
    fn permit(&self, probe: Option<u32>) -> Permit {
        let generation = self.generation;
        Permit { generation, probe }
    }

    fn refusal(&self, retry_after: Span) -> Refusal {
        Refusal {
            state: self.state(),
            retry_after,
        }
    }

    fn probes_of(&mut self, permit: &Permit) -> Option<&mut Probes> {
        match &mut self.state {
            State::HalfOpen(probes) if permit.generation == self.generation => Some(probes),
            _ => None,
        }
    }

    fn judge_probes(&mut self, moment: &mut StepContext<'_>) {
        let State::HalfOpen(probes) = &self.state else {
            return;
        };
        let counts = probes.counts();
        match probes.judge(moment.config) {
            Judgement::Undecided => {}
            Judgement::Bad { why, hint } => self.open(why, counts, hint, moment),
            Judgement::Good if moment.config.recovery.duration > Span::ZERO => {
                self.change(State::Recovering, Why::ProbesSucceeded, moment);
            }
            Judgement::Good => self.change(State::Closed, Why::ProbesSucceeded, moment),
        }
    }

    fn open(&mut self, why: Why, counts: Counts, hint: Option<Span>, moment: &mut StepContext<'_>) {
        // A circuit that failed again before it was closed for as long as it had
        // been open goes on counting, or failing under returning load would flap
        // at the shortest open time for ever.
        let held = !self.is_open() && moment.now.since(self.healthy_since) >= self.last_open;
        self.opens = if held {
            1
        } else {
            self.opens.saturating_add(1)
        };
        self.last_open = open_time::choose(&moment.config.open, self.opens, hint, moment.random);
        let until = moment.now.after(self.last_open);
        let open = State::Open { until };
        self.change_at(open, why, counts, moment.now, moment.transitions);
    }

    fn change(&mut self, to: State, why: Why, moment: &mut StepContext<'_>) {
        let counts = match &self.state {
            State::HalfOpen(probes) => probes.counts(),
            _ => Counts::default(),
        };
        self.change_at(to, why, counts, moment.now, moment.transitions);
    }

    /// Every change of state goes through here.
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

    fn ramp_is_done(&self, moment: &StepContext<'_>) -> bool {
        moment.now.since(self.since) >= moment.config.recovery.duration
    }

    /// Whether the ramp lets a request through: the share that it admits rises evenly
    /// from its start to all.
    fn ramp_admits(&self, moment: &mut StepContext<'_>) -> bool {
        let recovery = &moment.config.recovery;
        let rise = u64::from(WHOLE_BP.saturating_sub(recovery.start_bp));
        let elapsed = moment.now.since(self.since);
        let risen = Span::from_ns(rise).scale(elapsed.as_ns(), recovery.duration.as_ns());
        let risen_bp = u32::try_from(risen.as_ns()).unwrap_or(WHOLE_BP);
        moment
            .random
            .chance(recovery.start_bp.saturating_add(risen_bp))
    }
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;
