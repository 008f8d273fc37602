//! The scripted service, on HTTP/2 without TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use tokio::time::sleep;
use tokio_stream::Stream;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::{Grpc, ServerStreamingService};
use tonic_prost::ProstCodec;

use super::{GrpcReply, Place, Said};
use crate::serving::{AsyncAnswer, Serving};

/// A running gRPC upstream and the handle that scripts it. Dropping it stops the server.
pub struct GrpcUpstream {
    serving: Serving,
    script: Arc<Script>,
}

struct Script {
    reply: Mutex<GrpcReply>,
    calls: Mutex<Vec<HeaderMap>>,
}

impl GrpcUpstream {
    /// Starts a healthy service: one message, then OK.
    pub async fn start() -> Self {
        let script = Arc::new(Script {
            reply: Mutex::new(GrpcReply::ok(1)),
            calls: Mutex::default(),
        });
        Self {
            serving: Serving::start(Calls(script.clone())).await,
            script,
        }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// Sets the reply to all further calls.
    pub fn reply(&self, reply: GrpcReply) {
        *self.script.reply.lock().expect("a reply") = reply;
    }

    /// Number of calls received.
    pub fn hits(&self) -> usize {
        self.calls().len()
    }

    /// The metadata of every call received, in order.
    pub fn calls(&self) -> Vec<HeaderMap> {
        self.script.calls.lock().expect("the calls").clone()
    }
}

#[derive(Clone)]
struct Calls(Arc<Script>);

impl AsyncAnswer<Body> for Calls {
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        self.0
            .calls
            .lock()
            .expect("the calls")
            .push(request.headers().clone());
        let reply = self.0.reply.lock().expect("a reply").clone();
        let codec = ProstCodec::<Said, Said>::default();
        Ok(Grpc::new(codec).server_streaming(Say(reply), request).await)
    }
}

struct Say(GrpcReply);

/// The messages of a reply, all at once or one by one.
struct Messages {
    left: std::vec::IntoIter<Result<Said, Status>>,
    apart: bool,
    /// Whether the last poll returned a message.
    sent: bool,
}

impl Stream for Messages {
    type Item = Result<Said, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The server sends what it has when there is nothing more for the moment.
        if self.apart && self.sent {
            self.sent = false;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.sent = true;
        Poll::Ready(self.left.next())
    }
}

impl ServerStreamingService<Said> for Say {
    type Response = Said;
    type ResponseStream = Messages;
    type Future = BoxFuture<tonic::Response<Messages>, Status>;

    fn call(&mut self, request: tonic::Request<Said>) -> Self::Future {
        Box::pin(say(self.0.clone(), request.into_inner()))
    }
}

async fn say(reply: GrpcReply, said: Said) -> Result<tonic::Response<Messages>, Status> {
    sleep(reply.delay).await;
    if reply.place == Place::Headers {
        return Err(reply.status());
    }
    let mut messages: Vec<_> = (0..reply.messages).map(|_| Ok(said.clone())).collect();
    if reply.code != tonic::Code::Ok {
        messages.push(Err(reply.status()));
    }
    Ok(tonic::Response::new(Messages {
        left: messages.into_iter(),
        apart: reply.apart,
        sent: false,
    }))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::{BodyExt, Full};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use prost::Message;

    use super::GrpcUpstream;
    use crate::grpc::{GrpcReply, PATH, Said};

    /// The number of data frames of a call.
    async fn data_frames(upstream: &GrpcUpstream) -> usize {
        let message = Said {
            text: "hello".to_owned(),
        }
        .encode_to_vec();
        let prefix = [0, 0, 0, 0, message.len() as u8];
        let request = Request::post(format!("http://{}{PATH}", upstream.address()))
            .header("content-type", "application/grpc")
            .body(Full::new(Bytes::from([&prefix[..], &message].concat())));
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http();
        let response = client.request(request.expect("a request")).await;
        let mut body = response.expect("a response").into_body();
        let mut count = 0;
        while let Some(frame) = body.frame().await {
            count += usize::from(frame.expect("a frame").is_data());
        }
        count
    }

    #[tokio::test]
    async fn only_messages_apart_have_data_frames_of_their_own() {
        let upstream = GrpcUpstream::start().await;
        for (reply, expected) in [(GrpcReply::ok(100), 1), (GrpcReply::ok(100).apart(), 100)] {
            upstream.reply(reply);
            assert_eq!(data_frames(&upstream).await, expected);
        }
    }
}
