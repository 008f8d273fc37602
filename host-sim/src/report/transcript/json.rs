//! A plugin test as JSON. Its schema is derived from these types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::headers::HeaderMap;
use crate::proxy::Status;
use crate::report::json::text;
use crate::trial::transcript::{self, Inside, StepTranscript, Transcript, What};

/// What happened in a plugin test.
#[derive(Serialize, JsonSchema)]
pub struct Document {
    /// Plugins, from the client to the upstream.
    plugins: Vec<String>,
    /// What they did while they started.
    start: Vec<Entry>,
    requests: Vec<Step>,
    /// Why it ended early. Missing if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_early: Option<String>,
}

/// A request, or only time that passed.
#[derive(Serialize, JsonSchema)]
struct Step {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Message>,
    events: Vec<Entry>,
    callouts: Vec<Callout>,
    /// What the upstream got.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<Message>,
    /// What the client got.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response>,
    /// Counters, gauges and sums of histograms.
    metrics: BTreeMap<String, i64>,
}

/// What happened at a time.
#[derive(Serialize, JsonSchema)]
struct Entry {
    /// Seconds since the start.
    at: f64,
    #[serde(flatten)]
    event: Event,
}

#[derive(Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Callback {
        plugin: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        worker: Option<usize>,
        callback: String,
        arguments: BTreeMap<String, u32>,
        /// Missing if it trapped.
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<String>,
        inside: Vec<Inner>,
    },
    Log {
        plugin: usize,
        level: String,
        text: String,
    },
    Configured {
        plugin: usize,
        /// Why the plugin goes on with the old configuration. Missing if it accepts the new one.
        #[serde(skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    Upstream,
    UpstreamAnswer {
        answer: String,
    },
    Callout {
        /// Index in `callouts`.
        callout: usize,
    },
    CalloutAnswer {
        cluster: String,
        answer: String,
    },
    ClientDone {
        status: String,
    },
}

#[derive(Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Inner {
    Hostcall {
        hostcall: String,
        arguments: BTreeMap<String, String>,
        results: BTreeMap<String, String>,
        status: i32,
        #[serde(skip_serializing_if = "Option::is_none")]
        status_name: Option<String>,
    },
    Log {
        level: String,
        text: String,
    },
}

#[derive(Serialize, JsonSchema)]
struct Message {
    /// Names and values, in order.
    headers: Vec<(String, String)>,
    /// Missing if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// The body as hexadecimal digits, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_hex: Option<String>,
    trailers: Vec<(String, String)>,
    /// How it differs from what its headers announce, such as a wrong `content-length`.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Callout {
    plugin: usize,
    cluster: String,
    request: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// The answer, if it came whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Message>,
}

#[derive(Serialize, JsonSchema)]
struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(flatten)]
    message: Message,
    reset: bool,
    /// Whether the client has no whole response: it was reset, or it cannot be read.
    broken: bool,
    /// `%RESPONSE_CODE_DETAILS%`
    details: String,
}

/// Returns a transcript as a JSON document.
pub fn report(transcript: &Transcript) -> String {
    text(&Document {
        plugins: transcript.plugins.clone(),
        start: transcript.start.iter().map(entry).collect(),
        requests: transcript.steps.iter().map(step).collect(),
        ended_early: transcript.ending.as_ref().map(ToString::to_string),
    })
}

/// Returns the JSON Schema of [`report`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).to_value()
}

fn step(step: &StepTranscript) -> Step {
    let client = &step.client;
    let response = step.request.as_ref().map(|_| {
        let response = client.response.clone().unwrap_or_default();
        Response {
            status: response.status(),
            message: message(&response),
            reset: client.reset,
            broken: client.is_broken(),
            details: client.details.clone(),
        }
    });
    Step {
        name: step.name.clone(),
        request: step.request.as_ref().map(message),
        events: step.entries.iter().map(entry).collect(),
        callouts: step.callouts.iter().map(callout).collect(),
        upstream: step.upstream.last().map(message),
        response,
        metrics: step.metrics.iter().cloned().collect(),
    }
}

fn callout(callout: &transcript::Callout) -> Callout {
    Callout {
        plugin: callout.plugin,
        cluster: callout.cluster.clone(),
        request: message(&callout.request),
        answer: callout.answer.clone(),
        response: callout.response.as_ref().map(message),
    }
}

fn message(message: &transcript::Message) -> Message {
    let text = std::str::from_utf8(&message.body).ok();
    let hex = || {
        message
            .body
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    Message {
        headers: pairs(&message.headers),
        body: text.map(Into::into),
        body_hex: text.is_none().then(hex),
        trailers: pairs(&message.trailers),
        warning: message.fault.as_ref().map(ToString::to_string),
    }
}

fn pairs(map: &HeaderMap) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    map.iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

fn entry(entry: &transcript::Entry) -> Entry {
    Entry {
        at: entry.at.as_ns() as f64 / 1e9,
        event: event(&entry.what),
    }
}

fn event(what: &What) -> Event {
    match what.clone() {
        What::Callback {
            plugin,
            worker,
            callback,
            arguments,
            result,
            inside,
        } => {
            let arguments = arguments
                .into_iter()
                .map(|(name, word)| (name.into(), word));
            Event::Callback {
                plugin,
                worker,
                callback: callback.name().into(),
                arguments: arguments.collect(),
                result,
                inside: inside.into_iter().map(inner).collect(),
            }
        }
        What::Line {
            plugin,
            level,
            text,
        } => Event::Log {
            plugin,
            level: level.name().into(),
            text,
        },
        What::Configured { plugin, refused } => Event::Configured { plugin, refused },
        What::Upstream => Event::Upstream,
        What::UpstreamAnswer(answer) => Event::UpstreamAnswer { answer },
        What::Callout(callout) => Event::Callout { callout },
        What::CalloutAnswer { cluster, answer } => Event::CalloutAnswer { cluster, answer },
        What::ClientDone(status) => Event::ClientDone { status },
    }
}

fn inner(inside: Inside) -> Inner {
    let named = |list: Vec<(&str, String)>| {
        let owned = list.into_iter().map(|(name, value)| (name.into(), value));
        owned.collect()
    };
    match inside {
        Inside::Hostcall(call) => Inner::Hostcall {
            hostcall: call.name.into(),
            arguments: named(call.arguments),
            results: named(call.results),
            status: call.status,
            status_name: Status::name(call.status).map(Into::into),
        },
        Inside::Line { level, text } => Inner::Log {
            level: level.name().into(),
            text,
        },
    }
}
