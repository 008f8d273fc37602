//! From the format of plugin tests to plain data. Everything that makes no sense is reported.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use serde_json::Value;

use super::file::{self, File, Pairs, PluginList};
use super::mock::{Answer, Grpc, Mock};
use super::spec::{Request, Step, Trial, UPSTREAM, Update};
use super::target::Target;
use super::{expect, property};
use crate::headers::HeaderMap;
use crate::proxy::{BUFFER_LIMIT_BYTES, LogLevel, Status, not_modelled};
use crate::scenario::{PluginSpec, Report, content};

/// Each worker is a VM per plugin.
const WORKERS_MAX: u32 = 64;
const CHUNKS_MAX: usize = 1_000;
const STATUSES: std::ops::RangeInclusive<u16> = 200..=599;

/// The host of a request that names none.
const AUTHORITY: &str = "localhost";

/// Reads values that may name files, and reports problems.
struct Reader<'a> {
    folder: &'a Path,
    report: Report<'a>,
}

/// Checks and converts a file. Whatever is reported has a placeholder in the result.
pub(super) fn compile(file: File, folder: &Path, report: Report<'_>) -> Trial {
    let mut reader = Reader { folder, report };
    if file.plugin.is_some() && !file.plugins.is_empty() {
        reader.report("plugins", "cannot be combined with plugin".into());
    }
    let workers = file.workers.unwrap_or(1);
    if !(1..=WORKERS_MAX).contains(&workers) {
        reader.report(
            "workers",
            format!("is {workers}, allowed 1 to {WORKERS_MAX}"),
        );
    }
    if file.requests.is_empty() {
        reader.report("requests", "is empty; a plugin test needs a request".into());
    }
    let mocks = file.mocks.iter().enumerate();
    let mocks = mocks.map(|(at, mock)| reader.mock(mock, &format!("mocks[{at}]")));
    let mocks = mocks.collect();
    let count = file.plugins.len().max(1);
    let steps = file.requests.iter().enumerate();
    let steps = steps.map(|(at, step)| {
        let path = format!("requests[{at}]");
        reader.step(step, (workers, count), &path)
    });
    Trial {
        steps: steps.collect(),
        mocks,
        wall_start_ns: reader.start(file.start.as_deref()),
        properties: reader.properties(&file),
        stubs: reader.stubs(&file),
        per_connection_buffer_limit_bytes: file
            .per_connection_buffer_limit_bytes
            .unwrap_or(BUFFER_LIMIT_BYTES),
        log_level: file.log_level.map_or(LogLevel::Trace, Into::into),
        workers: workers as usize,
        seed: file.seed.unwrap_or(1),
        plugins: reader.plugins(file.plugin_list()),
    }
}

impl Reader<'_> {
    fn report(&mut self, path: &str, what: String) {
        (self.report)(path.to_owned(), what);
    }

    fn plugins(&mut self, list: PluginList) -> Vec<PluginSpec> {
        let spec = |(path, file): (String, _)| {
            PluginSpec::new(file, None, self.folder, &path, self.report)
        };
        list.into_iter().map(spec).collect()
    }

    fn start(&mut self, text: Option<&str>) -> Option<u64> {
        let text = text?;
        let parsed = text.parse::<jiff::Timestamp>();
        let ns = parsed.map(|it| u64::try_from(it.as_nanosecond()));
        let Ok(Ok(ns)) = ns else {
            let what = format!("is {text:?}, allowed a time such as 2026-01-01T00:00:00Z");
            self.report("start", what);
            return None;
        };
        Some(ns)
    }

    fn properties(&mut self, file: &File) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let property = |(name, value): (&String, &Value)| {
            let bytes = property::value(value);
            if bytes.is_none() {
                let what = "is no text, number or truth".into();
                self.report(&format!("properties.{name}"), what);
            }
            Some((property::path(name), bytes?))
        };
        file.properties.iter().filter_map(property).collect()
    }

    fn stubs(&mut self, file: &File) -> BTreeMap<String, Result<(), Status>> {
        let stub = |(name, text): (&String, &String)| {
            if !not_modelled().any(|known| known == name) {
                let allowed = not_modelled().collect::<Vec<_>>().join(", ");
                let what = format!("needs no stub or does not exist, allowed {allowed}");
                self.report(&format!("stubs.{name}"), what);
            }
            let result = Status::parse(text);
            if result.is_none() {
                let what = format!("is {text:?}, allowed ok, not_found or 0 to 12");
                self.report(&format!("stubs.{name}"), what);
            }
            Some((name.clone(), result?))
        };
        file.stubs.iter().filter_map(stub).collect()
    }

    fn mock(&mut self, mock: &file::Mock, path: &str) -> Mock {
        if mock.call == Some(0) {
            self.report(&format!("{path}.call"), "is 0, allowed 1 and above".into());
        }
        if let Some(wrong) = mock
            .path
            .as_deref()
            .filter(|it| !it.starts_with(['/', '*']))
        {
            let what = format!("is {wrong:?}, which does not begin with /");
            self.report(&format!("{path}.path"), what);
        }
        Mock {
            cluster: mock.cluster.clone().unwrap_or_else(|| UPSTREAM.into()),
            path: mock.path.clone(),
            call: mock.call,
            answer: self.answer(&mock.answer, &format!("{path}.answer")),
        }
    }

    fn answer(&mut self, answer: &file::Answer, path: &str) -> Answer {
        let status = answer.status.unwrap_or(200);
        if !STATUSES.contains(&status) {
            let what = format!("is {status}, allowed 200 to 599");
            self.report(&format!("{path}.status"), what);
        }
        let body = self.body(answer.body.as_ref(), &format!("{path}.body"));
        let messages = answer.messages.iter().enumerate();
        let messages =
            messages.map(|(at, it)| self.body(Some(it), &format!("{path}.messages[{at}]")));
        let messages: Vec<_> = messages.collect();
        let is_grpc = answer.grpc_status.is_some() || !messages.is_empty();
        let (fields, what) = match is_grpc {
            true => (
                [
                    ("body", answer.body.is_some()),
                    ("chunks", answer.chunks.is_some()),
                ],
                "cannot be combined with grpc_status or messages",
            ),
            false => (
                [("grpc_message", answer.grpc_message.is_some()), ("", false)],
                "needs grpc_status or messages",
            ),
        };
        for (field, _) in fields.iter().filter(|(_, given)| *given) {
            self.report(&format!("{path}.{field}"), what.into());
        }
        let grpc = is_grpc.then(|| Grpc {
            status: answer.grpc_status.unwrap_or(0),
            message: answer.grpc_message.clone().unwrap_or_default(),
            messages,
        });
        Answer {
            status,
            headers: self.pairs(&answer.headers, &format!("{path}.headers")),
            chunks: self.chunks(body, answer.chunks, path),
            trailers: self.pairs(&answer.trailers, &format!("{path}.trailers")),
            delay: answer.delay,
            reset: answer.reset,
            grpc,
        }
    }

    /// Converts a step for this number of workers and of plugins.
    fn step(&mut self, step: &file::Step, (workers, plugins): (u32, usize), path: &str) -> Step {
        // A wrong number of workers has its own report.
        if step.worker >= workers as usize && workers > 0 {
            let what = format!("is {}, but there are {workers} workers", step.worker);
            self.report(&format!("{path}.worker"), what);
        }
        expect::check(&step.expect, &format!("{path}.expect"), self.report);
        Step {
            name: step.name.clone(),
            wait: step.wait,
            update: self.update(step, plugins, path),
            request: self.request(step, path),
            worker: step.worker,
            expect: step.expect.clone(),
        }
    }

    /// Returns the new configuration of a step, for one of `count` plugins.
    fn update(&mut self, step: &file::Step, count: usize, path: &str) -> Option<Update> {
        if step.configuration.is_none() {
            let needs = "has no effect without configuration";
            let fields = [
                ("plugin", step.plugin.is_some()),
                ("expect.refused", step.expect.refused),
            ];
            for (field, _) in fields.iter().filter(|(_, given)| *given) {
                self.report(&format!("{path}.{field}"), needs.into());
            }
        }
        let plugin = step.plugin.unwrap_or(0);
        if plugin >= count {
            let what = format!("is {plugin}, allowed 0 to {}", count - 1);
            self.report(&format!("{path}.plugin"), what);
        }
        let value = step.configuration.as_ref()?;
        let path = format!("{path}.configuration");
        Some(Update {
            plugin,
            configuration: content(value, self.folder, &path, self.report),
        })
    }

    fn request(&mut self, step: &file::Step, path: &str) -> Option<Request> {
        let Some(target) = step.path.as_deref() else {
            self.without_path(step, path);
            return None;
        };
        let body = self.body(step.body.as_ref(), &format!("{path}.body"));
        let method = match (&step.method, body.is_empty()) {
            (Some(method), _) => method.as_str(),
            (None, true) => "GET",
            (None, false) => "POST",
        };
        let is_target = target.starts_with(['/', '*']) || target.contains("://");
        if !is_target && method != "CONNECT" {
            let what = format!("is {target:?}, allowed a path such as /, or a URL");
            self.report(&format!("{path}.path"), what);
        }
        let read = Target::read(method, target);
        let given = self.pairs(&step.headers, &format!("{path}.headers"));
        let trailers = self.pairs(&step.trailers, &format!("{path}.trailers"));
        let chunks = self.chunks(body, step.chunks, path);
        let has_length = chunks.len() == 1 && trailers.is_empty();
        let length = has_length.then(|| chunks.iter().map(Bytes::len).sum());
        Some(Request {
            headers: request_headers(method, &read, &given, length),
            refused: read.refused,
            chunks,
            trailers: trailers.into_iter().collect(),
        })
    }

    /// Reports fields that need a request, if the step has none.
    fn without_path(&mut self, step: &file::Step, path: &str) {
        let is_given = |pairs: &Pairs| !pairs.pairs().is_ok_and(|it| it.is_empty());
        let fields = [
            ("method", step.method.is_some()),
            ("headers", is_given(&step.headers)),
            ("body", step.body.is_some()),
            ("chunks", step.chunks.is_some()),
            ("trailers", is_given(&step.trailers)),
        ];
        for (field, _) in fields.iter().filter(|(_, given)| *given) {
            self.report(
                &format!("{path}.{field}"),
                "has no effect without path".into(),
            );
        }
    }

    fn body(&mut self, value: Option<&Value>, path: &str) -> Bytes {
        let bytes = value.map(|value| content(value, self.folder, path, self.report));
        bytes.unwrap_or_default().into()
    }

    fn pairs(&mut self, pairs: &Pairs, path: &str) -> Vec<(String, String)> {
        let pairs = pairs.pairs().unwrap_or_else(|what| {
            self.report(path, what);
            Vec::new()
        });
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !is_name(name)) {
            let what = format!("has {name:?}, allowed :authority and names without : and spaces");
            self.report(path, what);
        }
        pairs
    }

    /// Splits a body into parts of nearly the same size. An empty body has none.
    fn chunks(&mut self, mut body: Bytes, count: Option<usize>, path: &str) -> Vec<Bytes> {
        let count = count.unwrap_or(1);
        if !(1..=CHUNKS_MAX).contains(&count) {
            let what = format!("is {count}, allowed 1 to {CHUNKS_MAX}");
            self.report(&format!("{path}.chunks"), what);
        }
        let size = body.len().div_ceil(count.max(1)).max(1);
        let mut chunks = Vec::new();
        while !body.is_empty() {
            chunks.push(body.split_to(size.min(body.len())));
        }
        chunks
    }
}

/// Whether a header may have this name. The proxy sets the other pseudo-headers.
fn is_name(name: &str) -> bool {
    let is_wrong = |it: char| it == ':' || it.is_whitespace() || it.is_control();
    name == ":authority" || (!name.is_empty() && !name.contains(is_wrong))
}

/// Returns the headers of a request as the plugin sees them: those of the client, and those that
/// the proxy adds.
fn request_headers(
    method: &str,
    target: &Target,
    given: &[(String, String)],
    length: Option<usize>,
) -> HeaderMap {
    let is_host = |name: &str| name == "host" || name == ":authority";
    let host = given.iter().find(|(name, _)| is_host(name));
    let authority = host.map_or(AUTHORITY, |(_, value)| value);
    let authority = target.authority.as_deref().unwrap_or(authority);
    let path = target.path.as_deref().map(|path| (":path", path));
    let pseudo = [(":method", method), (":scheme", target.scheme)];
    let all = std::iter::once((":authority", authority)).chain(path);
    let mut headers: HeaderMap = all.chain(pseudo).collect();
    for (name, value) in given.iter().filter(|(name, _)| !is_host(name)) {
        headers.add(name.as_bytes(), value.as_bytes());
    }
    let length = length.map(|length| length.to_string());
    let added = [
        ("content-length", length.as_deref()),
        ("x-forwarded-proto", Some("http")),
        ("x-request-id", Some(REQUEST_ID)),
    ];
    for (name, value) in added {
        if let Some(value) = value.filter(|_| headers.value(name.as_bytes()).is_none()) {
            headers.add(name.as_bytes(), value.as_bytes());
        }
    }
    headers
}

/// The same for all requests, so that transcripts repeat.
const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";
