//! Checks that services call an existing cluster, and that no chain of calls is a cycle.
//!
//! The callee is looked up in the routes. A filter that reroutes the request, or a route for a
//! forwarded header, is not taken into account.

use std::collections::BTreeMap;

use crate::model::route::Routes;
use crate::model::spec::Calls;
use crate::scenario::check::values::{Report, check_request, known_clusters};
use crate::scenario::file::File;
use crate::sim::rng::Seed;

/// The cluster that each cluster calls.
type Callees<'a> = BTreeMap<&'a str, &'a str>;

pub(super) fn check(file: &File, report: Report<'_>) {
    let names: Vec<String> = file.clusters.keys().cloned().collect();
    let routes = Routes::new(&file.routes(), &names);
    let mut callees = Callees::new();
    for (name, cluster) in &file.clusters {
        let Some(calls) = &cluster.calls else {
            continue;
        };
        let path = format!("clusters.{name}.calls");
        match callee(calls, &routes, &names, &path, report) {
            Callee::Cluster(index) => {
                callees.insert(name, &names[index]);
            }
            Callee::Unknown(cluster) => {
                let known = known_clusters(file);
                let text = format!("reaches {cluster:?}, unknown cluster; known: {known}");
                report(&format!("{path}.path"), text);
            }
            Callee::Other => {}
        }
    }
    for name in &names {
        check_cycle(name, &callees, report);
    }
}

/// Who responds to a call.
enum Callee {
    Cluster(usize),
    Unknown(String),
    /// The proxy itself, or nobody, which has been reported.
    Other,
}

fn callee(
    calls: &Calls,
    routes: &Routes,
    names: &[String],
    path: &str,
    report: Report<'_>,
) -> Callee {
    let Some(template) = check_request(&calls.into(), path, report) else {
        return Callee::Other;
    };
    let headers = template.headers(1, &mut Seed(1).split("check"));
    let Some(picked) = routes.pick(&headers, names) else {
        let text = format!("is {:?}, but no route matches it", calls.path);
        report(&format!("{path}.path"), text);
        return Callee::Other;
    };
    let direct = routes.at(picked.route).and_then(|route| route.direct());
    match (picked.cluster, direct) {
        (Some(index), _) => Callee::Cluster(index),
        (None, Some(_)) => Callee::Other,
        (None, None) => Callee::Unknown(picked.info.cluster.to_string()),
    }
}

/// Reports a cycle once, at the first of its names.
fn check_cycle(start: &str, callees: &Callees<'_>, report: Report<'_>) {
    let mut passed = vec![start];
    let mut last = start;
    while let Some(&next) = callees.get(last) {
        if next == start {
            passed.push(start);
            let text = format!("is a cycle: {}", passed.join(" -> "));
            return report(&format!("clusters.{start}.calls"), text);
        }
        // A cycle that begins further on, or that is reported at an earlier name.
        if next < start || passed.contains(&next) {
            return;
        }
        passed.push(next);
        last = next;
    }
}
