//! The scripted service, on HTTP/2 without TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use tokio::time::sleep;
use tokio_stream::{Iter, iter};
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

type Messages = Iter<std::vec::IntoIter<Result<Said, Status>>>;

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
    Ok(tonic::Response::new(iter(messages)))
}
