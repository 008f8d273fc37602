//! Buffers: bodies, configurations and messages.
//!
//! A body that the guest may not see now reads as an empty buffer. Only the plugin's
//! configuration and the body of a call's response can be missing.

use bytes::Bytes;

use super::guest::{Guest, HostcallResult};
use crate::proxy::stream::half::Side;
use crate::proxy::vm::{Deferred, Status, VmState};

/// A buffer, as the guest numbers them.
#[derive(Clone, Copy)]
enum Kind {
    Body(Side),
    CallBody,
    Message,
    VmConfiguration,
    Configuration,
    /// Buffers of TCP streams and foreign functions, which are never filled here.
    Unused,
}

fn kind(number: u32) -> Result<Kind, Status> {
    Ok(match number {
        0 => Kind::Body(Side::Request),
        1 => Kind::Body(Side::Response),
        4 => Kind::CallBody,
        5 => Kind::Message,
        6 => Kind::VmConfiguration,
        7 => Kind::Configuration,
        2 | 3 | 8 => Kind::Unused,
        _ => return Err(Status::BadArgument),
    })
}

/// Content of a buffer, without a borrow of the VM.
enum Content {
    Shared(std::rc::Rc<[u8]>),
    Bytes(Bytes),
}

impl Content {
    fn as_slice(&self) -> &[u8] {
        match self {
            Content::Shared(bytes) => bytes,
            Content::Bytes(bytes) => bytes,
        }
    }
}

fn content(state: &mut VmState, kind: Kind) -> Result<Content, Status> {
    let bytes = match kind {
        Kind::Body(side) => {
            let stream = state.subject_stream();
            let stream = stream.and_then(|stream| state.process.streams.get_mut(stream));
            stream
                .and_then(|stream| stream.half_mut(side).shown_body())
                .map(|body| body.share())
        }
        Kind::CallBody => {
            let body = state
                .incoming
                .http
                .as_ref()
                .map(|(_, body, _)| body.clone());
            Some(body.ok_or(Status::NotFound)?)
        }
        Kind::Message => state.incoming.message.clone(),
        Kind::VmConfiguration => {
            return Ok(Content::Shared(state.setup.vm_configuration.clone()));
        }
        Kind::Configuration => {
            return state
                .configuration
                .clone()
                .map(Content::Shared)
                .ok_or(Status::NotFound);
        }
        Kind::Unused => None,
    };
    Ok(Content::Bytes(bytes.unwrap_or_default()))
}

pub(crate) fn bytes(
    guest: &mut Guest<'_>,
    number: u32,
    start: u32,
    max: u32,
    out: u32,
    len_out: u32,
) -> HostcallResult {
    let kind = kind(number)?;
    let content = content(guest.state(), kind)?;
    // Envoy adds these as 64-bit numbers, so its sum cannot overflow either.
    let content = content.as_slice();
    let end = (start as usize)
        .saturating_add(max as usize)
        .min(content.len());
    let part = content.get(start as usize..end).unwrap_or_default();
    guest.give(part, out, len_out)
}

pub(crate) fn status(
    guest: &mut Guest<'_>,
    number: u32,
    len_out: u32,
    flags_out: u32,
) -> HostcallResult {
    let kind = kind(number)?;
    let len = content(guest.state(), kind)?.as_slice().len();
    guest.write_u32(len_out, u32::try_from(len).unwrap_or(u32::MAX))?;
    guest.write_u32(flags_out, 0)
}

/// Replaces the first `len` bytes of a body, or appends to it. Nothing else is writable.
pub(crate) fn set(
    guest: &mut Guest<'_>,
    number: u32,
    start: u32,
    len: u32,
    data: u32,
    data_len: u32,
) -> HostcallResult {
    let kind = kind(number)?;
    content(guest.state(), kind)?;
    let ([data], state) = guest.slices([(data, data_len)])?;
    let Kind::Body(side) = kind else {
        return Err(Status::BadArgument);
    };
    let id = state.subject_stream();
    let stream = id.and_then(|id| state.process.streams.get_mut(id));
    let half = stream.map(|stream| stream.half_mut(side));
    let is_buffered = half.as_ref().is_some_and(|half| half.buffering);
    let body = half.and_then(|half| half.shown_body());
    let body = body.ok_or(Status::BadArgument)?;
    if start == 0 {
        body.replace_front(len as usize, data);
    } else if start as usize >= body.len() {
        body.append(data);
    } else {
        return Err(Status::BadArgument);
    }
    if let Some(id) = id.filter(|_| is_buffered) {
        state.deferred.push_back(Deferred::Grown(id, side));
    }
    Ok(())
}
