//! What a request, a first request and a tick cost as something grows.

use bytes::Bytes;
use serde_json::json;

use crate::command::Failure;
use crate::headers::HeaderMap;
use crate::proxy::Module;

use super::policies;
use super::subject::{Exchange, Spent, Subject};

/// What grows, and the sizes that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dimension {
    pub name: &'static str,
    pub sizes: &'static [u64],
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    PoliciesByCluster,
    PoliciesByPath,
    Keys,
    Headers,
    Workers,
    Stored,
}

/// All dimensions, in the order of the table.
pub(super) const DIMENSIONS: [Dimension; 6] = [
    Dimension {
        name: "policies, by cluster",
        sizes: &[1, 10, 100, 1_000, 10_000],
        kind: Kind::PoliciesByCluster,
    },
    Dimension {
        name: "policies, by path",
        sizes: &[1, 10, 100, 1_000, 10_000],
        kind: Kind::PoliciesByPath,
    },
    Dimension {
        name: "keys",
        sizes: &[1, 10, 100, 1_000, 10_000, 100_000],
        kind: Kind::Keys,
    },
    Dimension {
        name: "request headers",
        sizes: &[4, 16, 64],
        kind: Kind::Headers,
    },
    Dimension {
        name: "workers",
        sizes: &[1, 8, 64],
        kind: Kind::Workers,
    },
    Dimension {
        name: "stored responses",
        sizes: &[0, 100, 1_000, 10_000],
        kind: Kind::Stored,
    },
];

/// Costs at one size.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Row {
    pub grows: &'static str,
    pub size: u64,
    /// Median of the wasm instructions of a request whose key is known.
    pub instructions: u64,
    /// Median of its hostcalls.
    pub hostcalls: u64,
    /// Median of the wasm instructions of the first requests of the last keys, policies or
    /// URLs. `None` if all requests are alike.
    pub first: Option<u64>,
    /// Wasm instructions of the longest tick.
    pub tick: u64,
    /// Linear memory of a worker's VM.
    pub memory_kib: u64,
}

/// Bodies of stored responses.
const STORED_BYTES: usize = 500;

/// Number of different requests in steady traffic. They are all asked for again within a
/// `sync.interval`.
const SAMPLE: u64 = 64;

/// Number of requests of which the median is taken.
const REQUESTS: u64 = 512;

/// Measures one size of a dimension.
///
/// # Errors
///
/// If the module refuses the policy or a request.
pub(super) fn measure(module: &Module, grows: Dimension, size: u64) -> Result<Row, Failure> {
    let (policy, workers) = setting(grows.kind, size);
    let mut subject = Subject::start(module, policy, workers)?;
    let mut firsts = Vec::new();
    let all = distinct(grows.kind, size);
    for number in 0..all {
        let spent = subject.serve(&exchange(grows.kind, size, number))?;
        if all - number <= SAMPLE {
            firsts.push(spent);
        }
    }
    // Distinct requests, spread over all.
    let sample = all.min(SAMPLE);
    let chosen: Vec<Exchange> = (0..sample)
        .map(|at| exchange(grows.kind, size, at * all / sample))
        .collect();
    let mut steady = Vec::new();
    for round in 0..2 * REQUESTS.div_ceil(sample) {
        for exchange in &chosen {
            let spent = subject.serve(exchange)?;
            if round >= REQUESTS.div_ceil(sample) {
                steady.push(spent);
            }
        }
    }
    let spent = median(steady);
    let differs = !matches!(grows.kind, Kind::Headers | Kind::Workers);
    Ok(Row {
        grows: grows.name,
        size,
        instructions: spent.fuel,
        hostcalls: spent.hostcalls,
        first: differs.then(|| median(firsts).fuel),
        tick: subject.tick,
        memory_kib: subject.memory_kib(),
    })
}

/// The policy file, and the number of workers.
fn setting(kind: Kind, size: u64) -> (String, usize) {
    let plain = || policies::one(&json!({}));
    match kind {
        Kind::PoliciesByCluster => (policies::by_cluster(size, "p", &json!({})), 1),
        Kind::PoliciesByPath => (policies::by_path(size), 1),
        Kind::Keys => (policies::keys(), 1),
        Kind::Headers => (plain(), 1),
        Kind::Workers => (plain(), usize::try_from(size).unwrap_or(1)),
        Kind::Stored => (policies::stale(), 1),
    }
}

/// The number of requests that differ.
fn distinct(kind: Kind, size: u64) -> u64 {
    match kind {
        Kind::Headers => 1,
        // None is stored of one URL.
        Kind::Stored => size.max(1),
        Kind::PoliciesByCluster | Kind::PoliciesByPath | Kind::Keys | Kind::Workers => size,
    }
}

fn exchange(kind: Kind, size: u64, number: u64) -> Exchange {
    let mut it = Exchange::get("/items");
    let own = it.request.len() as u64;
    let mut add = |name: &str, value: &str| it.request.add(name.as_bytes(), value.as_bytes());
    match kind {
        Kind::PoliciesByCluster => it.cluster = policies::cluster(number).into(),
        Kind::PoliciesByPath => it = Exchange::get(&policies::path(number)),
        Kind::Keys => add("x-tenant", &format!("tenant-{number}")),
        Kind::Headers => {
            for header in own..size {
                add(&format!("x-header-{header}"), "a value of some length");
            }
        }
        Kind::Workers => it.worker = usize::try_from(number).unwrap_or(0),
        Kind::Stored => {
            it = Exchange::get(&format!("/items/{number}"));
            it.body = Bytes::from_static(&[b'x'; STORED_BYTES]);
            let control = if size > 0 { "max-age=60" } else { "no-store" };
            it.response = HeaderMap::from([(":status", "200"), ("cache-control", control)]);
        }
    }
    it
}

/// The median of each cost.
fn median(spent: Vec<Spent>) -> Spent {
    let of = |cost: fn(&Spent) -> u64| {
        let mut all: Vec<u64> = spent.iter().map(cost).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or(0)
    };
    Spent {
        fuel: of(|it| it.fuel),
        hostcalls: of(|it| it.hostcalls),
    }
}
