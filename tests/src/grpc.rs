//! A scripted gRPC service and its client.
//!
//! Message types and paths are written out, since the tests must build without protoc; encoding,
//! statuses and trailers are tonic's own.

mod client;
mod service;

use std::time::Duration;

pub use client::{Conversation, GrpcClient, Streamed};
pub use service::GrpcUpstream;
pub use tonic::{Code, Status};

use tonic::metadata::MetadataMap;

/// The one method of the service. What it sends back is scripted, so the same method serves as a
/// unary one and as a server-streaming one: on the wire they do not differ.
const PATH: &str = "/spillway.test.Echo/Say";

/// What a call asks, and what each message of its answer says.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Said {
    #[prost(string, tag = "1")]
    pub text: String,
}

/// How the service answers a call: so many messages, then a status.
#[derive(Clone, Debug)]
pub struct GrpcReply {
    messages: usize,
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
    /// So many messages, then OK. A unary call wants one.
    pub fn ok(messages: usize) -> Self {
        Self {
            messages,
            code: Code::Ok,
            place: Place::Trailers,
            metadata: MetadataMap::new(),
            delay: Duration::ZERO,
        }
    }

    /// A failure told in the headers of an answer that has nothing else ("trailers-only").
    pub fn fail_in_headers(code: Code) -> Self {
        Self {
            code,
            place: Place::Headers,
            ..Self::ok(0)
        }
    }

    /// A failure told in trailers, after so many messages.
    pub fn fail_in_trailers(code: Code, messages: usize) -> Self {
        Self {
            code,
            ..Self::ok(messages)
        }
    }

    /// Adds metadata to a failure, such as `grpc-retry-pushback-ms`.
    pub fn metadata(mut self, name: &'static str, value: &str) -> Self {
        self.metadata
            .insert(name, value.parse().expect("a metadata value"));
        self
    }

    /// Sets how long the service thinks before it answers.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn status(&self) -> Status {
        Status::with_metadata(self.code, "scripted", self.metadata.clone())
    }
}
