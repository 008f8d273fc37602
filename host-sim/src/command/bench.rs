//! `host-sim bench`: the cost of a plugin per request in steady state, and how it grows.
//!
//! Counts are exact: hostcalls by name and fuel (wasm instructions) of a closed circuit with a
//! healthy upstream, after a warm-up. Time is only an order of magnitude, and no test depends on
//! it.

mod document;
mod growth;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::command::module::{ModuleArgument, load};
use crate::command::run::print;
use crate::command::{Failure, read_file};
use crate::model::spec::{Arrivals, Cluster, Route, Traffic};
use crate::model::world::{Observer, Plan, Stopped, World};
use crate::proxy::{FailurePolicy, Host, Module, Plugin, Setup};
use crate::report::json;
use crate::scenario::play::PlayError;
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub module: ModuleArgument,
    /// The policy, or the configuration of another module [default: a breaker with its defaults
    /// for a module named spillway, and nothing for another]
    #[arg(long, visible_alias = "config", value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// A module to compare with, such as an empty filter built with the official SDK
    #[arg(long, value_name = "FILE")]
    pub empty: Option<PathBuf>,
    /// Number of requests to measure
    #[arg(long, default_value_t = 100_000)]
    pub requests: u64,
    /// Measure memory, loading policies, and how costs grow: with policies, keys, headers, workers
    /// and stored responses
    #[arg(long, conflicts_with_all = ["policy", "empty", "requests"])]
    pub growth: bool,
    /// The lite module, to measure its growth too
    #[arg(long, value_name = "FILE", requires = "growth")]
    pub lite: Option<PathBuf>,
    /// A document to write the growth into, between its markers
    #[arg(long, value_name = "FILE", requires = "growth")]
    pub write: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// The cost of one request.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Cost {
    /// Wasm instructions.
    pub fuel: f64,
    /// Wasm instructions by callback.
    pub fuel_by_callback: BTreeMap<String, f64>,
    /// Hostcalls by name.
    pub hostcalls: BTreeMap<String, f64>,
    /// Callbacks by name.
    pub callbacks: BTreeMap<String, f64>,
    /// Time on this computer, including the simulated world.
    pub us: f64,
}

/// Returns the counts of one kind.
type Part = fn(&Cost) -> &BTreeMap<String, f64>;

/// A policy with a breaker and nothing else.
const DEFAULT_POLICY: &str = r#"{"policies":[{"name":"default","circuit_breaker":{}}]}"#;

/// Enough requests for one-time allocations.
const WARM_UP: u64 = 1_000;

/// Measures the costs and prints them.
///
/// # Errors
///
/// If a module or the policy does not load.
pub fn bench(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.growth {
        return grow(arguments);
    }
    let name = match &arguments.module.module {
        None => "spillway".into(),
        Some(path) => file_name(path),
    };
    let policy = match &arguments.policy {
        Some(path) => read_file(path)?,
        None if name.starts_with("spillway") => DEFAULT_POLICY.as_bytes().to_vec(),
        None => Vec::new(),
    };
    let mut rows = vec![(
        "no filter".to_owned(),
        measure(None, &[], arguments.requests)?,
    )];
    if let Some(path) = &arguments.empty {
        let module = load(path)?;
        rows.push((
            "empty filter".into(),
            measure(Some(&module), &[], arguments.requests)?,
        ));
    }
    let module = arguments.module.load(None)?;
    rows.push((name, measure(Some(&module), &policy, arguments.requests)?));
    print(&match arguments.json {
        true => json::text(&json::named(&rows)),
        false => table(&rows),
    })
}

fn grow(arguments: &Arguments) -> Result<(), Failure> {
    let mut modules = vec![("spillway", arguments.module.load(None)?)];
    if let Some(path) = &arguments.lite {
        modules.push(("lite", load(path)?));
    }
    growth::run(&modules, arguments.json, arguments.write.as_deref())
}

/// Returns the name of a module's file without its extension.
fn file_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Measures the average cost of a request with `module` and `policy`, over `requests`.
///
/// # Errors
///
/// If the module or the policy does not load.
pub fn measure(module: Option<&Module>, policy: &[u8], requests: u64) -> Result<Cost, PlayError> {
    let warm = Measured::of(module, policy, WARM_UP)?;
    let all = Measured::of(module, policy, WARM_UP + requests.max(1))?;
    let each = |all: u64, warm: u64| (all - warm) as f64 / requests.max(1) as f64;
    let by_name = |all: &BTreeMap<String, u64>, warm: &BTreeMap<String, u64>| {
        let of = |(name, count): (&String, &u64)| {
            let before = warm.get(name).copied().unwrap_or(0);
            (name.clone(), each(*count, before.min(*count)))
        };
        let costs = all.iter().map(of);
        costs.filter(|(_, each)| *each > 0.0).collect()
    };
    Ok(Cost {
        fuel: each(all.fuel, warm.fuel.min(all.fuel)),
        fuel_by_callback: by_name(&all.fuel_by_callback, &warm.fuel_by_callback),
        hostcalls: by_name(&all.hostcalls, &warm.hostcalls),
        callbacks: by_name(&all.callbacks, &warm.callbacks),
        us: all.us / (WARM_UP + requests) as f64,
    })
}

/// Totals of a run.
struct Measured {
    fuel: u64,
    fuel_by_callback: BTreeMap<String, u64>,
    hostcalls: BTreeMap<String, u64>,
    callbacks: BTreeMap<String, u64>,
    us: f64,
}

impl Measured {
    fn of(module: Option<&Module>, policy: &[u8], requests: u64) -> Result<Measured, PlayError> {
        let plugin = module.map(|module| Plugin {
            failure_policy: FailurePolicy::Closed,
            ..Plugin::new(module.clone(), policy)
        });
        let host = Host::start(
            Setup {
                plugin,
                ..Setup::default()
            },
            Time::ZERO,
        )?;
        let mut world = World::new(steady(requests), host)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the command reports how long it took"
        )]
        let began = Instant::now();
        let stopped = |stopped: Stopped| PlayError::Stopped {
            at: stopped.at,
            why: stopped.why,
        };
        world.run(&mut Ignore).map_err(stopped)?;
        let counts = world.host.counts();
        let hostcalls = counts
            .hostcalls()
            .map(|(it, count)| (it.name().to_owned(), count));
        let callbacks = counts
            .callbacks()
            .map(|(it, count)| (it.name().to_owned(), count));
        let fuel = counts
            .callbacks()
            .map(|(it, _)| (it.name().to_owned(), counts.fuel_of(it)));
        Ok(Measured {
            fuel: counts.fuel(),
            fuel_by_callback: fuel.collect(),
            hostcalls: hostcalls.collect(),
            callbacks: callbacks.collect(),
            us: began.elapsed().as_secs_f64() * 1e6,
        })
    }
}

/// Returns a plan of `requests`, a thousand per second, to a healthy service.
fn steady(requests: u64) -> Plan {
    const RATE: u64 = 1_000;
    Plan {
        seed: 1,
        workers: 1,
        // Half an interval more, since each arrival is at the end of its interval.
        duration: Span::from_ns(requests * 1_000_000_000 / RATE + 500_000),
        clusters: vec![("upstream".into(), Cluster::default())],
        routes: vec![Route {
            name: "default".into(),
            cluster: Some("upstream".into()),
            ..Route::default()
        }],
        traffic: vec![Traffic {
            rate: Some(RATE as f64),
            arrivals: Arrivals::Constant,
            ..Traffic::default()
        }],
        ..Plan::default()
    }
}

struct Ignore;

impl Observer for Ignore {
    fn mark(&mut self, _: usize, _: &World) {}
    fn progress(&mut self, _: Time) {}
}

fn table(rows: &[(String, Cost)]) -> String {
    let mut text = format!("{:<44}", "per request");
    // Writing to a string cannot fail.
    for (name, _) in rows {
        let _ = write!(text, "{name:>14}");
    }
    let mut line = |name: &str, value: &dyn Fn(&Cost) -> f64| {
        let _ = write!(text, "\n{name:<44}");
        for (_, cost) in rows {
            let _ = write!(text, "{:>14}", number(value(cost)));
        }
    };
    line("time in us, with the simulated world", &|it| it.us);
    // `sum` of no values is -0.0.
    let all = |costs: &BTreeMap<String, f64>| costs.values().fold(0.0, |all, it| all + it);
    let parts: [(&str, Part); 3] = [
        ("fuel (wasm instructions)", |it| &it.fuel_by_callback),
        ("callbacks", |it| &it.callbacks),
        ("hostcalls", |it| &it.hostcalls),
    ];
    for (title, of) in parts {
        line(title, &|it| all(of(it)));
        for name in names(rows, of) {
            line(&format!("  {name}"), &|it| {
                of(it).get(&name).copied().unwrap_or(0.0)
            });
        }
    }
    text.push('\n');
    text
}

fn names(rows: &[(String, Cost)], of: impl Fn(&Cost) -> &BTreeMap<String, f64>) -> Vec<String> {
    let mut names: Vec<_> = rows
        .iter()
        .flat_map(|(_, cost)| of(cost).keys().cloned())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
