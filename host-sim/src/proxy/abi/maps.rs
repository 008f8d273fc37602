//! Headers and trailers, of the stream and of responses to calls.
//!
//! The phase decides which maps exist: see [`Half`](crate::proxy::stream::half::Half). Reading
//! one header of a map that does not exist returns "bad argument", on which the official SDK
//! panics. Reading all pairs returns an empty map.

use std::borrow::Cow;

use super::guest::{Guest, HostcallResult};
use super::pairs;
use crate::headers::HeaderMap;
use crate::proxy::stream::half::{MapKind, Side};
use crate::proxy::vm::{Status, VmState};

/// A map, as the guest numbers them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stream(Side, MapKind),
    InitialMetadata,
    TrailingMetadata,
    CallHeaders,
    CallTrailers,
}

fn kind(number: u32) -> Result<Kind, Status> {
    Ok(match number {
        0 => Kind::Stream(Side::Request, MapKind::Headers),
        1 => Kind::Stream(Side::Request, MapKind::Trailers),
        2 => Kind::Stream(Side::Response, MapKind::Headers),
        3 => Kind::Stream(Side::Response, MapKind::Trailers),
        4 => Kind::InitialMetadata,
        5 => Kind::TrailingMetadata,
        6 => Kind::CallHeaders,
        7 => Kind::CallTrailers,
        _ => return Err(Status::BadArgument),
    })
}

/// Returns a copy of a map, which shares its pairs, so that the VM is not borrowed.
fn readable(state: &VmState, kind: Kind) -> Option<HeaderMap> {
    let incoming = &state.incoming;
    match kind {
        Kind::Stream(side, map) => {
            let stream = state.process.streams.get(state.subject_stream()?)?;
            stream.readable_map(side, map).cloned()
        }
        Kind::InitialMetadata => incoming.initial_metadata.clone(),
        Kind::TrailingMetadata => incoming.trailing_metadata.clone(),
        Kind::CallHeaders => incoming.http.as_ref().map(|(headers, ..)| headers.clone()),
        Kind::CallTrailers => incoming
            .http
            .as_ref()
            .map(|(.., trailers)| trailers.clone())
            .filter(|trailers| !trailers.is_empty()),
    }
}

/// Returns a header's name as Envoy stores it: in lower case, and `host` of a request as
/// `:authority`.
fn stored_name(kind: Kind, name: &[u8]) -> Cow<'_, [u8]> {
    let is_request = kind == Kind::Stream(Side::Request, MapKind::Headers);
    if is_request && name.eq_ignore_ascii_case(b"host") {
        Cow::Borrowed(b":authority")
    } else if name.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn is_in_log_phase(state: &VmState) -> bool {
    let stream = state
        .subject_stream()
        .and_then(|stream| state.process.streams.get(stream));
    stream.is_some_and(|stream| stream.logging)
}

/// Writes to a map of the stream. No other map is writable.
fn write(state: &mut VmState, kind: Kind, change: impl FnOnce(&mut HeaderMap)) -> HostcallResult {
    let Kind::Stream(side, map) = kind else {
        return Err(Status::BadArgument);
    };
    let stream = state.subject_stream().ok_or(Status::BadArgument)?;
    let stream = state
        .process
        .streams
        .get_mut(stream)
        .ok_or(Status::BadArgument)?;
    change(
        stream
            .half_mut(side)
            .writable_map(map)
            .ok_or(Status::BadArgument)?,
    );
    // Any write to a request header makes the router look up the route again.
    stream.rerouted |= kind == Kind::Stream(Side::Request, MapKind::Headers);
    Ok(())
}

pub(crate) fn pairs(guest: &mut Guest<'_>, number: u32, out: u32, len_out: u32) -> HostcallResult {
    let kind = kind(number)?;
    let map = readable(guest.state(), kind).unwrap_or_default();
    if map.is_empty() {
        return guest.give(&[], out, len_out);
    }
    let encode = |target: &mut [u8]| pairs::encode(&map, target);
    guest.give_with(pairs::encoded_len(&map), encode, out, len_out)
}

pub(crate) fn set_pairs(
    guest: &mut Guest<'_>,
    number: u32,
    encoded: u32,
    encoded_len: u32,
) -> HostcallResult {
    let kind = kind(number)?;
    let ([encoded], state) = guest.slices([(encoded, encoded_len)])?;
    let new = pairs::to_map(&pairs::decode(encoded));
    write(state, kind, |map| *map = new)
}

pub(crate) fn value(
    guest: &mut Guest<'_>,
    number: u32,
    name: u32,
    name_len: u32,
    out: u32,
    len_out: u32,
) -> HostcallResult {
    let kind = kind(number)?;
    let ([name], state) = guest.slices([(name, name_len)])?;
    let Some(map) = readable(state, kind) else {
        let is_logging = is_in_log_phase(state);
        return Err(if is_logging {
            Status::NotFound
        } else {
            Status::BadArgument
        });
    };
    let value = map.value(&stored_name(kind, name));
    guest.give(value.ok_or(Status::NotFound)?, out, len_out)
}

pub(crate) fn add(
    guest: &mut Guest<'_>,
    number: u32,
    name: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
) -> HostcallResult {
    let kind = kind(number)?;
    let ([name, value], state) = guest.slices([(name, name_len), (value, value_len)])?;
    write(state, kind, |map| map.add(&stored_name(kind, name), value))
}

pub(crate) fn replace(
    guest: &mut Guest<'_>,
    number: u32,
    name: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
) -> HostcallResult {
    let kind = kind(number)?;
    let ([name, value], state) = guest.slices([(name, name_len), (value, value_len)])?;
    write(state, kind, |map| {
        map.replace(&stored_name(kind, name), value);
    })
}

pub(crate) fn remove(
    guest: &mut Guest<'_>,
    number: u32,
    name: u32,
    name_len: u32,
) -> HostcallResult {
    let kind = kind(number)?;
    let ([name], state) = guest.slices([(name, name_len)])?;
    write(state, kind, |map| {
        map.remove(&stored_name(kind, name));
    })
}

/// Envoy requires a writable map, though it only measures it.
pub(crate) fn size(guest: &mut Guest<'_>, number: u32, out: u32) -> HostcallResult {
    let kind = kind(number)?;
    let Kind::Stream(side, map) = kind else {
        return Err(Status::BadArgument);
    };
    let stream = guest.stream().ok_or(Status::BadArgument)?;
    let size = stream
        .half_mut(side)
        .writable_map(map)
        .ok_or(Status::BadArgument)?
        .byte_size();
    guest.write_u32(out, u32::try_from(size).unwrap_or(u32::MAX))
}
