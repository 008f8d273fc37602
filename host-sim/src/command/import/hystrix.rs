//! Hystrix: `hystrix.command.KEY` in Spring's files or Archaius' properties.
//!
//! A command's own settings override those of `default`. The breaker of Hystrix judges the share
//! of failures in a window of time, sleeps for a fixed time, and lets one request out as a probe.

use super::context::Import;
use super::draft::Policy;
use super::engine;
use super::node::Node;
use super::settings::{self, Setting, canonical};
use super::values::{MS, Read};

/// Settings that have no equivalent, by the beginning of their canonical names, and why.
const WITHOUT: [(&str, &str); 10] = [
    (
        "threadpoolkeyoverride",
        "a proxy has neither threads nor semaphores for a call",
    ),
    ("execution.isolation.semaphore", MAX_REQUESTS),
    (
        "execution.isolation.strategy",
        "a proxy has neither threads nor semaphores for a call",
    ),
    (
        "execution.isolation.thread.interrupt",
        "the proxy resets the stream of a request that timed out",
    ),
    (
        "fallback",
        "a list of fallback responses in the policy does it, which has to be written",
    ),
    ("metrics.healthsnapshot", "every outcome is judged at once"),
    (
        "metrics.rollingpercentile",
        "the proxy's histograms of latency are always there",
    ),
    (
        "requestcache",
        "a fallback of type stale, or the proxy's cache filter, does it",
    ),
    ("requestlog", "the proxy's access log does it"),
    ("circuitbreaker.forceclosed", "false is the default"),
];

const MAX_REQUESTS: &str = "max_requests in circuit_breakers of the cluster does it, \
    in Istio http2MaxRequests of the connectionPool";

/// Writes a policy for each command, or one for `default` if it is alone.
pub(super) fn import(import: &mut Import) {
    let all = settings::collect(import, &["hystrix"], "Hystrix");
    let mut commands: Vec<String> = Vec::new();
    for setting in &all {
        match name(setting) {
            Some(name) if !commands.contains(&name) => commands.push(name),
            Some(_) => {}
            None => outside(import, setting),
        }
    }
    let named: Vec<&str> = commands
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "default")
        .collect();
    if named.is_empty() && !commands.is_empty() {
        let remark = "policy default is for every request, as hystrix.command.default is for \
            every command: set match to the clusters that it is for";
        import.report.remark(remark);
        command(import, "default", &all);
    }
    for name in &named {
        import.report.remark(format!(
            "policy of {name}: the proxy does not know commands, so match.clusters has the name: \
             set it to the cluster that is called"
        ));
        command(import, name, &all);
    }
    if named.len() < commands.len() && !named.is_empty() {
        let remark = "hystrix.command.default is for commands without settings of their own too: \
            copy a policy for the cluster of each";
        import.report.remark(remark);
    }
    overridden(import, &all);
}

/// Reports what is not about commands.
fn outside(import: &mut Import, setting: &Setting) {
    let why = match setting.path.get(1).map(|name| canonical(name)).as_deref() {
        Some("threadpool") => MAX_REQUESTS,
        Some("collapser") => "requests are not merged by a proxy",
        Some("stream" | "metrics" | "dashboard" | "sharesecuritycontext") => {
            "it is about the library within a process of Java"
        }
        _ => return,
    };
    for node in &setting.nodes {
        import.report.no_equivalent(node, why);
    }
}

/// Reports settings of `default` that every command overrides.
fn overridden(import: &mut Import, all: &[Setting]) {
    for setting in all {
        let key = key(setting);
        let is_known = BREAKER.contains(&key.as_str());
        for node in &setting.nodes {
            if is_known && !import.report.knows(node) {
                import
                    .report
                    .no_equivalent(node, "every command has a value of its own");
            }
        }
    }
}

/// Names that `command` reads.
const BREAKER: [&str; 10] = [
    "circuitbreaker.enabled",
    "circuitbreaker.errorthresholdpercentage",
    "circuitbreaker.forceclosed",
    "circuitbreaker.forceopen",
    "circuitbreaker.requestvolumethreshold",
    "circuitbreaker.sleepwindowinmilliseconds",
    "execution.isolation.thread.timeoutinmilliseconds",
    "execution.timeout.enabled",
    "metrics.rollingstats.numbuckets",
    "metrics.rollingstats.timeinmilliseconds",
];

/// Groups of a command's settings. The name of a command may have dots, and ends in front of one.
const GROUPS: [&str; 7] = [
    "circuitbreaker",
    "execution",
    "fallback",
    "metrics",
    "requestcache",
    "requestlog",
    "threadpoolkeyoverride",
];

/// Returns how many parts of the path come before the setting itself. `None` if it is not of a
/// command.
fn depth(setting: &Setting) -> Option<usize> {
    if !setting.is_below(&["hystrix", "command"]) || setting.path.len() < 4 {
        return None;
    }
    let is_group = |part: &String| GROUPS.contains(&canonical(part).as_str());
    let group = setting.path.iter().skip(3).position(is_group);
    Some(group.map_or(3, |group| group + 3))
}

/// Returns the command that a setting is of.
fn name(setting: &Setting) -> Option<String> {
    Some(setting.path.get(2..depth(setting)?)?.join("."))
}

/// Returns the canonical name of a command's setting.
fn key(setting: &Setting) -> String {
    depth(setting).map_or_else(String::new, |depth| setting.key(depth))
}

/// The settings of one command.
struct Command<'s, 'a> {
    name: &'s str,
    all: &'s [Setting<'a>],
}

impl<'a> Command<'_, 'a> {
    /// Returns the command's own setting, or that of `default`.
    fn get(&self, wanted: &str) -> Option<&'a Node> {
        let of = |name: &str| {
            let mut settings = self.all.iter();
            settings.find(|it| self::name(it).is_some_and(|of| of == name) && key(it) == wanted)
        };
        of(self.name).or_else(|| of("default")).map(Setting::node)
    }
}

fn command(import: &mut Import, name: &str, all: &[Setting]) {
    let command = Command { name, all };
    let mut policy = Policy::new(name);
    if name != "default" {
        policy.set("match.clusters", vec![name]);
    }
    modes(import, &mut policy, &command);
    window(import, &mut policy, &command);
    recovery(import, &mut policy, &command);
    timeout(import, &mut policy, &command);
    for setting in all {
        let key = key(setting);
        let of_command = self::name(setting).is_some_and(|of| of == name || of == "default");
        let why = WITHOUT
            .iter()
            .find(|(name, _)| of_command && key.starts_with(name));
        if let Some((_, why)) = why {
            for node in setting
                .nodes
                .iter()
                .filter(|node| !import.report.knows(node))
                .collect::<Vec<_>>()
            {
                import.report.no_equivalent(node, *why);
            }
        }
    }
    import.draft.add(policy);
}

/// Sets what keeps the breaker from working by itself. Forcing it open wins over forcing it
/// closed, and a breaker that is not enabled never rejects.
fn modes(import: &mut Import, policy: &mut Policy, command: &Command) {
    let mut read = |wanted: &str| -> Option<(&Node, Read<bool>)> {
        let node = command.get(wanted)?;
        Some((node, import.boolean(node)?))
    };
    let enabled = read("circuitbreaker.enabled");
    let open = read("circuitbreaker.forceopen");
    let closed = read("circuitbreaker.forceclosed");
    if let Some((node, read)) = closed
        && read.value
    {
        engine::forced_closed(import, policy, node);
    }
    if let Some((node, read)) = open {
        let to = if read.value {
            policy.set("mode", "forced_open");
            "mode forced_open"
        } else {
            "no mode forced_open"
        };
        import.report.became(node, to, &read.differs);
    }
    if let Some((node, read)) = enabled {
        let to = if read.value {
            "circuit_breaker"
        } else {
            policy.set("mode", "disabled");
            "mode disabled"
        };
        import.report.became(node, to, &read.differs);
    }
}

/// Sets the window and the thresholds.
fn window(import: &mut Import, policy: &mut Policy, command: &Command) {
    policy.set("circuit_breaker.window.type", "time");
    policy.set("circuit_breaker.window.duration", "10s");
    if let Some(node) = command.get("metrics.rollingstats.timeinmilliseconds")
        && let Some(read) = import.duration(node, MS)
    {
        let path = "circuit_breaker.window.duration";
        import.set_duration(policy, path, node, read, &engine::WINDOW);
    }
    if let Some(node) = command.get("metrics.rollingstats.numbuckets")
        && let Some(mut read) = import.integer(node)
    {
        if read.value != 10 {
            read.differs
                .push(format!("there are always ten, and not {}", read.value));
        }
        import
            .report
            .became(node, "buckets of the window", &read.differs);
    }
    policy.set("circuit_breaker.minimum_requests", 20);
    if let Some(node) = command.get("circuitbreaker.requestvolumethreshold")
        && let Some(read) = import.integer(node)
    {
        let path = "circuit_breaker.minimum_requests";
        import.set_integer(policy, path, node, read, &engine::MINIMUM_REQUESTS);
    }
    policy.set("circuit_breaker.failure_rate_threshold", 50);
    if let Some(node) = command.get("circuitbreaker.errorthresholdpercentage")
        && let Some(read) = import.number(node)
    {
        let path = "circuit_breaker.failure_rate_threshold";
        import.set_percent(policy, path, node, read, &engine::RATE);
    }
}

/// Sets the limit on the time of a call, which is on unless it is switched off.
fn timeout(import: &mut Import, policy: &mut Policy, command: &Command) {
    let switch = command.get("execution.timeout.enabled");
    let switch = switch.and_then(|node| Some((node, import.boolean(node)?)));
    let node = command.get("execution.isolation.thread.timeoutinmilliseconds");
    if let Some((switch, read)) = switch {
        let to = if read.value { "timeout" } else { "no timeout" };
        import.report.became(switch, to, &read.differs);
        if !read.value {
            if let Some(node) = node {
                import
                    .report
                    .exact(node, "no timeout, since it is not enabled");
            }
            return;
        }
    }
    match node {
        Some(node) => {
            if let Some(read) = import.duration(node, MS) {
                engine::timeout(import, policy, node, read);
            }
        }
        None => policy.set("timeout", "1s"),
    }
}

/// Sets the sleep window, and the one probe after it.
fn recovery(import: &mut Import, policy: &mut Policy, command: &Command) {
    policy.set("circuit_breaker.open.duration", "5s");
    if let Some(node) = command.get("circuitbreaker.sleepwindowinmilliseconds")
        && let Some(read) = import.duration(node, MS)
    {
        let path = "circuit_breaker.open.duration";
        import.set_duration(policy, path, node, read, &engine::OPEN);
    }
    engine::fixed_open(policy);
    policy.set("circuit_breaker.half_open.permits", 1);
}
