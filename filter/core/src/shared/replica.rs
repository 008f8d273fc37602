//! One worker's copy of a circuit, and how it keeps up with the one that all share.
//!
//! A worker asks its own copy, so that a request on the steady path costs no look at
//! shared memory. Its outcomes are counted twice: in the copy, which the next request
//! meets, and as [`Pending`], which the shared record has yet to hear of. Bringing both
//! together is one step, [`Replica::sync`]: read the record, add what is pending, do
//! what is to be done, and write it back if nobody else has written meanwhile, else
//! from the beginning. Whatever changes a circuit's state happens inside such a step
//! and nowhere else; so two workers can never both have opened a circuit, nor given out
//! the same permit, and no lock is held by anyone who could die with it.
//!
//! This is optimistic concurrency (Kung and Robinson, "On Optimistic Methods for
//! Concurrency Control", ACM TODS 6(2), 1981): the step is pure, so losing costs
//! nothing but its repetition.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::circuit::Circuit;
use crate::circuit::breaker::{Pending, Permit, StepContext, Transition};
use crate::circuit::budget::{Allowance, Grant};
use crate::outcome::classify::Verdict;
use crate::policy::{BreakerConfig, BudgetConfig, RetryConfig};
use crate::random::Random;
use crate::shared::records::{self, Name, Records, Slot, TRIES, Version};
use crate::time::{Instant, Span};

/// One worker's copy of a circuit.
#[derive(Debug)]
pub struct Replica {
    /// The circuit as it was read last, with what this worker has counted since.
    view: Circuit,
    /// Boxed, since most copies have none at most times.
    pending: Option<Box<Pending>>,
    /// What this worker has to do with the circuit's account.
    purse: Allowance,
    /// The slot of the record.
    place: u32,
    /// The number of the record's last write, if that was read since.
    version: Option<Version>,
    read_at: Instant,
    merged_at: Instant,
    queued: bool,
}

/// What a step needs.
pub struct Scope<'a, R> {
    /// Where records are kept.
    pub records: &'a mut R,
    /// The policy that the slot is one of.
    pub policy: &'a str,
    /// Its numbers.
    pub config: &'a BreakerConfig,
    /// How its requests are sent again, if they are.
    pub retry: Option<&'a RetryConfig>,
    /// The time.
    pub now: Instant,
    /// When the configuration was loaded.
    pub loaded_at: Instant,
    /// Random words.
    pub random: &'a mut Random,
    /// The changes of state that the step made.
    pub transitions: &'a mut Vec<Transition>,
    /// For the record's bytes.
    pub buffer: &'a mut Vec<u8>,
    /// How many records were none.
    pub discarded: &'a mut u32,
}

/// Why a step was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncError {
    /// The slot holds another key now.
    Displaced,
    /// Other workers came before in every try.
    GivenUp,
}

/// What a step does to a circuit. It may be done several times, to be kept once.
pub type Act<'a> = &'a mut dyn FnMut(&mut Circuit, &mut StepContext<'_>);

impl Replica {
    /// The copy of a circuit that was read now from the slot `place`, where its last
    /// write had this number, or that was written now.
    pub fn new(place: u32, circuit: Circuit, version: Option<Version>, now: Instant) -> Replica {
        Replica {
            view: circuit,
            pending: None,
            purse: Allowance::default(),
            place,
            version,
            read_at: now,
            merged_at: Instant::default(),
            queued: false,
        }
    }

    /// The circuit, as far as this worker knows.
    #[inline]
    pub fn view(&self) -> &Circuit {
        &self.view
    }

    /// The slot of its record.
    pub fn place(&self) -> u32 {
        self.place
    }

    /// Whether the copy is too old to be asked. A clock that steps back makes it so too.
    #[inline]
    pub fn is_stale(&self, interval: Span, now: Instant) -> bool {
        now < self.read_at || now.since(self.read_at) >= interval
    }

    /// Whether outcomes are to be merged at once: the last merge is long enough ago, or
    /// they would change the state.
    #[inline]
    pub fn is_due(&self, config: &BreakerConfig, interval: Span, now: Instant) -> bool {
        now < self.merged_at
            || now.since(self.merged_at) >= interval
            || self.view.breaker.wants_to_open(config)
    }

    /// Counts how an ordinary request ended. True if there is something new to merge.
    #[inline]
    pub fn note(&mut self, permit: &Permit, verdict: Verdict, now: Instant) -> bool {
        if !self.view.breaker.note(permit, verdict, now) {
            return false;
        }
        let breaker = &self.view.breaker;
        let pending = self
            .pending
            .get_or_insert_with(|| Box::new(Pending::new(breaker)));
        pending.note(verdict, now);
        true
    }

    /// Counts that so many ordinary requests more have passed the threshold at `at` and wait, or
    /// so many fewer where they have ended.
    pub fn wait(&mut self, permit: &Permit, at: Instant, more: i32) {
        if self.view.breaker.wait(permit, at, more) {
            let breaker = &self.view.breaker;
            let pending = self
                .pending
                .get_or_insert_with(|| Box::new(Pending::new(breaker)));
            pending.wait(at, more);
        }
    }

    /// Whether something waits to be merged.
    #[inline]
    pub fn has_pending(&self) -> bool {
        self.pending.is_some() || self.purse.has_business()
    }

    /// Forgets what waits to be merged: there is nothing to merge it into.
    pub fn drop_pending(&mut self) {
        self.pending = None;
        self.purse = Allowance::default();
    }

    /// Grants at most `wanted` retries to one of `in_flight` requests, out of what this
    /// worker holds.
    pub fn grant(&mut self, wanted: u32, in_flight: u32, now: Instant) -> Option<Grant> {
        let account = self.view.account.as_ref()?;
        self.purse.grant(wanted, in_flight, account, now)
    }

    /// Asks for so many retries, which the next step is to bring.
    pub fn ask(&mut self, wanted: u32) {
        self.purse.ask(wanted);
    }

    /// Takes back what was asked for.
    pub fn ask_for_nothing(&mut self) {
        self.purse.ask_for_nothing();
    }

    /// Whether looking for retries would be in vain: less than `interval` ago there were
    /// none.
    pub fn is_dry(&self, interval: Span, now: Instant) -> bool {
        self.view.account.is_none() || self.purse.is_dry(interval, now)
    }

    /// Takes a grant back, of which `used` retries were made.
    pub fn settle_grant(&mut self, grant: Grant, used: u32, now: Instant) {
        if let Some(account) = &self.view.account {
            self.purse.settle(grant, used, account, now);
        }
    }

    /// A request ended well.
    #[inline]
    pub fn deposit(&mut self, now: Instant) {
        if let Some(account) = &self.view.account {
            self.purse.deposit(account, now);
        }
    }

    /// How many retries can be granted, as far as this worker knows.
    pub fn balance(&mut self, now: Instant) -> Option<u32> {
        let account = self.view.account.as_mut()?;
        let held = self.purse.held(account, now);
        Some(account.balance(now).saturating_add(held))
    }

    /// Notes whether the copy stands in the queue for the next tick; returns whether it
    /// did.
    pub fn set_queued(&mut self, queued: bool) -> bool {
        core::mem::replace(&mut self.queued, queued)
    }

    /// Whether it stands in the queue for the next tick.
    pub fn is_queued(&self) -> bool {
        self.queued
    }

    /// Goes on in another slot, which holds this circuit: another worker's, or the one
    /// that this worker has put there, with all that was pending.
    pub fn move_to(&mut self, place: u32, circuit: Circuit, theirs: bool) {
        self.place = place;
        self.version = None;
        self.view = circuit;
        self.pending = self.pending.take().filter(|_| theirs);
        if theirs {
            // What this worker held was pledged by the account that is gone.
            self.purse = Allowance::default();
        }
    }

    /// Forgets the number of the last write, so that the next step reads the record.
    pub fn look_again(&mut self) {
        self.version = None;
    }

    /// One step: what is pending is added to the shared circuit, `act` is done to it, and
    /// the copy is what came out.
    ///
    /// # Errors
    ///
    /// Where nothing was done, and what is pending is kept.
    pub fn sync<R: Records>(
        &mut self,
        key: &[u8],
        scope: &mut Scope<'_, R>,
        act: Act<'_>,
    ) -> Result<(), SyncError> {
        // Right after a read the copy is the record, and what is pending besides.
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
            let mut moment = StepContext {
                config: scope.config,
                now: scope.now,
                random: scope.random,
                transitions: scope.transitions,
            };
            circuit.breaker.catch_up(&mut moment);
            if let Some(pending) = &self.pending {
                if !base.has_pending {
                    circuit.breaker.absorb(pending, &mut moment);
                }
                circuit.breaker.judge_window(pending.hint(), &mut moment);
            }
            act(&mut circuit, &mut moment);
            let purse = self.visited(&mut circuit, scope);
            if self.pending.is_none() && !base.is_new && circuit == base.circuit {
                self.version = Some(base.version);
                // What was taken from the copy is no newer for that.
                if !base.has_pending {
                    self.read_at = scope.now;
                }
            } else if write((self.place, base.version), key, &mut circuit, scope) {
                self.merged_at = scope.now;
                self.read_at = scope.now;
            } else {
                continue;
            }
            self.view = circuit;
            self.pending = None;
            if let Some(purse) = purse {
                self.purse = purse;
            }
            return Ok(());
        }
        scope.transitions.clear();
        Err(SyncError::GivenUp)
    }

    /// What the purse is after a look at the account; absent if there was no need for one.
    fn visited<R: Records>(
        &self,
        circuit: &mut Circuit,
        scope: &Scope<'_, R>,
    ) -> Option<Allowance> {
        if !self.purse.has_business() {
            return None;
        }
        let (Some(account), Some(retry)) = (&mut circuit.account, scope.retry) else {
            return Some(Allowance::default());
        };
        Some(self.purse.visit(account, retry.max_retries, scope.now))
    }

    fn read<R: Records>(&self, key: &[u8], scope: &mut Scope<'_, R>) -> Result<Base, SyncError> {
        match Slot::read(scope.records, scope.policy, self.place) {
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

/// What a step begins with.
struct Base {
    circuit: Circuit,
    /// The number of the write that it was read from.
    version: Version,
    /// Whether this worker's pending outcomes are in it.
    has_pending: bool,
    /// Whether it stands in no record yet.
    is_new: bool,
}

fn write<R: Records>(
    (place, version): (u32, Version),
    key: &[u8],
    circuit: &mut Circuit,
    scope: &mut Scope<'_, R>,
) -> bool {
    circuit.drop_expired(scope.now);
    circuit.used_at = scope.now;
    circuit.loaded_at = circuit.loaded_at.max(scope.loaded_at);
    records::write_slot(Some((key, circuit)), scope.buffer);
    let name = Name::Slot(scope.policy, place);
    scope.records.write(name, scope.buffer, Some(version))
}
