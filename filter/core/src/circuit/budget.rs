//! The retry budget: an account of what an upstream has earned and what retries cost.
//!
//! Successes pay for retries. Each successful request of the last interval earns a share of a
//! retry. A minimum rate is always available, so that a service with little traffic can retry
//! at all. During an outage nothing is earned, and the load that retries add dies away within
//! an interval instead of growing. A limit on *concurrent* retries, or on the retries of one
//! request, cannot promise that.
//!
//! All amounts are integers. A retry costs 10,000 units, so a share of 70 % is exactly 70 %.
//! (A price of `1 / share`, truncated to whole tokens, makes it 100 %: tower's budget had that
//! bug.) Time is cut into tenths of the interval and rounded against the retry: successes
//! leave with the beginning of their tenth, retries with its end.
//!
//! A proxy that retries by itself does not say so until the request is over. What it was
//! granted is therefore *pledged*: it counts in full until the request has ended, then only
//! the retries that were made. A pledge that is never settled, because its worker died, ends
//! with its lease.
//!
//! Workers take part of the budget into an [`Allowance`](crate::circuit::allowance::Allowance)
//! of their own, pledged like a grant, so that a grant does not have to read the shared account.
//! They return what they do not need. So at any time the sum of all grants is within the
//! account's limit, however many workers there are, and none of them needs to know how many.

use alloc::vec::Vec;

use crate::codec::{Encode, Reader};
use crate::policy::{BudgetConfig, WHOLE_BP};
use crate::time::{Instant, Span};

mod ledger;
mod ring;

pub(super) use ledger::Ledger;

use ledger::{LEASE_STRETCHES, stretch};
use ring::STRETCHES;

/// Price of one retry. A success earns as many of these units as its share has basis points,
/// so nothing is ever rounded.
const RETRY_COST: u64 = WHOLE_BP as u64;

/// The account of one key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Account {
    /// The configuration that last wrote the account, so that all workers compute alike while
    /// an old and a new one overlap.
    config: BudgetConfig,
    pub(super) ledger: Ledger,
}

/// Pledged retries, to be settled once.
#[must_use = "an unsettled grant counts in full until its lease ends"]
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Grant {
    pub(super) retries: u32,
    /// Stretch of the lease with which the pledge ends.
    pub(super) ends: u64,
}

impl Grant {
    /// Number of retries that may be made.
    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    /// Whether the pledge outlasts a request that begins now.
    pub(super) fn lasts(&self, account: &Account, now: Instant) -> bool {
        self.ends >= stretch(account.ledger.lease, now).saturating_add(STRETCHES)
    }
}

impl Account {
    /// Creates an empty account.
    pub(crate) fn new(config: &BudgetConfig) -> Account {
        Account {
            config: *config,
            ledger: Ledger::new(config.interval, config.lease),
        }
    }

    /// Adopts another configuration. The counts stay if it divides time in the same way.
    pub(crate) fn adopt(&mut self, config: &BudgetConfig) {
        if self.ledger.fits(config.interval, config.lease) {
            self.config = *config;
        } else {
            *self = Account::new(config);
        }
    }

    /// Returns the number of retries that the unspent and unpledged credit pays for.
    pub(crate) fn balance(&mut self, now: Instant) -> u32 {
        self.ledger.turn_to(now);
        let earned = self
            .ledger
            .recent_successes()
            .saturating_mul(u64::from(self.config.percent_bp));
        let credit = earned.saturating_add(self.config.minimum().saturating_mul(RETRY_COST));
        let left = credit.saturating_sub(self.ledger.debit().saturating_mul(RETRY_COST));
        u32::try_from(left / RETRY_COST).unwrap_or(u32::MAX)
    }

    /// Whether the clock alone will not change the balance any more.
    pub(crate) fn is_at_rest(&mut self, now: Instant) -> bool {
        self.ledger.turn_to(now);
        self.ledger.recent_successes() == 0 && self.ledger.debit() == 0
    }

    /// Pledges up to `wanted` retries, as far as the balance allows.
    pub(super) fn pledge(&mut self, wanted: u32, now: Instant) -> Grant {
        let retries = wanted.min(self.balance(now));
        let ends = self.ledger.pledge(retries);
        Grant { retries, ends }
    }

    /// Adds what a worker reports: a ledger whose pledges are those to return. It is dropped if
    /// it divides time in another way.
    pub(super) fn join(&mut self, report: &Ledger, now: Instant) {
        self.ledger.turn_to(now);
        if !self.ledger.fits(report.interval, report.lease) {
            return;
        }
        self.ledger.successes.join(&report.successes);
        self.ledger.retries.join(&report.retries);
        let first = report.pledges.head;
        for ends in first..=first.saturating_add(LEASE_STRETCHES) {
            self.ledger.redeem(report.pledges.at(ends), ends);
        }
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
        self.ledger.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Account> {
        let config = BudgetConfig::read(from)?;
        let ledger = Ledger::read(config.interval, config.lease, from)?;
        Some(Account { config, ledger })
    }
}

#[cfg(test)]
pub(super) mod tests;
