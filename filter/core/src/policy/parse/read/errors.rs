//! The errors found so far.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::way::{Position, Way};
use crate::policy::parse::error::{PolicyError, Problem};
use crate::policy::parse::record::Record;

/// The errors found so far, in the order of the file rather than of reading. While recording
/// there is no file, and the getters note in `record` what they would accept.
#[derive(Default)]
pub(crate) struct Errors {
    found: RefCell<Vec<(Position, PolicyError)>>,
    /// Whether the enclosing value was rejected as a whole, so errors inside it add nothing.
    muted: Cell<bool>,
    pub(super) record: Record,
}

impl Errors {
    #[cfg(feature = "schema")]
    pub(crate) fn recording() -> Errors {
        Errors {
            record: Record::begun(),
            ..Errors::default()
        }
    }

    #[cfg(feature = "schema")]
    pub(crate) fn into_notes(self) -> Vec<(alloc::string::String, serde_json::Value)> {
        self.record.into_notes()
    }

    #[cold]
    pub(super) fn add(&self, way: &Way<'_>, problem: Problem) {
        // Never borrowed across a call, so the borrow cannot fail.
        if let Ok(mut found) = self.found.try_borrow_mut()
            && !self.muted.get()
        {
            let (position, path) = (way.position(), way.path());
            let at = found.partition_point(|(other, _)| *other <= position);
            found.insert(at, (position, PolicyError { path, problem }));
        }
    }

    /// Mutes the errors that follow if `mute` is set, and returns whether they were muted
    /// before, for [`Errors::restore`].
    pub(super) fn mute(&self, mute: bool) -> bool {
        let before = self.muted.get();
        self.muted.set(before || mute);
        before
    }

    pub(super) fn restore(&self, muted: bool) {
        self.muted.set(muted);
    }

    pub(crate) fn into_list(self) -> Vec<PolicyError> {
        let found = self.found.into_inner().into_iter();
        found.map(|(_, error)| error).collect()
    }
}
