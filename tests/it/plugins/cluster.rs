//! Clusters that answer as the mocks of a plugin test say.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use host_sim::trial::transcript::{Callout, Message};
use host_sim::trial::{Answer, Mock, Trial, UPSTREAM};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use spillway_tests::serving::{AsyncAnswer, Serving};
use tokio::time::sleep;

use super::{Body, map, message};

/// The running clusters of a plugin test.
pub(super) struct Mocked {
    servers: BTreeMap<String, Serving>,
    seen: Seen,
}

/// Requests in the order in which they came, with their clusters.
type Seen = Arc<Mutex<Vec<(String, Received)>>>;

/// A request as it came. A [`Message`] of the simulator belongs to one thread.
#[derive(Clone)]
struct Received {
    method: String,
    path: String,
    authority: String,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

impl Received {
    fn message(&self) -> Message {
        let pseudo = [
            (":method", self.method.as_str()),
            (":path", &self.path),
            (":authority", &self.authority),
        ];
        let is_grpc = self
            .headers
            .get("content-type")
            .is_some_and(|it| it == "application/grpc");
        let body = match is_grpc && self.body.len() >= PREFIX {
            true => self.body.slice(PREFIX..),
            false => self.body.clone(),
        };
        Message {
            body,
            trailers: map(&self.trailers),
            ..message(&pseudo, &self.headers)
        }
    }
}

impl Mocked {
    /// Starts a server for each cluster.
    pub(super) async fn start(trial: &Trial) -> Mocked {
        let seen = Seen::default();
        let mocked = trial.mocks.iter().map(|mock| mock.cluster.clone());
        let names: BTreeSet<_> = mocked.chain([UPSTREAM.to_owned()]).collect();
        let mut servers = BTreeMap::new();
        for name in names {
            let server = Server {
                cluster: name.clone(),
                mocks: trial.mocks.clone().into(),
                count: Arc::default(),
                seen: seen.clone(),
            };
            servers.insert(name, Serving::start(server).await);
        }
        Mocked { servers, seen }
    }

    /// Returns the names of the clusters with their addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.servers
            .iter()
            .map(|(name, it)| (name.as_str(), it.address))
    }

    /// Returns what the upstream got.
    pub(super) fn upstream(&self) -> Vec<Message> {
        let seen = self.seen.lock().expect("requests");
        let seen = seen.iter().filter(|(cluster, _)| cluster == UPSTREAM);
        seen.map(|(_, request)| request.message()).collect()
    }

    /// Returns what other clusters got.
    pub(super) fn callouts(&self) -> Vec<Callout> {
        let seen = self.seen.lock().expect("requests");
        let seen = seen.iter().filter(|(cluster, _)| cluster != UPSTREAM);
        let callout = |(cluster, request): &(String, Received)| Callout {
            cluster: cluster.clone(),
            request: request.message(),
            ..Callout::default()
        };
        seen.map(callout).collect()
    }

    /// Forgets what came so far.
    pub(super) fn forget(&self) {
        self.seen.lock().expect("requests").clear();
    }
}

#[derive(Clone)]
struct Server {
    cluster: String,
    mocks: Arc<[Mock]>,
    count: Arc<Mutex<u64>>,
    seen: Seen,
}

impl AsyncAnswer<Body> for Server {
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let request = received(request).await?;
        let path = request.path.clone();
        let entry = (self.cluster.clone(), request);
        self.seen.lock().expect("requests").push(entry);
        let answer = self.mocked(&path);
        sleep(Duration::from_nanos(answer.delay.as_ns())).await;
        match answer.reset {
            Some(_) => Err(io::ErrorKind::ConnectionReset.into()),
            None => Ok(response(&answer)),
        }
    }
}

impl Server {
    fn mocked(&self, path: &str) -> Answer {
        let mut count = self.count.lock().expect("a count");
        *count += 1;
        let found = self
            .mocks
            .iter()
            .find(|it| it.fits(&self.cluster, path, *count));
        found.map_or_else(|| Answer::bare(200), |mock| mock.answer.clone())
    }
}

/// Reads a request. One that breaks off is an error, and was never received.
async fn received(request: Request<Incoming>) -> io::Result<Received> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?;
    let trailers = body.trailers().cloned();
    Ok(Received {
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map_or("/", |it| it.as_str())
            .to_owned(),
        authority: head.uri.authority().map_or("", |it| it.as_str()).to_owned(),
        headers: head.headers,
        trailers: trailers.unwrap_or_default(),
        body: body.to_bytes(),
    })
}

/// Length of what stands before a message of gRPC.
const PREFIX: usize = 5;

fn response(answer: &Answer) -> Response<Body> {
    let mut built = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        built = built.header(name, value);
    }
    // As servers do for a body that they have as a whole.
    let has_length = |name: &str| name.eq_ignore_ascii_case("content-length");
    if let ([only], true, None) = (&*answer.chunks, answer.trailers.is_empty(), &answer.grpc)
        && !answer.headers.iter().any(|(name, _)| has_length(name))
    {
        built = built.header("content-length", only.len());
    }
    if answer.grpc.is_some() {
        built = built.header("content-type", "application/grpc");
    }
    let trailers = answer.all_trailers();
    let trailers = trailers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    built
        .body(super::body(answer.parts(), trailers))
        .expect("a response")
}
