//! Clusters as servers on the network, and the connections to them.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, HttpInfo};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::pipe::{PipeBody, WINDOW};
use crate::model::cause::LocalCause;
use crate::model::retry::Reset;
use crate::proxy::stream::info::Protocol;

/// Envoy's default for clusters.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Envoy's default limits of a cluster: `max_requests`, and `max_retries` at a time.
const REQUESTS_MAX: u32 = 1_024;
const RETRIES_MAX: u32 = 3;

/// A cluster with one server.
pub(crate) struct Upstream {
    authority: String,
    protocol: Protocol,
    client: Client<HttpConnector, PipeBody>,
    /// The connection of HTTP/2, which all requests share.
    shared: RefCell<Option<SendRequest<PipeBody>>>,
    requests: Cell<u32>,
    retries: Cell<u32>,
}

/// Why a request gets no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    Reset(Reset),
    /// The name of the server is unknown.
    Unknown,
}

impl From<Failed> for LocalCause {
    fn from(failed: Failed) -> LocalCause {
        match failed {
            Failed::Reset(reset) => reset.into(),
            Failed::Unknown => LocalCause::NoHealthyHost,
        }
    }
}

/// One of the requests that the cluster's limit allows.
pub(super) struct Permit(Rc<Upstream>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get().saturating_sub(1));
    }
}

/// One of the retries that the cluster's limit allows.
pub(super) struct RetryPermit(Rc<Upstream>);

impl Drop for RetryPermit {
    fn drop(&mut self) {
        self.0.retries.set(self.0.retries.get().saturating_sub(1));
    }
}

impl Upstream {
    /// Parses the URL of a server: `http://HOST[:PORT]`, or `h2c://` for HTTP/2.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse(url: &str) -> Result<Upstream, String> {
        let allowed = "allowed http://HOST:PORT or h2c://HOST:PORT";
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| format!("{url:?} is no URL, {allowed}"))?;
        let protocol = match scheme {
            "http" => Protocol::Http11,
            "h2c" => Protocol::Http2,
            "https" => {
                return Err(format!(
                    "{url:?} needs TLS, which is not supported, {allowed}"
                ));
            }
            _ => return Err(format!("{url:?} has the scheme {scheme:?}, {allowed}")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let authority: http::uri::Authority = rest
            .parse()
            .map_err(|_| format!("{url:?} is more than a host and a port, {allowed}"))?;
        if authority.as_str().contains('@') {
            return Err(format!("{url:?} has a user name, {allowed}"));
        }
        let has_port = authority.as_str().len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if has_port => {
                return Err(format!("{url:?} has a port that is no number up to 65535"));
            }
            None => 80,
        };
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Ok(Upstream {
            authority: format!("{}:{port}", authority.host()),
            protocol,
            client: Client::builder(TokioExecutor::new())
                .set_host(false)
                .pool_max_idle_per_host(REQUESTS_MAX as usize)
                .build(connector),
            shared: RefCell::default(),
            requests: Cell::new(0),
            retries: Cell::new(0),
        })
    }

    /// Returns the server's `host:port`.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns whether a request goes by HTTP/2. gRPC needs it.
    pub(super) fn speaks_http2(&self, grpc: bool) -> bool {
        grpc || self.protocol == Protocol::Http2
    }

    /// Takes one of the requests in flight. `None` if there are too many.
    pub(super) fn permit(self: &Rc<Self>) -> Option<Permit> {
        let requests = self.requests.get();
        if requests >= REQUESTS_MAX {
            return None;
        }
        self.requests.set(requests + 1);
        Some(Permit(self.clone()))
    }

    /// Takes one of the retries in flight. `None` if there are too many.
    pub(super) fn retry_permit(self: &Rc<Self>) -> Option<RetryPermit> {
        let retries = self.retries.get();
        if retries >= RETRIES_MAX {
            return None;
        }
        self.retries.set(retries + 1);
        Some(RetryPermit(self.clone()))
    }

    /// Sends a request, and returns its response once the headers are there.
    pub(super) async fn send(
        &self,
        request: Request<PipeBody>,
    ) -> Result<Response<Incoming>, Failed> {
        if request.version() == http::Version::HTTP_2 {
            return self.send_shared(request).await;
        }
        self.client
            .request(request)
            .await
            .map_err(|error| match error.is_connect() {
                true => connect_failure(&error),
                false => Failed::Reset(Reset::ConnectionTermination),
            })
    }

    async fn send_shared(&self, request: Request<PipeBody>) -> Result<Response<Incoming>, Failed> {
        let known = self.shared.borrow().clone();
        let mut sender = match known.filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => {
                let sender = self.connect().await?;
                self.shared.replace(Some(sender.clone()));
                sender
            }
        };
        let failed = |error: hyper::Error| Failed::Reset(reset(&error));
        sender.ready().await.map_err(failed)?;
        sender.send_request(request).await.map_err(failed)
    }

    async fn connect(&self) -> Result<SendRequest<PipeBody>, Failed> {
        let connecting = TcpStream::connect(&self.authority);
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| Failed::Reset(Reset::ConnectionTimeout))?
            .map_err(|error| of_io(&error))?;
        let _ = stream.set_nodelay(true);
        let terminated = |_| Failed::Reset(Reset::ConnectionTermination);
        // Otherwise a few clients that do not read would stop the responses of all others.
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW as u32)
            .initial_connection_window_size(WINDOW as u32 * REQUESTS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(terminated)?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// Returns the proxy's address on the connection of a response, if it is known.
pub(super) fn local_address<B>(response: &Response<B>) -> Option<Rc<str>> {
    let info = response.extensions().get::<HttpInfo>()?;
    Some(info.local_addr().to_string().into())
}

/// Returns why a message ended early.
pub(super) fn reset(error: &hyper::Error) -> Reset {
    let of_stream = error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .filter(|error| error.is_reset());
    match of_stream.and_then(h2::Error::reason) {
        Some(h2::Reason::REFUSED_STREAM) => Reset::RefusedStream,
        Some(_) => Reset::RemoteReset,
        None => Reset::ConnectionTermination,
    }
}

fn connect_failure(error: &hyper_util::client::legacy::Error) -> Failed {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return of_io(error);
        }
        source = cause.source();
    }
    Failed::Reset(Reset::ConnectionFailure)
}

/// The system's resolver reports an unknown name as an error without a number.
fn of_io(error: &io::Error) -> Failed {
    match error.kind() {
        io::ErrorKind::TimedOut => Failed::Reset(Reset::ConnectionTimeout),
        _ if error.raw_os_error().is_none() => Failed::Unknown,
        _ => Failed::Reset(Reset::ConnectionFailure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        let rows = [
            ("http://127.0.0.1:8080", Ok("127.0.0.1:8080")),
            ("http://[::1]:8080/", Ok("[::1]:8080")),
            ("http://shop", Ok("shop:80")),
            ("h2c://shop:50051", Ok("shop:50051")),
            ("https://shop", Err("needs TLS")),
            ("ftp://shop", Err("scheme \"ftp\"")),
            ("shop:80", Err("no URL")),
            ("http://shop/path", Err("more than a host and a port")),
            ("http://me@shop", Err("user name")),
            ("http://shop:99999", Err("port")),
            ("http://shop:", Err("port")),
            ("http://", Err("more than a host and a port")),
        ];
        for (url, expected) in rows {
            match (Upstream::parse(url), expected) {
                (Ok(upstream), Ok(authority)) => assert_eq!(upstream.authority(), authority),
                (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
                (parsed, _) => panic!("{url}: {:?}", parsed.map(|it| it.authority)),
            }
        }
    }

    #[test]
    fn requests_and_retries_in_flight_are_limited() {
        let upstream = Rc::new(Upstream::parse("http://shop").unwrap());
        let mut requests: Vec<_> = (0..REQUESTS_MAX).map(|_| upstream.permit()).collect();
        assert!(requests.iter().all(Option::is_some));
        assert!(upstream.permit().is_none());
        requests.pop();
        assert!(upstream.permit().is_some());
        let retries: Vec<_> = (0..=RETRIES_MAX).map(|_| upstream.retry_permit()).collect();
        assert_eq!(retries.iter().flatten().count(), RETRIES_MAX as usize);
    }
}
