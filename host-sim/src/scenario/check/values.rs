//! Checks of single values, shared by the checks of a scenario.

use crate::model::spec::{Latency, Request, Shape};
use crate::model::template::{BadPlaceholder, Template};
use crate::scenario::file::File;

/// Reports a problem at a path.
pub(super) type Report<'a> = &'a mut dyn FnMut(&str, String);

/// Highest number of body chunks, far more than a body needs.
pub(super) const CHUNKS_MAX: u32 = 10_000;

/// Highest rate in calls per second, which would already take very long to simulate.
const RATE_MAX: f64 = 1e6;

pub(super) fn check_cluster(file: &File, name: &str, path: &str, report: Report<'_>) {
    if !file.clusters.contains_key(name) {
        report(
            path,
            format!(
                "is {name:?}, unknown cluster; known: {}",
                known_clusters(file)
            ),
        );
    }
}

pub(super) fn known_clusters(file: &File) -> String {
    let known: Vec<_> = file.clusters.keys().map(String::as_str).collect();
    known.join(", ")
}

/// Returns the request's template, if the request is valid.
pub(super) fn check_request(request: &Request, path: &str, report: Report<'_>) -> Option<Template> {
    let is_path = request.path.starts_with('/');
    if !is_path {
        report(
            &format!("{path}.path"),
            format!("is {:?}, which does not begin with /", request.path),
        );
    }
    if request.path.contains('#') {
        let text = format!(
            "is {:?}; the proxy answers a fragment with 400",
            request.path
        );
        report(&format!("{path}.path"), text);
    }
    if let Some(upload) = &request.upload
        && !(1..=CHUNKS_MAX).contains(&upload.chunks)
    {
        let text = format!("is {}, allowed 1 to {CHUNKS_MAX}", upload.chunks);
        report(&format!("{path}.upload.chunks"), text);
    }
    match Template::new(request) {
        Ok(template) => is_path.then_some(template),
        Err(BadPlaceholder(text)) => {
            let known = "{n}, {random:1000} and {uuid}";
            report(
                path,
                format!("has {text:?}, unknown placeholder; known: {known}"),
            );
            None
        }
    }
}

pub(super) fn check_latency(latency: Latency, path: &str, report: Report<'_>) {
    match latency.0 {
        Shape::Uniform { min, max } if min > max => {
            report(path, format!("has min {min} above max {max}"));
        }
        Shape::Lognormal { median, p99 } if median > p99 => {
            report(path, format!("has median {median} above p99 {p99}"));
        }
        _ => {}
    }
}

pub(super) fn check_status(status: u16, path: &str, report: Report<'_>) {
    if !(200..=599).contains(&status) {
        report(path, format!("is {status}, allowed 200 to 599"));
    }
}

pub(super) fn check_rate(rate: f64, path: &str, report: Report<'_>) {
    if !(0.0..=RATE_MAX).contains(&rate) {
        report(path, format!("is {rate}, allowed 0 to {RATE_MAX}"));
    }
}
