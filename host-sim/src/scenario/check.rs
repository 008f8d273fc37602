//! Problems of a scenario file that has the right format.

mod calls;
mod values;

use crate::framing::SWITCHING_PROTOCOLS;
use crate::model::retry::Conditions;
use crate::model::spec::{Fault, FaultKind, Response, Route, Traffic};
use crate::scenario::file::File;
use crate::sim::span::Span;

use values::{
    CHUNKS_MAX, Report, check_cluster, check_latency, check_rate, check_request, check_status,
};

/// Path and text of each problem.
pub(super) type Problems = Vec<(String, String)>;

/// Each worker is a VM, and a proxy has about as many workers as its host has threads.
const WORKERS_MAX: u32 = 256;

/// One day. The clock of a run ends much later.
const DURATION_MAX: Span = Span::from_ms(86_400_000);

/// Returns all problems of a file except those that compiling its expectations finds.
pub(super) fn check(file: &File) -> Problems {
    let mut problems = Vec::new();
    let mut report = |path: &str, text: String| problems.push((path.to_owned(), text));
    if !(1..=WORKERS_MAX).contains(&file.workers) {
        report(
            "workers",
            format!("is {}, allowed 1 to {WORKERS_MAX}", file.workers),
        );
    }
    if file.duration == Span::ZERO || file.duration > DURATION_MAX {
        report(
            "duration",
            format!("is {}, allowed above 0s to 24h", file.duration),
        );
    }
    if file.clusters.is_empty() {
        report(
            "clusters",
            "is empty; a scenario needs at least one cluster".into(),
        );
    }
    if file.traffic.is_empty() {
        report("traffic", "is empty; a scenario needs traffic".into());
    }
    let configured = file
        .plugin
        .as_ref()
        .is_some_and(|it| it.configuration.is_some());
    if configured && file.policy.is_some() {
        report(
            "plugin.configuration",
            "cannot be combined with policy".into(),
        );
    }
    for (name, cluster) in &file.clusters {
        check_latency(
            cluster.latency,
            &format!("clusters.{name}.latency"),
            &mut report,
        );
        check_response(
            &cluster.answer,
            &format!("clusters.{name}.answer"),
            &mut report,
        );
    }
    check_routes(file, &mut report);
    calls::check(file, &mut report);
    for (number, traffic) in file.traffic.iter().enumerate() {
        check_traffic(traffic, &format!("traffic[{number}]"), &mut report);
    }
    check_names(file, &mut report);
    check_faults(file, &mut report);
    check_expectations(file, &mut report);
    problems
}

fn check_routes(file: &File, report: Report<'_>) {
    if file.routes.is_empty() && file.clusters.len() > 1 {
        report("routes", "is empty, but there are several clusters".into());
    }
    for (number, route) in file.routes.iter().enumerate() {
        let path = format!("routes[{number}]");
        check_route(route, &path, report);
        if let Some(name) = &route.cluster {
            check_cluster(file, name, &format!("{path}.cluster"), report);
        }
    }
}

fn check_route(route: &Route, path: &str, report: Report<'_>) {
    let targets = [
        route.cluster.is_some(),
        route.cluster_header.is_some(),
        route.direct_response.is_some(),
    ];
    if targets.iter().filter(|given| **given).count() != 1 {
        let wanted = "needs exactly one of cluster, cluster_header and direct_response";
        report(path, wanted.into());
    }
    if let Some(direct) = &route.direct_response {
        check_status(
            direct.status,
            &format!("{path}.direct_response.status"),
            report,
        );
    }
    for unknown in Conditions::unknown(&route.retry.retry_on) {
        let text = format!("has {unknown:?}, unknown condition");
        report(&format!("{path}.retry.retry_on"), text);
    }
}

fn check_traffic(traffic: &Traffic, path: &str, report: Report<'_>) {
    if traffic.rate.is_some() == traffic.clients.is_some() {
        report(path, "needs exactly one of rate and clients".into());
    }
    if let Some(rate) = traffic.rate {
        check_rate(rate, &format!("{path}.rate"), report);
    } else if !traffic.steps.is_empty() {
        report(&format!("{path}.steps"), "needs a rate to change".into());
    }
    let mut end = Span::ZERO;
    for (number, step) in traffic.steps.iter().enumerate() {
        let path = format!("{path}.steps[{number}]");
        check_rate(step.rate, &format!("{path}.rate"), report);
        if step.at < end {
            report(
                &format!("{path}.at"),
                format!(
                    "is {}, before the end of the previous step at {end}",
                    step.at
                ),
            );
        }
        end = Span::from_ns(step.at.as_ns().saturating_add(step.ramp.as_ns()));
    }
    check_latency(traffic.think, &format!("{path}.think"), report);
    if traffic
        .requests
        .iter()
        .map(|it| u64::from(it.weight))
        .sum::<u64>()
        == 0
    {
        report(
            &format!("{path}.requests"),
            "has no request with a weight above 0".into(),
        );
    }
    for (number, request) in traffic.requests.iter().enumerate() {
        let path = format!("{path}.requests[{number}]");
        check_request(request, &path, report);
    }
}

fn check_names(file: &File, report: Report<'_>) {
    for (number, traffic) in file.traffic.iter().enumerate() {
        if file.traffic[..number]
            .iter()
            .any(|other| other.name == traffic.name)
        {
            let path = format!("traffic[{number}].name");
            // The random stream of a group depends on its name.
            report(
                &path,
                format!("is {:?} again; each group needs its own name", traffic.name),
            );
        }
    }
}

fn check_faults(file: &File, report: Report<'_>) {
    for (number, fault) in file.faults.iter().enumerate() {
        let path = format!("faults[{number}]");
        check_cluster(file, &fault.cluster, &format!("{path}.cluster"), report);
        if let Some(to) = fault.to
            && to <= fault.from
        {
            report(
                &format!("{path}.to"),
                format!("is {to}, not after {}", fault.from),
            );
        }
        check_headers(fault, &format!("{path}.headers"), report);
        let path = format!("{path}.fault");
        match &fault.fault {
            FaultKind::Status(status) => check_status(*status, &path, report),
            FaultKind::Latency(latency) => check_latency(*latency, &path, report),
            FaultKind::Slower(times) if !(times.is_finite() && *times >= 0.0) => {
                report(&path, format!("is {times}, allowed 0 and above"));
            }
            _ => {}
        }
    }
}

fn check_headers(fault: &Fault, path: &str, report: Report<'_>) {
    if !fault.headers.is_empty() && !fault.fault.responds() {
        let allowed = "only with status, grpc_status and grpc_status_in_trailers";
        report(
            path,
            format!("has headers of no response, allowed {allowed}"),
        );
    }
    for name in fault.headers.keys() {
        if name.is_empty() || name.starts_with(':') {
            report(path, format!("has {name:?}, which is no header name"));
        }
    }
}

/// Without this check, a misspelt name would yield a number that stays 0.
fn check_expectations(file: &File, report: Report<'_>) {
    for (number, statement) in file.expect.iter().enumerate() {
        if let Some(name) = &statement.cluster {
            check_cluster(file, name, &format!("expect[{number}].cluster"), report);
        }
        if let Some(name) = &statement.source {
            let mut names = file.traffic.iter().map(|it| &it.name);
            if !names.clone().any(|known| known == name) {
                let known: Vec<_> = names.by_ref().map(String::as_str).collect();
                let text = format!("is {name:?}, unknown traffic; known: {}", known.join(", "));
                report(&format!("expect[{number}].source"), text);
            }
        }
    }
}

fn check_response(response: &Response, path: &str, report: Report<'_>) {
    if response.status != SWITCHING_PROTOCOLS {
        check_status(response.status, &format!("{path}.status"), report);
    } else if response.body_time == Span::ZERO {
        let text = "is 0s; an upgraded connection (status 101) needs some time";
        report(&format!("{path}.body_time"), text.into());
    }
    if !(1..=CHUNKS_MAX).contains(&response.body_chunks) {
        let text = format!("is {}, allowed 1 to {CHUNKS_MAX}", response.body_chunks);
        report(&format!("{path}.body_chunks"), text);
    }
}
