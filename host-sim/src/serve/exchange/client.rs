//! The client of an exchange.

use hyper::body::Incoming;
use tokio::sync::oneshot;

use crate::headers::HeaderMap;
use crate::proxy::Part;
use crate::serve::messages;
use crate::serve::pipe::Pipe;

/// The client, as an exchange begins.
pub(in crate::serve) struct Incomer {
    /// `None` if the headers are the whole request.
    pub incoming: Option<Incoming>,
    pub http2: bool,
    pub head: oneshot::Sender<HeaderMap>,
    pub body: Pipe,
}

/// The client.
pub(super) struct Client {
    /// The rest of the request. `None` once all of it is there.
    pub incoming: Option<Incoming>,
    pub body: Pipe,
    pub http2: bool,
    /// `None` once the headers are sent.
    head: Option<oneshot::Sender<HeaderMap>>,
}

impl Client {
    pub(super) fn new(from: Incomer) -> Client {
        Client {
            incoming: from.incoming,
            http2: from.http2,
            head: Some(from.head),
            body: from.body,
        }
    }

    /// Whether the response has begun.
    pub(super) fn has_headers(&self) -> bool {
        self.head.is_none()
    }

    /// Whether the whole request is there.
    pub(super) fn is_complete(&self) -> bool {
        self.incoming.is_none()
    }

    /// Resets the response.
    pub(super) fn reset(&mut self) {
        self.body.reset();
        self.head = None;
    }

    /// Sends a part of the response.
    pub(super) fn send(&mut self, part: Part) {
        match part {
            Part::Headers { map, end } => {
                if end {
                    self.body.end();
                }
                if let Some(head) = self.head.take() {
                    // A client that is gone is noticed by its body.
                    let _ = head.send(map);
                }
            }
            Part::Body { data, end } => {
                self.body.push(data);
                if end {
                    self.body.end();
                }
            }
            Part::Trailers { map } if self.http2 => {
                self.body.trailers(messages::to_trailers(&map));
            }
            Part::Trailers { .. } => self.body.end(),
        }
    }
}
