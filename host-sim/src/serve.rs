//! A proxy in real time, with the plugin in it: real clients, real connections, one upstream.
//!
//! [`crate::proxy::Host`] and the rules of [`crate::model`] are those of the simulator. What is
//! here drives them: one thread owns the host and runs all tasks, so nothing needs a lock.

mod callouts;
mod clock;
mod connections;
mod engine;
mod exchange;
mod messages;
mod operators;
mod pipe;
mod reload;
mod site;
mod upstream;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::{LocalSet, spawn_local};

use crate::proxy::{Halt, Host, Listener, LogLevel, Plugin, Setup, StartError};
use crate::sim::clock::Time;
use clock::Clock;
use connections::{Connections, Kind};
use engine::{Engine, print};
use site::{Site, UPSTREAM};

pub(crate) use upstream::Upstream;

/// What to serve.
pub(crate) struct Options {
    pub plugin: Plugin,
    /// The module's file.
    pub module: PathBuf,
    /// The configuration's file. `None` if there is no configuration.
    pub configuration: Option<PathBuf>,
    /// Whether the plugin may have an operators' page.
    pub has_operators: bool,
    pub upstream: Upstream,
    /// Further clusters that the plugin may call, by name.
    pub clusters: Vec<(String, Upstream)>,
    pub listen: SocketAddr,
    pub operators: SocketAddr,
    pub workers: usize,
    pub log_level: LogLevel,
}

/// Why the proxy does not start, or stops.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// The plugin refuses its configuration.
    Refused(String),
    /// An address cannot be used.
    Address(SocketAddr, io::Error),
    /// The system refuses something else.
    System(io::Error),
    /// What comes next would not be what Envoy does.
    Halted(Halt),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Refused(why) => write!(f, "the plugin refuses its configuration: {why}"),
            ServeError::Address(address, why) => write!(f, "cannot listen on {address}: {why}"),
            ServeError::System(why) => write!(f, "cannot serve: {why}"),
            ServeError::Halted(halt) => halt.fmt(f),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<io::Error> for ServeError {
    fn from(error: io::Error) -> ServeError {
        ServeError::System(error)
    }
}

/// Serves until SIGINT or SIGTERM. Calls `ready` with the addresses of the traffic and of the
/// operators once both are open.
///
/// # Errors
///
/// If an address cannot be used, or the plugin cannot.
pub(crate) fn run(
    options: Options,
    ready: impl FnOnce(SocketAddr, SocketAddr) -> io::Result<()>,
) -> Result<(), ServeError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let served = LocalSet::new().block_on(&runtime, serve(options, ready));
    // A name lookup must not delay the end.
    runtime.shutdown_background();
    served
}

async fn serve(
    options: Options,
    ready: impl FnOnce(SocketAddr, SocketAddr) -> io::Result<()>,
) -> Result<(), ServeError> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let traffic = bind(options.listen).await?;
    let operators = bind(options.operators).await?;
    let upstream = Rc::new(options.upstream);
    let mut clusters: HashMap<_, _> = options
        .clusters
        .into_iter()
        .map(|(name, upstream)| (name, Rc::new(upstream)))
        .collect();
    clusters.insert(UPSTREAM.into(), upstream.clone());
    let seed = Clock::wall_ns();
    let setup = Setup {
        plugin: Some(options.plugin.clone()),
        workers: options.workers,
        seed,
        wall_start_ns: seed,
        log_level: options.log_level,
        clusters: clusters.keys().cloned().collect(),
        ..Setup::default()
    };
    let clock = Clock::start();
    let mut host = start(setup)?;
    let page = operators::plugin(&options.plugin, options.has_operators);
    let page = page.and_then(|plugin| operators::listen(&mut host, plugin));
    let (calls, effects) = unbounded_channel();
    let engine = Engine::new(host, clock, calls);
    let site = Site::new(&engine, Listener::default(), Some(upstream), seed);
    let operators_site = Site::new(&engine, page.unwrap_or_default(), None, seed);
    let reloads = reload::Reloads {
        plugin: options.plugin,
        module: options.module,
        configuration: options.configuration,
        site: site.clone(),
        operators: page.map(|_| operators_site.clone()),
    };
    spawn_local(callouts::run(engine.clone(), clusters, effects));
    spawn_local(engine.clone().run_timers());
    spawn_local(reloads.run());
    ready(traffic.local_addr()?, operators.local_addr()?)?;
    let connections = Connections::default();
    let kind = match page {
        Some(_) => Kind::Operators,
        None => Kind::NoPage,
    };
    spawn_local(connections.accept(traffic, site, Kind::Traffic));
    spawn_local(connections.accept(operators, operators_site, kind));
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
        halt = engine.halted() => return Err(ServeError::Halted(halt)),
    }
    connections.end().await;
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| ServeError::Address(address, error))
}

fn start(setup: Setup) -> Result<Host, ServeError> {
    let mut log = Vec::new();
    let started = Host::start_with_log(setup, Time::ZERO, &mut log);
    print(&log);
    started.map_err(|error| match error {
        StartError::Halt(halt) => ServeError::Halted(halt),
        error => ServeError::Refused(error.to_string()),
    })
}
