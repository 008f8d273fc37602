//! Retry conditions and attempts of a mesh, as fields of a policy.

use serde_json::Value;

use super::super::context::Import;
use super::super::draft::Policy;
use super::super::engine;
use super::super::source::Node;
use super::super::values::SECOND;

/// Conditions of Envoy's `retry_on` that policies have too.
const HTTP: [&str; 8] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "refused-stream",
    "retriable-4xx",
    "envoy-ratelimited",
];

/// Conditions of Envoy's `retry_grpc_on`.
const GRPC: [&str; 5] = [
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// Conditions of one policy, gathered from all fields that name some.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Conditions {
    http: Vec<&'static str>,
    grpc: Vec<&'static str>,
    differs: Vec<String>,
    /// Whether anything was added since the last report.
    is_new: bool,
}

impl Conditions {
    /// Returns the conditions by their names in Envoy.
    pub(crate) fn of(names: &[&str]) -> Conditions {
        let mut conditions = Conditions::default();
        names.iter().for_each(|name| conditions.add(name));
        conditions
    }

    /// Adds a condition or a status by its name. What differs is in the next report.
    pub(crate) fn add(&mut self, name: &str) {
        if let Some(http) = HTTP.iter().find(|known| **known == name) {
            self.push_http(http);
        } else if let Some(grpc) = GRPC.iter().find(|known| **known == name) {
            push(&mut self.grpc, grpc);
            self.is_new = true;
        } else if name == "retriable-status-codes" {
            // The statuses are listed beside it.
        } else if let Ok(status) = name.parse::<u16>() {
            self.add_status(status);
        } else {
            self.differs.push(format!("{name} has no equivalent"));
        }
    }

    fn push_http(&mut self, name: &'static str) {
        push(&mut self.http, name);
        self.is_new = true;
    }

    fn add_status(&mut self, status: u16) {
        let (condition, others) = match status {
            409 => ("retriable-4xx", ""),
            502..=504 => ("gateway-error", "502, 503 and 504"),
            500..=599 => ("5xx", "every 5xx"),
            _ => {
                self.differs.push(format!("status {status} is not retried"));
                return;
            }
        };
        self.push_http(condition);
        if !others.is_empty() {
            self.differs
                .push(format!("{status} is retried with {others}"));
        }
    }

    /// Reports a node that the conditions were added from.
    pub(crate) fn report(&mut self, import: &mut Import, node: &Node) {
        let all: Vec<&str> = self.http.iter().chain(&self.grpc).copied().collect();
        let differs = std::mem::take(&mut self.differs);
        if !std::mem::take(&mut self.is_new) {
            import.report.no_equivalent(node, differs.join("; "));
        } else {
            let to = format!("retry.retry_on {}", all.join(", "));
            import.report.became(node, to, &differs);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.http.is_empty() && self.grpc.is_empty()
    }

    pub(crate) fn set(&self, policy: &mut Policy) {
        policy.set("retry.retry_on", self.http.clone());
        if !self.grpc.is_empty() {
            policy.set("retry.grpc_retry_on", self.grpc.clone());
        }
    }
}

fn push(list: &mut Vec<&'static str>, name: &'static str) {
    if !list.contains(&name) {
        list.push(name);
    }
}

/// Reads how many retries a request has. `0` switches all retries off, here as there.
pub(crate) fn attempts(
    import: &mut Import,
    policy: &mut Policy,
    node: Option<&Node>,
    default: u64,
) {
    const PATH: &str = "retry.max_retries";
    match node.map(|node| (node, import.integer(node))) {
        None => policy.set(PATH, default),
        Some((node, Some(read))) => {
            import.set_integer(policy, PATH, node, read, &engine::MAX_RETRIES);
        }
        Some((_, None)) => {}
    }
}

/// Reads the limit of one attempt.
pub(crate) fn try_timeout(import: &mut Import, policy: &mut Policy, node: Option<&Node>) {
    const PATH: &str = "retry.per_try_timeout";
    let Some(node) = node else { return };
    match import.duration(node, SECOND) {
        Some(read) if read.value.is_zero() => import.report.exact(node, "no retry.per_try_timeout"),
        Some(read) => import.set_duration(policy, PATH, node, read, &engine::SLOW),
        None => {}
    }
}

/// Notes what every imported retry has in common.
pub(crate) fn remark(import: &mut Import, policy: &Policy, off: &str) {
    if policy.get("retry.max_retries").and_then(Value::as_u64) == Some(0) {
        return;
    }
    import.report.remark(format!(
        "imported retries are granted out of a budget, which has its defaults unless the source \
         sets one; to leave only their conditions, {off}, since those of the mesh stay in force"
    ));
    import.report.remark(
        "only GET, HEAD, OPTIONS, TRACE, PUT, DELETE, gRPC and requests with idempotency-key are \
         retried unless retry.methods has more; the mesh retries every method",
    );
}
