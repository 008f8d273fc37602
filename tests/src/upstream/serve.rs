//! The handler of one request.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::sleep;

use super::reply::{Ending, Reply};
use super::stage::Stage;
use crate::serving::AsyncAnswer;

/// Pause between the last write and the reset. Without it the server would discard the headers
/// together with the connection, and the reset would arrive before them.
const HEAD_START: Duration = Duration::from_millis(50);

type Content = BoxBody<Bytes, io::Error>;

#[derive(Clone)]
pub(super) struct Answering(pub(super) Arc<Stage>);

impl AsyncAnswer<Content> for Answering {
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Content>> {
        let stage = &self.0;
        let (number, _underway) = stage.arrived(&request);
        let (head, body) = request.into_parts();
        let reply = || {
            let scripted = Reply::scripted(&Request::from_parts(head.clone(), ()));
            scripted.unwrap_or_else(|| stage.reply_for(head.uri.path()))
        };
        if reply().early {
            // The server would reject the rest of the body if nobody held it.
            tokio::spawn(body.collect());
            return perform(reply()).await;
        }
        stage.body_arrived(
            number,
            body.collect().await.map_err(io::Error::other)?.to_bytes(),
        );
        stage.pass_gate().await;
        perform(reply()).await
    }
}

async fn perform(reply: Reply) -> io::Result<Response<Content>> {
    sleep(reply.delay).await;
    let body = match reply.ending {
        Ending::Whole => whole(reply.body, reply.trailers, reply.chunked),
        Ending::ResetBeforeHeaders => return Err(io::Error::other("a reset was asked for")),
        Ending::Hang => pending().await,
        Ending::Trickle => trickle(reply.body, reply.trailers),
        Ending::ResetMidBody | Ending::HangMidBody => unfinished(reply.body, reply.ending),
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    Ok(response)
}

fn whole(body: Bytes, trailers: HeaderMap, chunked: bool) -> Content {
    if chunked {
        // A streamed body has no known length.
        let (mut sender, channel) = Channel::<Bytes, io::Error>::new(2);
        tokio::spawn(async move {
            let half = body.len() / 2;
            for piece in [body.slice(..half), body.slice(half..)] {
                let _caller_gone = sender.send_data(piece).await;
            }
        });
        return channel.boxed();
    }
    let body = Full::new(body);
    // Neither does a body that may have trailers.
    if trailers.is_empty() {
        return body.map_err(never).boxed();
    }
    let trailers = ready(Some(Ok(trailers)));
    body.with_trailers(trailers).map_err(never).boxed()
}

/// Pause before each chunk of a trickled body.
const PAUSE: Duration = Duration::from_millis(30);

fn trickle(body: Bytes, trailers: HeaderMap) -> Content {
    let (mut sender, channel) = Channel::<Bytes, io::Error>::new(1);
    tokio::spawn(async move {
        let half = body.len() / 2;
        for chunk in [body.slice(..half), body.slice(half..)] {
            sleep(PAUSE).await;
            let _caller_gone = sender.send_data(chunk).await;
        }
        if !trailers.is_empty() {
            let _caller_gone = sender.send_trailers(trailers).await;
        }
    });
    channel.boxed()
}

fn unfinished(body: Bytes, ending: Ending) -> Content {
    let (sender, channel) = Channel::<Bytes, io::Error>::new(1);
    tokio::spawn(stop_short(sender, body, ending));
    channel.boxed()
}

async fn stop_short(mut sender: Sender<Bytes, io::Error>, body: Bytes, ending: Ending) {
    // HTTP/2 would send an empty frame.
    if !body.is_empty() {
        let _caller_gone = sender.send_data(body).await;
    }
    if ending == Ending::HangMidBody {
        pending::<()>().await;
    }
    sleep(HEAD_START).await;
    sender.abort(io::Error::other("a reset in mid-body was asked for"));
}

fn never(error: Infallible) -> io::Error {
    match error {}
}
