//! Runs the rows as plugin tests.

use std::fs;
use std::path::Path;

use host_sim::proxy::{Module, Part};
use host_sim::trial::file::File;
use host_sim::trial::transcript::{Message, StepTranscript};
use host_sim::trial::{Trial, play};
use serde_json::{Value, json};
use spillway_tests::places;

use super::rows::{AUTHORITY, Row, TARGET};
use super::sim::got;
use super::view::{View, request_line};

/// Runs the rows one after another, each as a plugin test.
pub(super) fn run(rows: &[Row]) -> Vec<View> {
    let bytes = fs::read(places::witness()).expect("the witness");
    let module = Module::from_bytes(&bytes).expect("a module");
    rows.iter().map(|row| view(row, &module)).collect()
}

fn view(row: &Row, module: &Module) -> View {
    let file: File = serde_json::from_value(file(row)).expect("the format of plugin tests");
    let trial = Trial::of(file, Path::new(""), "").expect("a plugin test");
    let transcript = play(&trial, std::slice::from_ref(module));
    assert_eq!(transcript.ending, None, "{}", row.name);
    let step = &transcript.steps[0];
    let prefix = format!("witness {} ", row.name);
    let log = step.entries.iter().flat_map(|entry| entry.lines());
    let log = log.filter_map(|(_, line)| {
        let at = line.find(&prefix)?;
        Some(line[at + prefix.len()..].trim_end().to_owned())
    });
    View {
        row: row.name.to_owned(),
        log: log.collect(),
        upstream: upstream(step),
        upstream_body: None,
        client: got(&parts(step), step.client.reset),
    }
}

/// The plugin test of a row.
fn file(row: &Row) -> Value {
    assert!(row.upstream.is_empty() && !row.leaves && !row.unfinished);
    let given = [
        ("x-row", row.name),
        ("x-witness", row.probe),
        ("x-script", ".."),
    ];
    let host = if row.target == TARGET { AUTHORITY } else { "h" };
    let host = [("host", host)];
    let headers = host.iter().chain(&given).chain(row.headers);
    let headers: Vec<String> = headers
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let mut request = json!({"method": row.method, "path": row.target, "headers": headers});
    if !row.body.is_empty() {
        request["body"] = json!(row.body);
    }
    json!({
        "plugin": {"module": places::witness(), "name": "spillway", "vm_id": "witness"},
        "mocks": [
            {"cluster": "http2", "answer": {"messages": ["ok"]}},
            {"cluster": "other", "answer": {}},
            {"answer": {"body": ".."}},
        ],
        "requests": [request],
    })
}

/// The requests that reached the upstream and called services. A call that is not written reaches
/// nobody.
fn upstream(step: &StepTranscript) -> Vec<String> {
    let line = |message: &Message| {
        let text = |name| message.headers.text(name).unwrap_or_default();
        let headers = message.headers.iter();
        let headers = headers.filter_map(|(name, value)| Some((str::from_utf8(name).ok()?, value)));
        request_line(
            [text(":method"), text(":authority"), text(":path")],
            headers,
        )
    };
    let written = |text: &str| !text.chars().any(char::is_control);
    let calls = step.callouts.iter().map(|call| line(&call.request));
    calls
        .filter(|line| written(line))
        .chain(step.upstream.iter().map(line))
        .collect()
}

fn parts(step: &StepTranscript) -> Vec<Part> {
    let response = step.client.response.iter();
    let parts = response.flat_map(|response| {
        let (map, data) = (response.headers.clone(), response.body.clone());
        [
            Part::Headers { map, end: false },
            Part::Body { data, end: true },
        ]
    });
    parts.collect()
}
