//! The route table.

use std::rc::Rc;

use crate::headers::HeaderMap;
use crate::model::outgoing::is_routable;
use crate::model::retry::{Plan, Policy};
use crate::model::spec::{self, Direct};
use crate::model::timeouts::route_timeout;
use crate::proxy::stream::info::RouteInfo;

/// All routes, in matching order.
pub struct Routes(Vec<Route>);

/// One route.
pub struct Route {
    spec: spec::Route,
    target: Target,
    retry: Policy,
}

enum Target {
    Cluster(Rc<RouteInfo>, Option<usize>),
    Header(Box<[u8]>),
    Direct(Rc<RouteInfo>),
}

/// The route of a request.
#[derive(Clone)]
pub struct Picked {
    /// Index of the route.
    pub route: usize,
    pub info: Rc<RouteInfo>,
    /// Index of the cluster. `None` if there is no such cluster.
    pub cluster: Option<usize>,
}

/// The name of the only virtual host.
const VIRTUAL_HOST: &str = "all";

impl Routes {
    /// Creates the table. `clusters` are the names of all clusters.
    pub fn new(specs: &[spec::Route], clusters: &[String]) -> Routes {
        let route = |spec: &spec::Route| Route {
            target: Target::new(spec, clusters),
            retry: Policy::new(&spec.retry),
            spec: spec.clone(),
        };
        Routes(specs.iter().map(route).collect())
    }

    /// Returns the first route that matches a request with these headers.
    pub fn pick(&self, headers: &HeaderMap, clusters: &[String]) -> Option<Picked> {
        if !is_routable(headers) {
            return None;
        }
        let index = self.0.iter().position(|it| it.matches(headers))?;
        let route = self.0.get(index)?;
        let (info, cluster) = match &route.target {
            Target::Cluster(info, cluster) => (info.clone(), *cluster),
            Target::Direct(info) => (info.clone(), None),
            Target::Header(name) => {
                let name = headers.value(name).unwrap_or_default();
                let name = String::from_utf8_lossy(name);
                let cluster = clusters.iter().position(|it| *it == name);
                (info(&route.spec.name, &name), cluster)
            }
        };
        Some(Picked {
            route: index,
            info,
            cluster,
        })
    }

    /// Returns the first route that leads to a cluster, given by its index.
    pub fn to_cluster(&self, wanted: usize) -> Option<Picked> {
        let mut routes = self.0.iter().enumerate();
        routes.find_map(|(route, it)| match &it.target {
            Target::Cluster(info, Some(cluster)) if *cluster == wanted => Some(Picked {
                route,
                info: info.clone(),
                cluster: Some(wanted),
            }),
            _ => None,
        })
    }

    /// Returns the route at `index`.
    pub fn at(&self, index: usize) -> Option<&Route> {
        self.0.get(index)
    }
}

impl Route {
    /// Returns the direct response, if the route has one.
    pub fn direct(&self) -> Option<&Direct> {
        self.spec.direct_response.as_ref()
    }

    /// Returns the retries and timeouts of a request with these headers.
    pub fn plan(&self, headers: &HeaderMap) -> Plan {
        self.retry.plan(headers, route_timeout(&self.spec, headers))
    }

    /// Returns the specification.
    pub fn spec(&self) -> &spec::Route {
        &self.spec
    }

    fn matches(&self, headers: &HeaderMap) -> bool {
        let spec::Match {
            prefix,
            path,
            headers: wanted,
        } = &self.spec.matches;
        let full = headers.value(b":path").unwrap_or_default();
        let bare = full.split(|byte| *byte == b'?').next().unwrap_or_default();
        prefix
            .as_ref()
            .is_none_or(|it| full.starts_with(it.as_bytes()))
            && path.as_ref().is_none_or(|it| bare == it.as_bytes())
            && wanted.iter().all(|it| header_matches(it, headers))
    }
}

fn header_matches(wanted: &spec::HeaderMatch, headers: &HeaderMap) -> bool {
    let value = headers.value(wanted.name.as_bytes());
    match &wanted.exact {
        Some(exact) => value == Some(exact.as_bytes()),
        None => value.is_some() == wanted.present.unwrap_or(true),
    }
}

impl Target {
    fn new(spec: &spec::Route, clusters: &[String]) -> Target {
        match (&spec.cluster, &spec.cluster_header) {
            (Some(cluster), _) => {
                let index = clusters.iter().position(|it| it == cluster);
                Target::Cluster(info(&spec.name, cluster), index)
            }
            (None, Some(header)) => Target::Header(header.as_bytes().into()),
            (None, None) => Target::Direct(info(&spec.name, "")),
        }
    }
}

fn info(name: &str, cluster: &str) -> Rc<RouteInfo> {
    Rc::new(RouteInfo {
        name: name.into(),
        cluster: cluster.into(),
        virtual_host: VIRTUAL_HOST.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::{HeaderMatch, Match};

    fn route(name: &str, matches: Match, cluster: Option<&str>) -> spec::Route {
        spec::Route {
            name: name.into(),
            matches,
            cluster: cluster.map(Into::into),
            cluster_header: cluster.is_none().then(|| "x-target".into()),
            ..spec::Route::default()
        }
    }

    #[test]
    fn the_first_matching_route_is_picked() {
        let header = |name: &str, exact: Option<&str>, present| HeaderMatch {
            name: name.into(),
            exact: exact.map(Into::into),
            present,
        };
        let by_headers = |headers| Match {
            headers,
            ..Match::default()
        };
        let path = Some("/exact".to_owned());
        let prefix = Some("/api/".to_owned());
        let specs = [
            route(
                "diverted",
                by_headers(vec![header("x-fallback", Some("yes"), None)]),
                Some("b"),
            ),
            route(
                "named",
                by_headers(vec![header("x-target", None, None)]),
                None,
            ),
            route(
                "exact",
                Match {
                    path,
                    ..Match::default()
                },
                Some("a"),
            ),
            route(
                "prefix",
                Match {
                    prefix,
                    ..Match::default()
                },
                Some("nowhere"),
            ),
            route(
                "rest",
                by_headers(vec![header("x-none", None, Some(false))]),
                Some("a"),
            ),
        ];
        let clusters = ["a".to_owned(), "b".to_owned()];
        let routes = Routes::new(&specs, &clusters);
        let rows: [(&[(&str, &str)], _); 8] = [
            (&[(":path", "/")], Some(("rest", "a", Some(0)))),
            (&[(":path", "/exact?q=1")], Some(("exact", "a", Some(0)))),
            (&[(":path", "/exactly")], Some(("rest", "a", Some(0)))),
            (&[(":path", "/api/x")], Some(("prefix", "nowhere", None))),
            (
                &[(":path", "/api/x"), ("x-fallback", "yes")],
                Some(("diverted", "b", Some(1))),
            ),
            (
                &[(":path", "/"), ("x-target", "b")],
                Some(("named", "b", Some(1))),
            ),
            (
                &[(":path", "/"), ("x-target", "z")],
                Some(("named", "z", None)),
            ),
            (&[(":path", "/"), ("x-none", "1")], None),
        ];
        for (headers, expected) in rows {
            let headers = headers.iter().copied();
            let headers = headers.chain([("x-forwarded-proto", "http")]).collect();
            let picked = routes.pick(&headers, &clusters);
            let seen = picked
                .as_ref()
                .map(|it| (&*it.info.name, &*it.info.cluster, it.cluster));
            assert_eq!(seen, expected, "{headers:?}");
        }
    }
}
