//! The table and its expected cells, derived here from the documented behaviour of each type and
//! not from the filter.

use std::fmt;

use serde_json::{Value, json};

use crate::scene::with;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Type {
    Respond,
    Stale,
    Cluster,
    Route,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum On {
    Open,
    Failure,
    Timeout,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Get,
    Head,
    /// POST with a body.
    Post,
    Grpc,
    /// GET over HTTP/2.
    Http2,
    /// GET whose good responses are chunked.
    Chunked,
    /// GET by a client that already has the response.
    NotModified,
    /// GET by a client that leaves before any response.
    Leaves,
}

const TYPES: [Type; 4] = [Type::Respond, Type::Stale, Type::Cluster, Type::Route];
const OCCASIONS: [On; 3] = [On::Open, On::Failure, On::Timeout];
const SHAPES: [Shape; 8] = [
    Shape::Get,
    Shape::Head,
    Shape::Post,
    Shape::Grpc,
    Shape::Http2,
    Shape::Chunked,
    Shape::NotModified,
    Shape::Leaves,
];

/// One cell of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub kind: Type,
    pub on: On,
    pub shape: Shape,
}

/// The client's response; `None` if it had left.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub status: u16,
    /// `x-circuit-fallback` and `x-circuit-state`.
    pub labels: [String; 2],
    pub content_type: String,
    /// The value of the header.
    pub content_length: String,
    pub body: String,
    pub grpc_status: String,
    pub etag: String,
    /// Whether `age` and `cache-status` are present.
    pub kept: bool,
}

/// Bodies of good responses, of each type's response, and of the last entry's.
pub(super) const GOOD: &str = "good";
pub(super) const OTHER: &str = "other!";
pub(super) const FIXED: &str = "fixed";
pub(super) const LAST: &str = "last";
pub(super) const ETAG: &str = "\"v\"";
pub(super) const GOOD_TYPE: &str = "text/x-good";
pub(super) const OTHER_TYPE: &str = "text/x-other";

/// All cells. A route applies only to requests that were not sent yet.
pub(super) fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for kind in TYPES {
        for on in OCCASIONS {
            for shape in SHAPES {
                if kind != Type::Route || on == On::Open {
                    cells.push(Cell { kind, on, shape });
                }
            }
        }
    }
    cells
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} on {:?} for {:?}", self.kind, self.on, self.shape)
    }
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Type::Respond => "respond",
            Type::Stale => "stale",
            Type::Cluster => "cluster",
            Type::Route => "route",
        }
    }
}

impl On {
    pub(super) fn name(self) -> &'static str {
        match self {
            On::Open => "open",
            On::Failure => "failure",
            On::Timeout => "timeout",
        }
    }
}

impl Shape {
    pub(super) fn method(self) -> &'static str {
        match self {
            Shape::Head => "HEAD",
            Shape::Post | Shape::Grpc => "POST",
            _ => "GET",
        }
    }

    pub(super) fn body(self) -> &'static str {
        match self {
            Shape::Post => "sent",
            // An empty gRPC message.
            Shape::Grpc => "\0\0\0\0\0",
            _ => "",
        }
    }

    /// Additional headers.
    pub(super) fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Shape::Grpc => &[("content-type", "application/grpc"), ("te", "trailers")],
            Shape::NotModified => &[("if-none-match", "\"u\", W/\"v\"")],
            _ => &[],
        }
    }
}

/// The policies of the table: one per type and occasion, selected by the request.
pub(super) fn policies() -> Value {
    let mut policies: Vec<Value> = Vec::new();
    for cell in all() {
        if policies.iter().all(|it| it["name"] != *cell.policy()) {
            policies.push(cell.policy_json());
        }
    }
    json!({ "policies": policies })
}

impl Cell {
    /// The name of its policy, which is also the `x-case` of its requests.
    pub(super) fn policy(&self) -> String {
        format!("{}-{}", self.kind.name(), self.on.name())
    }

    /// A path with its own circuit and its own stale entry.
    pub(super) fn path(&self) -> String {
        format!("/{}/{:?}", self.policy(), self.shape)
    }

    fn policy_json(&self) -> Value {
        let entry = match self.kind {
            Type::Respond => json!({"status": 298, "body": FIXED, "grpc_status": "NOT_FOUND",
                "grpc_message": FIXED}),
            Type::Stale => json!({"max_age": "1h"}),
            Type::Cluster => json!({"cluster": "other", "timeout": "1s"}),
            Type::Route => json!({"header": {"name": "x-fallback", "value": "yes"}}),
        };
        let on = json!([self.on.name()]);
        let entry = with(json!({"type": self.kind.name(), "on": on}), entry);
        let last = json!({"type": "respond", "on": on, "status": 299, "body": LAST,
            "grpc_status": "ABORTED", "grpc_message": LAST});
        let breaker = match self.on {
            On::Open => json!({"failure_rate_threshold": 0, "consecutive_failures": 1,
                "open": {"duration": "1h", "max_duration": "1h", "jitter": 0}}),
            On::Failure | On::Timeout => json!({"failure_rate_threshold": 0}),
        };
        json!({
            "name": self.policy(),
            "match": {"headers": [{"name": "x-case", "exact": self.policy()}]},
            "key": [{"header": "x-row"}],
            "circuit_breaker": breaker,
            "fallback": [entry, last],
        })
    }

    /// Whether the entry can answer this shape; otherwise the last entry does.
    fn answers(&self) -> bool {
        use {Shape as S, Type as T};
        match (self.kind, self.shape) {
            (T::Respond | T::Route, _) => true,
            // Only GET responses are stored.
            (T::Stale, S::Post | S::Grpc) => false,
            // Its body does not arrive while it is paused.
            (T::Cluster, S::Post) => self.on != On::Open,
            // A call cannot carry it.
            (T::Cluster, S::Grpc) => false,
            (T::Stale | T::Cluster, _) => true,
        }
    }

    /// Whether the client waits for another upstream.
    pub(super) fn waits(&self) -> bool {
        self.on != On::Open || matches!(self.kind, Type::Cluster | Type::Route)
    }

    /// The expected response.
    pub(super) fn expected(&self) -> Seen {
        if self.shape == Shape::Leaves {
            return Seen::default();
        }
        let mut seen = self.by_type();
        match self.shape {
            Shape::Head => seen.body.clear(),
            Shape::NotModified if self.answers() && self.kind != Type::Respond => {
                seen.status = 304;
                seen.content_type.clear();
                seen.content_length.clear();
                seen.body.clear();
            }
            // A streamed body has no known length.
            Shape::Chunked if self.kind == Type::Route => seen.content_length.clear(),
            Shape::Grpc if self.kind == Type::Route => {
                seen = Seen {
                    content_type: "application/grpc".into(),
                    grpc_status: "0".into(),
                    labels: seen.labels,
                    status: 200,
                    ..Seen::default()
                };
            }
            _ => {}
        }
        seen
    }

    /// The expected response of the cell's type, whatever the shape of the request; gRPC gets a
    /// fixed response in its own form.
    fn by_type(&self) -> Seen {
        let state = if self.on == On::Open {
            "open"
        } else {
            "closed"
        };
        let labels = |kind: &str| [kind.to_owned(), state.to_owned()];
        match (self.answers(), self.kind) {
            (false, _) | (true, Type::Respond) => {
                let (status, body, code) = match self.answers() {
                    true => (298, FIXED, "5"),
                    false => (299, LAST, "10"),
                };
                let content_type = "text/plain; charset=utf-8".into();
                let mut seen = Seen {
                    status,
                    labels: labels("respond"),
                    content_type,
                    ..body_of(body)
                };
                if self.shape == Shape::Grpc {
                    seen = Seen {
                        status: 200,
                        labels: seen.labels,
                        content_type: "application/grpc".into(),
                        grpc_status: code.into(),
                        ..Seen::default()
                    };
                }
                seen
            }
            (true, Type::Stale) => Seen {
                status: 200,
                labels: labels("stale"),
                content_type: GOOD_TYPE.into(),
                etag: ETAG.into(),
                kept: true,
                ..body_of(GOOD)
            },
            (true, Type::Cluster | Type::Route) => Seen {
                status: 200,
                labels: labels(self.kind.name()),
                content_type: OTHER_TYPE.into(),
                etag: ETAG.into(),
                ..body_of(OTHER)
            },
        }
    }

    /// Expected counters besides outcomes, as name and labels.
    pub(super) fn counts(&self) -> Vec<String> {
        let (kind, on) = (self.kind.name(), self.on.name());
        let answered = |kind: &str| format!("on.{on}.type.{kind}.fallbacks_total");
        let skipped = |why: &str| format!("reason.{why}.type.{kind}.fallbacks_skipped_total");
        match (self.shape, self.kind) {
            // Left before anything was decided, or while a call was in flight.
            (Shape::Leaves, Type::Route) => vec![answered(kind)],
            (Shape::Leaves, Type::Cluster) => Vec::new(),
            (Shape::Leaves, _) if self.waits() => Vec::new(),
            _ if self.answers() => vec![answered(kind)],
            (_, Type::Stale) => vec![skipped("not_kept"), answered("respond")],
            (Shape::Post, _) => vec![skipped("request_body"), answered("respond")],
            _ => vec![skipped("request_shape"), answered("respond")],
        }
    }
}

fn body_of(body: &str) -> Seen {
    Seen {
        content_length: body.len().to_string(),
        body: body.into(),
        ..Seen::default()
    }
}
