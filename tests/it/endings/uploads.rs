//! Uploads that the upstream cuts off.

use std::io;
use std::net::SocketAddr;

use spillway_tests::{Envoy, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{FAILURE, IGNORED, cased};
use crate::scene::outcomes_are;

/// A server that resets every connection as soon as it has the request headers. To Envoy, an early
/// 401 can look like this.
async fn rude() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(cut(stream));
        }
    });
    address
}

async fn cut(mut stream: TcpStream) -> io::Result<()> {
    let mut head = vec![0; 4_096];
    let mut len = 0;
    while !head[..len].windows(4).any(|end| end == b"\r\n\r\n") {
        len += stream.read(&mut head[len..]).await?;
    }
    // Closing with unread bytes sends a reset.
    drop(stream);
    Ok(())
}

#[tokio::test]
async fn a_cut_upload_is_ignored_but_a_refused_connection_counts() {
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address())
        .cluster("rude", rude().await)
        .refused_cluster("gone");
    let envoy = cased(setting, &["cut", "whole", "refused"]).await;
    for (case, to, flags, counted) in [
        ("cut", "rude", "UC", IGNORED),
        ("refused", "gone", "UF", FAILURE),
    ] {
        let mut stream = TcpStream::connect(envoy.address())
            .await
            .expect("a connection");
        let head = format!(
            "POST /{case} HTTP/1.1\r\nhost: h\r\nx-case: {case}\r\nx-to: {to}\r\n\
             content-length: 1000\r\n\r\nhalf"
        );
        stream
            .write_all(head.as_bytes())
            .await
            .expect("a connection");
        assert_eq!(envoy.access(&format!("/{case}")).await["flags"], flags);
        outcomes_are(&envoy, case, counted).await;
    }
    let headers = [("x-case", "whole"), ("x-to", "rude")];
    assert_eq!(
        envoy.client().post("/whole", &headers, "all").await.status,
        503
    );
    outcomes_are(&envoy, "whole", FAILURE).await;
}
