//! A record of what the getters accept, written by the getters themselves.
//!
//! A JSON Schema kept beside the parser would drift from it. So the parser runs once without a
//! file, and every getter notes, at its path, the schema of the values it accepts: type, range,
//! default. Paths are those of errors, with `[]` for any item of a list and `{}` for any value
//! of a map.
//!
//! This exists only with the feature `schema`. Without it a `Record` is empty, no note is ever
//! made, and the module does not grow by a byte.

#[cfg(feature = "schema")]
pub(super) use on::Record;

#[cfg(not(feature = "schema"))]
pub(super) use off::Record;

/// Keyword of a fragment whose field is required.
pub const REQUIRED: &str = "x-required";
/// Keyword of a fragment that describes in words which strings are allowed.
pub const ALLOWED: &str = "x-allowed";

#[cfg(feature = "schema")]
mod on {
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::cell::RefCell;

    use serde_json::Value;

    /// The notes so far, in the order of reading; `None` while a file is parsed.
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
    use serde_json::Value;

    /// A record that notes nothing.
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
