//! The actions of a step: one hostcall each, with its result as text.

use std::time::Duration;

use crate::edges;
use crate::raw::{self, Said};

/// Runs one step. Returns the status as text, followed by the value if there is one.
pub fn run(words: &[&str]) -> String {
    let number = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
    match *words {
        ["get", map, name] => said(raw::header(number(map), name)),
        ["pairs", map] => pairs(raw::pairs(number(map))),
        ["add", map, name, value] => {
            let (name, value) = (unescaped(name), unescaped(value));
            status(raw::add_header(number(map), &name, &value))
        }
        ["set", map, name, value] => {
            let (name, value) = (unescaped(name), unescaped(value));
            status(raw::set_header(number(map), &name, &value))
        }
        ["fill", map, name, len] => {
            let value = vec![b'v'; number(len) as usize];
            status(raw::set_header(number(map), name.as_bytes(), &value))
        }
        ["many", map, count] => many(number(map), number(count)),
        ["remove", map, name] => status(raw::remove_header(number(map), name)),
        ["prop", path] => said(raw::property(&path.replace('.', "\0"))),
        ["proplen", path] => length(raw::property(&path.replace('.', "\0"))),
        ["setprop", path, value] => status(raw::set_property(&path.replace('.', "\0"), value)),
        ["body", kind, start, max] => said(raw::buffer(
            number(kind),
            number(start) as usize,
            number(max) as usize,
        )),
        ["setbody", kind, start, len, text] => {
            let (start, len) = (number(start) as usize, number(len) as usize);
            status(raw::set_buffer(number(kind), start, len, text))
        }
        ["grow", kind, len] => {
            let text = "g".repeat(number(len) as usize);
            status(raw::set_buffer(number(kind), usize::MAX, 0, &text))
        }
        ["resume", "request"] => status(raw::continue_stream(0)),
        ["resume", "response"] => status(raw::continue_stream(1)),
        ["resume", stream] => status(raw::continue_stream(number(stream))),
        ["close", stream] => status(raw::close_stream(number(stream))),
        ["local", code, details, body, grpc] => {
            let headers = encode(&[("x-local", details), ("content-type", "text/plain")]);
            let grpc = grpc.parse().unwrap_or(-1);
            status(raw::local_response(
                number(code),
                details,
                body,
                &headers,
                grpc,
            ))
        }
        ["call", cluster, path, timeout_ms] => call(cluster, path, number(timeout_ms)),
        ["grpc", cluster, service, method] => grpc(cluster, service, method),
        ["trap"] => panic!("as the script says"),
        _ => of_process(words),
    }
}

/// Runs one step that concerns no stream.
fn of_process(words: &[&str]) -> String {
    let number = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
    match *words {
        ["shared", key] => {
            let (value, _) = raw::shared_data(key);
            said(value)
        }
        ["share", key, value, cas] => status(raw::set_shared_data(key, value, number(cas))),
        ["swap", key, value] => {
            let (_, cas) = raw::shared_data(key);
            status(raw::set_shared_data(key, value, cas))
        }
        ["queue", name] => status(raw::register_queue(name).0),
        ["enqueue", name, value] => {
            let (_, id) = raw::register_queue(name);
            status(raw::enqueue(id, value))
        }
        ["dequeue", name] => {
            let (_, id) = raw::register_queue(name);
            said(raw::dequeue(id))
        }
        ["metric", kind, name, action, by] => metric(number(kind), name, action, by),
        ["status"] => {
            let (said_, code) = raw::status();
            format!("{} code={code}", said(said_))
        }
        ["tick", period_ms] => status(raw::tick(number(period_ms))),
        ["foreign", name, value] => said(raw::foreign(name, value)),
        _ => edges::run(words),
    }
}

/// Defines a metric, moves it and reads it again.
fn metric(kind: u32, name: &str, action: &str, number: &str) -> String {
    let (defined, id) = raw::define_metric(kind, name);
    let moved = match action {
        "inc" => raw::increment_metric(id, number.parse().unwrap_or(0)),
        "record" => raw::record_metric(id, number.parse().unwrap_or(0)),
        _ => return "no such step".into(),
    };
    let (read, value) = raw::metric(id);
    format!("{defined} {moved} {read} {value}")
}

fn status(status: u32) -> String {
    status.to_string()
}

pub fn said((status, value): Said) -> String {
    match value {
        None => status.to_string(),
        Some(value) => format!("{status} \"{}\"", value.escape_ascii()),
    }
}

fn length((status, value): Said) -> String {
    match value {
        None => status.to_string(),
        Some(value) => format!("{status} len={}", value.len()),
    }
}

/// The status and the sorted names in a map.
fn pairs((status, value): Said) -> String {
    let Some(value) = value else {
        return status.to_string();
    };
    let mut names: Vec<_> = decode(&value).into_iter().map(|(name, _)| name).collect();
    names.sort();
    format!("{status} {}", names.join(","))
}

/// Returns the pairs of an encoded map, in order.
pub fn decode(value: &[u8]) -> Vec<(String, String)> {
    let word = |at: usize| {
        let bytes = value.get(at..at + 4).and_then(|b| b.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes) as usize
    };
    let mut at = 4 + 8 * word(0);
    let mut pairs = Vec::new();
    let text = |bytes: Option<&[u8]>| bytes.unwrap_or_default().escape_ascii().to_string();
    for pair in 0..word(0) {
        let name_len = word(4 + 8 * pair);
        let value_len = word(8 + 8 * pair);
        let name = text(value.get(at..at + name_len));
        at += name_len + 1;
        pairs.push((name, text(value.get(at..at + value_len))));
        at += value_len + 1;
    }
    pairs
}

fn call(cluster: &str, path: &str, timeout_ms: u32) -> String {
    let path = unescaped(path);
    let headers = [
        (":method", "GET"),
        (":path", &String::from_utf8_lossy(&path)),
        (":authority", "witness"),
    ];
    let timeout = Duration::from_millis(timeout_ms.into());
    match proxy_wasm::hostcalls::dispatch_http_call(cluster, headers.into(), None, vec![], timeout)
    {
        Ok(_) => "0".into(),
        Err(status) => format!("{status:?}"),
    }
}

fn grpc(cluster: &str, service: &str, method: &str) -> String {
    let (metadata, timeout) = (vec![("x-meta", &b"1"[..])], Duration::from_secs(1));
    let message = Some(&b"message"[..]);
    let call = proxy_wasm::hostcalls::dispatch_grpc_call;
    match call(cluster, service, method, metadata, message, timeout) {
        Ok(_) => "0".into(),
        Err(status) => format!("{status:?}"),
    }
}

/// Adds a number of headers, each with a name of its own. Returns the status of the last one.
fn many(map: u32, count: u32) -> String {
    let add = |it| raw::add_header(map, format!("x-many-{it}").as_bytes(), b"1");
    (0..count).map(add).last().map_or_else(String::new, status)
}

/// Replaces each `\xHH` by the byte that it stands for, such as a space.
fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        bytes.extend(u8::from_str_radix(digits, 16).ok());
        bytes.extend(rest.as_bytes());
    }
    bytes
}

pub fn encode(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = (pairs.len() as u32).to_le_bytes().to_vec();
    for (name, value) in pairs {
        out.extend((name.len() as u32).to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
    }
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        out.extend(text.as_bytes());
        out.push(0);
    }
    out
}
