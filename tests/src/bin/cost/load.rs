//! The loads: many small requests, long responses, and long streams of messages.

use std::net::SocketAddr;
use std::sync::Arc;

use spillway_tests::grpc::Code;
use spillway_tests::{Client, GrpcClient, eventually};

use crate::http::{Connections, Expected};
use crate::upstream::{self, FAIL, LARGE};
use crate::variant::Variant;

/// Number of connections of a listener, each with one request in flight.
const CONNECTIONS: usize = 32;

/// Fewer for large responses, so that their buffers stay in the caches. With one, the worker waits
/// for the upstream more often, and costs vary twice as much.
const CONNECTIONS_LARGE: usize = 4;

/// Number of messages of a stream.
pub(crate) const MESSAGES: usize = 10_000;

/// A message of common size.
const MESSAGE: &str = "a message of a stream, which is about as long as a line of text is";

/// What a client asks for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Load {
    /// Requests with a small response.
    Unary,
    /// Responses of 1 MiB.
    Large,
    /// Server-streaming gRPC calls.
    Stream,
}

impl Load {
    /// The load in the heading of a column.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Load::Unary => "a request",
            Load::Large => "a response of 1 MiB",
            Load::Stream => "a gRPC stream of 10,000 messages",
        }
    }

    /// Number of requests in a turn, which takes 15 to 35 ms.
    pub(crate) fn requests(self, unary: usize) -> usize {
        match self {
            Load::Unary => unary,
            Load::Large => 48,
            Load::Stream => 1,
        }
    }

    /// Whether a variant is measured with this load.
    pub(crate) fn has(self, variant: &Variant) -> bool {
        self == Load::Unary || variant.streams
    }
}

/// A client of one listener.
pub(crate) enum Caller {
    Http(Connections),
    Grpc(GrpcClient),
}

impl Caller {
    /// Connects to the listener of a variant.
    pub(crate) fn connect(load: Load, variant: &Variant, listener: SocketAddr) -> Self {
        let good = |body: Arc<[u8]>| Expected {
            status: 200,
            header: None,
            body: Some(body),
        };
        match load {
            Load::Unary if variant.opened => {
                let expected = rejected();
                Caller::Http(Connections::open(
                    listener,
                    CONNECTIONS,
                    variant.paths(),
                    expected,
                ))
            }
            Load::Unary => {
                let expected = good(upstream::small());
                Caller::Http(Connections::open(
                    listener,
                    CONNECTIONS,
                    variant.paths(),
                    expected,
                ))
            }
            Load::Large => {
                let paths = [LARGE.to_owned()].into_iter();
                let expected = good(upstream::large());
                Caller::Http(Connections::open(
                    listener,
                    CONNECTIONS_LARGE,
                    paths,
                    expected,
                ))
            }
            Load::Stream => Caller::Grpc(GrpcClient::new(listener)),
        }
    }

    /// Sends requests and checks every response.
    ///
    /// # Panics
    ///
    /// Panics if a response is not the expected one.
    pub(crate) async fn send(&mut self, requests: usize) {
        match self {
            Caller::Http(connections) => connections.send(requests),
            Caller::Grpc(client) => {
                for _ in 0..requests {
                    stream(client).await;
                }
            }
        }
    }
}

fn rejected() -> Expected {
    Expected {
        status: 503,
        header: Some(("x-circuit-state", "open")),
        body: None,
    }
}

async fn stream(client: &GrpcClient) {
    let streamed = client.stream(MESSAGE).await.expect("a stream");
    assert_eq!(streamed.code, Code::Ok);
    assert_eq!(streamed.messages.len(), MESSAGES);
    assert!(streamed.messages.iter().all(|message| message == MESSAGE));
}

/// Opens the circuit behind a listener by one failure.
pub(crate) async fn open_circuit(listener: SocketAddr) {
    let client = Client::new(listener);
    assert_eq!(client.get(FAIL).await.status, 503);
    eventually("an open circuit", async || {
        client.get("/").await.status == 503
    })
    .await;
}
