//! The retry budget: an account of what an upstream has earned, and of what retries cost.
//!
//! Retries are paid from successes. Each request that ended well in the last interval
//! earns a share of a retry, and a minimum rate is always there, so that a service with
//! little traffic can retry at all. Under an outage nothing is earned, and the load that
//! retries add dies away within an interval instead of growing: what a limit on
//! *concurrent* retries, or on the retries of one request, cannot promise.
//!
//! Everything is counted in integers, in units of which a retry costs 10,000; a share of
//! 70 % is 70 %. (A price of `1 / share`, cut to whole tokens, makes it 100 %: tower's
//! budget had that.) Time is cut into tenths of the interval and rounded against the
//! retry: successes leave with the beginning of their tenth, retries with its end.
//!
//! A proxy that retries by itself does not say so until the request is over. What it was
//! granted is therefore *pledged*: it weighs fully until the request has ended, then only
//! as far as it was used. A pledge that nobody settles, since its worker has died, ends
//! with its lease.
//!
//! Workers take part of the budget into a [`Allowance`] of their own, pledged like a grant, so
//! that a grant costs no look at the shared account; what they do not need they give back.
//! The sum of all grants is thus under the account's limit at every moment, however many
//! workers there are, and nobody has to know how many.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::codec::{Encode, Reader};
use crate::policy::{BudgetConfig, WHOLE_BP};
use crate::time::{Instant, Span};

/// What a retry costs. A success earns as many of these units as its share has basis
/// points, so that nothing is ever rounded.
const RETRY_COST: u64 = WHOLE_BP as u64;

/// Stretches of an interval, and of a lease.
const STRETCHES: u64 = 10;

/// The end of a lease that begins now, in stretches from this one, rounded up.
const LEASE_STRETCHES: u64 = STRETCHES + 1;

/// The stretches that are kept: those of an interval, and two more of the future, which
/// what ends with its stretch needs.
const KEPT: u64 = STRETCHES + 2;

/// Counts by the number of their stretch of time, of which the last twelve are kept.
#[derive(Clone, Debug, PartialEq)]
struct Ring {
    /// The newest stretch.
    head: u64,
    counts: [u32; KEPT as usize],
}

impl Ring {
    const NEW: Ring = Ring {
        head: 0,
        counts: [0; KEPT as usize],
    };

    /// Empties the stretches that `number` brings: at most all.
    fn turn_to(&mut self, number: u64) {
        let steps = number.saturating_sub(self.head).min(KEPT);
        for step in 0..steps {
            if let Some(count) = self.slot(number.wrapping_sub(step)) {
                *count = 0;
            }
        }
        self.head = self.head.max(number);
    }

    fn slot(&mut self, number: u64) -> Option<&mut u32> {
        self.counts.get_mut((number % KEPT) as usize)
    }

    fn at(&self, number: u64) -> u32 {
        let count = self.counts.get((number % KEPT) as usize);
        count.copied().unwrap_or(0)
    }

    /// Adds another's counts of the stretches that are kept here.
    fn join(&mut self, other: &Ring) {
        self.turn_to(other.head);
        for age in 0..KEPT {
            let number = other.head.wrapping_sub(age);
            let count = other.at(number);
            if number <= other.head && self.head.saturating_sub(number) < KEPT {
                add(self.slot(number), count);
            }
        }
    }

    /// What is in the last `stretches`, the one of now among them.
    fn last(&self, stretches: u64) -> u64 {
        let numbers = (0..stretches).filter_map(|age| self.head.checked_sub(age));
        numbers.map(|number| u64::from(self.at(number))).sum()
    }

    /// All that is in it.
    fn sum(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }
}

impl Encode for Ring {
    fn write(&self, out: &mut Vec<u8>) {
        self.head.write(out);
        self.counts.iter().for_each(|count| count.write(out));
    }

    fn read(from: &mut Reader<'_>) -> Option<Ring> {
        let mut ring = Ring::NEW;
        ring.head = u64::read(from)?;
        for count in &mut ring.counts {
            *count = u32::read(from)?;
        }
        Some(ring)
    }
}

/// The account of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// By the configuration that wrote it last, so that all workers reckon alike while an
    /// old and a new one overlap.
    config: BudgetConfig,
    ledger: Ledger,
}

/// What was earned, spent and pledged.
#[derive(Clone, Debug, PartialEq)]
struct Ledger {
    interval: Span,
    lease: Span,
    successes: Ring,
    /// They count for one stretch more than successes: until the last of it is an interval
    /// old.
    retries: Ring,
    /// By the stretch of the lease with which they end. What is pledged now ends with
    /// the eleventh from now, rounded up.
    pledges: Ring,
}

/// Retries that were pledged, to be settled once.
#[must_use = "a grant that is not settled weighs until its lease ends"]
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Clone))]
pub struct Grant {
    retries: u32,
    ends: u64,
}

impl Grant {
    /// How many retries may be made.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// Whether the pledge outlasts a request that begins now.
    fn lasts(&self, account: &Account, now: Instant) -> bool {
        self.ends >= stretch(account.ledger.lease, now).saturating_add(STRETCHES)
    }
}

impl Ledger {
    const fn new(interval: Span, lease: Span) -> Ledger {
        Ledger {
            interval,
            lease,
            successes: Ring::NEW,
            retries: Ring::NEW,
            pledges: Ring::NEW,
        }
    }

    /// Whether its rings are cut alike.
    fn fits(&self, interval: Span, lease: Span) -> bool {
        (self.interval, self.lease) == (interval, lease)
    }

    fn deposit(&mut self, now: Instant) {
        self.turn_to(now);
        let head = self.successes.head;
        add(self.successes.slot(head), 1);
    }

    fn spend(&mut self, retries: u32) {
        let head = self.retries.head;
        add(self.retries.slot(head), retries);
    }

    /// Takes pledges away that end with the stretch `ends`.
    fn redeem(&mut self, retries: u32, ends: u64) {
        if ends > self.pledges.head
            && let Some(pledged) = self.pledges.slot(ends)
        {
            *pledged = pledged.saturating_sub(retries);
        }
    }

    /// The debit: retries that were made, and those that still may be.
    fn debit(&self) -> u64 {
        let retries = self.retries.last(STRETCHES.saturating_add(1));
        retries.saturating_add(self.pledges.sum())
    }

    fn turn_to(&mut self, now: Instant) {
        let number = stretch(self.interval, now);
        self.successes.turn_to(number);
        self.retries.turn_to(number);
        self.pledges.turn_to(stretch(self.lease, now));
    }
}

impl Account {
    /// An account with nothing on it.
    pub fn new(config: &BudgetConfig) -> Account {
        Account {
            config: *config,
            ledger: Ledger::new(config.interval, config.lease),
        }
    }

    /// Goes by another configuration from now on. What was counted stays, as long as it
    /// was counted by the same stretches of time.
    pub fn adopt(&mut self, config: &BudgetConfig) {
        if self.ledger.fits(config.interval, config.lease) {
            self.config = *config;
        } else {
            *self = Account::new(config);
        }
    }

    /// How many retries can be paid for: the credit that is not spent or pledged.
    pub fn balance(&mut self, now: Instant) -> u32 {
        self.ledger.turn_to(now);
        let percent = u64::from(self.config.percent_bp);
        let earned = self
            .ledger
            .successes
            .last(STRETCHES)
            .saturating_mul(percent);
        let credit = earned.saturating_add(self.config.minimum().saturating_mul(RETRY_COST));
        let left = credit.saturating_sub(self.ledger.debit().saturating_mul(RETRY_COST));
        u32::try_from(left / RETRY_COST).unwrap_or(u32::MAX)
    }

    /// Whether the balance stays as it is at `now` until somebody uses the account.
    pub fn is_at_rest(&mut self, now: Instant) -> bool {
        self.ledger.turn_to(now);
        self.ledger.successes.last(STRETCHES) == 0 && self.ledger.debit() == 0
    }

    /// Pledges at most `wanted` retries, as far as the balance goes.
    fn pledge(&mut self, wanted: u32, now: Instant) -> Grant {
        let retries = wanted.min(self.balance(now));
        let pledges = &mut self.ledger.pledges;
        let ends = pledges.head.saturating_add(LEASE_STRETCHES);
        add(pledges.slot(ends), retries);
        Grant { retries, ends }
    }

    /// Hears what a worker has to tell. What was counted by other stretches of time than
    /// these is of no use.
    fn join(&mut self, dues: &Unreported, now: Instant) {
        let Unreported(told) = dues;
        self.ledger.turn_to(now);
        if !self.ledger.fits(told.interval, told.lease) {
            return;
        }
        self.ledger.successes.join(&told.successes);
        self.ledger.retries.join(&told.retries);
        let first = told.pledges.head;
        for ends in first..=first.saturating_add(LEASE_STRETCHES) {
            self.ledger.redeem(told.pledges.at(ends), ends);
        }
    }
}

/// The number of the tenth of `span` that it is now.
fn stretch(span: Span, now: Instant) -> u64 {
    let width = (span.as_ns() / STRETCHES).max(1);
    now.as_ns().checked_div(width).unwrap_or(0)
}

fn add(count: Option<&mut u32>, more: u32) {
    if let Some(count) = count {
        *count = count.saturating_add(more);
    }
}

/// What a worker has to tell the account: a ledger whose pledges are those given back.
#[derive(Clone, Debug)]
struct Unreported(Ledger);

impl Unreported {
    /// Gives a grant back, of which `used` retries were made.
    fn settle(&mut self, grant: &Grant, used: u32, now: Instant) {
        let Unreported(ledger) = self;
        ledger.turn_to(now);
        if grant.ends > ledger.pledges.head {
            add(ledger.pledges.slot(grant.ends), grant.retries);
        }
        ledger.spend(used);
    }
}

/// What one worker has to do with an account between two looks at it.
#[derive(Debug, Default)]
pub struct Allowance {
    /// Pledged, and granted to nobody yet.
    held: Option<Grant>,
    /// What the account had besides, at the last look.
    beside: u32,
    /// Retries that were asked for since: what the next look tries to take.
    demand: u32,
    /// When the account was last found empty.
    dry_at: Option<Instant>,
    dues: Option<Box<Unreported>>,
}

impl Allowance {
    /// Whether the account has to be told or asked something.
    #[inline]
    pub fn has_business(&self) -> bool {
        self.dues.is_some() || self.demand > 0 || self.held.is_some()
    }

    /// Whether asking the account would be in vain: it had nothing when it was looked at,
    /// less than `interval` ago.
    pub fn is_dry(&self, interval: Span, now: Instant) -> bool {
        self.dry_at.is_some_and(|at| now.since(at) < interval)
    }

    /// Retries that are held and can still be granted.
    pub fn held(&self, account: &Account, now: Instant) -> u32 {
        let held = self.held.as_ref().filter(|held| held.lasts(account, now));
        held.map_or(0, |held| held.retries)
    }

    /// Notes that `wanted` retries are asked for.
    pub fn ask(&mut self, wanted: u32) {
        self.demand = self.demand.saturating_add(wanted);
    }

    /// Forgets what was asked for.
    pub fn ask_for_nothing(&mut self) {
        self.demand = 0;
    }

    /// Grants at most `wanted` retries out of what is held: one, or as many as every
    /// one of `in_flight` requests could have. Absent where nothing is held that would
    /// last for a request's lease.
    pub fn grant(
        &mut self,
        wanted: u32,
        in_flight: u32,
        account: &Account,
        now: Instant,
    ) -> Option<Grant> {
        let held = self.held.as_mut()?;
        if held.retries == 0 || !held.lasts(account, now) {
            return None;
        }
        let balance = held.retries.saturating_add(self.beside);
        let each = balance.checked_div(in_flight).unwrap_or(balance).max(1);
        let retries = wanted.min(each).min(held.retries);
        held.retries = held.retries.saturating_sub(retries);
        let ends = held.ends;
        Some(Grant { retries, ends })
    }

    /// A request ended well.
    pub fn deposit(&mut self, account: &Account, now: Instant) {
        self.dues(account).0.deposit(now);
    }

    /// Takes a grant back, of which `used` retries were made.
    pub fn settle(&mut self, grant: Grant, used: u32, account: &Account, now: Instant) {
        match &mut self.held {
            // Another request can have it, before the account hears of it.
            Some(held) if used == 0 && held.ends == grant.ends => {
                held.retries = held.retries.saturating_add(grant.retries);
            }
            _ => self.dues(account).settle(&grant, used, now),
        }
    }

    /// One look: the account hears what there is to tell, what was held goes back, and
    /// what the last demand was is taken, at most half of what there is, so that other
    /// workers find something too; but enough for one request. The purse afterwards.
    pub fn visit(&self, account: &mut Account, least: u32, now: Instant) -> Allowance {
        if let Some(dues) = &self.dues {
            account.join(dues, now);
        }
        account.ledger.turn_to(now);
        if let Some(held) = &self.held {
            account.ledger.redeem(held.retries, held.ends);
        }
        if self.demand == 0 {
            return Allowance::default();
        }
        let balance = account.balance(now);
        let wanted = self.demand.min(balance / 2).max(least);
        let held = account.pledge(wanted, now);
        Allowance {
            beside: balance.saturating_sub(held.retries),
            dry_at: (held.retries == 0).then_some(now),
            held: Some(held).filter(|held| held.retries > 0),
            demand: 0,
            dues: None,
        }
    }

    fn dues(&mut self, account: &Account) -> &mut Unreported {
        let Ledger {
            interval, lease, ..
        } = account.ledger;
        let none = || Box::new(Unreported(Ledger::new(interval, lease)));
        self.dues.get_or_insert_with(none)
    }
}

impl Encode for BudgetConfig {
    fn write(&self, out: &mut Vec<u8>) {
        self.percent_bp.write(out);
        self.interval.write(out);
        self.min_count.write(out);
        self.min_interval.write(out);
        self.lease.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<BudgetConfig> {
        Some(BudgetConfig {
            percent_bp: u32::read(from)?,
            interval: Span::read(from)?,
            min_count: u32::read(from)?,
            min_interval: Span::read(from)?,
            lease: Span::read(from)?,
        })
    }
}

impl Encode for Account {
    fn write(&self, out: &mut Vec<u8>) {
        self.config.write(out);
        self.ledger.successes.write(out);
        self.ledger.retries.write(out);
        self.ledger.pledges.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Account> {
        let config = BudgetConfig::read(from)?;
        let ledger = Ledger {
            interval: config.interval,
            lease: config.lease,
            successes: Ring::read(from)?,
            retries: Ring::read(from)?,
            pledges: Ring::read(from)?,
        };
        Some(Account { config, ledger })
    }
}

#[cfg(test)]
mod tests;
