//! Deposits, withdrawals and pledges, by interval.

use alloc::vec::Vec;

use super::ring::{Ring, STRETCHES};
use crate::codec::{Encode, Reader};
use crate::time::{Instant, Span};

/// Number of stretches from now to the end of a lease, rounded up.
pub(super) const LEASE_STRETCHES: u64 = STRETCHES + 1;

#[derive(Clone, Debug, PartialEq)]
pub(in crate::circuit) struct Ledger {
    pub(in crate::circuit) interval: Span,
    pub(in crate::circuit) lease: Span,
    pub(super) successes: Ring,
    /// Retries count one stretch longer than successes, until the end of their stretch is an
    /// interval old.
    pub(super) retries: Ring,
    /// Counted at the stretch of the lease with which they end: for a pledge made now the
    /// eleventh from now, which rounds up.
    pub(in crate::circuit) pledges: Ring,
}

impl Ledger {
    pub(in crate::circuit) const fn new(interval: Span, lease: Span) -> Ledger {
        Ledger {
            interval,
            lease,
            successes: Ring::NEW,
            retries: Ring::NEW,
            pledges: Ring::NEW,
        }
    }

    /// Whether its rings divide time in the same way.
    pub(super) fn fits(&self, interval: Span, lease: Span) -> bool {
        (self.interval, self.lease) == (interval, lease)
    }

    pub(in crate::circuit) fn turn_to(&mut self, now: Instant) {
        let number = stretch(self.interval, now);
        self.successes.turn_to(number);
        self.retries.turn_to(number);
        self.pledges.turn_to(stretch(self.lease, now));
    }

    /// Adds a success.
    pub(in crate::circuit) fn deposit(&mut self, now: Instant) {
        self.turn_to(now);
        self.successes.add(self.successes.head, 1);
    }

    /// Adds retries that were made.
    pub(in crate::circuit) fn spend(&mut self, retries: u32) {
        self.retries.add(self.retries.head, retries);
    }

    /// Adds pledges for one lease from now and returns the stretch with which they end.
    pub(super) fn pledge(&mut self, retries: u32) -> u64 {
        let ends = self.pledges.head.saturating_add(LEASE_STRETCHES);
        self.pledges.add(ends, retries);
        ends
    }

    /// Removes pledges that end with the stretch `ends`.
    pub(in crate::circuit) fn redeem(&mut self, retries: u32, ends: u64) {
        if ends > self.pledges.head {
            self.pledges.subtract(ends, retries);
        }
    }

    /// In a worker's report: adds pledges to remove from the account's ledger.
    pub(in crate::circuit) fn report_redeemed(&mut self, retries: u32, ends: u64) {
        if ends > self.pledges.head {
            self.pledges.add(ends, retries);
        }
    }

    /// Successes of the last interval.
    pub(super) fn recent_successes(&self) -> u64 {
        self.successes.last(STRETCHES)
    }

    /// Retries that were made in the last interval, and those that may still be made.
    pub(super) fn debit(&self) -> u64 {
        let retries = self.retries.last(STRETCHES.saturating_add(1));
        retries.saturating_add(self.pledges.sum())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.successes.write(out);
        self.retries.write(out);
        self.pledges.write(out);
    }

    pub(super) fn read(interval: Span, lease: Span, from: &mut Reader<'_>) -> Option<Ledger> {
        Some(Ledger {
            interval,
            lease,
            successes: Ring::read(from)?,
            retries: Ring::read(from)?,
            pledges: Ring::read(from)?,
        })
    }
}

/// Returns the number of the current tenth of `span`.
pub(super) fn stretch(span: Span, now: Instant) -> u64 {
    let width = (span.as_ns() / STRETCHES).max(1);
    now.as_ns().checked_div(width).unwrap_or(0)
}
