//! All measurements of one module.

use crate::command::Failure;
use crate::proxy::Module;

use super::rows::{self, DIMENSIONS, Row};
use super::start::{self, Start};

/// The measurements of one module.
#[derive(Debug, serde::Serialize)]
pub(super) struct Measured {
    pub start: Vec<Start>,
    pub growth: Vec<Row>,
}

impl Measured {
    /// Measures all rows that the module has.
    ///
    /// # Errors
    ///
    /// If the module refuses a policy that it should take.
    pub(super) fn of(module: &Module) -> Result<Measured, Failure> {
        let mut growth = Vec::new();
        for dimension in DIMENSIONS {
            for size in dimension.sizes {
                match rows::measure(module, dimension, *size) {
                    Ok(row) => growth.push(row),
                    // The lite module takes no policy that stores responses.
                    Err(Failure::Policy(_)) => {}
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(Measured {
            start: start::measure(module)?,
            growth,
        })
    }
}
