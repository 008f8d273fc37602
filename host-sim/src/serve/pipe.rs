//! Body bytes on their way to a connection: one end pushes them, the other is a body of hyper.
//!
//! Pushing never waits, since the host cannot. The pusher asks for room before it reads more from
//! the other side, so a slow reader slows down the sender. What a pipe holds is bounded by its
//! window and one push.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

/// Bytes that a pipe takes before it has no room.
pub(super) const WINDOW: usize = 64 * 1024;

/// The end that pushes. Without [`Pipe::end`], dropping it resets the message.
pub(super) struct Pipe(Arc<Mutex<Shared>>);

/// The end that hyper reads.
pub(super) struct PipeBody(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    frames: VecDeque<Frame<Bytes>>,
    bytes: usize,
    ended: bool,
    reset: bool,
    /// All bytes were there from the beginning.
    sized: bool,
    /// The reader has asked for bytes.
    asked: bool,
    /// The reader is gone.
    left: bool,
    /// Bytes that the reader waits for. `None` if it waits for the end.
    needed: Option<u64>,
    reader: Option<Waker>,
    pusher: Option<Waker>,
}

/// The message was reset before its end.
#[derive(Debug)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message was reset")
    }
}

impl std::error::Error for Broken {}

/// Creates a pipe.
pub(super) fn pipe() -> (Pipe, PipeBody) {
    let shared = Arc::new(Mutex::new(Shared::default()));
    (Pipe(shared.clone()), PipeBody(shared))
}

/// Creates a body with all its bytes.
pub(super) fn whole(data: Bytes) -> PipeBody {
    let (pipe, body) = pipe();
    locked(&pipe.0).sized = true;
    pipe.push(data);
    pipe.end();
    body
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Pipe {
    /// Pushes bytes.
    pub(super) fn push(&self, data: Bytes) {
        let mut shared = locked(&self.0);
        if !data.is_empty() && !shared.left {
            shared.bytes += data.len();
            shared.frames.push_back(Frame::data(data));
        }
        wake(shared.reader.take());
    }

    /// Pushes trailers, and ends the message.
    pub(super) fn trailers(&self, map: HeaderMap) {
        locked(&self.0).frames.push_back(Frame::trailers(map));
        self.end();
    }

    /// Ends the message.
    pub(super) fn end(&self) {
        let mut shared = locked(&self.0);
        shared.ended = true;
        wake(shared.reader.take());
    }

    /// Resets the message, unless it has ended.
    pub(super) fn reset(&self) {
        let mut shared = locked(&self.0);
        shared.reset = !shared.ended;
        wake(shared.reader.take());
    }

    /// Waits until there is room, or until the reader is gone.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut shared = locked(&self.0);
        if shared.bytes < WINDOW || shared.left {
            return Poll::Ready(());
        }
        shared.pusher = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits until the reader is gone before it has what it waits for.
    pub(super) fn poll_abandoned(&self, cx: &Context<'_>) -> Poll<()> {
        let mut shared = locked(&self.0);
        if shared.left && shared.needed != Some(0) {
            return Poll::Ready(());
        }
        shared.pusher = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.reset();
    }
}

impl PipeBody {
    /// Says that the reader takes this many bytes, and leaves then: it does not wait for the end.
    pub(super) fn needs(&self, bytes: u64) {
        locked(&self.0).needed = Some(bytes);
    }
}

impl Body for PipeBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut shared = locked(&self.0);
        if let Some(frame) = shared.frames.pop_front() {
            let len = frame.data_ref().map_or(0, Bytes::len);
            shared.bytes -= len;
            let needed = shared.needed;
            shared.needed = needed.map(|needed| needed.saturating_sub(len as u64));
            if shared.bytes < WINDOW {
                wake(shared.pusher.take());
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        if shared.ended {
            return Poll::Ready(None);
        }
        // Hyper gets to send the headers first.
        if shared.reset && shared.asked {
            return Poll::Ready(Some(Err(Broken)));
        }
        shared.asked = true;
        if shared.reset {
            cx.waker().wake_by_ref();
        }
        shared.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let shared = locked(&self.0);
        shared.ended && shared.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        // Otherwise hyper would add a length that the message does not have.
        let shared = locked(&self.0);
        match shared.sized || shared.ended && shared.frames.is_empty() {
            true => SizeHint::with_exact(shared.bytes as u64),
            false => SizeHint::default(),
        }
    }
}

impl Drop for PipeBody {
    fn drop(&mut self) {
        let mut shared = locked(&self.0);
        shared.left = true;
        shared.frames.clear();
        shared.bytes = 0;
        wake(shared.pusher.take());
    }
}

#[cfg(test)]
mod tests;
