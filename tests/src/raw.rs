//! A client for bytes that no HTTP library would send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Silence after which the response counts as complete, since Envoy keeps connections open.
const SILENCE: Duration = Duration::from_millis(500);

/// The bytes received.
#[derive(Clone, Debug)]
pub struct RawAnswer(pub Vec<u8>);

/// Sends bytes unchanged and reads until the response is complete, or until the connection closes
/// or falls silent.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> RawAnswer {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // Envoy may have rejected the request and closed before all of it was written. Its response
    // still counts.
    let _refused = stream.write_all(bytes).await;
    let (mut answer, mut chunk) = (Vec::new(), vec![0; 16 * 1024]);
    while let Ok(Ok(read @ 1..)) = timeout(patience(&answer), stream.read(&mut chunk)).await {
        answer.extend_from_slice(&chunk[..read]);
        if is_whole(&answer) {
            break;
        }
    }
    RawAnswer(answer)
}

/// Sends bytes unchanged and reads until the other side closes, for requests with `connection:
/// close`.
pub async fn closing(address: SocketAddr, bytes: &[u8]) -> RawAnswer {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes).await.expect("a request sent");
    let mut answer = Vec::new();
    let read = timeout(crate::eventually::PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("an end of the connection")
        .expect("a connection without a reset");
    RawAnswer(answer)
}

/// A GET with one header of arbitrary bytes, on a connection that closes after the response.
pub fn get_with_header(path: &str, name: &str, value: &[u8]) -> Vec<u8> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{name}: ");
    [head.as_bytes(), value, b"\r\n\r\n"].concat()
}

impl RawAnswer {
    /// The status of the first response; `None` if no response arrived.
    pub fn status(&self) -> Option<u16> {
        let line = self.0.strip_prefix(b"HTTP/1.1 ")?;
        std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()
    }

    /// All bytes received, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// Whether the body has the length of `content-length`. Envoy closes the connection only some time
/// later.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, _body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= head.len() + 4 + length)
}

fn patience(answer: &[u8]) -> Duration {
    if answer.is_empty() {
        crate::eventually::PATIENCE
    } else {
        SILENCE
    }
}
