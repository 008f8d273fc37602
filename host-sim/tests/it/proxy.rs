//! A host with a guest, and functions to drive it and to print its effects.

use std::env;
use std::path::Path;

use bytes::Bytes;
use host_sim::headers::HeaderMap;
use host_sim::proxy::module::{LoadError, Module};
use host_sim::proxy::stream::info::{RouteInfo, StreamInfo};
use host_sim::proxy::{
    CallId, CallOutcome, ClusterState, Effect, Host, Part, Plugin, Setup, StartError, StreamId,
};
use host_sim::sim::clock::Time;
use spillway_core::policy::Config;

/// A proxy under test.
pub(crate) struct Proxy {
    pub host: Host,
    /// Calls without a response yet, oldest first.
    pub calls: Vec<CallId>,
}

/// Loads a module that was built for wasm.
pub(crate) fn built(name: &str) -> Module {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let path = root
        .join(target)
        .join("wasm32-wasip1/release")
        .join(format!("{name}.wasm"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}: run `make wasm guests`", path.display());
    });
    Module::from_bytes(&bytes).unwrap()
}

/// Returns Spillway with this policy: the full module, or, with `SPILLWAY_LITE=1` in the
/// environment, the lite one if it takes the policy.
pub(crate) fn spillway(policy: impl AsRef<str>) -> Plugin {
    let policy = policy.as_ref();
    Plugin::new(spillway_module(policy.as_bytes()), policy)
}

/// Returns the module that [`spillway`] takes for this policy.
pub(crate) fn spillway_module(policy: &[u8]) -> Module {
    let fits = |config: Config| config.beyond_lite().is_empty();
    let is_lite = env::var_os("SPILLWAY_LITE").is_some_and(|value| value == "1");
    let suits = is_lite && Config::parse(policy).is_ok_and(fits);
    built(if suits { "spillway-lite" } else { "spillway" })
}

/// Loads a guest of `tests/guests` that is written as text.
pub(crate) fn text_guest(name: &str) -> Result<Module, LoadError> {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("tests/guests");
    let text = std::fs::read_to_string(guests.join(format!("{name}.wat"))).unwrap();
    text_module(&text)
}

/// Loads a guest from its text.
pub(crate) fn text_module(text: &str) -> Result<Module, LoadError> {
    Module::from_bytes(&wat::parse_str(text).unwrap())
}

/// Starts the probe with a script: see `tests/guests/probe/src/script.rs`.
pub(crate) fn probe(script: &str) -> Proxy {
    Proxy::start(Plugin::new(built("probe"), script), 1).unwrap()
}

pub(crate) fn headers(end: bool, pairs: &[(&str, &str)]) -> Part {
    Part::Headers {
        map: pairs.iter().copied().collect(),
        end,
    }
}

pub(crate) fn body(text: &'static str, end: bool) -> Part {
    Part::Body {
        data: Bytes::from_static(text.as_bytes()),
        end,
    }
}

pub(crate) fn trailers(pairs: &[(&str, &str)]) -> Part {
    Part::Trailers {
        map: pairs.iter().copied().collect(),
    }
}

pub(crate) const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":path", "/x"),
    (":scheme", "http"),
    (":authority", "site"),
];

pub(crate) const OK: [(&str, &str); 2] = [(":status", "200"), ("server", "up")];

impl Proxy {
    pub(crate) fn start(plugin: Plugin, workers: usize) -> Result<Proxy, StartError> {
        let setup = Setup {
            plugin: Some(plugin),
            workers,
            seed: 7,
            ..Setup::default()
        };
        let mut host = Host::start(setup, Time::ZERO)?;
        host.cluster("up", ClusterState::Ready);
        host.cluster("vacant", ClusterState::Refusing);
        Ok(Proxy {
            host,
            calls: Vec::new(),
        })
    }

    /// Opens a stream on a worker.
    pub(crate) fn open_on(&mut self, worker: usize) -> StreamId {
        let route = RouteInfo {
            name: "r".into(),
            cluster: "up".into(),
            virtual_host: "v".into(),
        };
        let info = StreamInfo {
            worker,
            connection_id: 9,
            route: Some(route.into()),
            downstream_address: Some("10.0.0.1:4444".into()),
            ..StreamInfo::default()
        };
        self.host.open(info)
    }

    /// Opens a stream whose request is `GET /x` without a body.
    pub(crate) fn get(&mut self) -> StreamId {
        let stream = self.open_on(0);
        self.host.request(stream, headers(true, &GET));
        stream
    }

    /// Does the same, with a script for this stream.
    pub(crate) fn get_with(&mut self, script: &str) -> StreamId {
        let stream = self.open_on(0);
        let pairs = [&GET[..], &[("x-probe", script)]].concat();
        self.host.request(stream, headers(true, &pairs));
        stream
    }

    /// Sends an upstream's response without a body.
    pub(crate) fn respond(&mut self, stream: StreamId) {
        self.host.response(stream, headers(true, &OK));
    }

    /// Advances to a time in milliseconds and runs all timers that are due on the way.
    pub(crate) fn run_to(&mut self, ms: u64) {
        let end = Time::from_ms(ms);
        while let Some(at) = self.host.next_timer().filter(|at| *at <= end) {
            self.host.advance_to(at);
            self.host.run_timers();
        }
        self.host.advance_to(end);
    }

    /// Completes the oldest pending call.
    pub(crate) fn answer_call(&mut self, outcome: CallOutcome) {
        let call = self.calls.remove(0);
        self.host.answer_call(call, outcome);
    }

    /// Takes the effects of the host, one line each.
    pub(crate) fn effects(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(effect) = self.host.next_effect() {
            if let Effect::Call(call) = &effect {
                self.calls.push(call.call);
            }
            seen.push(short(&effect));
        }
        seen
    }

    /// Takes the lines that the probe has logged, without its name.
    pub(crate) fn trace(&mut self) -> Vec<String> {
        let lines = self.host.take_log();
        let traced = |text: String| text.strip_prefix("probe: ").map(str::to_owned);
        lines
            .into_iter()
            .filter_map(|line| traced(line.text))
            .collect()
    }

    /// Takes the results of actions only, without their context.
    pub(crate) fn results(&mut self) -> Vec<String> {
        let trace = self.trace();
        let results = trace.iter().filter(|line| line.contains(" -> "));
        results
            .filter_map(|line| Some(line.split_once(' ')?.1.to_owned()))
            .collect()
    }

    /// Takes all lines of the log.
    pub(crate) fn log(&mut self) -> Vec<String> {
        self.host
            .take_log()
            .into_iter()
            .map(|line| line.text)
            .collect()
    }
}

pub(crate) fn response(status: &str, text: &'static str) -> CallOutcome {
    CallOutcome::Response {
        headers: HeaderMap::from([(":status", status)]),
        body: Bytes::from_static(text.as_bytes()),
        trailers: HeaderMap::default(),
    }
}

fn short(effect: &Effect) -> String {
    match effect {
        Effect::ToUpstream { part, rerouted, .. } => {
            format!(
                "up: {}{}",
                short_part(part),
                if *rerouted { " rerouted" } else { "" }
            )
        }
        Effect::ToClient { part, .. } => format!("client: {}", short_part(part)),
        Effect::CancelUpstream { .. } => "cancel upstream".into(),
        Effect::ResetClient { details, .. } => format!("reset: {details}"),
        Effect::Call(call) => {
            let path = call.headers.text(":path").unwrap_or_default();
            format!("call: {:?} {} {path}", call.kind, call.cluster)
        }
        Effect::SendMessage { end, .. } => format!("message: end {end}"),
        Effect::CancelCall { .. } => "cancel call".into(),
    }
}

fn short_part(part: &Part) -> String {
    let end = if part.is_end() { "." } else { "" };
    match part {
        Part::Headers { map, .. } => {
            let hidden = [":method", ":scheme", ":authority", "x-probe"];
            let shown = map
                .iter()
                .filter(|(name, _)| !hidden.iter().any(|hidden| hidden.as_bytes() == *name));
            let text = |(name, value)| {
                let [name, value] = [name, value].map(String::from_utf8_lossy);
                format!("{name}={value}")
            };
            format!("{}{end}", shown.map(text).collect::<Vec<_>>().join(" "))
        }
        Part::Body { data, .. } => format!("'{}'{end}", String::from_utf8_lossy(data)),
        Part::Trailers { map } => format!("{} trailers{end}", map.len()),
    }
}
