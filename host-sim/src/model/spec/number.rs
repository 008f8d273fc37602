//! Percentages.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A share from 0 to 100 percent with up to two decimals, stored in basis points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "f64", extend("minimum" = 0, "maximum" = 100))]
pub struct Percent(u32);

impl Percent {
    /// 100 %.
    pub const ALL: Percent = Percent(10_000);

    /// Creates a share from basis points, at most 100 %.
    pub const fn from_bp(bp: u32) -> Percent {
        Percent(if bp > 10_000 { 10_000 } else { bp })
    }

    /// Returns the share in basis points.
    pub const fn as_bp(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.0) / 100.0)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 100.0)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Percent, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Percent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage from 0 to 100")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Percent, E> {
                if !(0.0..=100.0).contains(&number) {
                    return Err(E::custom(format!(
                        "{number} is not a percentage from 0 to 100"
                    )));
                }
                Ok(Percent((number * 100.0 + 0.5) as u32))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Percent, E> {
                self.visit_f64(number as f64)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Percent, E> {
                self.visit_f64(number as f64)
            }
        }
        deserializer.deserialize_f64(Number)
    }
}
