//! What a scenario file says that makes no sense, though its form is right.

mod calls;

use crate::model::retry::Conditions;
use crate::model::spec::{Response, FaultKind, Latency, Request, Route, Shape, Traffic};
use crate::model::template::{BadPlaceholder, Template};
use crate::model::response::SWITCHING_PROTOCOLS;
use crate::scenario::file::File;
use crate::sim::span::Span;

/// Path and text of each problem.
pub type Problems = Vec<(String, String)>;

/// A proxy has as many threads as a machine has, and each is a virtual machine here.
const WORKERS_MAX: u32 = 256;

/// A day; the clock of a run ends much later.
const DURATION_MAX: Span = Span::from_ms(86_400_000);

/// More chunks than a body needs.
const CHUNKS_MAX: u32 = 10_000;

/// More calls a second than anybody waits for.
const RATE_MAX: f64 = 1e6;

/// All problems of a file but those of its expectations.
pub fn check(file: &File) -> Problems {
    let mut problems = Vec::new();
    let mut told = |path: &str, text: String| problems.push((path.to_owned(), text));
    if !(1..=WORKERS_MAX).contains(&file.workers) {
        told(
            "workers",
            format!("is {}, allowed 1 to {WORKERS_MAX}", file.workers),
        );
    }
    if file.duration == Span::ZERO || file.duration > DURATION_MAX {
        told(
            "duration",
            format!("is {}, allowed above 0s to 24h", file.duration),
        );
    }
    if file.clusters.is_empty() {
        told("clusters", "has none; a scenario needs one at least".into());
    }
    if file.traffic.is_empty() {
        told("traffic", "has none; a scenario needs some".into());
    }
    let configured = file
        .plugin
        .as_ref()
        .is_some_and(|it| it.configuration.is_some());
    if configured && file.policy.is_some() {
        told(
            "plugin.configuration",
            "stands beside policy, which is one already".into(),
        );
    }
    for (name, cluster) in &file.clusters {
        check_latency(
            cluster.latency,
            &format!("clusters.{name}.latency"),
            &mut told,
        );
        check_answer(
            &cluster.answer,
            &format!("clusters.{name}.answer"),
            &mut told,
        );
    }
    check_routes(file, &mut told);
    calls::check(file, &mut told);
    for (number, traffic) in file.traffic.iter().enumerate() {
        check_traffic(traffic, &format!("traffic[{number}]"), &mut told);
    }
    check_names(file, &mut told);
    check_faults(file, &mut told);
    check_expectations(file, &mut told);
    problems
}

type Told<'a> = &'a mut dyn FnMut(&str, String);

fn check_routes(file: &File, told: Told<'_>) {
    if file.routes.is_empty() && file.clusters.len() > 1 {
        told(
            "routes",
            "has none, but there are several clusters to choose from".into(),
        );
    }
    for (number, route) in file.routes.iter().enumerate() {
        let path = format!("routes[{number}]");
        check_route(route, &path, told);
        if let Some(name) = &route.cluster {
            check_cluster(file, name, &format!("{path}.cluster"), told);
        }
    }
}

fn check_route(route: &Route, path: &str, told: Told<'_>) {
    let targets = [
        route.cluster.is_some(),
        route.cluster_header.is_some(),
        route.direct_response.is_some(),
    ];
    if targets.iter().filter(|given| **given).count() != 1 {
        let wanted = "needs exactly one of cluster, cluster_header and direct_response";
        told(path, wanted.into());
    }
    if let Some(direct) = &route.direct_response {
        check_status(
            direct.status,
            &format!("{path}.direct_response.status"),
            told,
        );
    }
    for unknown in Conditions::unknown(&route.retry.retry_on) {
        let text = format!("has {unknown:?}, which is no condition that Envoy knows");
        told(&format!("{path}.retry.retry_on"), text);
    }
}

fn check_cluster(file: &File, name: &str, path: &str, told: Told<'_>) {
    if !file.clusters.contains_key(name) {
        told(
            path,
            format!(
                "is {name:?}, which is none of the clusters: {}",
                known_clusters(file)
            ),
        );
    }
}

fn known_clusters(file: &File) -> String {
    let known: Vec<_> = file.clusters.keys().map(String::as_str).collect();
    known.join(", ")
}

fn check_traffic(traffic: &Traffic, path: &str, told: Told<'_>) {
    if traffic.rate.is_some() == traffic.clients.is_some() {
        told(path, "needs exactly one of rate and clients".into());
    }
    if let Some(rate) = traffic.rate {
        check_rate(rate, &format!("{path}.rate"), told);
    } else if !traffic.steps.is_empty() {
        told(
            &format!("{path}.steps"),
            "change a rate, but there is none".into(),
        );
    }
    let mut end = Span::ZERO;
    for (number, step) in traffic.steps.iter().enumerate() {
        let path = format!("{path}.steps[{number}]");
        check_rate(step.rate, &format!("{path}.rate"), told);
        if step.at < end {
            told(
                &format!("{path}.at"),
                format!("is {}, before {end}, when the step before it ends", step.at),
            );
        }
        end = Span::from_ns(step.at.as_ns().saturating_add(step.ramp.as_ns()));
    }
    check_latency(traffic.think, &format!("{path}.think"), told);
    if traffic
        .requests
        .iter()
        .map(|it| u64::from(it.weight))
        .sum::<u64>()
        == 0
    {
        told(
            &format!("{path}.requests"),
            "has none with a weight above 0".into(),
        );
    }
    for (number, request) in traffic.requests.iter().enumerate() {
        let path = format!("{path}.requests[{number}]");
        check_request(request, &path, told);
    }
}

/// Gives the request made ready, if it can be.
fn check_request(request: &Request, path: &str, told: Told<'_>) -> Option<Template> {
    let is_path = request.path.starts_with('/');
    if !is_path {
        told(
            &format!("{path}.path"),
            format!("is {:?}, which does not begin with /", request.path),
        );
    }
    if let Some(upload) = &request.upload
        && !(1..=CHUNKS_MAX).contains(&upload.chunks)
    {
        let text = format!("is {}, allowed 1 to {CHUNKS_MAX}", upload.chunks);
        told(&format!("{path}.upload.chunks"), text);
    }
    match Template::new(request) {
        Ok(template) => is_path.then_some(template),
        Err(BadPlaceholder(text)) => {
            let known = "{n}, {random:1000} and {uuid} are there";
            told(
                path,
                format!("has {text:?}, which is no placeholder: {known}"),
            );
            None
        }
    }
}

fn check_names(file: &File, told: Told<'_>) {
    for (number, traffic) in file.traffic.iter().enumerate() {
        if file.traffic[..number]
            .iter()
            .any(|other| other.name == traffic.name)
        {
            let path = format!("traffic[{number}].name");
            // Each group's randomness comes from its name.
            told(
                &path,
                format!(
                    "is {:?} again; give each group a name of its own",
                    traffic.name
                ),
            );
        }
    }
}

fn check_faults(file: &File, told: Told<'_>) {
    for (number, fault) in file.faults.iter().enumerate() {
        let path = format!("faults[{number}]");
        check_cluster(file, &fault.cluster, &format!("{path}.cluster"), told);
        if let Some(to) = fault.to
            && to <= fault.from
        {
            told(
                &format!("{path}.to"),
                format!("is {to}, not after {}", fault.from),
            );
        }
        let path = format!("{path}.fault");
        match &fault.fault {
            FaultKind::Status(status) => check_status(*status, &path, told),
            FaultKind::Latency(latency) => check_latency(*latency, &path, told),
            FaultKind::Slower(times) if !(times.is_finite() && *times >= 0.0) => {
                told(&path, format!("is {times} times slower, which is no time"));
            }
            _ => {}
        }
    }
}

/// A typing error in a cluster's name must not become a number that stays 0.
fn check_expectations(file: &File, told: Told<'_>) {
    for (number, statement) in file.expect.iter().enumerate() {
        if let Some(name) = &statement.cluster {
            check_cluster(file, name, &format!("expect[{number}].cluster"), told);
        }
        if let Some(name) = &statement.source {
            let mut names = file.traffic.iter().map(|it| &it.name);
            if !names.clone().any(|known| known == name) {
                let known: Vec<_> = names.by_ref().map(String::as_str).collect();
                let text = format!("is {name:?}, unknown traffic; known: {}", known.join(", "));
                told(&format!("expect[{number}].source"), text);
            }
        }
    }
}

fn check_latency(latency: Latency, path: &str, told: Told<'_>) {
    match latency.0 {
        Shape::Uniform { min, max } if min > max => {
            told(path, format!("has min {min} above max {max}"));
        }
        Shape::Lognormal { median, p99 } if median > p99 => {
            told(path, format!("has median {median} above p99 {p99}"));
        }
        _ => {}
    }
}

fn check_answer(answer: &Response, path: &str, told: Told<'_>) {
    if answer.status != SWITCHING_PROTOCOLS {
        check_status(answer.status, &format!("{path}.status"), told);
    } else if answer.body_time == Span::ZERO {
        let text = "is 0s; the connection that status 101 hands over needs some time";
        told(&format!("{path}.body_time"), text.into());
    }
    if !(1..=CHUNKS_MAX).contains(&answer.body_chunks) {
        let text = format!("is {}, allowed 1 to {CHUNKS_MAX}", answer.body_chunks);
        told(&format!("{path}.body_chunks"), text);
    }
}

fn check_status(status: u16, path: &str, told: Told<'_>) {
    if !(200..=599).contains(&status) {
        told(path, format!("is {status}, allowed 200 to 599"));
    }
}

fn check_rate(rate: f64, path: &str, told: Told<'_>) {
    if !(0.0..=RATE_MAX).contains(&rate) {
        told(path, format!("is {rate}, allowed 0 to {RATE_MAX}"));
    }
}
