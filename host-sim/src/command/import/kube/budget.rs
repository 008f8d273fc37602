//! Envoy's own retry budget: retries of one moment, in percent of the requests of that moment.

use serde_json::Value;

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::engine;
use super::super::source::Node;
use super::super::values::{Read, SECOND};

const PERCENT: &str = "retry.budget.percent";
const COUNT: &str = "retry.budget.min_retry_rate.count";
/// Envoy's values for what is left out. Istio reads 0 retries as left out, too.
const DEFAULT_PERCENT: u64 = 20;
const DEFAULT_RETRIES: u64 = 3;

/// Reads the budget of Istio's `trafficPolicy`.
pub(crate) fn of_istio(import: &mut Import, node: &Node) -> Policy {
    let mut settings = defaults(import, node);
    if let Some(percent) = node.get("percent")
        && let Some(read) = import.number(percent)
    {
        set_percent(import, &mut settings, percent, read);
    }
    if let Some(node) = node.get("minRetryConcurrency")
        && let Some(mut read) = import.integer(node)
    {
        if read.value == 0 {
            let differs = format!("Istio reads 0 as {DEFAULT_RETRIES}");
            read.differs.push(differs);
            read.value = DEFAULT_RETRIES;
        }
        set_retries(import, &mut settings, node, read);
    }
    settings
}

/// Reads the budget of Envoy Gateway's `circuitBreaker`, whose percentage is a fraction.
pub(crate) fn of_envoy_gateway(import: &mut Import, node: &Node) -> Policy {
    let mut settings = defaults(import, node);
    if let Some(numerator) = node.at(&["percent", "numerator"])
        && let Some(mut read) = import.number(numerator)
    {
        let denominator = node.at(&["percent", "denominator"]);
        let denominator = denominator.and_then(|node| Some((node, import.integer(node)?)));
        if let Some((node, denominator)) = denominator {
            if denominator.value == 0 {
                import.problems.add(node, "an integer from 1 on");
                return settings;
            }
            read.value = read.value * 100.0 / denominator.value as f64;
            import.report.exact(node, "in retry.budget.percent");
        }
        set_percent(import, &mut settings, numerator, read);
    }
    if let Some(node) = node.get("minRetryConcurrency")
        && let Some(read) = import.integer(node)
    {
        set_retries(import, &mut settings, node, read);
    }
    if let Some(node) = node.get("interval")
        && let Some(read) = import.duration(node, SECOND)
    {
        let path = "retry.budget.interval";
        import.set_duration(&mut settings, path, node, read, &engine::WINDOW);
    }
    settings
}

fn defaults(import: &mut Import, node: &Node) -> Policy {
    let what = "retry.budget, of retries over time, where Envoy counts those of one moment";
    import.report.section(node, what);
    let mut settings = Policy::settings();
    settings.set(PERCENT, Value::from(DEFAULT_PERCENT));
    settings.set(COUNT, Value::from(DEFAULT_RETRIES));
    settings
}

fn set_percent(import: &mut Import, settings: &mut Policy, node: &Node, mut read: Read<f64>) {
    let differs = "of what ended well in 10s, where Envoy counts requests of one moment";
    read.differs.push(differs.to_owned());
    import.set_percent(settings, PERCENT, node, read, &engine::BUDGET_PERCENT);
}

fn set_retries(import: &mut Import, settings: &mut Policy, node: &Node, mut read: Read<u64>) {
    let differs = "so many each second, where Envoy admits so many at one time";
    read.differs.push(differs.to_owned());
    import.set_integer(settings, COUNT, node, read, &engine::MIN_RETRIES);
}
