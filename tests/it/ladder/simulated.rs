//! Runs the table in the simulator: only its host, with the upstreams simulated here.

use std::fs;

use bytes::Bytes;
use host_sim::headers::HeaderMap;
use host_sim::proxy::Module;
use host_sim::proxy::stream::info::{RouteInfo, StreamInfo, flag};
use host_sim::proxy::{CallOutcome, ClusterState, Effect, Host, Part, Plugin, Setup, StreamId};
use host_sim::sim::clock::Time;
use spillway_tests::places;

use super::cells::{
    Cell, ETAG, GOOD, GOOD_TYPE, OTHER, OTHER_TYPE, On, Seen, Shape, Type, policies,
};
use super::counted;
use super::real::seen;

/// Runs all cells one after another.
pub(super) fn run(cells: &[Cell]) -> Vec<Seen> {
    let mut stage = Stage::start(&policies().to_string(), false);
    let all = cells.iter().map(|cell| stage.play(cell)).collect();
    stage.nothing_is_left();
    let mut names: Vec<String> = cells.iter().map(Cell::policy).collect();
    names.dedup();
    for name in names {
        let prefix = format!("spillway.policy.{name}.");
        let metrics = stage.host.metrics().iter();
        let mut found: Vec<String> = metrics
            .filter_map(|(metric, _, value)| {
                let metric = String::from_utf8_lossy(metric).into_owned();
                let rest = metric.strip_prefix(&prefix)?;
                (rest.contains("fallbacks") && value > 0).then(|| format!("{rest} {value}"))
            })
            .collect();
        found.sort();
        assert_eq!(found, counted(cells, &name), "{name}");
    }
    all
}

/// A host and a simulation of everything around it.
pub(super) struct Stage {
    pub host: Host,
    pub now_ms: u64,
}

/// A request, as sent.
pub(super) struct Asking<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: Vec<(&'a str, &'a str)>,
    pub body: &'static str,
}

/// The destination of a request and its contents.
pub(super) enum Reached {
    /// The main upstream.
    Upstream,
    /// Another upstream, by its route.
    Route,
    /// A cluster called by the filter.
    Call,
}

/// The behaviour of the destination.
pub(super) enum Does {
    Answers(Vec<Part>),
    /// The router times out.
    TimesOut,
    Nothing,
}

impl Stage {
    pub(super) fn start(policy: &str, stops_iteration: bool) -> Stage {
        let bytes = fs::read(places::module()).expect("the module");
        let module = Module::from_bytes(&bytes).expect("a module");
        let setup = Setup {
            plugin: Some(Plugin {
                allow_on_headers_stop_iteration: stops_iteration,
                ..Plugin::new(module, policy)
            }),
            ..Setup::default()
        };
        let mut host = Host::start(setup, Time::ZERO).expect("a host");
        for cluster in ["upstream", "other"] {
            host.cluster(cluster, ClusterState::Ready);
        }
        Stage { host, now_ms: 0 }
    }

    /// Advances to a time and fires all timers on the way.
    pub(super) fn run_to(&mut self, ms: u64) {
        self.now_ms = self.now_ms.max(ms);
        let end = Time::from_ms(self.now_ms);
        while let Some(at) = self.host.next_timer().filter(|at| *at <= end) {
            self.host.advance_to(at);
            self.host.run_timers();
        }
        self.host.advance_to(end);
    }

    /// The upstream sends a good response to a stream.
    pub(super) fn succeeds(&mut self, stream: StreamId) {
        if let Some(info) = self.host.info_mut(stream) {
            info.code = Some(200);
            info.details = "via_upstream".into();
            info.attempts = Some(1);
        }
    }

    pub(super) fn nothing_is_left(&mut self) {
        let errors = self.host.metrics().value("spillway.internal_errors_total");
        let log: Vec<String> = self
            .host
            .take_log()
            .into_iter()
            .map(|line| line.text)
            .collect();
        assert_eq!(errors, 0, "{log:?}");
    }

    fn play(&mut self, cell: &Cell) -> Seen {
        let (policy, path) = (cell.policy(), cell.path());
        let usual = vec![("x-case", &*policy), ("x-row", &*path)];
        let get = || Asking {
            method: "GET",
            path: &path,
            headers: usual.clone(),
            body: "",
        };
        let chunked = cell.shape == Shape::Chunked;
        // Circuits merge, and responses are stored again, after one interval.
        self.run_to(self.now_ms + 500);
        if cell.kind == Type::Stale {
            self.ask(&get(), |_| {
                Does::Answers(good(GOOD, GOOD_TYPE, chunked, false))
            });
        }
        if cell.on == On::Open {
            self.ask(&get(), |_| Does::Answers(failed(false)));
        }
        let asking = Asking {
            method: cell.shape.method(),
            headers: [&usual[..], cell.shape.headers()].concat(),
            body: cell.shape.body(),
            ..get()
        };
        let got = self.ask(&asking, |reached| match (reached, cell.on, cell.shape) {
            (_, _, Shape::Leaves) => Does::Nothing,
            (Reached::Upstream, On::Timeout, _) => Does::TimesOut,
            (Reached::Upstream, _, shape) => Does::Answers(failed(shape == Shape::Head)),
            (_, _, Shape::NotModified) => Does::Answers(vec![Part::Headers {
                map: [(":status", "304"), ("etag", ETAG)].into_iter().collect(),
                end: true,
            }]),
            (_, _, Shape::Grpc) => Does::Answers(vec![Part::Headers {
                map: [
                    (":status", "200"),
                    ("content-type", "application/grpc"),
                    ("grpc-status", "0"),
                ]
                .into_iter()
                .collect(),
                end: true,
            }]),
            (_, _, shape) => {
                let bare = shape == Shape::Head;
                Does::Answers(good(OTHER, OTHER_TYPE, chunked, bare))
            }
        });
        if cell.shape == Shape::Leaves {
            Seen::default()
        } else {
            got
        }
    }

    /// Sends a request and returns the client's response. The stream has ended then.
    pub(super) fn ask(&mut self, asking: &Asking<'_>, does: impl Fn(&Reached) -> Does) -> Seen {
        let stream = self.open();
        let plain = [
            (":method", asking.method),
            (":path", asking.path),
            (":scheme", "http"),
            (":authority", "site"),
        ];
        let pairs = [&plain[..], &asking.headers].concat();
        let end = asking.body.is_empty();
        let map = pairs.into_iter().collect();
        self.host.request(stream, Part::Headers { map, end });
        if !end {
            let data = Bytes::from_static(asking.body.as_bytes());
            self.host.request(stream, Part::Body { data, end: true });
        }
        let got = self.run(stream, does);
        self.host.close(stream);
        got
    }

    /// Sends a GET whose stream stays open.
    pub(super) fn send(&mut self, path: &str) -> StreamId {
        let stream = self.open();
        let map = HeaderMap::from([
            (":method", "GET"),
            (":path", path),
            (":scheme", "http"),
            (":authority", "site"),
        ]);
        self.host.request(stream, Part::Headers { map, end: true });
        stream
    }

    pub(super) fn open(&mut self) -> StreamId {
        let route = RouteInfo {
            name: "default".into(),
            cluster: "upstream".into(),
            virtual_host: "v".into(),
        };
        self.host.open(StreamInfo {
            route: Some(route.into()),
            ..StreamInfo::default()
        })
    }

    /// Simulates until nothing more happens.
    pub(super) fn run(&mut self, stream: StreamId, does: impl Fn(&Reached) -> Does) -> Seen {
        let (mut head, mut body, mut whole_body) = (HeaderMap::default(), Vec::new(), false);
        let mut asked = None;
        while let Some(effect) = self.host.next_effect() {
            match effect {
                Effect::ToUpstream { part, .. } => {
                    if let Part::Headers { map, .. } = &part {
                        asked = Some(match map.text("x-fallback") {
                            Some(_) => Reached::Route,
                            None => Reached::Upstream,
                        });
                    }
                    whole_body |= part.is_end();
                    if let Some(reached) = asked.take_if(|_| whole_body) {
                        self.answer(stream, does(&reached));
                    }
                }
                Effect::Call(call) => {
                    let id = call.call;
                    match does(&Reached::Call) {
                        Does::Answers(parts) => self.host.answer_call(id, outcome(parts)),
                        Does::TimesOut => self.host.answer_call(id, CallOutcome::timed_out()),
                        Does::Nothing => {}
                    }
                }
                Effect::ToClient { part, .. } => match part {
                    Part::Headers { map, .. } => head = map,
                    Part::Body { data, .. } => body.extend_from_slice(&data),
                    Part::Trailers { .. } => {}
                },
                Effect::ResetClient { details, .. } => {
                    panic!("the stream was broken off: {details}")
                }
                _ => {}
            }
        }
        let status = head.text(":status").and_then(|it| it.parse().ok());
        let header = |name: &str| head.text(name).unwrap_or_default().to_owned();
        seen(status.unwrap_or(0), header, &body)
    }

    fn answer(&mut self, stream: StreamId, does: Does) {
        let (parts, code, details, flags) = match does {
            Does::Answers(parts) => (parts, None, "via_upstream", 0),
            Does::TimesOut => {
                let map = [(":status", "504"), ("content-type", "text/plain")];
                let head = Part::Headers {
                    map: map.into_iter().collect(),
                    end: true,
                };
                (
                    vec![head],
                    Some(504),
                    "response_timeout",
                    flag::UPSTREAM_TIMEOUT,
                )
            }
            Does::Nothing => return,
        };
        if let Some(info) = self.host.info_mut(stream) {
            let status = parts.first().and_then(|part| match part {
                Part::Headers { map, .. } => map.text(":status")?.parse().ok(),
                _ => None,
            });
            info.code = code.or(status);
            info.details = details.into();
            info.flags = flags;
            info.attempts = Some(1);
        }
        for part in parts {
            self.host.response(stream, part);
        }
    }
}

/// A good response, in one chunk with its length or in two without; without a body if `bare`.
pub(super) fn good(text: &'static str, kind: &str, chunked: bool, bare: bool) -> Vec<Part> {
    let length = text.len().to_string();
    let mut map = HeaderMap::from([
        (":status", "200"),
        ("etag", ETAG),
        ("content-type", kind),
        ("cache-control", "public, max-age=60"),
    ]);
    if !chunked {
        map.add(b"content-length", length.as_bytes());
    }
    let head = Part::Headers { map, end: bare };
    if bare {
        return vec![head];
    }
    let (first, rest) = text.split_at(if chunked { text.len() / 2 } else { text.len() });
    let piece = |text: &'static str| Part::Body {
        data: Bytes::from_static(text.as_bytes()),
        end: false,
    };
    vec![head, piece(first), piece(rest), Part::bare_end()]
}

/// A failed response, with a body unless `bare`.
pub(super) fn failed(bare: bool) -> Vec<Part> {
    let map = HeaderMap::from([(":status", "503"), ("content-length", "3")]);
    if bare {
        return vec![Part::Headers { map, end: true }];
    }
    let data = Bytes::from_static(b"bad");
    vec![
        Part::Headers { map, end: false },
        Part::Body { data, end: true },
    ]
}

/// A call's response as the filter sees it.
pub(super) fn outcome(parts: Vec<Part>) -> CallOutcome {
    let (mut headers, mut body) = (HeaderMap::default(), Vec::new());
    for part in parts {
        match part {
            Part::Headers { map, .. } => headers = map,
            Part::Body { data, .. } => body.extend_from_slice(&data),
            Part::Trailers { .. } => {}
        }
    }
    CallOutcome::Response {
        headers,
        body: body.into(),
        trailers: HeaderMap::default(),
    }
}
