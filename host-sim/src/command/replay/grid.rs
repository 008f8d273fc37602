//! The settings that `--tune` tries: the failure-rate threshold against each of minimum requests,
//! open time and window.
//!
//! The policy's own values are scaled, so the grid fits policies of any size. All policies of a file
//! are scaled alike.

use serde_json::{Value, json};
use spillway_core::policy::{BreakerConfig, Config, WindowShape};

use crate::report::tuning::Settings;
use crate::sim::span::Span;

/// In percent of the policy's value.
const THRESHOLDS: [u64; 5] = [100, 50, 75, 150, 200];
const OTHERS: [u64; 2] = [50, 200];

/// How the values of a policy are scaled, in percent.
#[derive(Clone, Copy)]
struct Scale {
    threshold: u64,
    minimum: u64,
    open: u64,
    window: u64,
}

/// The settings around a policy.
pub(super) struct Grid {
    /// The name of the policy whose settings are shown.
    pub policy: String,
    /// The first is the given one.
    cells: Vec<(Settings, Vec<u8>)>,
}

impl Grid {
    /// Creates the grid around a policy file.
    ///
    /// # Errors
    ///
    /// If the file is not valid, or no policy in it has a threshold to scale.
    pub(super) fn new(bytes: &[u8]) -> Result<Grid, String> {
        let config = Config::parse(bytes).map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            errors.join("\n  ")
        })?;
        let document: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let rated = |breaker: &BreakerConfig| breaker.enabled && breaker.failure_rate_bp > 0;
        let places = config.policies.iter().enumerate();
        let places = places.filter(|(_, policy)| rated(&policy.breaker));
        let breakers: Vec<_> = places.map(|(at, it)| (at, it.breaker.clone())).collect();
        let Some((first, breaker)) = breakers.first() else {
            return Err("--tune needs a circuit_breaker with a failure_rate_threshold".into());
        };
        let mut cells: Vec<(Settings, Vec<u8>)> = Vec::new();
        for scale in scales() {
            let mut changed = document.clone();
            for (at, breaker) in &breakers {
                let target = &mut changed["policies"][*at]["circuit_breaker"];
                scale.settings(breaker).write(breaker, target);
            }
            let settings = scale.settings(breaker);
            let bytes = changed.to_string().into_bytes();
            let known = cells.iter().any(|(it, _)| *it == settings);
            // A value beyond its range is not a setting that anybody could use.
            if !known && Config::parse(&bytes).is_ok() {
                cells.push((settings, bytes));
            }
        }
        let policy = &config.policies[*first].name;
        Ok(Grid {
            policy: policy.to_string(),
            cells,
        })
    }

    /// Returns the settings of the policy itself.
    pub(super) fn given(&self) -> &Settings {
        &self.cells[0].0
    }

    /// Returns the other settings, each with its policy file.
    pub(super) fn others(&self) -> impl Iterator<Item = (Settings, Vec<u8>)> {
        self.cells.iter().skip(1).cloned()
    }
}

/// All scales. The first changes nothing.
fn scales() -> Vec<Scale> {
    let mut all = Vec::new();
    for threshold in THRESHOLDS {
        let alone = Scale {
            threshold,
            minimum: 100,
            open: 100,
            window: 100,
        };
        all.push(alone);
        for other in OTHERS {
            all.push(Scale {
                minimum: other,
                ..alone
            });
            all.push(Scale {
                open: other,
                ..alone
            });
            all.push(Scale {
                window: other,
                ..alone
            });
        }
    }
    all
}

impl Scale {
    fn settings(self, breaker: &BreakerConfig) -> Settings {
        let scaled = |value: u64, percent: u64| value * percent / 100;
        let threshold_bp = scaled(u64::from(breaker.failure_rate_bp), self.threshold).min(10_000);
        let minimum = scaled(u64::from(breaker.minimum_requests), self.minimum);
        Settings {
            failure_rate_threshold: threshold_bp as f64 / 100.0,
            minimum_requests: u32::try_from(minimum).unwrap_or(u32::MAX).max(1),
            open: Span::from_ns(scaled(breaker.open.duration.as_ns(), self.open)),
            window: match breaker.window {
                WindowShape::Time { duration } => {
                    Span::from_ns(scaled(duration.as_ns(), self.window)).to_string()
                }
                WindowShape::Count { size } => scaled(u64::from(size), self.window).to_string(),
            },
        }
    }
}

impl Settings {
    /// Writes the settings into a `circuit_breaker`.
    fn write(&self, breaker: &BreakerConfig, target: &mut Value) {
        target["failure_rate_threshold"] = json!(self.failure_rate_threshold);
        target["minimum_requests"] = json!(self.minimum_requests);
        target["open"]["duration"] = json!(self.open.to_string());
        match breaker.window {
            WindowShape::Time { .. } => target["window"]["duration"] = json!(self.window),
            WindowShape::Count { .. } => {
                target["window"]["size"] = json!(self.window.parse::<u64>().unwrap_or(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(breaker: &Value) -> Vec<u8> {
        let policies = json!([{"name": "p", "circuit_breaker": breaker}]);
        json!({ "policies": policies }).to_string().into_bytes()
    }

    #[test]
    fn the_grid_begins_with_the_policy_and_has_valid_settings_only() {
        let rows = [
            (json!({}), 35, (50.0, 20, "5s", "10s")),
            (
                json!({"minimum_requests": 1, "window": {"type": "count", "size": 10}}),
                30,
                (50.0, 1, "5s", "10"),
            ),
            (
                json!({"failure_rate_threshold": 100, "open": {"duration": "1ms"}}),
                18,
                (100.0, 20, "1ms", "10s"),
            ),
        ];
        for (breaker, count, (threshold, minimum, open, window)) in rows {
            let grid = Grid::new(&policy(&breaker)).unwrap();
            assert_eq!(grid.cells.len(), count, "{breaker}");
            assert_eq!(
                *grid.given(),
                Settings {
                    failure_rate_threshold: threshold,
                    minimum_requests: minimum,
                    open: open.parse().unwrap(),
                    window: window.into(),
                }
            );
        }
    }

    #[test]
    fn a_policy_without_a_rate_has_nothing_to_tune() {
        let none = policy(&json!({"failure_rate_threshold": 0, "consecutive_failures": 3}));
        assert!(Grid::new(&none).is_err());
        assert!(Grid::new(b"{").is_err());
    }
}
