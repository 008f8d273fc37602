//! What a world is made of.

use crate::model::spec;
use crate::record::Names;
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// The clusters, routes, traffic and faults of a world.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub seed: u64,
    pub workers: usize,
    pub duration: Span,
    /// Sorted by name.
    pub clusters: Vec<(String, spec::Cluster)>,
    pub routes: Vec<spec::Route>,
    /// Whether the router sends `x-envoy-attempt-count` to upstreams.
    pub include_attempt_count: bool,
    /// Whether the router omits its `x-envoy-` headers from responses.
    pub suppress_envoy_headers: bool,
    pub traffic: Vec<spec::Traffic>,
    pub faults: Vec<spec::Fault>,
    /// New configurations of the plugin, each with its time.
    pub updates: Vec<(Time, Vec<u8>)>,
    /// Times at which the observer is called.
    pub marks: Vec<Time>,
}

impl Plan {
    /// Returns the names that reports show.
    pub fn names(&self) -> Names {
        let kind = |request: &spec::Request| format!("{} {}", request.method, request.path);
        let kinds = |traffic: &spec::Traffic| traffic.requests.iter().map(kind).collect();
        let clients = self.traffic.iter().map(|it| (it.name.clone(), kinds(it)));
        let calls = |(name, spec): &(String, spec::Cluster)| {
            let calls = spec.calls.as_ref()?;
            Some((name.clone(), vec![kind(&calls.into())]))
        };
        let services = self.clusters.iter().filter_map(calls);
        let (sources, kinds) = clients.chain(services).unzip();
        Names {
            clusters: self.clusters.iter().map(|(name, _)| name.clone()).collect(),
            sources,
            kinds,
            faults: self.faults.iter().map(spec::Fault::name).collect(),
        }
    }
}
