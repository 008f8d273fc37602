//! What all workers of a proxy agree on about one key: its breaker, its retry budget,
//! and what an operator has said about it.

pub mod breaker;
pub mod budget;
pub mod window;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::circuit::breaker::{Breaker, StateName};
use crate::circuit::budget::Account;
use crate::codec::{Encode, Reader};
use crate::policy::{BreakerConfig, BudgetConfig};
use crate::time::Instant;

/// The circuit of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Circuit {
    /// Its state by its own rules.
    pub breaker: Breaker,
    /// What its retries are paid from; absent where there are none.
    pub account: Option<Box<Account>>,
    /// What an operator has set in place of that. It expires: see [`Circuit::force`].
    force: Option<Force>,
    /// When it was last written, which is about when it was last used.
    pub used_at: Instant,
    /// When the newest configuration that wrote it was loaded: while an old and a new
    /// one overlap, the window has the shape that the new one wants.
    pub loaded_at: Instant,
}

/// A state that an operator has set, until it ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Force {
    /// The state.
    pub to: Forced,
    /// When it ends.
    pub until: Instant,
}

/// The states that can be forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// Every request is rejected.
    Open,
    /// Every request passes.
    Closed,
}

impl Forced {
    /// The word for it in the operator's answers.
    pub fn name(self) -> &'static str {
        match self {
            Forced::Open => "open",
            Forced::Closed => "closed",
        }
    }

    /// The state in which requests find the circuit.
    pub fn state(self) -> StateName {
        match self {
            Forced::Open => StateName::ForcedOpen,
            Forced::Closed => StateName::ForcedClosed,
        }
    }
}

impl Circuit {
    /// A closed circuit.
    pub fn new(
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

    /// What an operator has set, unless it is over.
    #[inline]
    pub fn force(&self, now: Instant) -> Option<Force> {
        self.force.filter(|force| now < force.until)
    }

    /// Sets what an operator wants, or lets the breaker decide again.
    pub fn set_force(&mut self, force: Option<Force>) {
        self.force = force;
    }

    /// Drops what is over by now, so that it is not written down.
    pub fn drop_expired(&mut self, now: Instant) {
        self.force = self.force(now);
    }

    /// Whether it is as a new one would be, but for what it has counted.
    pub fn is_closed(&self, now: Instant) -> bool {
        self.force(now).is_none() && self.breaker.state() == StateName::Closed
    }

    /// Whether retries may be granted: the breaker is closed or off, and no operator keeps
    /// requests from passing.
    pub fn admits_retries(&self, config: &BreakerConfig, now: Instant) -> bool {
        let forced_open = self.force(now).is_some_and(|it| it.to == Forced::Open);
        let closed = !config.enabled || self.breaker.state() == StateName::Closed;
        closed && !forced_open
    }

    /// Whether nothing is lost by forgetting it: it is closed, or has been idle for the
    /// longest open time beyond its own; and nobody has forced it.
    pub fn is_forgettable(&self, config: &BreakerConfig, now: Instant) -> bool {
        self.force(now).is_none() && self.breaker.is_forgettable(config, self.used_at, now)
    }

    /// Fits the circuit to a configuration. What both it and a newer one have is left as
    /// the newer one wrote it; an account that is missing is opened in any case, since
    /// without one no retry is ever granted.
    pub fn adopt(
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
        self.force.write(out);
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
            force: Option::read(from)?,
            account: Option::read(from)?.map(Box::new),
            breaker: Breaker::read(from)?,
        })
    }
}
