//! Connections of clients: how they are accepted, served, and ended.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::spawn_local;

use super::exchange::Exchange;
use super::exchange::client::Incomer;
use super::messages;
use super::operators;
use super::pipe::{Broken, PipeBody, WINDOW, pipe, whole};
use super::site::{Connection, Site};
use crate::proxy::stream::info::StreamInfo;

/// Most connections of a listener. Further clients wait until one ends.
const CONNECTIONS_MAX: usize = 4_096;

/// Most requests at a time on a connection of HTTP/2.
const STREAMS_MAX: u32 = 100;

/// Longest headers of a request: Envoy's default is 60 KiB.
const HEADERS_MAX: usize = 60 * 1024;

/// How long streams in flight may take once the proxy ends.
const DRAIN: Duration = Duration::from_secs(5);

/// Pause after an error of the system, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Traffic,
    Operators,
    /// Operators, but the plugin has no page for them.
    NoPage,
}

/// All connections.
pub(super) struct Connections {
    ending: watch::Sender<bool>,
    /// Each connection holds a copy of the sender.
    alive: mpsc::Sender<Infallible>,
    gone: mpsc::Receiver<Infallible>,
}

impl Default for Connections {
    fn default() -> Connections {
        let (alive, gone) = mpsc::channel(1);
        let (ending, _) = watch::channel(false);
        Connections {
            ending,
            alive,
            gone,
        }
    }
}

impl Connections {
    /// Accepts connections until [`Connections::end`].
    pub(super) fn accept(
        &self,
        listener: TcpListener,
        site: Rc<Site>,
        kind: Kind,
    ) -> impl Future<Output = ()> + use<> {
        let mut ending = self.ending.subscribe();
        let alive = self.alive.clone();
        async move {
            let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
            loop {
                let next = async {
                    let place = places.clone().acquire_owned().await;
                    (place, listener.accept().await)
                };
                let (place, accepted) = tokio::select! {
                    next = next => next,
                    _ = ending.changed() => return,
                };
                let Ok((stream, peer)) = accepted else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                let connection = serve(stream, peer, site.clone(), kind, ending.clone());
                let alive = alive.clone();
                spawn_local(async move {
                    connection.await;
                    drop((place, alive));
                });
            }
        }
    }

    /// Ends all connections, once their streams in flight have ended or have had their time.
    pub(super) async fn end(self) {
        let Connections {
            ending,
            alive,
            mut gone,
        } = self;
        ending.send_replace(true);
        drop(alive);
        // Streams that take longer are cut off.
        let _ = tokio::time::timeout(DRAIN, gone.recv()).await;
    }
}

/// Runs the tasks of hyper on this thread.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        spawn_local(async move {
            task.await;
        });
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    site: Rc<Site>,
    kind: Kind,
    mut ending: watch::Receiver<bool>,
) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // A delay costs time, and nothing else.
    let _ = stream.set_nodelay(true);
    let connection = Rc::new(site.connect(peer, local));
    let service = service_fn(move |request| {
        let connection = connection.clone();
        async move {
            match kind {
                Kind::Traffic => exchange(&connection, request).await,
                _ if !peer.ip().to_canonical().is_loopback() => Ok(operators::not_from_here()),
                _ => operate(&connection, kind, request).await,
            }
        }
    });
    let mut builder = auto::Builder::new(Local);
    builder.http1().max_buf_size(HEADERS_MAX);
    builder
        .http2()
        .max_concurrent_streams(STREAMS_MAX)
        // Otherwise one upload that waits would stop all others of its connection.
        .initial_stream_window_size(WINDOW as u32)
        .initial_connection_window_size(WINDOW as u32 * STREAMS_MAX)
        .max_header_list_size(HEADERS_MAX as u32);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // An error is the client's: it broke the protocol, or left.
        _ = served.as_mut() => return,
        _ = ending.wait_for(|ending| *ending) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = served.await;
}

async fn operate(
    connection: &Connection,
    kind: Kind,
    request: Request<Incoming>,
) -> Result<Response<PipeBody>, Broken> {
    let (engine, has_page) = (&connection.site.engine, kind == Kind::Operators);
    match operators::answer(engine, has_page, request.uri().path()) {
        Some(response) => Ok(response),
        None => exchange(connection, request).await,
    }
}

/// Passes a request to the filter, and returns the response once its headers are there.
async fn exchange(
    connection: &Connection,
    request: Request<Incoming>,
) -> Result<Response<PipeBody>, Broken> {
    let site = &connection.site;
    let (parts, incoming) = request.into_parts();
    let headers = match messages::request(&parts, || site.request_id()) {
        Ok(headers) => headers,
        Err(status) => return Ok(refusal(status)),
    };
    let end = incoming.is_end_stream();
    let to_head = parts.method == http::Method::HEAD;
    let (head, answered) = oneshot::channel();
    let (pipe, body) = pipe();
    let from = Incomer {
        incoming: (!end).then_some(incoming),
        http2: parts.version == http::Version::HTTP_2,
        head,
        body: pipe,
    };
    let info = StreamInfo {
        worker: connection.id as usize,
        connection_id: connection.id,
        start: site.engine.now(),
        protocol: messages::protocol(parts.version),
        downstream_address: Some(connection.peer.clone()),
        downstream_local_address: Some(connection.local.clone()),
        ..StreamInfo::default()
    };
    spawn_local(Exchange::new(site, from, info).run(headers, end));
    // The body is kept here, so that a client that leaves early drops it.
    let map = answered.await.map_err(|_| Broken)?;
    let response = messages::to_client(&map, body).ok_or(Broken)?;
    let (parts, body) = response.into_parts();
    if let Some(bytes) = messages::needed(&parts, to_head) {
        body.needs(bytes);
    }
    Ok(Response::from_parts(parts, body))
}

/// Returns the response to a request that gets no further than its headers.
fn refusal(status: StatusCode) -> Response<PipeBody> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    let server = HeaderValue::from_static("envoy");
    response.headers_mut().insert("server", server);
    response
}
