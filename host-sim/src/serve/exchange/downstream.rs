//! The client's side: parts of the request in, parts of the response out.

use bytes::Bytes;
use hyper::body::Frame;

use super::{Exchange, Received, ends};
use crate::proxy::stream::info::flag;
use crate::proxy::{Effect, Part};

impl Exchange {
    /// Applies the effects of the host until none is left.
    pub(super) fn apply_effects(&mut self) {
        while let Some(effect) = self.mailbox.take() {
            if self.over {
                return;
            }
            match effect {
                Effect::ToUpstream { part, rerouted, .. } => self.forward(part, rerouted),
                Effect::ToClient { part, .. } => {
                    self.reset_idle_timeout();
                    self.over = part.is_end();
                    self.client.send(part);
                }
                Effect::CancelUpstream { .. } => self.cancel_request(),
                Effect::ResetClient { .. } => {
                    self.client.reset();
                    self.over = true;
                }
                Effect::Call(_) | Effect::SendMessage { .. } | Effect::CancelCall { .. } => {}
            }
        }
    }

    /// Takes a part of the request off the connection. `None` is its end.
    pub(super) fn take_from_client(&mut self, frame: Option<Result<Frame<Bytes>, hyper::Error>>) {
        let http2 = self.client.http2;
        let part = match frame.map(|frame| frame.map(Received::of)) {
            Some(Err(_)) => return self.lose_client(),
            Some(Ok(Received::Body(data))) => {
                let end = |incoming| ends(incoming, http2);
                let end = self.client.incoming.as_ref().is_some_and(end);
                Part::Body { data, end }
            }
            Some(Ok(Received::Trailers(map))) if http2 => Part::Trailers { map },
            Some(Ok(Received::Trailers(_))) | None => Part::bare_end(),
        };
        if part.is_end() {
            self.client.incoming = None;
        }
        self.pass_request(part);
    }

    /// Passes a part of the request to the filter.
    pub(super) fn pass_request(&mut self, part: Part) {
        self.reset_idle_timeout();
        let stream = self.stream;
        self.engine.enter(|host| host.request(stream, part));
    }

    /// The client has closed its connection, or reset its stream.
    pub(super) fn lose_client(&mut self) {
        let details = self.site.texts.client_left.clone();
        self.inform(|info| {
            info.flags |= flag::DOWNSTREAM_DISCONNECT;
            info.details = details;
        });
        self.cancel_request();
        self.over = true;
    }
}
