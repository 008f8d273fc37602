//! The shared state of one key: its breaker, its retry budget, and an operator's override.

pub(crate) mod allowance;
pub(crate) mod breaker;
pub(crate) mod budget;
pub(crate) mod window;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::circuit::breaker::{Breaker, StateName};
use crate::circuit::budget::Account;
use crate::codec::{Encode, Reader};
use crate::policy::{BreakerConfig, BudgetConfig};
use crate::time::Instant;

/// The circuit of one key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Circuit {
    pub(crate) breaker: Breaker,
    /// Account that pays for retries; `None` if the policy has no retries.
    pub(crate) account: Option<Box<Account>>,
    /// State that overrides the breaker. Read it through [`Circuit::force`], since it expires.
    /// Boxed, because most circuits have none.
    force: Option<Box<Force>>,
    /// Time of the last write, which is about the last use.
    pub(crate) used_at: Instant,
    /// Load time of the newest configuration that wrote it. While an old and a new configuration
    /// overlap, the window keeps the shape of the new one.
    pub(crate) loaded_at: Instant,
}

/// A state that an operator has set for a limited time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Force {
    /// The state.
    pub to: Forced,
    /// Its end.
    pub until: Instant,
}

/// A state that an operator can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// Every request is rejected.
    Open,
    /// Every request passes.
    Closed,
}

impl Forced {
    /// Returns its name on the operator's page.
    pub fn name(self) -> &'static str {
        match self {
            Forced::Open => "open",
            Forced::Closed => "closed",
        }
    }

    /// Returns the state that requests see.
    pub fn state(self) -> StateName {
        match self {
            Forced::Open => StateName::ForcedOpen,
            Forced::Closed => StateName::ForcedClosed,
        }
    }
}

impl Circuit {
    /// Creates a closed circuit.
    pub(crate) fn new(
        config: &BreakerConfig,
        budget: Option<&BudgetConfig>,
        now: Instant,
        loaded_at: Instant,
    ) -> Circuit {
        Circuit {
            breaker: Breaker::new(config, now),
            account: budget.map(|budget| Box::new(Account::new(budget))),
            force: None,
            used_at: now,
            loaded_at,
        }
    }

    /// Returns the state that an operator has set, unless it has expired.
    #[inline]
    pub(crate) fn force(&self, now: Instant) -> Option<Force> {
        let force = self.force.as_deref().copied();
        force.filter(|force| now < force.until)
    }

    /// Sets or removes an operator's override.
    pub(crate) fn set_force(&mut self, force: Option<Force>) {
        self.force = force.map(Box::new);
    }

    /// Drops an expired override, so that no record contains it.
    pub(crate) fn drop_expired(&mut self, now: Instant) {
        if self.force(now).is_none() {
            self.force = None;
        }
    }

    /// Whether it equals a new circuit, except for its counts.
    pub(crate) fn is_closed(&self, now: Instant) -> bool {
        self.force(now).is_none() && self.breaker.state() == StateName::Closed
    }

    /// Whether retries may be granted: the breaker is closed or disabled, and not forced open.
    pub(crate) fn admits_retries(&self, config: &BreakerConfig, now: Instant) -> bool {
        let forced_open = self.force(now).is_some_and(|it| it.to == Forced::Open);
        let closed = !config.enabled || self.breaker.state() == StateName::Closed;
        closed && !forced_open
    }

    /// Whether it may be dropped: it is not forced, and its breaker is closed or long idle.
    pub(crate) fn is_forgettable(&self, config: &BreakerConfig, now: Instant) -> bool {
        self.force(now).is_none() && self.breaker.is_forgettable(config, self.used_at, now)
    }

    /// Adapts the circuit to a configuration, unless a newer one has written it. A missing
    /// account is opened in any case, because without one no retry would be granted.
    pub(crate) fn adopt(
        &mut self,
        config: &BreakerConfig,
        budget: Option<&BudgetConfig>,
        loaded_at: Instant,
    ) {
        let newer = loaded_at > self.loaded_at;
        if newer {
            self.breaker.adopt(config, loaded_at);
        }
        match (&mut self.account, budget) {
            (Some(account), Some(budget)) if newer => account.adopt(budget),
            (account @ Some(_), None) if newer => *account = None,
            (account @ None, Some(budget)) => *account = Some(Box::new(Account::new(budget))),
            _ => {}
        }
    }
}

const FORCED_OPEN: u8 = 1;
const FORCED_CLOSED: u8 = 2;

impl Encode for Force {
    fn write(&self, out: &mut Vec<u8>) {
        match self.to {
            Forced::Open => FORCED_OPEN.write(out),
            Forced::Closed => FORCED_CLOSED.write(out),
        }
        self.until.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Force> {
        let to = match u8::read(from)? {
            FORCED_OPEN => Forced::Open,
            FORCED_CLOSED => Forced::Closed,
            _ => return None,
        };
        let until = Instant::read(from)?;
        Some(Force { to, until })
    }
}

impl Encode for Circuit {
    fn write(&self, out: &mut Vec<u8>) {
        self.used_at.write(out);
        self.loaded_at.write(out);
        self.force.as_deref().copied().write(out);
        self.account.is_some().write(out);
        if let Some(account) = &self.account {
            account.write(out);
        }
        self.breaker.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Circuit> {
        Some(Circuit {
            used_at: Instant::read(from)?,
            loaded_at: Instant::read(from)?,
            force: Option::read(from)?.map(Box::new),
            account: Option::read(from)?.map(Box::new),
            breaker: Breaker::read(from)?,
        })
    }
}
