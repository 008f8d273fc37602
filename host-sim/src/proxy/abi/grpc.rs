//! gRPC calls and streams of plugins to clusters. They belong to the root context.

use bytes::Bytes;

use super::calls::{Request, send as send_request};
use super::guest::{Guest, HostcallResult};
use super::pairs;
use crate::headers::HeaderMap;
use crate::proxy::ids::CallId;
use crate::proxy::process::call::CallKind;
use crate::proxy::process::effect::Effect;
use crate::proxy::process::halt::Crash;
use crate::proxy::vm::{Status, VmState};

#[allow(clippy::too_many_arguments, reason = "the ABI has that many")]
pub(crate) fn call(
    guest: &mut Guest<'_>,
    service: u32,
    service_len: u32,
    name: u32,
    name_len: u32,
    method: u32,
    method_len: u32,
    metadata: u32,
    metadata_len: u32,
    message: u32,
    message_len: u32,
    timeout_ms: u32,
    token_out: u32,
) -> HostcallResult {
    let places = [
        (service, service_len),
        (name, name_len),
        (method, method_len),
        (metadata, metadata_len),
        (message, message_len),
    ];
    let ([service, name, method, metadata, message], state) = guest.slices(places)?;
    let cluster = cluster(service, state)?;
    let request = Request {
        kind: CallKind::Grpc,
        headers: headers(&cluster, name, method, metadata, timeout_ms),
        cluster,
        body: Bytes::copy_from_slice(message),
        trailers: HeaderMap::default(),
        timeout_ms,
    };
    let token = send_request(state, request)?;
    guest.write_u32(token_out, token)
}

#[allow(clippy::too_many_arguments, reason = "the ABI has that many")]
pub(crate) fn stream(
    guest: &mut Guest<'_>,
    service: u32,
    service_len: u32,
    name: u32,
    name_len: u32,
    method: u32,
    method_len: u32,
    metadata: u32,
    metadata_len: u32,
    token_out: u32,
) -> HostcallResult {
    let places = [
        (service, service_len),
        (name, name_len),
        (method, method_len),
        (metadata, metadata_len),
    ];
    let ([service, name, method, metadata], state) = guest.slices(places)?;
    let cluster = cluster(service, state)?;
    let request = Request {
        kind: CallKind::GrpcStream,
        headers: headers(&cluster, name, method, metadata, 0),
        cluster,
        body: Bytes::new(),
        trailers: HeaderMap::default(),
        timeout_ms: 0,
    };
    let token = send_request(state, request)?;
    guest.write_u32(token_out, token)
}

pub(crate) fn send(
    guest: &mut Guest<'_>,
    token: u32,
    message: u32,
    message_len: u32,
    end: u32,
) -> HostcallResult {
    let ([message], state) = guest.slices([(message, message_len)])?;
    if kind_of(token) != Some(CallKind::GrpcStream) {
        return Err(Status::BadArgument);
    }
    let call = open_call(state, token)?;
    let data = Bytes::copy_from_slice(message);
    state.process.effects.push_back(Effect::SendMessage {
        call,
        data,
        end: end != 0,
    });
    Ok(())
}

pub(crate) fn cancel(guest: &mut Guest<'_>, token: u32) -> HostcallResult {
    let state = guest.state();
    kind_of(token).ok_or(Status::BadArgument)?;
    let call = open_call(state, token)?;
    state.calls.remove(&token);
    state.process.calls.remove(&call);
    state.process.effects.push_back(Effect::CancelCall { call });
    Ok(())
}

/// Closes the plugin's side of a stream, or cancels a call.
pub(crate) fn close(guest: &mut Guest<'_>, token: u32) -> HostcallResult {
    if kind_of(token) != Some(CallKind::GrpcStream) {
        return cancel(guest, token);
    }
    let state = guest.state();
    let call = open_call(state, token)?;
    let open = state.process.calls.get_mut(&call).ok_or(Status::NotFound)?;
    open.closed_here = true;
    if open.closed_there {
        state.calls.remove(&token);
        state.process.calls.remove(&call);
    } else {
        let end = Effect::SendMessage {
            call,
            data: Bytes::new(),
            end: true,
        };
        state.process.effects.push_back(end);
    }
    Ok(())
}

fn open_call(state: &VmState, token: u32) -> Result<CallId, Status> {
    state.calls.get(&token).copied().ok_or(Status::NotFound)
}

/// Returns the kind of a gRPC call from its token. `None` for tokens of HTTP calls.
fn kind_of(token: u32) -> Option<CallKind> {
    match token & 3 {
        1 => Some(CallKind::Grpc),
        2 => Some(CallKind::GrpcStream),
        _ => None,
    }
}

fn headers(
    cluster: &[u8],
    service: &[u8],
    method: &[u8],
    metadata: &[u8],
    timeout_ms: u32,
) -> HeaderMap {
    let path = [b"/", service, b"/", method].concat();
    let mut map = HeaderMap::from([
        (&b":method"[..], &b"POST"[..]),
        (b":path", &path),
        (b":authority", cluster),
        (b"te", b"trailers"),
    ]);
    if timeout_ms > 0 {
        map.add(b"grpc-timeout", format!("{timeout_ms}m").as_bytes());
    }
    map.add(b"content-type", b"application/grpc");
    for (name, value) in pairs::decode(metadata) {
        map.add(&name.to_ascii_lowercase(), value);
    }
    map
}

/// Returns the cluster that a guest names: by an encoded `envoy.config.core.v3.GrpcService`, or
/// by its plain name if the bytes are not a message.
fn cluster(service: &[u8], state: &mut VmState) -> Result<Vec<u8>, Status> {
    match Fields::parse(service) {
        Some(fields) => {
            let name = fields
                .bytes(ENVOY_GRPC)
                .and_then(Fields::parse)
                .and_then(|envoy_grpc| envoy_grpc.bytes(CLUSTER_NAME).map(<[u8]>::to_vec));
            if name.is_none() {
                state.process.crash(Crash::ServiceWithoutCluster);
            }
            name.ok_or(Status::BadArgument)
        }
        None if state.process.clusters.contains_key(service) => Ok(service.to_vec()),
        None => Err(Status::ParseFailure),
    }
}

const ENVOY_GRPC: u64 = 1;
const CLUSTER_NAME: u64 = 1;

/// Fields of an encoded protobuf message, as far as they are needed here.
struct Fields<'a>(Vec<(u64, &'a [u8])>);

impl<'a> Fields<'a> {
    /// `None` if the bytes are not a message.
    fn parse(mut rest: &'a [u8]) -> Option<Fields<'a>> {
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let tag = varint(&mut rest)?;
            let len = match tag & 7 {
                0 => {
                    varint(&mut rest)?;
                    0
                }
                1 => 8,
                2 => usize::try_from(varint(&mut rest)?).ok()?,
                5 => 4,
                _ => return None,
            };
            let (value, after) = rest.split_at_checked(len)?;
            (tag >> 3 > 0).then(|| fields.push((tag >> 3, value)))?;
            rest = after;
        }
        Some(Fields(fields))
    }

    fn bytes(&self, field: u64) -> Option<&'a [u8]> {
        self.0
            .iter()
            .rev()
            .find(|(number, _)| *number == field)
            .map(|(_, value)| *value)
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_service_names_its_cluster() {
        let encoded = b"\x0a\x06\x0a\x04auth";
        let service = Fields::parse(encoded).unwrap();
        let inner = Fields::parse(service.bytes(ENVOY_GRPC).unwrap()).unwrap();
        assert_eq!(inner.bytes(CLUSTER_NAME), Some(&b"auth"[..]));
    }

    #[test]
    fn a_plain_name_is_not_a_message() {
        for name in ["auth", "grpc", "backend", "upstream_cluster"] {
            assert!(Fields::parse(name.as_bytes()).is_none(), "{name}");
        }
    }
}
