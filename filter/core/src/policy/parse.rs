//! From the bytes of a policy file to [`Config`](crate::policy::Config).

pub mod error;
mod forms;
mod json;
mod number;
mod read;
pub mod record;
mod spelling;
mod wire;

use alloc::vec::Vec;

use crate::policy::Config;

use error::PolicyError;

impl Config {
    /// Parses and checks a policy file.
    ///
    /// # Errors
    ///
    /// Every error of the file, in its order; the list is never empty.
    pub fn parse(json: &[u8]) -> Result<Config, Vec<PolicyError>> {
        let node = json::parse(json).map_err(|error| alloc::vec![error])?;
        wire::config(&node)
    }

    /// The schema of the policy language in pieces: a path and what holds there.
    /// Several pieces of one path hold together, unless their types differ: then
    /// either may. See [`record`] for the paths.
    #[cfg(feature = "schema")]
    pub fn schema_notes() -> Vec<(alloc::string::String, serde_json::Value)> {
        wire::schema_notes()
    }
}
