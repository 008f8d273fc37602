//! A server on a free loopback port, for HTTP/1.1 and HTTP/2.
//!
//! Both scripted upstreams are built on it: one accept loop, which closes all its connections when
//! it ends.

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Why a body ends early.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A running server. Dropping it closes its port and its connections.
pub struct Serving {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Serving {
    /// Starts a server that responds to every request with `answer`. An error from it resets the
    /// connection, or the stream with HTTP/2.
    pub async fn start<A, B>(answer: A) -> Self
    where
        A: AsyncAnswer<B>,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        Self {
            address,
            accepting: tokio::spawn(accept(listener, answer)),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The request handler, cloned for each connection.
pub trait AsyncAnswer<B>: Clone + Send + 'static {
    /// Returns the response to a request.
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = io::Result<Response<B>>> + Send;
}

async fn accept<A, B>(listener: TcpListener, answer: A)
where
    A: AsyncAnswer<B>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _peer)) = listener.accept().await {
        connections.spawn(serve(stream, answer.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve<A, B>(stream: TcpStream, answer: A)
where
    A: AsyncAnswer<B>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer.clone();
        async move { answer.answer(request).await }
    });
    // Errors are ignored: many tests end connections badly on purpose.
    let _ended = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
