use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use hyper::body::Body;

use super::{PipeBody, WINDOW, pipe, whole};

/// Reads what is there, as text: bytes, `trailers`, `broken`, `end`, or `waits`.
fn read(body: &mut PipeBody) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut *body).poll_frame(&mut cx) {
            Poll::Pending => seen.push("waits".to_owned()),
            Poll::Ready(None) => seen.push("end".to_owned()),
            Poll::Ready(Some(Err(_))) => seen.push("broken".to_owned()),
            Poll::Ready(Some(Ok(frame))) => {
                seen.push(match frame.into_data() {
                    Ok(data) => String::from_utf8_lossy(&data).into_owned(),
                    Err(_) => "trailers".to_owned(),
                });
                continue;
            }
        }
        return seen;
    }
}

#[test]
fn a_body_has_what_was_pushed_and_ends_as_it_did() {
    let (sender, mut body) = pipe();
    sender.push("a".into());
    sender.push(Bytes::new());
    sender.push("b".into());
    assert_eq!(read(&mut body), ["a", "b", "waits"]);
    sender.push("c".into());
    let mut map = HeaderMap::new();
    map.insert("x", HeaderValue::from_static("1"));
    sender.trailers(map);
    drop(sender);
    assert_eq!(read(&mut body), ["c", "trailers", "end"]);
}

#[test]
fn a_dropped_sender_breaks_the_message_after_its_headers_were_sent() {
    let (sender, mut body) = pipe();
    drop(sender);
    assert_eq!(read(&mut body), ["waits"]);
    assert_eq!(read(&mut body), ["broken"]);
}

#[test]
fn only_a_whole_body_and_an_empty_one_have_a_known_length() {
    let (sender, begun) = pipe();
    sender.push("a".into());
    let (ended, empty) = pipe();
    ended.end();
    let rows = [
        (whole(Bytes::new()), Some(0)),
        (whole("text".into()), Some(4)),
        (empty, Some(0)),
        (begun, None),
    ];
    sender.end();
    for (body, expected) in rows {
        assert_eq!(body.size_hint().exact(), expected);
        assert_eq!(body.is_end_stream(), expected == Some(0));
    }
}

#[test]
fn there_is_room_until_the_window_is_full_and_once_the_reader_is_gone() {
    let (sender, mut body) = pipe();
    let cx = Context::from_waker(Waker::noop());
    sender.push(vec![0; WINDOW - 1].into());
    assert!(sender.poll_room(&cx).is_ready());
    sender.push(vec![0; 1].into());
    assert!(sender.poll_room(&cx).is_pending());
    assert!(sender.poll_abandoned(&cx).is_pending());
    assert_eq!(read(&mut body).len(), 3);
    assert!(sender.poll_room(&cx).is_ready());
    sender.push(vec![0; WINDOW].into());
    drop(body);
    assert!(sender.poll_room(&cx).is_ready());
    assert!(sender.poll_abandoned(&cx).is_ready());
}

#[test]
fn a_reader_that_has_what_it_needs_may_leave() {
    for (needed, abandons) in [(None, true), (Some(5), true), (Some(4), false)] {
        let (sender, mut body) = pipe();
        let cx = Context::from_waker(Waker::noop());
        if let Some(bytes) = needed {
            body.needs(bytes);
        }
        sender.push("text".into());
        assert_eq!(read(&mut body), ["text", "waits"]);
        drop(body);
        let left = sender.poll_abandoned(&cx).is_ready();
        assert_eq!(left, abandons, "{needed:?}");
        sender.push("more".into());
        assert!(sender.poll_room(&cx).is_ready());
    }
}
