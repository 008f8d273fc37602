//! Whom services call: somebody there is, and not, in the end, themselves.
//!
//! Looked up by the routes as they stand. A filter that sends a request elsewhere, or a
//! route for a header that is handed on, is not foreseen.

use std::collections::BTreeMap;

use super::{Told, check_request, known_clusters};
use crate::model::route::Routes;
use crate::model::spec::Calls;
use crate::scenario::file::File;
use crate::scenario::routes;
use crate::sim::rng::Seed;

/// The cluster that each cluster calls.
type Callees<'a> = BTreeMap<&'a str, &'a str>;

pub fn check(file: &File, told: Told<'_>) {
    let names: Vec<String> = file.clusters.keys().cloned().collect();
    let routes = Routes::new(&routes(file), &names);
    let mut callees = Callees::new();
    for (name, cluster) in &file.clusters {
        let Some(calls) = &cluster.calls else {
            continue;
        };
        let path = format!("clusters.{name}.calls");
        match callee(calls, &routes, &names, &path, told) {
            Found::Cluster(place) => {
                callees.insert(name, &names[place]);
            }
            Found::Unknown(cluster) => {
                let known = known_clusters(file);
                let text = format!("reaches {cluster:?}, which is none of the clusters: {known}");
                told(&format!("{path}.path"), text);
            }
            Found::Told => {}
        }
    }
    for name in &names {
        check_circle(name, &callees, told);
    }
}

/// Who answers a call.
enum Found {
    Cluster(usize),
    Unknown(String),
    /// Nobody, which was told, or the proxy itself, which is no problem.
    Told,
}

fn callee(calls: &Calls, routes: &Routes, names: &[String], path: &str, told: Told<'_>) -> Found {
    let Some(template) = check_request(&calls.into(), path, told) else {
        return Found::Told;
    };
    let headers = template.headers(1, &mut Seed(1).split("check"));
    let Some(picked) = routes.pick(&headers, names) else {
        let text = format!("is {:?}, which no route matches", calls.path);
        told(&format!("{path}.path"), text);
        return Found::Told;
    };
    let direct = routes.at(picked.route).and_then(|route| route.direct());
    match (picked.cluster, direct) {
        (Some(place), _) => Found::Cluster(place),
        (None, Some(_)) => Found::Told,
        (None, None) => Found::Unknown(picked.info.cluster.to_string()),
    }
}

/// Tells of a circle once, at the first of its names.
fn check_circle(start: &str, callees: &Callees<'_>, told: Told<'_>) {
    let mut passed = vec![start];
    let mut last = start;
    while let Some(&next) = callees.get(last) {
        if next == start {
            passed.push(start);
            let text = format!("goes round in a circle: {}", passed.join(" -> "));
            return told(&format!("clusters.{start}.calls"), text);
        }
        // A circle that begins further on, or that was told of at an earlier name.
        if next < start || passed.contains(&next) {
            return;
        }
        passed.push(next);
        last = next;
    }
}
