//! Counts of outcomes by kind.

use alloc::vec::Vec;

use crate::codec::{Encode, Reader};

/// Number of outcomes of each kind. Failures and slow outcomes are included in the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Successes and failures together.
    pub requests: u32,
    /// Failures.
    pub failures: u32,
    /// Slow outcomes, successful or not.
    pub slow: u32,
}

impl Counts {
    /// Adds one outcome.
    #[inline]
    pub(crate) fn add(&mut self, failure: bool, slow: bool) {
        self.requests = self.requests.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(failure));
        self.slow = self.slow.saturating_add(u32::from(slow));
    }

    pub(super) fn join(&mut self, more: Counts) {
        self.requests = self.requests.saturating_add(more.requests);
        self.failures = self.failures.saturating_add(more.failures);
        self.slow = self.slow.saturating_add(more.slow);
    }

    #[inline]
    pub(super) fn subtract(&mut self, gone: Counts) {
        self.requests = self.requests.saturating_sub(gone.requests);
        self.failures = self.failures.saturating_sub(gone.failures);
        self.slow = self.slow.saturating_sub(gone.slow);
    }
}

impl Encode for Counts {
    fn write(&self, out: &mut Vec<u8>) {
        self.requests.write(out);
        self.failures.write(out);
        self.slow.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Counts> {
        Some(Counts {
            requests: u32::read(from)?,
            failures: u32::read(from)?,
            slow: u32::read(from)?,
        })
    }
}
