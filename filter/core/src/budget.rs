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
//! Workers take part of the budget into a [`Purse`] of their own, pledged like a grant, so
//! that a grant costs no look at the shared account; what they do not need they give back.
//! The sum of all grants is thus under the account's limit at every moment, however many
//! workers there are, and nobody has to know how many.

use alloc::vec::Vec;

use crate::policy::{BudgetConfig, WHOLE_BP};
use crate::snapshot::{Layout, Reader};
use crate::time::{Instant, Span};

/// What a retry costs. A success earns as many of these units as its share has basis
/// points, so that nothing is ever rounded.
const RETRY_COST: u64 = WHOLE_BP as u64;

/// Stretches of an interval, and of a lease.
const STRETCHES: u64 = 10;

/// The end of a lease that begins now, in stretches from this one, rounded up.
const LEASE_STRETCHES: u64 = STRETCHES + 1;

/// Counts by the number of their stretch of time, of which the last `N` are kept; those
/// of the future too, where something ends with its stretch.
#[derive(Clone, Debug, PartialEq)]
struct Ring<const N: usize> {
    /// The stretch of now.
    head: u64,
    counts: [u32; N],
}

impl<const N: usize> Ring<N> {
    const NEW: Ring<N> = Ring {
        head: 0,
        counts: [0; N],
    };

    /// Empties the stretches that `number` brings: at most all.
    fn turn_to(&mut self, number: u64) {
        let steps = number.saturating_sub(self.head).min(N as u64);
        for step in 0..steps {
            if let Some(count) = self.slot(number.wrapping_sub(step)) {
                *count = 0;
            }
        }
        self.head = self.head.max(number);
    }

    fn slot(&mut self, number: u64) -> Option<&mut u32> {
        self.counts.get_mut(Self::index(number)?)
    }

    fn at(&self, number: u64) -> u32 {
        let index = Self::index(number);
        index
            .and_then(|at| self.counts.get(at))
            .copied()
            .unwrap_or(0)
    }

    fn index(number: u64) -> Option<usize> {
        usize::try_from(number.checked_rem(N as u64)?).ok()
    }

    /// Adds another's counts of the stretches that are kept here.
    fn join(&mut self, other: &Ring<N>) {
        self.turn_to(other.head);
        for age in 0..N as u64 {
            let number = other.head.wrapping_sub(age);
            let count = other.at(number);
            if number <= other.head && self.head.saturating_sub(number) < N as u64 {
                add(self.slot(number), count);
            }
        }
    }

    fn sum(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }
}

impl<const N: usize> Layout for Ring<N> {
    fn write(&self, out: &mut Vec<u8>) {
        self.head.write(out);
        self.counts.iter().for_each(|count| count.write(out));
    }

    fn read(from: &mut Reader<'_>) -> Option<Ring<N>> {
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
    interval: Span,
    lease: Span,
    successes: Ring<10>,
    /// One stretch more than the successes: until the last of it is an interval old.
    retries: Ring<11>,
    /// By the stretch of the lease with which they end. What is pledged now ends with
    /// the eleventh from now, rounded up.
    pledges: Ring<12>,
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
}

impl Account {
    /// An account with nothing on it.
    pub fn new(config: &BudgetConfig) -> Account {
        Account::empty(config.interval, config.lease)
    }

    const fn empty(interval: Span, lease: Span) -> Account {
        Account {
            interval,
            lease,
            successes: Ring::NEW,
            retries: Ring::NEW,
            pledges: Ring::NEW,
        }
    }

    /// Whether it is cut as this configuration wants it.
    pub fn fits(&self, config: &BudgetConfig) -> bool {
        (self.interval, self.lease) == (config.interval, config.lease)
    }

    /// How many retries can be paid for: the credit that is not spent or pledged.
    pub fn balance(&mut self, config: &BudgetConfig, now: Instant) -> u32 {
        self.turn_to(now);
        let earned = self
            .successes
            .sum()
            .saturating_mul(u64::from(config.percent_bp));
        let credit = earned.saturating_add(config.minimum().saturating_mul(RETRY_COST));
        let debit = self.retries.sum().saturating_add(self.pledges.sum());
        let left = credit.saturating_sub(debit.saturating_mul(RETRY_COST));
        u32::try_from(left / RETRY_COST).unwrap_or(u32::MAX)
    }

    /// A request ended well.
    pub fn deposit(&mut self, now: Instant) {
        self.turn_to(now);
        let head = self.successes.head;
        add(self.successes.slot(head), 1);
    }

    /// Pledges at most `wanted` retries, as far as the balance goes.
    pub fn pledge(&mut self, wanted: u32, config: &BudgetConfig, now: Instant) -> Grant {
        let retries = wanted.min(self.balance(config, now));
        let ends = self
            .pledges
            .head
            .saturating_add(STRETCHES)
            .saturating_add(1);
        add(self.pledges.slot(ends), retries);
        Grant { retries, ends }
    }

    /// Takes a grant back, of which `used` retries were made.
    pub fn settle(&mut self, grant: Grant, used: u32, now: Instant) {
        self.turn_to(now);
        if grant.ends > self.pledges.head
            && let Some(pledged) = self.pledges.slot(grant.ends)
        {
            *pledged = pledged.saturating_sub(grant.retries);
        }
        let head = self.retries.head;
        add(self.retries.slot(head), used);
    }

    /// Adds what a worker has to tell.
    fn join(&mut self, dues: &Dues, now: Instant) {
        self.turn_to(now);
        let Account {
            successes,
            retries,
            pledges,
            ..
        } = &dues.0;
        self.successes.join(successes);
        self.retries.join(retries);
        for ends in pledges.head..=pledges.head.saturating_add(LEASE_STRETCHES) {
            let returned = pledges.at(ends);
            if ends > self.pledges.head
                && let Some(pledged) = self.pledges.slot(ends)
            {
                *pledged = pledged.saturating_sub(returned);
            }
        }
    }

    fn turn_to(&mut self, now: Instant) {
        let number = stretch(self.interval, now);
        self.successes.turn_to(number);
        self.retries.turn_to(number);
        self.pledges.turn_to(stretch(self.lease, now));
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

/// What a worker has to tell the account: an account whose pledges are those given back.
#[derive(Clone, Debug)]
struct Dues(Account);

impl Dues {
    /// Gives a grant back, of which `used` retries were made.
    fn settle(&mut self, grant: Grant, used: u32, now: Instant) {
        let account = &mut self.0;
        account.turn_to(now);
        if grant.ends > account.pledges.head {
            add(account.pledges.slot(grant.ends), grant.retries);
        }
        let head = account.retries.head;
        add(account.retries.slot(head), used);
    }
}

/// What one worker has to do with an account between two looks at it.
#[derive(Debug, Default)]
pub struct Purse {
    /// Pledged, and granted to nobody yet.
    held: Option<Grant>,
    /// What the account had besides, at the last look.
    beside: u32,
    /// Retries that were asked for since: what the next look tries to take.
    demand: u32,
    /// When the account was last found empty.
    dry_at: Option<Instant>,
    dues: Option<Dues>,
}

impl Purse {
    /// Whether the account has to be told or asked something.
    pub fn has_business(&self) -> bool {
        self.dues.is_some() || self.demand > 0 || self.held.is_some()
    }

    /// Whether asking the account would be in vain: it had nothing when it was looked at,
    /// less than `interval` ago.
    pub fn is_dry(&self, interval: Span, now: Instant) -> bool {
        self.dry_at.is_some_and(|at| now.since(at) < interval)
    }

    /// Notes that `wanted` retries are asked for.
    pub fn ask(&mut self, wanted: u32) {
        self.demand = self.demand.saturating_add(wanted);
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
        let lasts = held.ends >= stretch(account.lease, now).saturating_add(STRETCHES);
        if held.retries == 0 || !lasts {
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
        self.dues(account).settle(grant, used, now);
    }

    /// One look: the account hears what there is to tell, what was held goes back, and
    /// what the last demand was is taken, at most half of what there is, so that other
    /// workers find something too; but enough for one request. The purse afterwards.
    pub fn visit(
        &self,
        account: &mut Account,
        config: &BudgetConfig,
        least: u32,
        now: Instant,
    ) -> Purse {
        if let Some(dues) = &self.dues {
            account.join(dues, now);
        }
        if let Some(Grant { retries, ends }) = self.held {
            account.settle(Grant { retries, ends }, 0, now);
        }
        if self.demand == 0 {
            return Purse::default();
        }
        let balance = account.balance(config, now);
        let wanted = self.demand.min(balance / 2).max(least);
        let held = account.pledge(wanted, config, now);
        Purse {
            beside: balance.saturating_sub(held.retries),
            dry_at: (held.retries == 0).then_some(now),
            held: Some(held).filter(|held| held.retries > 0),
            demand: 0,
            dues: None,
        }
    }

    fn dues(&mut self, account: &Account) -> &mut Dues {
        let (interval, lease) = (account.interval, account.lease);
        self.dues
            .get_or_insert(Dues(Account::empty(interval, lease)))
    }
}

impl Layout for Account {
    fn write(&self, out: &mut Vec<u8>) {
        self.interval.write(out);
        self.lease.write(out);
        self.successes.write(out);
        self.retries.write(out);
        self.pledges.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Account> {
        Some(Account {
            interval: Span::read(from)?,
            lease: Span::read(from)?,
            successes: Ring::read(from)?,
            retries: Ring::read(from)?,
            pledges: Ring::read(from)?,
        })
    }
}

#[cfg(test)]
mod tests;
