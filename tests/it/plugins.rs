//! Plays the tests of small plugins in a real Envoy, which `host-sim test` plays in the simulator.
//!
//! The same file, the same mocks and the same expectations: what an author sees in the simulator
//! is what Envoy does, except for the fields in [`fields::SIMULATED`], and that time passes.

mod client;
mod cluster;
mod fields;
mod setting;

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use host_sim::headers::HeaderMap;
use host_sim::proxy::LogLevel;
use host_sim::trial::file::{Expect, LineForms, WantedLine};
use host_sim::trial::transcript::{Client, Entry, Message, StepTranscript, What};
use host_sim::trial::{Step, Trial, Update, expect};
use http::{HeaderName, HeaderValue};
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use regex::Regex;
use spillway_tests::{Envoy, envoy, places};
use tokio::time::{Instant, sleep};

use cluster::Mocked;

/// How long calls and log lines may come after the response.
const SETTLING: Duration = Duration::from_secs(5);

/// How long what must not happen has time to happen.
const QUIET: Duration = Duration::from_millis(200);

#[tokio::test]
async fn the_tests_of_small_plugins_hold_in_envoy() {
    let folder = places::root().join("tests/plugins");
    let files = fs::read_dir(folder)
        .expect("a folder")
        .map(|it| it.expect("an entry").path());
    let mut files: Vec<_> = files
        .filter(|it| it.extension().is_some_and(|it| it == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() > 20, "{files:?}");
    let mut misses = Vec::new();
    for file in files {
        misses.extend(play(&file).await);
    }
    assert!(misses.is_empty(), "\n{}", misses.join("\n"));
}

/// Plays one file. Returns what does not hold.
async fn play(file: &Path) -> Vec<String> {
    let trial = Trial::read(file).expect("a plugin test");
    let clusters = Mocked::start(&trial).await;
    let envoy = setting::of(&trial, &clusters).start().await;
    let mut player = Player {
        envoy,
        clusters,
        trial: trial.clone(),
        is_http2: trial.steps.iter().any(has_trailers),
        lines: 0,
    };
    let mut misses = Vec::new();
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    for (at, step) in trial.steps.iter().enumerate() {
        let of_step = player.step(step).await.into_iter();
        misses.extend(of_step.map(|miss| format!("{name}: requests[{at}]: {miss}")));
    }
    misses
}

/// Trailers need HTTP/2, and a wrong length needs HTTP/1.1.
fn has_trailers(step: &Step) -> bool {
    let request = step.request.as_ref();
    request.is_some_and(|it| !it.trailers.is_empty()) || !step.expect.trailers.is_empty()
}

struct Player {
    envoy: Envoy,
    clusters: Mocked,
    /// With the configurations that are in use.
    trial: Trial,
    is_http2: bool,
    /// Number of lines of the log that earlier steps have seen.
    lines: usize,
}

impl Player {
    /// Plays a step, and waits for calls and lines that come after the response.
    async fn step(&mut self, step: &Step) -> Vec<expect::Miss> {
        sleep(Duration::from_nanos(step.wait.as_ns())).await;
        let refused = match &step.update {
            Some(update) => self.update(update).await,
            None => None,
        };
        let client = match &step.request {
            Some(request) => client::send(self.envoy.address(), request, self.is_http2).await,
            None => Client::default(),
        };
        let expect = Expect {
            // An HTTP client does not show the bytes that follow the end of a message.
            fits: None,
            ..step.expect.clone()
        };
        let until = Instant::now() + SETTLING;
        let mut has_settled = !may_be_exceeded(&expect);
        loop {
            let (mut seen, lines) = self.seen(client.clone(), step).await;
            seen.refused = refused.clone();
            let misses = expect::judge(&expect, &seen);
            if misses.is_empty() && !has_settled {
                has_settled = true;
                sleep(QUIET).await;
                continue;
            }
            if misses.is_empty() || Instant::now() > until {
                self.lines = lines;
                self.clusters.forget();
                return misses;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Gives Envoy a new configuration. Returns why it is refused, if it is.
    async fn update(&mut self, update: &Update) -> Option<String> {
        let mut trial = self.trial.clone();
        trial.plugins[update.plugin].configuration = update.configuration.clone();
        let setting = setting::of(&trial, &self.clusters);
        match self.envoy.update(|_old| setting).await {
            envoy::Update::Refused => Some("Envoy refused it".into()),
            envoy::Update::Accepted => {
                self.trial = trial;
                None
            }
        }
    }

    /// Returns what has happened in a step so far, and the number of lines of the log.
    async fn seen(&self, client: Client, step: &Step) -> (StepTranscript, usize) {
        let log = self.envoy.log();
        let lines: Vec<_> = log.lines().skip(self.lines).collect();
        let mut metrics = Vec::new();
        for name in step.expect.metrics.keys() {
            let value = self.envoy.stat(&format!("wasmcustom.{name}")).await;
            metrics.push((name.clone(), value.cast_signed()));
        }
        let seen = StepTranscript {
            entries: lines.iter().filter_map(|line| entry(line)).collect(),
            upstream: self.clusters.upstream(),
            callouts: self.clusters.callouts(),
            client,
            metrics,
            ..StepTranscript::default()
        };
        (seen, self.lines + lines.len())
    }
}

/// Whether more lines or requests can break what holds at first.
fn may_be_exceeded(expect: &Expect) -> bool {
    let is_absent =
        |line: &WantedLine| matches!(line, WantedLine::Rule(LineForms { absent: true, .. }));
    let upstream = expect.upstream.as_ref();
    expect.log.iter().any(is_absent)
        || upstream.is_some_and(|it| it.requests.is_some())
        || expect.callouts.is_some()
}

/// A line of Envoy's log with the level and the text that a plugin has logged.
static LOGGED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\]\[(\w+)\]\[wasm\].*? wasm log[^:]*: (.*)$").expect("a valid pattern")
});

/// Reads a line of Envoy's log that a plugin has logged.
fn entry(line: &str) -> Option<Entry> {
    let found = LOGGED.captures(line)?;
    let level = match &found[1] {
        "trace" => LogLevel::Trace,
        "debug" => LogLevel::Debug,
        "info" => LogLevel::Info,
        "warning" => LogLevel::Warn,
        "error" => LogLevel::Error,
        _ => LogLevel::Critical,
    };
    Some(Entry {
        at: Default::default(),
        what: What::Line {
            plugin: 0,
            level,
            text: found[2].to_owned(),
        },
    })
}

type Body = BoxBody<Bytes, Infallible>;

/// Time between two pieces of a body, long enough for Envoy to read them one by one.
const BETWEEN: Duration = Duration::from_millis(50);

/// Returns a body that is sent piece by piece, with its trailers.
fn body<'a>(pieces: Vec<Bytes>, trailers: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Body {
    let header = |(name, value)| {
        let name = HeaderName::from_bytes(name).expect("a name");
        (name, HeaderValue::from_bytes(value).expect("a value"))
    };
    let trailers: http::HeaderMap = trailers.map(header).collect();
    if pieces.is_empty() && trailers.is_empty() {
        return Empty::new().boxed();
    }
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    tokio::spawn(async move {
        for (at, piece) in pieces.into_iter().enumerate() {
            if at > 0 {
                sleep(BETWEEN).await;
            }
            sender.send_data(piece).await?;
        }
        match trailers.is_empty() {
            true => Ok(()),
            false => sender.send_trailers(trailers).await,
        }
    });
    body.boxed()
}

/// Returns headers as the simulator has them.
fn map(headers: &http::HeaderMap) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

/// Returns a message with pseudo-headers in front.
fn message(pseudo: &[(&str, &str)], headers: &http::HeaderMap) -> Message {
    let mut all: HeaderMap = pseudo.iter().copied().collect();
    for (name, value) in headers {
        all.add(name.as_str().as_bytes(), value.as_bytes());
    }
    Message {
        headers: all,
        ..Message::default()
    }
}
