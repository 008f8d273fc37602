//! The actions of a probe, by phase.
//!
//! `rqh=get,0,:path|pause;call=resume,0` reads: in the callback of request headers, get
//! the header `:path` of map 0, then return Pause; when a call's response arrives, resume the
//! request. A newline separates actions as `;` does. [`Phase`] lists the phases, [`run`] the
//! actions and their arguments. In arguments, `/` separates the segments of a property path, and
//! `_` stands for a space in bodies.
//!
//! Each action writes a log line: `probe: CONTEXT PHASE ACTION -> STATUS VALUE`.

use std::time::Duration;

use proxy_wasm::hostcalls;

use crate::host;

/// Actions by phase.
#[derive(Clone, Debug, Default)]
pub struct Script(Vec<(String, Vec<String>)>);

impl Script {
    pub fn parse(text: &str) -> Script {
        let phase = |part: &str| {
            let (phase, actions) = part.trim().split_once('=')?;
            Some((
                phase.to_owned(),
                actions.split('|').map(str::to_owned).collect(),
            ))
        };
        Script(text.split([';', '\n']).filter_map(phase).collect())
    }

    /// Merges the phases of another script into this one.
    pub fn extend(&mut self, other: Script) {
        for (phase, actions) in other.0 {
            self.0.retain(|(known, _)| *known != phase);
            self.0.push((phase, actions));
        }
    }

    /// Runs the actions of a phase. Returns the callback's return value if an action set one.
    pub fn run(&self, context: u32, phase: &str) -> Option<Wish> {
        let (_, actions) = self.0.iter().find(|(known, _)| known == phase)?;
        let mut wish = None;
        for action in actions {
            let mut words = action.split(',');
            let verb = words.next().unwrap_or_default();
            let words: Vec<_> = words.collect();
            match verb {
                "pause" => wish = Some(Wish::Pause),
                "refuse" => wish = Some(Wish::Refuse),
                "trap" => panic!("as the script says"),
                _ => {
                    let seen = act(verb, &words);
                    log::info!("probe: {context} {phase} {action} -> {seen}");
                }
            }
        }
        wish
    }
}

/// The return value of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Pause,
    Refuse,
}

fn act(verb: &str, words: &[&str]) -> String {
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let number = |index: usize| word(index).parse::<u32>().unwrap_or_default();
    let size = |index: usize| number(index) as usize;
    let spaced = |index: usize| word(index).replace('_', " ");
    let path = |index: usize| word(index).replace('/', "\0");
    match verb {
        "get" => text(host::header(number(0), word(1))),
        "map" => pairs(host::map(number(0))),
        "size" => shown(host::map_size(number(0))),
        "add" => host::add_header(number(0), word(1), word(2)).to_string(),
        "replace" => host::replace_header(number(0), word(1), word(2)).to_string(),
        "remove" => host::remove_header(number(0), word(1)).to_string(),
        "set" => host::set_map(number(0), &headers(words.get(1..))).to_string(),
        "body" => text(host::buffer(number(0), 0, 1 << 20)),
        "part" => text(host::buffer(number(0), size(1), size(2))),
        "length" => shown(host::buffer_len(number(0))),
        "setbody" => {
            host::set_buffer(number(0), size(1), size(2), spaced(3).as_bytes()).to_string()
        }
        "prop" => bytes(host::property(&path(0))),
        "setprop" => host::set_property(&path(0), word(1)).to_string(),
        "resume" => host::resume(number(0)).to_string(),
        "close" => host::close(number(0)).to_string(),
        "reply" => {
            let grpc = word(3).parse().unwrap_or(-1);
            let headers = headers(words.get(4..));
            host::reply(number(0), &spaced(1), &spaced(2), &headers, grpc).to_string()
        }
        "call" => call(words),
        "grpc" => grpc(words),
        "status" => {
            let (status, (code, message)) = host::status();
            format!("{status} {code} {}", String::from_utf8_lossy(&message))
        }
        "shared" => {
            let (status, (value, cas)) = host::shared(word(0));
            format!("{status} {} {cas}", String::from_utf8_lossy(&value))
        }
        "setshared" => host::set_shared(word(0), word(1), number(2)).to_string(),
        "queue" => shown(host::register_queue(word(0))),
        "resolve" => shown(host::resolve_queue(word(0), word(1))),
        "enqueue" => host::enqueue(number(0), word(1)).to_string(),
        "dequeue" => text(host::dequeue(number(0))),
        "metric" => shown(host::define_metric(number(0), word(1))),
        "increment" => host::increment(number(0), word(1).parse().unwrap_or(0)).to_string(),
        "record" => host::record(number(0), u64::from(number(1))).to_string(),
        "value" => shown(host::metric(number(0))),
        "tick" => host::set_tick(number(0)).to_string(),
        "effective" => host::set_effective(number(0)).to_string(),
        "done" => host::done().to_string(),
        "foreign" => text(host::foreign(word(0), word(1))),
        "loglevel" => host::log_level().0.to_string(),
        _ => "no such action".to_owned(),
    }
}

fn headers<'a>(words: Option<&'a [&'a str]>) -> Vec<(&'a str, &'a str)> {
    let words = words.unwrap_or_default();
    words
        .iter()
        .filter_map(|word| word.split_once('~'))
        .collect()
}

/// `call,CLUSTER,PATH,TIMEOUT_MS,BODY`
fn call(words: &[&str]) -> String {
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let timeout = Duration::from_millis(word(2).parse().unwrap_or(0));
    let headers = vec![
        (":method", "GET"),
        (":path", word(1)),
        (":authority", "called"),
    ];
    let body = Some(word(3).as_bytes()).filter(|body| !body.is_empty());
    match hostcalls::dispatch_http_call(word(0), headers, body, Vec::new(), timeout) {
        Ok(token) => format!("0 {token}"),
        Err(status) => (status as u32).to_string(),
    }
}

/// `grpc,CLUSTER,SERVICE,METHOD,TIMEOUT_MS`
fn grpc(words: &[&str]) -> String {
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let timeout = Duration::from_millis(word(3).parse().unwrap_or(0));
    let message = Some(&b"asked"[..]);
    match hostcalls::dispatch_grpc_call(word(0), word(1), word(2), Vec::new(), message, timeout) {
        Ok(token) => format!("0 {token}"),
        Err(status) => (status as u32).to_string(),
    }
}

fn shown<T: std::fmt::Display>((status, value): (u32, T)) -> String {
    if status == 0 {
        format!("0 {value}")
    } else {
        status.to_string()
    }
}

fn text((status, value): (u32, Vec<u8>)) -> String {
    shown((status, String::from_utf8_lossy(&value)))
}

/// Formats printable bytes as text and others as hexadecimal, so that the encoding is visible.
fn bytes((status, value): (u32, Vec<u8>)) -> String {
    let is_text = value.iter().all(|byte| (0x20..0x7f).contains(byte));
    if is_text {
        return text((status, value));
    }
    let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    shown((status, format!("0x{hex}")))
}

fn pairs((status, encoded): (u32, Vec<u8>)) -> String {
    let count = encoded
        .get(..4)
        .and_then(|word| word.try_into().ok())
        .map_or(0, u32::from_le_bytes);
    shown((status, format!("{count} pairs in {} bytes", encoded.len())))
}
