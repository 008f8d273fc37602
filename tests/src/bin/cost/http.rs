//! A client of persistent HTTP/1.1 connections that are all in use at once.
//!
//! With many requests in flight one wake-up of the worker serves several of them, as under load. The
//! client blocks on one connection after the other, which costs it less than waiting for all of
//! them: the responses that it does not wait for arrive meanwhile.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use httparse::{EMPTY_HEADER, Response, Status};

/// How long a response may take. Only a broken run takes this long.
const PATIENCE: Duration = Duration::from_secs(15);

/// Largest read from a connection.
const CHUNK: usize = 64 * 1024;

/// Most headers of a response.
const HEADERS_MAX: usize = 32;

/// What each response must be.
#[derive(Clone)]
pub(crate) struct Expected {
    pub status: u16,
    pub header: Option<(&'static str, &'static str)>,
    /// The body; `None` for any.
    pub body: Option<Arc<[u8]>>,
}

/// The connections to one listener.
pub(crate) struct Connections {
    open: Vec<Connection>,
    requests: Vec<Vec<u8>>,
    /// Index of the request that is sent next.
    next: usize,
    expected: Expected,
}

impl Connections {
    /// Opens connections that send GETs of these paths in turn.
    pub(crate) fn open(
        address: SocketAddr,
        count: usize,
        paths: impl Iterator<Item = String>,
        expected: Expected,
    ) -> Self {
        let request = |path| format!("GET {path} HTTP/1.1\r\nhost: cost.test\r\n\r\n").into_bytes();
        Self {
            open: (0..count).map(|_| Connection::new(address)).collect(),
            requests: paths.map(request).collect(),
            next: 0,
            expected,
        }
    }

    /// Sends requests, with one in flight on each connection, and waits for all responses.
    ///
    /// # Panics
    ///
    /// Panics if a response is not the expected one.
    pub(crate) fn send(&mut self, count: usize) {
        let connections = self.open.len();
        for sent in 0..count.min(connections) {
            self.write(sent);
        }
        for received in 0..count {
            self.open[received % connections].receive(&self.expected);
            if received + connections < count {
                self.write(received % connections);
            }
        }
    }

    fn write(&mut self, connection: usize) {
        let request = &self.requests[self.next];
        let stream = &mut self.open[connection].stream;
        stream.write_all(request).expect("a request sent");
        self.next = (self.next + 1) % self.requests.len();
    }
}

struct Connection {
    stream: TcpStream,
    /// The start of a response, up to the last read.
    head: Vec<u8>,
    chunk: Vec<u8>,
}

impl Connection {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("a connection");
        let patience = Some(PATIENCE);
        stream.set_read_timeout(patience).expect("a connection");
        Self {
            stream,
            head: Vec::new(),
            chunk: vec![0; CHUNK],
        }
    }

    fn receive(&mut self, expected: &Expected) {
        self.head.clear();
        let head = loop {
            let read = self.read();
            self.head.extend_from_slice(&self.chunk[..read]);
            if let Some(head) = parse(&self.head, expected) {
                break head;
            }
        };
        let mut received = self.head.len() - head.bytes;
        check(expected, 0, &self.head[head.bytes..]);
        while received < head.body_bytes {
            let read = self.read();
            check(expected, received, &self.chunk[..read]);
            received += read;
        }
        assert_eq!(received, head.body_bytes, "bytes behind a response");
    }

    fn read(&mut self) -> usize {
        let read = self.stream.read(&mut self.chunk).expect("a response");
        assert!(read > 0, "the connection was closed");
        read
    }
}

/// The head of a response.
#[derive(Debug, PartialEq)]
struct Head {
    bytes: usize,
    body_bytes: usize,
}

/// Parses and checks the head of a response; `None` if it is incomplete.
fn parse(bytes: &[u8], expected: &Expected) -> Option<Head> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    let Status::Complete(size) = response.parse(bytes).expect("an HTTP response") else {
        return None;
    };
    let text = || String::from_utf8_lossy(bytes);
    assert_eq!(response.code, Some(expected.status), "{}", text());
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name == name);
        header.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    if let Some((name, expected)) = expected.header {
        assert_eq!(value(name), Some(expected), "{}", text());
    }
    let length = value("content-length").and_then(|length| length.parse().ok());
    let body_bytes = length.unwrap_or_else(|| panic!("a response without a length: {}", text()));
    if let Some(body) = &expected.body {
        assert_eq!(body_bytes, body.len(), "{}", text());
    }
    Some(Head {
        bytes: size,
        body_bytes,
    })
}

fn check(expected: &Expected, at: usize, chunk: &[u8]) {
    if let Some(body) = &expected.body {
        assert!(
            body[at..].starts_with(chunk),
            "another body from byte {at} on"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use spillway_tests::{Reply, Upstream};
    use tokio::task::{JoinError, spawn_blocking};

    use super::{Connections, Expected, Head, parse};

    fn expected() -> Expected {
        Expected {
            status: 200,
            header: Some(("x-by", "test")),
            body: Some(Arc::from(*b"good")),
        }
    }

    #[test]
    fn a_head_is_parsed_once_it_is_complete() {
        let head = b"HTTP/1.1 200 OK\r\nx-by: test\r\ncontent-length: 4\r\n\r\n";
        let all = Head {
            bytes: head.len(),
            body_bytes: 4,
        };
        assert_eq!(parse(head, &expected()), Some(all));
        for cut in 0..head.len() {
            assert_eq!(parse(&head[..cut], &expected()), None, "{cut} bytes");
        }
    }

    /// Sends ten requests. Returns the number of those with the first path; `Err` if a response
    /// was wrong.
    async fn send(reply: Reply) -> Result<usize, JoinError> {
        let upstream = Upstream::start().await;
        upstream.reply(reply);
        let address = upstream.address();
        let sending = spawn_blocking(move || {
            let paths = ["/a", "/b"].map(str::to_owned).into_iter();
            let mut connections = Connections::open(address, 3, paths, expected());
            connections.send(8);
            connections.send(2);
        });
        sending.await.map(|()| upstream.hits_on("/a"))
    }

    #[tokio::test]
    async fn requests_go_over_all_connections_and_take_the_paths_in_turn() {
        let good = Reply::status(200).header("x-by", "test").body("good");
        assert_eq!(send(good).await.ok(), Some(5));
    }

    #[tokio::test]
    async fn a_wrong_response_is_found() {
        for reply in [
            Reply::status(503).header("x-by", "test").body("good"),
            Reply::status(200).header("x-by", "other").body("good"),
            Reply::status(200).body("good"),
            Reply::status(200).header("x-by", "test").body("goods"),
            Reply::status(200).header("x-by", "test").body("gone"),
            Reply::reset(),
        ] {
            let told = format!("{reply:?}");
            assert!(send(reply).await.is_err(), "{told}");
        }
    }
}
