//! What the reader would accept, written down by the reader itself.
//!
//! A JSON Schema that stands beside the parser drifts from it. So the parser is
//! run once over nothing at all, and every getter notes, at its path, the schema
//! of what it would have taken: type, range, default. Paths are those of errors,
//! with `[]` for any item of a list and `{}` for any value of a map.
//!
//! Only with the feature `schema`. Without it a `Record` is nothing, no note is
//! ever made, and none of this costs the module a byte.

use serde_json::Value;

#[cfg(feature = "schema")]
pub(super) use on::Record;

#[cfg(not(feature = "schema"))]
pub(super) use off::Record;

/// The keyword under which a fragment says that its field has to be there.
pub const REQUIRED: &str = "x-required";
/// The keyword under which a fragment says in words what a text may be.
pub const ALLOWED: &str = "x-allowed";

#[cfg(feature = "schema")]
mod on {
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::cell::RefCell;

    use super::Value;

    /// The notes so far, in the order of reading; absent while a real file is read.
    #[derive(Default)]
    pub(in crate::policy) struct Record(Option<RefCell<Vec<(String, Value)>>>);

    impl Record {
        pub(in crate::policy) fn begun() -> Record {
            Record(Some(RefCell::default()))
        }

        pub(in crate::policy) fn is_on(&self) -> bool {
            self.0.is_some()
        }

        pub(in crate::policy) fn note(&self, path: &str, fragment: impl FnOnce() -> Value) {
            // Never borrowed across a call, so the borrow cannot fail.
            if let Some(notes) = &self.0
                && let Ok(mut notes) = notes.try_borrow_mut()
            {
                notes.push((path.into(), fragment()));
            }
        }

        pub(in crate::policy) fn into_notes(self) -> Vec<(String, Value)> {
            self.0.map_or_else(Vec::new, RefCell::into_inner)
        }
    }
}

#[cfg(not(feature = "schema"))]
mod off {
    use super::Value;

    /// Nothing.
    #[derive(Default)]
    pub(in crate::policy) struct Record;

    impl Record {
        #[inline(always)]
        pub(in crate::policy) fn is_on(&self) -> bool {
            false
        }

        #[inline(always)]
        pub(in crate::policy) fn note(&self, _path: &str, _fragment: impl FnOnce() -> Value) {}
    }
}
