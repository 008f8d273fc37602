//! Answers to calls that the filter has made, and how they take a response's place.

use spillway_core::headers::{Hops, Pairs as Headers, is_hop};

use crate::host::pairs::Pairs;
use crate::host::{self, Buffer, Map};
use crate::http::is_taken;
use crate::replay::paused::Side;
use crate::root::Runtime;

/// An answer to a call.
pub struct CallResponse {
    status: u16,
    headers: Headers,
    body: Vec<u8>,
}

/// What became of an answer that was handed on.
pub enum Delivery {
    /// It is on its way in place of the response.
    Sent,
    /// It is the response now, which has to be let go.
    Written,
    /// The same, as the host's own answer, which lacks these headers: it passes by here, and
    /// they can be put on then.
    SentBare(Headers),
}

impl CallResponse {
    /// The answer of the call that this callback is about, whose body has `len` bytes;
    /// absent where it is none.
    pub fn read(len: usize) -> Option<CallResponse> {
        let pairs = Pairs::new(host::header_pairs(Map::CallResponseHeaders).ok()?);
        let mut answered = CallResponse {
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
        };
        let mut hops = Hops::default();
        for (name, value) in pairs.iter() {
            match name {
                b":status" => answered.status = std::str::from_utf8(value).ok()?.parse().ok()?,
                b"connection" => hops.add(value),
                _ if is_hop(name) => {}
                _ => {
                    let name = String::from_utf8_lossy(name).into_owned();
                    answered.headers.push((name, value.into()));
                }
            }
        }
        answered
            .headers
            .retain(|(name, _)| !hops.have(name.as_bytes()));
        if len > 0 {
            answered.body = host::buffer(Buffer::CallResponseBody, len).ok()?;
        }
        Some(answered)
    }

    /// Hands it on with `labels` in place of what is held back on `side`.
    pub fn hand_on(
        mut self,
        side: &Side,
        labels: Headers,
        details: &str,
        shared: &Runtime,
    ) -> Delivery {
        for (name, _) in &labels {
            self.headers.retain(|(other, _)| other != name);
        }
        self.headers.extend(labels);
        // What has no body goes into the place of what has none, headers and all: an
        // answer of the filter would lose the length that a HEAD asks for.
        if matches!(side, Side::Response { bodiless: true }) && self.body.is_empty() {
            let status = self.status.to_string().into_bytes();
            self.headers.insert(0, (String::from(":status"), status));
            let written = host::set_headers(Map::ResponseHeaders, &self.headers);
            is_taken(shared, written);
            return Delivery::Written;
        }
        let stripped = match side {
            Side::Request { is_head } if self.body.is_empty() => {
                let lost =
                    |name: &str| name == "content-type" || *is_head && name == "content-length";
                let headers = self.headers.iter().filter(|(name, _)| lost(name));
                headers.cloned().collect()
            }
            _ => Headers::new(),
        };
        self.headers.retain(|(name, _)| name != "content-length");
        let sent = host::send_local_response(self.status, details, &self.headers, &self.body, None);
        match (is_taken(shared, sent), stripped.is_empty()) {
            (false, _) => Delivery::Written,
            (true, true) => Delivery::Sent,
            (true, false) => Delivery::SentBare(stripped),
        }
    }
}
