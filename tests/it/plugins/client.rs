//! The client: sends a request of a plugin test with its trailers.

use std::net::SocketAddr;

use host_sim::trial::Request;
use host_sim::trial::transcript::Client;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{Body, body, map, message};

/// Sends a request on a connection of its own.
pub(super) async fn send(address: SocketAddr, request: &Request, is_http2: bool) -> Client {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let io = TokioIo::new(stream);
    let request = of(request, address, is_http2);
    let response = if is_http2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io)
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    match response {
        Ok(response) => whole(response).await,
        Err(_broken) => Client {
            reset: true,
            ..Client::default()
        },
    }
}

fn of(request: &Request, address: SocketAddr, is_http2: bool) -> http::Request<Body> {
    let text = |name| request.headers.text(name).unwrap_or_default();
    let path = text(":path");
    let uri = match is_http2 {
        true => format!("http://{address}{path}"),
        false => path.to_owned(),
    };
    let mut built = http::Request::builder().method(text(":method")).uri(uri);
    if !is_http2 {
        built = built.header("host", text(":authority"));
    }
    // The proxy adds these by itself.
    let added = ["x-request-id", "x-forwarded-proto"];
    for (name, value) in request.headers.iter() {
        let name = std::str::from_utf8(name).expect("a name");
        if !name.starts_with(':') && !added.contains(&name) {
            built = built.header(name, value);
        }
    }
    let body = body(request.chunks.clone(), request.trailers.iter());
    built.body(body).expect("a request")
}

async fn whole(response: http::Response<Incoming>) -> Client {
    let (head, mut body) = response.into_parts();
    let mut got = message(&[(":status", head.status.as_str())], &head.headers);
    let mut bytes = Vec::new();
    let mut reset = false;
    while let Some(frame) = body.frame().await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(frame)) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                got.trailers = map(&trailers);
            }
            Err(_broken) => {
                reset = true;
                break;
            }
        }
    }
    got.body = bytes.into();
    Client {
        response: Some(got),
        reset,
        ..Client::default()
    }
}
