//! The caller: plain HTTP/1.1 requests, and callers that go away.
//!
//! An answer that breaks off is an answer here and not an error, since a reset in mid-body is
//! something that tests look for.

use std::fmt::Debug;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Sends requests to one address.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    way: Way,
}

#[derive(Clone)]
enum Way {
    /// Connections as they are needed.
    Pool(Box<Pool<HttpConnector, Full<Bytes>>>),
    /// One connection, and none after it.
    Connection(SendRequest<Full<Bytes>>),
}

/// What the caller got.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether the body came to its proper end.
    pub complete: bool,
}

/// A request on its way.
pub struct InFlight(JoinHandle<Answer>);

/// An answer whose headers are there and whose body is not read.
pub struct Begun {
    pub status: u16,
    body: Incoming,
}

impl Client {
    /// A client that keeps its connections for the next request, as services do. One connection
    /// always meets the same worker of Envoy.
    pub fn new(address: SocketAddr) -> Self {
        Self::with_idle_connections(address, usize::MAX)
    }

    /// A client with a new connection for each request, so that requests spread over workers and
    /// meet the newest configuration.
    pub fn unpooled(address: SocketAddr) -> Self {
        Self::with_idle_connections(address, 0)
    }

    /// A client that speaks HTTP/2 over one connection: a request that it abandons is a stream
    /// that it resets, while the connection stays.
    pub fn http2(address: SocketAddr) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .http2_only(true)
            .build_http();
        let way = Way::Pool(Box::new(pool));
        Self { address, way }
    }

    /// A client of one HTTP/2 connection, which is there before the first request: whatever took
    /// it, such as a worker of Envoy, gets all requests of this client. When it ends, so do they.
    pub async fn connected(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = handshake.expect("a connection that speaks HTTP/2");
        tokio::spawn(connection);
        let way = Way::Connection(sender);
        Self { address, way }
    }

    fn with_idle_connections(address: SocketAddr, idle_max: usize) -> Self {
        // A silent second try would be counted by the upstream as a request nobody made.
        let pool = Pool::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .pool_max_idle_per_host(idle_max)
            .build_http();
        let way = Way::Pool(Box::new(pool));
        Self { address, way }
    }

    /// GET without further headers.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, &[], "")).await
    }

    /// GET with headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(request("GET", path, headers, "")).await
    }

    /// POST with headers.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send(request("POST", path, headers, body)).await
    }

    /// Any request; the address is filled in.
    ///
    /// # Panics
    ///
    /// Where no answer came at all; see [`Client::try_send`].
    pub async fn send(&self, request: Request<Bytes>) -> Answer {
        self.try_send(request)
            .await
            .unwrap_or_else(|why| panic!("no answer: {why}"))
    }

    /// Any request; an error where the connection ended before response headers.
    pub async fn try_send(&self, request: Request<Bytes>) -> Result<Answer, String> {
        Ok(whole(self.response(request).await?).await)
    }

    /// GET with headers, as far as the headers of the answer.
    ///
    /// # Panics
    ///
    /// Where none came.
    pub async fn head_of(&self, path: &str, headers: &[(&str, &str)]) -> Begun {
        let response = self.response(request("GET", path, headers, "")).await;
        let response = response.unwrap_or_else(|why| panic!("no answer: {why}"));
        Begun {
            status: response.status().as_u16(),
            body: response.into_body(),
        }
    }

    async fn response(
        &self,
        mut request: Request<Bytes>,
    ) -> Result<http::Response<Incoming>, String> {
        let target = format!("http://{}{}", self.address, request.uri());
        *request.uri_mut() = target
            .parse()
            .map_err(|error| format!("{target}: {error}"))?;
        let request = request.map(Full::new);
        match &self.way {
            Way::Pool(pool) => pool.request(request).await.map_err(told),
            Way::Connection(sender) => sender.clone().send_request(request).await.map_err(told),
        }
    }

    /// Sends a GET without waiting for its answer.
    pub fn begin(&self, path: &str, headers: &[(&str, &str)]) -> InFlight {
        let (client, request) = (self.clone(), request("GET", path, headers, ""));
        InFlight(tokio::spawn(async move { client.send(request).await }))
    }
}

impl InFlight {
    /// Waits for the answer.
    pub async fn answer(self) -> Answer {
        self.0.await.expect("the request was answered")
    }

    /// Goes away without waiting: the connection is closed in the middle of the request.
    pub async fn abandon(self) {
        self.0.abort();
        let _ended = self.0.await;
    }
}

impl Begun {
    /// Goes away in mid-body.
    pub fn abandon(self) {
        drop(self.body);
    }
}

impl Answer {
    /// The value of a header; empty where it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("a readable header"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// Where it is something else.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }
}

/// A request to be sent with [`Client::send`].
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .expect("a valid request")
}

fn told(error: impl Debug) -> String {
    format!("{error:?}")
}

async fn whole(response: http::Response<Incoming>) -> Answer {
    let (head, mut stream) = response.into_parts();
    let (mut body, mut complete) = (Vec::new(), true);
    while let Some(frame) = stream.frame().await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(chunk)) => body.extend_from_slice(&chunk),
            Ok(Err(_trailers)) => {}
            // A broken stream of HTTP/2 would go on telling so for ever.
            Err(_broken) => {
                complete = false;
                break;
            }
        }
    }
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.into(),
        complete,
    }
}
