//! Responses to calls that the filter has made, and how they reach the client.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::headers::{Hops, Pairs, is_hop};
use crate::http_value::number;

use super::command::{Ending, Reply};

/// A response to a call.
#[derive(Debug, PartialEq, Eq)]
pub struct CallResponse {
    status: u16,
    headers: Pairs,
    body: Vec<u8>,
}

/// Which side of a stream is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request {
        /// Whether no response to it has a body.
        is_head: bool,
    },
    Response {
        /// Whether it has no body.
        bodiless: bool,
    },
}

impl CallResponse {
    /// A response with these headers and this body, or `None` if it has no valid status.
    pub fn new<'a>(
        pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        body: Vec<u8>,
    ) -> Option<CallResponse> {
        let mut response = CallResponse {
            status: 0,
            headers: Pairs::new(),
            body,
        };
        let mut hops = Hops::default();
        for (name, value) in pairs {
            match name {
                b":status" => response.status = u16::try_from(number(value)?).ok()?,
                b"connection" => hops.add(value),
                _ if is_hop(name) => {}
                _ => {
                    let name = String::from_utf8_lossy(name).into_owned();
                    response.headers.push((name, value.into()));
                }
            }
        }
        response
            .headers
            .retain(|(name, _)| !hops.have(name.as_bytes()));
        Some(response)
    }

    /// Puts it in place of what is paused, with `labels` in place of headers of their names.
    /// Returns also the headers that the host removes from a local reply without a body.
    pub(super) fn deliver(
        mut self,
        side: Side,
        labels: Pairs,
        details: &'static str,
    ) -> (Ending, Pairs) {
        self.headers
            .retain(|(name, _)| !labels.iter().any(|(label, _)| label == name));
        self.headers.extend(labels);
        // A local reply would lose the length that a HEAD asks for. Where neither response has
        // a body, the headers alone make the difference.
        if side == (Side::Response { bodiless: true }) && self.body.is_empty() {
            let status = self.status.to_string().into_bytes();
            self.headers.insert(0, (String::from(":status"), status));
            return (Ending::Replace(self.headers), Pairs::new());
        }
        let stripped = match side {
            Side::Request { is_head } if self.body.is_empty() => {
                let lost =
                    |name: &str| name == "content-type" || is_head && name == "content-length";
                let headers = self.headers.iter().filter(|(name, _)| lost(name));
                headers.cloned().collect()
            }
            _ => Pairs::new(),
        };
        // The host writes the length of a local reply itself.
        self.headers.retain(|(name, _)| name != "content-length");
        let reply = Reply {
            status: self.status,
            headers: self.headers,
            body: self.body,
            grpc_status: None,
            details,
        };
        (Ending::Reply(reply), stripped)
    }
}
