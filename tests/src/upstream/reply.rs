//! Scripted replies of the upstream.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};

/// A scripted reply: an ending, plus optional additions.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
    /// Whether the body is sent in chunks, without a length.
    pub(super) chunked: bool,
    pub(super) delay: Duration,
    /// Whether the reply is sent before the request ends.
    pub(super) early: bool,
    pub(super) ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ending {
    Whole,
    ResetBeforeHeaders,
    ResetMidBody,
    Hang,
    HangMidBody,
    /// Two chunks with a pause before each.
    Trickle,
}

impl Default for Reply {
    fn default() -> Self {
        Self::status(200)
    }
}

impl Reply {
    /// A complete response with this status and, unless set, the body `ok`.
    pub fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"ok"),
            trailers: HeaderMap::new(),
            chunked: false,
            delay: Duration::ZERO,
            early: false,
            ending: Ending::Whole,
        }
    }

    /// Closes the connection without a response.
    pub fn reset() -> Self {
        Self {
            ending: Ending::ResetBeforeHeaders,
            ..Self::default()
        }
    }

    /// Sends headers and a body, then breaks the connection before the body is complete.
    pub fn reset_mid_body() -> Self {
        Self {
            ending: Ending::ResetMidBody,
            ..Self::default()
        }
    }

    /// Never responds.
    pub fn hang() -> Self {
        Self {
            ending: Ending::Hang,
            ..Self::default()
        }
    }

    /// Sends headers and a body, but never ends it.
    pub fn hang_mid_body() -> Self {
        Self {
            ending: Ending::HangMidBody,
            ..Self::default()
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        append(&mut self.headers, name, value);
        self
    }

    /// Adds a trailer to a complete response. Only HTTP/2 carries it.
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        append(&mut self.trailers, name, value);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body of a complete response in chunks, without a length.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Responds while the request may still be incomplete, as in bidirectional streams.
    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }

    /// Sets the delay before the upstream does anything.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Parses the reply that a request asks for in its `x-script` header: words such as
    /// `status=503`, `delay_ms=100`, `body=text`, `trailer=grpc-status:0`, `retry-after=7` (any
    /// other name is a header), `early`, which does not wait for the request's body, and one of
    /// `reset`, `reset_mid_body`, `hang`, `hang_mid_body` and `trickle`, whose body comes in two
    /// chunks with pauses. A retry uses `x-script-again` instead.
    pub(super) fn scripted<B>(request: &Request<B>) -> Option<Self> {
        let headers = request.headers();
        let again = attempt(headers) > 1;
        let script = headers
            .get(if again { "x-script-again" } else { "x-script" })?
            .to_str()
            .expect("a readable script");
        let apply = |reply: Self, word: &str| match word.split_once('=') {
            Some(("status", status)) => Self {
                status: status.parse().expect("a status"),
                ..reply
            },
            Some(("delay_ms", ms)) => {
                reply.after(Duration::from_millis(ms.parse().expect("milliseconds")))
            }
            Some(("body", text)) => reply.body(text.to_owned()),
            Some(("trailer", trailer)) => {
                let (name, value) = trailer.split_once(':').unwrap_or((trailer, "yes"));
                reply.trailer(name, value)
            }
            Some((name, value)) => reply.header(name, value),
            None if word == "early" => reply.early(),
            None => Self {
                ending: ending(word),
                ..reply
            },
        };
        Some(script.split_whitespace().fold(Self::default(), apply))
    }
}

/// The attempt number of a request, if it has one.
fn attempt(headers: &HeaderMap) -> u32 {
    let number = headers.get("x-envoy-attempt-count");
    let number = number.and_then(|it| it.to_str().ok()?.parse().ok());
    number.unwrap_or(1)
}

fn append(map: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::try_from(name).expect("a header name");
    map.append(name, HeaderValue::try_from(value).expect("a header value"));
}

fn ending(word: &str) -> Ending {
    match word {
        "reset" => Ending::ResetBeforeHeaders,
        "reset_mid_body" => Ending::ResetMidBody,
        "hang" => Ending::Hang,
        "hang_mid_body" => Ending::HangMidBody,
        "trickle" => Ending::Trickle,
        _ => panic!("x-script has no word {word}"),
    }
}
