//! From the bytes of a policy file to a [`Config`].
//!
//! `json` reads the text, `read` has a getter for each kind of value, and `wire` knows the
//! fields: what each is called, what it may contain and what its default is.

use alloc::vec::Vec;

use crate::policy::Config;

pub mod error;
mod forms;
mod json;
mod number;
mod read;
pub mod record;
mod spelling;
mod wire;

use error::PolicyError;

impl Config {
    /// Parses and checks a policy file.
    ///
    /// # Errors
    ///
    /// Returns every error of the file, in the order of the file. The list is never empty.
    pub fn parse(json: &[u8]) -> Result<Config, Vec<PolicyError>> {
        let node = json::parse(json).map_err(|error| alloc::vec![error])?;
        wire::config(&node)
    }

    /// Returns the schema of the policy language in fragments, each with its path. Fragments
    /// of one path hold together, unless their types differ: then either may hold. See
    /// [`record`] for the form of a path.
    #[cfg(feature = "schema")]
    pub fn schema_notes() -> Vec<(alloc::string::String, serde_json::Value)> {
        wire::schema_notes()
    }
}
