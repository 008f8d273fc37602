//! The client: plain HTTP/1.1 and HTTP/2 requests, and clients that leave early.
//!
//! A truncated response is a response here and not an error, since tests look for resets in the
//! middle of a body.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

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
use tokio::time::timeout;

/// Sends requests to one address.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    way: Way,
}

#[derive(Clone)]
enum Way {
    /// Opens connections as needed.
    Pool(Box<Pool<HttpConnector, Full<Bytes>>>),
    /// Uses one connection and never opens another.
    Connection(SendRequest<Full<Bytes>>),
}

/// A response, as the client received it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether the body was complete.
    pub complete: bool,
}

/// A request in flight.
pub struct InFlight(JoinHandle<Answer>);

/// A response whose headers have arrived and whose body is unread.
pub struct Begun {
    pub status: u16,
    body: Incoming,
}

impl Client {
    /// Creates a client that reuses its connections, as services do. One connection always reaches
    /// the same Envoy worker.
    pub fn new(address: SocketAddr) -> Self {
        Self::with_idle_connections(address, usize::MAX)
    }

    /// Creates a client with a new connection per request, so that requests spread over the workers
    /// and reach the newest configuration.
    pub fn unpooled(address: SocketAddr) -> Self {
        Self::with_idle_connections(address, 0)
    }

    /// Creates a client that speaks HTTP/2 over one connection. A request that it abandons becomes
    /// a stream reset, while the connection stays open.
    pub fn http2(address: SocketAddr) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .http2_only(true)
            .build_http();
        let way = Way::Pool(Box::new(pool));
        Self { address, way }
    }

    /// Creates a client of one HTTP/2 connection, opened before the first request. The Envoy worker
    /// that accepted it serves all requests of this client. When the connection ends, so do they.
    pub async fn connected(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = handshake.expect("a connection that speaks HTTP/2");
        tokio::spawn(connection);
        let way = Way::Connection(sender);
        Self { address, way }
    }

    fn with_idle_connections(address: SocketAddr, idle_max: usize) -> Self {
        // The upstream would count a silent retry as a request that nobody made.
        let pool = Pool::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .pool_max_idle_per_host(idle_max)
            .build_http();
        let way = Way::Pool(Box::new(pool));
        Self { address, way }
    }

    /// The address that it sends to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a GET without further headers.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, &[], "")).await
    }

    /// Sends a GET with headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(request("GET", path, headers, "")).await
    }

    /// Sends a POST with headers.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send(request("POST", path, headers, body)).await
    }

    /// Sends any request; the address is filled in.
    ///
    /// # Panics
    ///
    /// Panics if no response arrived; see [`Client::try_send`].
    pub async fn send(&self, request: Request<Bytes>) -> Answer {
        self.try_send(request)
            .await
            .unwrap_or_else(|why| panic!("no answer: {why}"))
    }

    /// Sends any request. `Err` if the connection ended before the response headers.
    pub async fn try_send(&self, request: Request<Bytes>) -> Result<Answer, String> {
        Ok(whole(self.response(request).await?).await)
    }

    /// Sends a GET and returns once the response headers have arrived.
    ///
    /// # Panics
    ///
    /// Panics if none arrived.
    pub async fn head_of(&self, path: &str, headers: &[(&str, &str)]) -> Begun {
        let response = self.response(request("GET", path, headers, "")).await;
        let response = response.unwrap_or_else(|why| panic!("no answer: {why}"));
        Begun {
            status: response.status().as_u16(),
            body: response.into_body(),
        }
    }

    /// Like [`Client::try_send`], and stops waiting once the body falls silent: what came until
    /// then is a response that is not complete.
    pub async fn try_send_until_silent(
        &self,
        request: Request<Bytes>,
        silence: Duration,
    ) -> Result<Answer, String> {
        Ok(read(self.response(request).await?, silence).await)
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

    /// Sends a GET without waiting for its response.
    pub fn begin(&self, path: &str, headers: &[(&str, &str)]) -> InFlight {
        let (client, request) = (self.clone(), request("GET", path, headers, ""));
        InFlight(tokio::spawn(async move { client.send(request).await }))
    }
}

impl InFlight {
    /// Waits for the response.
    pub async fn answer(self) -> Answer {
        self.0.await.expect("the request was answered")
    }

    /// Leaves without waiting: closes the connection in the middle of the request.
    pub async fn abandon(self) {
        self.0.abort();
        let _ended = self.0.await;
    }
}

impl Begun {
    /// Leaves in the middle of the body.
    pub fn abandon(self) {
        drop(self.body);
    }
}

impl Answer {
    /// The value of a header; empty if missing.
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
    /// Panics if it is not valid JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }
}

/// Builds a request for [`Client::send`].
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
    read(response, Duration::MAX).await
}

async fn read(response: http::Response<Incoming>, silence: Duration) -> Answer {
    let (head, mut stream) = response.into_parts();
    let mut body = Vec::new();
    let complete = loop {
        match timeout(silence, stream.frame()).await {
            Ok(Some(Ok(frame))) => {
                if let Ok(chunk) = frame.into_data() {
                    body.extend_from_slice(&chunk);
                }
            }
            Ok(None) => break true,
            // A broken HTTP/2 stream would report its error forever.
            Ok(Some(Err(_))) | Err(_) => break false,
        }
    };
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.into(),
        complete,
    }
}
