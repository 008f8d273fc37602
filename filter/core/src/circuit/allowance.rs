//! One worker's share of a retry budget.
//!
//! A grant to a request comes out of the allowance, so it does not have to read the shared
//! account. The account learns of grants and deposits at the next merge, see
//! [`Allowance::visit`].

use alloc::boxed::Box;

use crate::circuit::budget::{Account, Grant, Ledger};
use crate::time::{Instant, Span};

/// What one worker holds of an account, and what it has yet to report to it.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    /// Pledged by the account, but not granted to a request yet.
    held: Option<Grant>,
    /// Balance that was left in the account at the last visit.
    left: u32,
    /// Retries requested since the last visit. The next visit tries to take as many.
    demand: u32,
    /// When a visit last found the account empty.
    dry_at: Option<Instant>,
    unreported: Option<Box<Unreported>>,
}

/// Changes to report to the account: a ledger whose pledges are those to return.
#[derive(Clone, Debug)]
struct Unreported(Ledger);

impl Unreported {
    /// Returns a grant of which `used` retries were made.
    fn settle(&mut self, grant: &Grant, used: u32, now: Instant) {
        let Unreported(ledger) = self;
        ledger.turn_to(now);
        ledger.report_redeemed(grant.retries, grant.ends);
        ledger.spend(used);
    }
}

impl Allowance {
    /// Whether a visit to the account has anything to do.
    #[inline]
    pub(crate) fn needs_visit(&self) -> bool {
        self.unreported.is_some() || self.demand > 0 || self.held.is_some()
    }

    /// Whether another visit would be futile: the last one found the account empty, less than
    /// `interval` ago.
    pub(crate) fn is_dry(&self, interval: Span, now: Instant) -> bool {
        self.dry_at.is_some_and(|at| now.since(at) < interval)
    }

    /// Adds `wanted` retries to what the next visit tries to take.
    pub(crate) fn demand(&mut self, wanted: u32) {
        self.demand = self.demand.saturating_add(wanted);
    }

    /// Resets the demand.
    pub(crate) fn clear_demand(&mut self) {
        self.demand = 0;
    }

    /// Grants up to `wanted` retries: at least one, and no more than an equal share for each of
    /// the `in_flight` requests. `None` if the allowance holds nothing that would outlast a
    /// request.
    pub(crate) fn grant(
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
        let balance = held.retries.saturating_add(self.left);
        let share = balance.checked_div(in_flight).unwrap_or(balance).max(1);
        let retries = wanted.min(share).min(held.retries);
        held.retries = held.retries.saturating_sub(retries);
        let ends = held.ends;
        Some(Grant { retries, ends })
    }

    /// Adds a success.
    pub(crate) fn deposit(&mut self, account: &Account, now: Instant) {
        self.unreported(account).0.deposit(now);
    }

    /// Takes a grant back, of which `used` retries were made.
    pub(crate) fn settle(&mut self, grant: Grant, used: u32, account: &Account, now: Instant) {
        match &mut self.held {
            // Another request can have it at once, without a visit to the account.
            Some(held) if used == 0 && held.ends == grant.ends => {
                held.retries = held.retries.saturating_add(grant.retries);
            }
            _ => self.unreported(account).settle(&grant, used, now),
        }
    }

    /// Reports all changes to the account, returns what was held, and takes what the demand
    /// asks for. It takes at most half of the balance, so that other workers get some, but at
    /// least `least`, which is enough for one request. Returns the allowance after the visit.
    pub(crate) fn visit(&self, account: &mut Account, least: u32, now: Instant) -> Allowance {
        if let Some(Unreported(report)) = self.unreported.as_deref() {
            account.join(report, now);
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
            left: balance.saturating_sub(held.retries),
            dry_at: (held.retries == 0).then_some(now),
            held: Some(held).filter(|held| held.retries > 0),
            demand: 0,
            unreported: None,
        }
    }

    fn unreported(&mut self, account: &Account) -> &mut Unreported {
        let (interval, lease) = (account.ledger.interval, account.ledger.lease);
        let empty = || Box::new(Unreported(Ledger::new(interval, lease)));
        self.unreported.get_or_insert_with(empty)
    }
}

#[cfg(test)]
mod tests;
