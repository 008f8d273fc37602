//! One worker's copy of a circuit, and how it is synchronised with the shared one.
//!
//! A worker decides by its own copy, so that a request on the steady path does not read shared
//! memory. It counts outcomes twice: in the copy, which the next request sees, and as
//! [`Pending`], which is still to be merged into the shared record. One step,
//! [`Replica::sync`], brings both together: it reads the record, adds the pending outcomes,
//! performs an action, and writes the record back by compare-and-swap. If another worker has
//! written in between, the step starts over. A circuit changes its state inside such a step and
//! nowhere else. So two workers can never both open a circuit or issue the same permit, and no
//! worker that dies can hold a lock.
//!
//! This is optimistic concurrency control (Kung and Robinson, "On Optimistic Methods for
//! Concurrency Control", ACM TODS 6(2), 1981): the step is pure, so a lost race costs only its
//! repetition.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::circuit::Circuit;
use crate::circuit::allowance::Allowance;
use crate::circuit::breaker::{Pending, Permit, StepContext, Transition};
use crate::circuit::budget::Grant;
use crate::outcome::classify::Verdict;
use crate::policy::{BreakerConfig, BudgetConfig, RetryConfig};
use crate::random::Random;
use crate::shared::records::{Name, Records, TRIES, Version};
use crate::shared::slots::{self, Slot};
use crate::time::{Instant, Span};

/// One worker's copy of a circuit.
#[derive(Debug)]
pub(crate) struct Replica {
    /// The circuit as of the last read, with the outcomes that this worker has counted since.
    view: Circuit,
    /// Boxed, because most copies have none most of the time.
    pending: Option<Box<Pending>>,
    allowance: Allowance,
    /// Slot of the record.
    slot: u32,
    /// Version of the record if the view was just read or written, so that the next step can
    /// skip the read.
    version: Option<Version>,
    read_at: Instant,
    merged_at: Instant,
    queued: bool,
}

/// Arguments of a step.
pub(crate) struct Scope<'a, R> {
    pub(crate) records: &'a mut R,
    /// Name of the slot's policy.
    pub(crate) policy: &'a str,
    pub(crate) config: &'a BreakerConfig,
    /// The policy's retries, if it has any.
    pub(crate) retry: Option<&'a RetryConfig>,
    pub(crate) now: Instant,
    /// Load time of the configuration.
    pub(crate) loaded_at: Instant,
    pub(crate) random: &'a mut Random,
    /// Receives the changes of state that the step made.
    pub(crate) transitions: &'a mut Vec<Transition>,
    /// Buffer for the record's bytes.
    pub(crate) buffer: &'a mut Vec<u8>,
    /// Number of unreadable records discarded.
    pub(crate) discarded: &'a mut u32,
}

/// Reason why a step had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncError {
    /// The slot holds another key now.
    Displaced,
    /// The step lost every compare-and-swap.
    GivenUp,
}

/// Action of a step. It may run several times, but only its last run takes effect.
pub(crate) type Act<'a> = &'a mut dyn FnMut(&mut Circuit, &mut StepContext<'_>);

impl Replica {
    /// Creates the copy of a circuit that was just read from or written to a slot. `version` is
    /// that of the record, if it is known.
    pub(crate) fn new(
        slot: u32,
        circuit: Circuit,
        version: Option<Version>,
        now: Instant,
    ) -> Replica {
        Replica {
            view: circuit,
            pending: None,
            allowance: Allowance::default(),
            slot,
            version,
            read_at: now,
            merged_at: Instant::default(),
            queued: false,
        }
    }

    /// The circuit as far as this worker knows it.
    #[inline]
    pub(crate) fn view(&self) -> &Circuit {
        &self.view
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    /// Whether the copy is too old to decide by. It is, too, after a step back of the clock.
    #[inline]
    pub(crate) fn is_stale(&self, interval: Span, now: Instant) -> bool {
        now < self.read_at || now.since(self.read_at) >= interval
    }

    /// Returns the permit of a request if it passes and nothing else happens: the copy is fresh,
    /// and its circuit is closed and not forced.
    #[inline]
    pub(crate) fn admit_plainly(&self, interval: Span, now: Instant) -> Option<Permit> {
        let plain = !self.is_stale(interval, now) && self.view.force(now).is_none();
        plain.then(|| self.view.breaker.admit_closed())?
    }

    /// Whether pending outcomes must be merged at once: the last merge is long enough ago, or
    /// they would change the state.
    #[inline]
    pub(crate) fn is_due(&self, config: &BreakerConfig, interval: Span, now: Instant) -> bool {
        now < self.merged_at
            || now.since(self.merged_at) >= interval
            || self.view.breaker.wants_to_open(config)
    }

    /// Counts how an ordinary request ended. Returns whether that is still to be merged.
    #[inline]
    pub(crate) fn record(&mut self, permit: &Permit, verdict: Verdict, now: Instant) -> bool {
        if !self.view.breaker.record(permit, verdict, now) {
            return false;
        }
        let breaker = &self.view.breaker;
        let pending = self
            .pending
            .get_or_insert_with(|| Box::new(breaker.pending()));
        pending.record(verdict, now);
        true
    }

    /// Adds or removes waiting requests, as [`Breaker::wait`] does.
    ///
    /// [`Breaker::wait`]: crate::circuit::breaker::Breaker::wait
    pub(crate) fn wait(&mut self, permit: &Permit, at: Instant, more: i32) {
        if self.view.breaker.wait(permit, at, more) {
            let breaker = &self.view.breaker;
            let pending = self
                .pending
                .get_or_insert_with(|| Box::new(breaker.pending()));
            pending.wait(at, more);
        }
    }

    /// Whether anything is to be merged.
    #[inline]
    pub(crate) fn has_pending(&self) -> bool {
        self.pending.is_some() || self.allowance.needs_visit()
    }

    /// Drops everything that is to be merged.
    pub(crate) fn drop_pending(&mut self) {
        self.pending = None;
        self.allowance = Allowance::default();
    }

    /// Grants up to `wanted` retries to one of `in_flight` requests, out of this worker's
    /// allowance.
    pub(crate) fn grant(&mut self, wanted: u32, in_flight: u32, now: Instant) -> Option<Grant> {
        let account = self.view.account.as_ref()?;
        self.allowance.grant(wanted, in_flight, account, now)
    }

    /// Makes the next step ask the account for `wanted` retries more.
    pub(crate) fn demand_retries(&mut self, wanted: u32) {
        self.allowance.demand(wanted);
    }

    /// Withdraws all demands.
    pub(crate) fn clear_demand(&mut self) {
        self.allowance.clear_demand();
    }

    /// Whether asking the account for retries would be futile: it was empty less than `interval`
    /// ago.
    pub(crate) fn is_dry(&self, interval: Span, now: Instant) -> bool {
        self.view.account.is_none() || self.allowance.is_dry(interval, now)
    }

    /// Takes a grant back, of which `used` retries were made.
    pub(crate) fn settle_grant(&mut self, grant: Grant, used: u32, now: Instant) {
        if let Some(account) = &self.view.account {
            self.allowance.settle(grant, used, account, now);
        }
    }

    /// Adds a success to the retry budget.
    #[inline]
    pub(crate) fn deposit(&mut self, now: Instant) {
        if let Some(account) = &self.view.account {
            self.allowance.deposit(account, now);
        }
    }

    /// Sets whether the copy is in the queue for the next tick. Returns whether it was.
    pub(crate) fn set_queued(&mut self, queued: bool) -> bool {
        core::mem::replace(&mut self.queued, queued)
    }

    /// Whether the copy is in the queue for the next tick.
    pub(crate) fn is_queued(&self) -> bool {
        self.queued
    }

    /// Moves to another slot, which holds `circuit`. If it is not `theirs`, this worker has
    /// written it there, with all pending outcomes in it.
    pub(crate) fn move_to(&mut self, slot: u32, circuit: Circuit, theirs: bool) {
        self.slot = slot;
        self.version = None;
        self.view = circuit;
        self.pending = self.pending.take().filter(|_| theirs);
        if theirs {
            // The account that pledged what this worker held is gone.
            self.allowance = Allowance::default();
        }
    }

    /// Makes the next step read the record.
    pub(crate) fn invalidate(&mut self) {
        self.version = None;
    }

    /// Performs one step: merges the pending outcomes into the shared circuit, runs `act` on it,
    /// and makes the copy equal to the result.
    ///
    /// # Errors
    ///
    /// If the step had no effect. Pending outcomes stay pending.
    pub(crate) fn sync<R: Records>(
        &mut self,
        key: &[u8],
        scope: &mut Scope<'_, R>,
        act: Act<'_>,
    ) -> Result<(), SyncError> {
        // With a known version the copy is the record, plus the pending outcomes.
        let mut base = self.version.take().map(|version| Base {
            circuit: self.view.clone(),
            version,
            has_pending: true,
            is_new: false,
        });
        for _ in 0..TRIES {
            let base = match base.take() {
                Some(base) => base,
                None => self.read(key, scope)?,
            };
            scope.transitions.clear();
            let mut circuit = base.circuit.clone();
            let mut context = StepContext {
                config: scope.config,
                now: scope.now,
                random: scope.random,
                transitions: scope.transitions,
            };
            circuit.breaker.catch_up(&mut context);
            if let Some(pending) = &self.pending {
                if !base.has_pending {
                    circuit.breaker.absorb(pending, &mut context);
                }
                circuit.breaker.judge_window(pending.hint(), &mut context);
            }
            act(&mut circuit, &mut context);
            let allowance = self.visited(&mut circuit, scope);
            if self.pending.is_none() && !base.is_new && circuit == base.circuit {
                self.version = Some(base.version);
                // If the copy was the base, nothing newer has been read.
                if !base.has_pending {
                    self.read_at = scope.now;
                }
            } else if write((self.slot, base.version), key, &mut circuit, scope) {
                self.merged_at = scope.now;
                self.read_at = scope.now;
            } else {
                continue;
            }
            self.view = circuit;
            self.pending = None;
            if let Some(allowance) = allowance {
                self.allowance = allowance;
            }
            return Ok(());
        }
        scope.transitions.clear();
        Err(SyncError::GivenUp)
    }

    /// Returns the allowance after a visit to the account; `None` if no visit was needed.
    fn visited<R: Records>(
        &self,
        circuit: &mut Circuit,
        scope: &Scope<'_, R>,
    ) -> Option<Allowance> {
        if !self.allowance.needs_visit() {
            return None;
        }
        let (Some(account), Some(retry)) = (&mut circuit.account, scope.retry) else {
            return Some(Allowance::default());
        };
        Some(self.allowance.visit(account, retry.max_retries, scope.now))
    }

    fn read<R: Records>(&self, key: &[u8], scope: &mut Scope<'_, R>) -> Result<Base, SyncError> {
        match Slot::read(scope.records, scope.policy, self.slot) {
            Slot::Taken(taken) if taken.key == key => {
                let mut circuit = taken.circuit;
                circuit.adopt(scope.config, budget_of(scope), scope.loaded_at);
                Ok(Base {
                    circuit,
                    version: taken.version,
                    has_pending: false,
                    is_new: false,
                })
            }
            Slot::Taken(_) | Slot::Vacant(_) => Err(SyncError::Displaced),
            Slot::Damaged(version) => {
                *scope.discarded = scope.discarded.saturating_add(1);
                Ok(Base {
                    circuit: Circuit::new(
                        scope.config,
                        budget_of(scope),
                        scope.now,
                        scope.loaded_at,
                    ),
                    version,
                    has_pending: false,
                    is_new: true,
                })
            }
        }
    }
}

fn budget_of<'a, R>(scope: &Scope<'a, R>) -> Option<&'a BudgetConfig> {
    scope.retry.map(|retry| &retry.budget)
}

/// The circuit at the beginning of a step.
struct Base {
    circuit: Circuit,
    version: Version,
    /// Whether it includes this worker's pending outcomes.
    has_pending: bool,
    /// Whether it replaces a damaged record.
    is_new: bool,
}

fn write<R: Records>(
    (slot, version): (u32, Version),
    key: &[u8],
    circuit: &mut Circuit,
    scope: &mut Scope<'_, R>,
) -> bool {
    circuit.drop_expired(scope.now);
    circuit.used_at = scope.now;
    circuit.loaded_at = circuit.loaded_at.max(scope.loaded_at);
    slots::write_slot(Some((key, circuit)), scope.buffer);
    let name = Name::Slot(scope.policy, slot);
    scope.records.write(name, scope.buffer, Some(version))
}
