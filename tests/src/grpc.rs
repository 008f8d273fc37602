//! A scripted gRPC service and its client.
//!
//! Message types and paths are written by hand, since the tests must build without protoc.
//! Encoding, statuses and trailers are tonic's own.

mod client;
mod service;

use std::time::Duration;

pub use client::{Conversation, GrpcClient, Streamed};
pub use service::GrpcUpstream;
pub use tonic::{Code, Status};

use tonic::metadata::MetadataMap;

/// The only method of the service. Its response is scripted, so the same method serves as unary and
/// as server-streaming: they do not differ on the wire.
const PATH: &str = "/spillway.test.Echo/Say";

/// The message type of requests and responses.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Said {
    #[prost(string, tag = "1")]
    pub text: String,
}

/// A scripted response: a number of messages, then a status.
#[derive(Clone, Debug)]
pub struct GrpcReply {
    messages: usize,
    /// Whether each message is sent before the next is made.
    apart: bool,
    code: Code,
    place: Place,
    metadata: MetadataMap,
    delay: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Headers,
    Trailers,
}

impl GrpcReply {
    /// This many messages, then OK. A unary call expects one.
    pub fn ok(messages: usize) -> Self {
        Self {
            messages,
            apart: false,
            code: Code::Ok,
            place: Place::Trailers,
            metadata: MetadataMap::new(),
            delay: Duration::ZERO,
        }
    }

    /// A failure in the headers of a trailers-only response.
    pub fn fail_in_headers(code: Code) -> Self {
        Self {
            code,
            place: Place::Headers,
            ..Self::ok(0)
        }
    }

    /// A failure in trailers, after this many messages.
    pub fn fail_in_trailers(code: Code, messages: usize) -> Self {
        Self {
            code,
            ..Self::ok(messages)
        }
    }

    /// Sends each message in a data frame of its own, as a service does that makes them one by one.
    pub fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// Adds metadata to a failure, such as `grpc-retry-pushback-ms`.
    pub fn metadata(mut self, name: &'static str, value: &str) -> Self {
        self.metadata
            .insert(name, value.parse().expect("a metadata value"));
        self
    }

    /// Sets the delay before the service responds.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn status(&self) -> Status {
        Status::with_metadata(self.code, "scripted", self.metadata.clone())
    }
}
