//! Properties: the attributes of Envoy's expressions, by path.
//!
//! Encodings are those of Envoy's `serializeValue`: texts and bytes as they are, numbers as
//! eight bytes little-endian, booleans as one byte, times and durations as nanoseconds. A
//! property that is unknown in a phase is "not found". Which ones are known follows from what
//! the router has written to the stream's [`StreamInfo`] so far.

use std::rc::Rc;

use super::guest::{Guest, HostcallResult};
use super::pairs;
use crate::grpc;
use crate::headers::HeaderMap;
use crate::proxy::stream::Stream;
use crate::proxy::stream::half::{MapKind, Side};
use crate::proxy::stream::info::StreamInfo;
use crate::proxy::vm::{Owner, Status, VmState};

/// Value of a property.
enum Value {
    Text(Rc<str>),
    Bytes(Vec<u8>),
    Signed(i64),
    Unsigned(u64),
    Truth(bool),
}

type Found = Result<Value, Status>;

pub(crate) fn get(
    guest: &mut Guest<'_>,
    path: u32,
    path_len: u32,
    out: u32,
    len_out: u32,
) -> HostcallResult {
    let ([path], state) = guest.slices([(path, path_len)])?;
    match find(state, path)? {
        Value::Text(text) => guest.give(text.as_bytes(), out, len_out),
        Value::Bytes(bytes) => guest.give(&bytes, out, len_out),
        Value::Signed(number) => guest.give(&number.to_le_bytes(), out, len_out),
        Value::Unsigned(number) => guest.give(&number.to_le_bytes(), out, len_out),
        Value::Truth(truth) => guest.give(&[u8::from(truth)], out, len_out),
    }
}

/// Sets a property, which access logs read as the filter state `wasm.<path>`. Outside a stream
/// there is none to set.
pub(crate) fn set(
    guest: &mut Guest<'_>,
    path: u32,
    path_len: u32,
    value: u32,
    value_len: u32,
) -> HostcallResult {
    let ([path, value], state) = guest.slices([(path, path_len), (value, value_len)])?;
    let stream = state.subject_stream();
    let stream = stream.and_then(|stream| state.process.streams.get_mut(stream));
    let stream = stream.ok_or(Status::NotFound)?;
    stream.info.filter_state.insert(path.into(), value.into());
    Ok(())
}

fn find(state: &VmState, path: &[u8]) -> Found {
    if path.is_empty() {
        return Err(Status::SerializationFailure);
    }
    if let Some(value) = state.process.properties.get(path) {
        return Ok(Value::Bytes(value.clone()));
    }
    let mut segments = path.split(|byte| *byte == 0);
    let top = segments.next().unwrap_or_default();
    let second = segments.next();
    let third = segments.next();
    let is_deeper = segments.next().is_some();
    if let Some(value) = of_plugin(state, top) {
        return value_without(value, second);
    }
    let stream = state.subject_stream();
    let stream = stream.and_then(|stream| state.process.streams.get(stream));
    let stream = stream.ok_or(Status::NotFound)?;
    let Some(second) = second else {
        return of_top(stream, top);
    };
    let found = match (top, third) {
        (b"request", Some(name)) if second == b"headers" => header(stream, Side::Request, name),
        (b"response", Some(name)) if second == b"headers" => header(stream, Side::Response, name),
        (b"response", Some(name)) if second == b"trailers" => {
            readable(stream, Side::Response, MapKind::Trailers)
                .and_then(|map| map.value(&name.to_ascii_lowercase()))
                .map(|value| Value::Bytes(value.into()))
                .ok_or(Status::NotFound)
        }
        (b"filter_state", None) => filter_state(stream, second),
        (b"metadata", None) if second == b"filter_metadata" => whole(None),
        // The simulated node has neither an id nor a cluster.
        (b"xds", Some(b"id" | b"cluster")) if second == b"node" => Ok(Value::Text("".into())),
        (_, Some(_)) => Err(Status::NotFound),
        (b"xds", None) => of_xds(&stream.info, second),
        (b"request", None) => of_request(stream, second),
        (b"response", None) => of_response(stream, second),
        (b"upstream", None) => of_upstream(stream, second),
        (b"connection", None) => of_connection(&stream.info, second),
        (b"source", None) => address(stream.info.downstream_address.as_ref(), second),
        (b"destination", None) => address(stream.info.downstream_local_address.as_ref(), second),
        _ => Err(Status::NotFound),
    };
    if is_deeper {
        Err(Status::NotFound)
    } else {
        found
    }
}

fn value_without(value: Value, rest: Option<&[u8]>) -> Found {
    rest.map_or(Ok(value), |_| Err(Status::NotFound))
}

/// Properties that exist without a stream.
fn of_plugin(state: &VmState, name: &[u8]) -> Option<Value> {
    let has_root = state.subject() != Owner::Vm;
    match name {
        b"plugin_name" if has_root => Some(Value::Text(state.setup.plugin_name.clone())),
        b"plugin_root_id" => Some(Value::Text(state.setup.root_id.clone())),
        b"plugin_vm_id" => Some(Value::Bytes(state.setup.vm_id.to_vec())),
        _ => None,
    }
}

/// Looks up a path of one segment: the connection id, or what a plugin has set.
fn of_top(stream: &Stream, name: &[u8]) -> Found {
    match name {
        b"connection_id" => Ok(Value::Unsigned(stream.info.connection_id)),
        // Envoy cannot list the keys of these maps.
        b"request" | b"response" | b"connection" | b"upstream" | b"source" | b"destination"
        | b"xds" | b"filter_state" => Err(Status::SerializationFailure),
        b"metadata" => Ok(Value::Bytes(Vec::new())),
        _ => stream
            .info
            .filter_state
            .get(name)
            .map(|value| Value::Bytes(value.clone()))
            .ok_or(Status::NotFound),
    }
}

/// Returns a whole map in the ABI's encoding. A missing map is empty.
fn whole(map: Option<&HeaderMap>) -> Found {
    let map = map.cloned().unwrap_or_default();
    let mut encoded = vec![0; pairs::encoded_len(&map)];
    pairs::encode(&map, &mut encoded);
    Ok(Value::Bytes(encoded))
}

fn filter_state(stream: &Stream, name: &[u8]) -> Found {
    let path = name.strip_prefix(b"wasm.").ok_or(Status::NotFound)?;
    let value = stream.info.filter_state.get(path).ok_or(Status::NotFound)?;
    Ok(Value::Bytes(value.clone()))
}

fn readable(stream: &Stream, side: Side, kind: MapKind) -> Option<&HeaderMap> {
    stream.readable_map(side, kind)
}

fn request_headers(stream: &Stream) -> Option<&HeaderMap> {
    readable(stream, Side::Request, MapKind::Headers)
}

fn response_headers(stream: &Stream) -> Option<&HeaderMap> {
    readable(stream, Side::Response, MapKind::Headers)
}

fn header(stream: &Stream, side: Side, name: &[u8]) -> Found {
    let map = readable(stream, side, MapKind::Headers).ok_or(Status::NotFound)?;
    let name = name.to_ascii_lowercase();
    let values: Vec<_> = map.values(&name).collect();
    if values.is_empty() {
        return Err(Status::NotFound);
    }
    Ok(Value::Bytes(values.join(&b","[..])))
}

fn number<T: TryInto<i64>>(number: T) -> Value {
    Value::Signed(number.try_into().unwrap_or(i64::MAX))
}

fn nanoseconds(duration: std::time::Duration) -> Value {
    number(duration.as_nanos())
}

fn text(text: Option<&Rc<str>>) -> Found {
    text.map(|text| Value::Text(text.clone()))
        .ok_or(Status::NotFound)
}

fn of_xds(info: &StreamInfo, name: &[u8]) -> Found {
    let route = info.route.as_ref();
    match name {
        b"cluster_name" => text(route.map(|route| &route.cluster)),
        b"route_name" => text(route.map(|route| &route.name)),
        b"virtual_host_name" => text(route.map(|route| &route.virtual_host)),
        b"cluster_metadata" | b"route_metadata" | b"virtual_host_metadata" => route
            .map(|_| Value::Bytes(Vec::new()))
            .ok_or(Status::NotFound),
        // An endpoint without metadata has a null message, which has no encoding.
        b"upstream_host_metadata" | b"upstream_host_locality_metadata" => {
            let has_host = info.upstream_address.is_some();
            Err(if has_host {
                Status::SerializationFailure
            } else {
                Status::NotFound
            })
        }
        b"listener_direction" => Ok(Value::Signed(0)),
        b"filter_chain_name" => Ok(Value::Text("".into())),
        b"node" | b"listener_metadata" => Ok(Value::Bytes(Vec::new())),
        _ => Err(Status::NotFound),
    }
}

fn of_request(stream: &Stream, name: &[u8]) -> Found {
    let info = &stream.info;
    let headers = request_headers(stream);
    let of_header = |name: &str| {
        let value = headers
            .and_then(|map| map.value(name.as_bytes()))
            .ok_or(Status::NotFound)?;
        Ok(Value::Bytes(value.into()))
    };
    let path = || headers.map(|map| map.value(b":path").unwrap_or_default());
    let header_bytes = || headers.map_or(0, |map| map.byte_size() as u64);
    match name {
        b"headers" => whole(headers),
        b"headers_bytes" => Ok(number(header_bytes())),
        b"time" => Ok(number(stream.start_wall_ns)),
        b"size" => match headers.and_then(|map| map.text("content-length")) {
            Some(length) => length
                .parse()
                .map(Value::Signed)
                .map_err(|_| Status::NotFound),
            None => Ok(number(info.request_bytes)),
        },
        b"total_size" => Ok(number(info.request_bytes + header_bytes())),
        b"duration" => {
            let end = info.end.ok_or(Status::NotFound)?;
            Ok(nanoseconds(end.since(info.start)))
        }
        b"protocol" => Ok(Value::Text(info.protocol.name().into())),
        b"path" => of_header(":path"),
        b"url_path" => path()
            .map(|path| Value::Bytes(before_query(path).into()))
            .ok_or(Status::NotFound),
        b"query" => path()
            .map(|path| Value::Bytes(query(path).into()))
            .ok_or(Status::NotFound),
        b"host" => of_header(":authority"),
        b"scheme" => of_header(":scheme"),
        b"method" => of_header(":method"),
        b"referer" => of_header("referer"),
        b"id" => of_header("x-request-id"),
        b"useragent" => of_header("user-agent"),
        _ => Err(Status::NotFound),
    }
}

fn before_query(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'?').next().unwrap_or_default()
}

fn query(path: &[u8]) -> &[u8] {
    let query = path
        .splitn(2, |byte| *byte == b'?')
        .nth(1)
        .unwrap_or_default();
    query.split(|byte| *byte == b'#').next().unwrap_or_default()
}

fn of_response(stream: &Stream, name: &[u8]) -> Found {
    let info = &stream.info;
    let headers = response_headers(stream);
    let trailers = readable(stream, Side::Response, MapKind::Trailers);
    let bytes = |map: Option<&HeaderMap>| map.map_or(0, |map| map.byte_size() as u64);
    match name {
        b"code" => info.code.map(number).ok_or(Status::NotFound),
        b"size" => Ok(number(info.response_bytes)),
        b"headers" => whole(headers),
        b"trailers" => whole(trailers),
        b"headers_bytes" => Ok(number(bytes(headers))),
        b"flags" => Ok(number(info.flags)),
        b"grpc_status" => grpc_status(info, headers, trailers)
            .map(number)
            .ok_or(Status::NotFound),
        b"total_size" => Ok(number(
            info.response_bytes + bytes(headers) + bytes(trailers),
        )),
        // A local reply may have empty details.
        b"code_details" if info.details.is_empty() && info.code.is_none() => Err(Status::NotFound),
        b"code_details" => Ok(Value::Text(info.details.clone())),
        b"backend_latency" => info
            .backend_latency
            .map(nanoseconds)
            .ok_or(Status::NotFound),
        _ => Err(Status::NotFound),
    }
}

/// `Grpc::Common::getGrpcStatus`: the status of the trailers, or else of the headers, or else
/// the equivalent of the HTTP status.
fn grpc_status(
    info: &StreamInfo,
    headers: Option<&HeaderMap>,
    trailers: Option<&HeaderMap>,
) -> Option<u32> {
    let stated = [trailers, headers]
        .into_iter()
        .flatten()
        .find_map(|map| map.text("grpc-status"));
    match stated {
        // An invalid number is the status "invalid".
        Some(text) => text.parse().ok(),
        None => info.code.map(grpc::status_of_http),
    }
}

fn of_upstream(stream: &Stream, name: &[u8]) -> Found {
    let info = &stream.info;
    if name == b"request_attempt_count" {
        return Ok(Value::Unsigned(info.attempts.unwrap_or(0)));
    }
    // Before the router gets the request, there is no upstream.
    if !stream.reached_router {
        return Err(Status::NotFound);
    }
    match name {
        b"address" | b"port" => address(info.upstream_address.as_ref(), name),
        b"local_address" => text(info.upstream_local_address.as_ref()),
        b"transport_failure_reason" => Ok(Value::Text(
            info.transport_failure.clone().unwrap_or_default(),
        )),
        b"cx_pool_ready_duration" => info.pool_ready.map(nanoseconds).ok_or(Status::NotFound),
        _ => Err(Status::NotFound),
    }
}

fn of_connection(info: &StreamInfo, name: &[u8]) -> Found {
    match name {
        b"id" => Ok(Value::Unsigned(info.connection_id)),
        b"mtls" => Ok(Value::Truth(info.mtls)),
        b"requested_server_name" => Ok(Value::Text("".into())),
        b"termination_details" => text(info.termination.as_ref()),
        _ => Err(Status::NotFound),
    }
}

fn address(address: Option<&Rc<str>>, part: &[u8]) -> Found {
    match part {
        b"address" => text(address),
        b"port" => {
            let port = address.and_then(|address| address.rsplit_once(':')?.1.parse().ok());
            port.map(Value::Signed).ok_or(Status::NotFound)
        }
        _ => Err(Status::NotFound),
    }
}
