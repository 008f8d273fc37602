//! The upstream's side of one request.

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

/// How long what was sent may take to leave before the connection is cut: without a pause the
/// server would throw the headers away with the connection, and the reset come before them.
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
            // The server would refuse what still comes if nobody held the body.
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
        // A body that comes from elsewhere has no length beforehand.
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
    // Nor does one that may have trailers.
    if trailers.is_empty() {
        return body.map_err(never).boxed();
    }
    let trailers = ready(Some(Ok(trailers)));
    body.with_trailers(trailers).map_err(never).boxed()
}

/// The pause before each chunk of a body that trickles.
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
    // HTTP/2 would send a frame of nothing.
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
