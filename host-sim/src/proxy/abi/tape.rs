//! Hostcalls on the tape, with their arguments as texts.
//!
//! The table of hostcalls names its parameters in one way, so that this needs no table of its
//! own: `x` and `x_len` are bytes, `out` and `len_out` are bytes that the host returns, and any
//! other name with `out` is a number that it returns.

use super::guest::Guest;
use super::pairs;
use crate::proxy::process::tape::{TapeEvent, TapedHostcall};

/// A hostcall that has not returned.
pub(super) struct OpenHostcall {
    name: &'static str,
    arguments: Vec<(&'static str, String)>,
    outs: Vec<Out>,
}

/// Where the host writes a result.
struct Out {
    name: &'static str,
    at: u32,
    /// Where the length is, if the result is bytes.
    len_at: Option<u32>,
}

/// Length of the longest value on the tape. A longer one is cut, and its length is added.
const VALUE_BYTES_MAX: usize = 4_096;

impl Guest<'_> {
    /// Notes a hostcall with its arguments. `None` if there is no tape.
    pub(super) fn begin_tape(
        &mut self,
        name: &'static str,
        parameters: &[(&'static str, i64)],
    ) -> Option<OpenHostcall> {
        self.state().process.tape.as_ref()?;
        let mut open = OpenHostcall {
            name,
            arguments: Vec::new(),
            outs: Vec::new(),
        };
        let mut rest = parameters;
        while let Some(((name, value), after)) = rest.split_first() {
            let (name, word) = (*name, *value as u32);
            let next = after.first().copied().unwrap_or_default();
            rest = after;
            if name.ends_with("out") {
                let has_len = next.0 == "len_out" && name != "len_out";
                open.outs.push(Out {
                    name: name.strip_suffix("_out").unwrap_or("result"),
                    at: word,
                    len_at: has_len.then_some(next.1 as u32),
                });
                rest = after.get(usize::from(has_len)..).unwrap_or_default();
            } else if next.0.strip_suffix("_len") == Some(name) {
                let bytes = self.bytes(word, next.1 as u32).map(<[u8]>::to_vec);
                let text = bytes.map_or("outside of the memory".into(), |it| shown(name, &it));
                open.arguments.push((name, text));
                rest = after.get(1..).unwrap_or_default();
            } else {
                open.arguments.push((name, number(open.name, name, *value)));
            }
        }
        Some(open)
    }

    /// Notes the results of a hostcall.
    pub(super) fn end_tape(&mut self, open: Option<OpenHostcall>, status: i32) {
        let Some(open) = open else {
            return;
        };
        let results = match status {
            0 => open
                .outs
                .iter()
                .map(|out| self.result(&open, out))
                .collect(),
            _ => Vec::new(),
        };
        let state = self.state();
        let worker = state.setup.id.thread;
        state.process.tape(
            worker,
            TapeEvent::Hostcall(TapedHostcall {
                name: open.name,
                arguments: open.arguments,
                results,
                status,
            }),
        );
    }

    fn result(&mut self, open: &OpenHostcall, out: &Out) -> (&'static str, String) {
        let Some(len_at) = out.len_at else {
            let is_long = matches!(
                open.name,
                "proxy_get_current_time_nanoseconds" | "proxy_get_metric" | "clock_time_get"
            );
            if is_long {
                let long = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
                return (out.name, self.bytes(out.at, 8).map_or(0, long).to_string());
            }
            return (out.name, self.word(out.at).to_string());
        };
        let (at, len) = (self.word(out.at), self.word(len_at));
        let kind = match open.name {
            "proxy_get_header_map_pairs" => "pairs",
            _ => out.name,
        };
        let bytes = self.bytes(at, len).unwrap_or_default();
        (out.name, shown(kind, bytes))
    }

    fn word(&mut self, at: u32) -> u32 {
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
        self.bytes(at, 4).map_or(0, word)
    }
}

/// Returns bytes as a text, by the name of their parameter.
fn shown(name: &str, bytes: &[u8]) -> String {
    match name {
        "headers" | "pairs" | "metadata" | "trailers" => {
            let pairs = pairs::decode(bytes);
            let pair = |(name, value): &(&[u8], &[u8])| format!("{}: {}", cut(name), cut(value));
            let pairs: Vec<_> = pairs.iter().map(pair).collect();
            format!("[{}]", pairs.join(", "))
        }
        "path" => cut(bytes).replace('\0', "."),
        _ => format!("{:?}", cut(bytes)),
    }
}

fn cut(bytes: &[u8]) -> String {
    match bytes.get(..VALUE_BYTES_MAX) {
        Some(front) if bytes.len() > VALUE_BYTES_MAX => {
            let front = String::from_utf8_lossy(front);
            format!("{front}... ({} bytes)", bytes.len())
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Returns a number, or the name that the ABI gives it.
fn number(hostcall: &str, parameter: &str, value: i64) -> String {
    let names: &[&str] = match (hostcall, parameter) {
        ("proxy_log", "level") => &["trace", "debug", "info", "warn", "error", "critical"],
        ("proxy_define_metric", "kind") => &["counter", "gauge", "histogram"],
        ("proxy_continue_stream" | "proxy_close_stream", "kind") => &["request", "response"],
        (_, "kind") if hostcall.contains("header_map") => &[
            "request_headers",
            "request_trailers",
            "response_headers",
            "response_trailers",
            "grpc_initial_metadata",
            "grpc_trailing_metadata",
            "call_headers",
            "call_trailers",
        ],
        (_, "kind") if hostcall.contains("buffer") => &[
            "request_body",
            "response_body",
            "downstream_data",
            "upstream_data",
            "call_body",
            "grpc_message",
            "vm_configuration",
            "plugin_configuration",
        ],
        _ => &[],
    };
    let name = usize::try_from(value).ok().and_then(|at| names.get(at));
    name.map_or_else(|| value.to_string(), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_by_the_name_of_their_parameter() {
        let pairs = b"\x01\0\0\0\x01\0\0\0\x02\0\0\0a\0bc\0";
        for (name, bytes, text) in [
            ("headers", &pairs[..], "[a: bc]"),
            ("headers", b"broken", "[]"),
            ("path", b"request\0path", "request.path"),
            ("value", b"a\"\xff", "\"a\\\"\u{fffd}\""),
        ] {
            assert_eq!(shown(name, bytes), text);
        }
        let long = cut(&[b'x'; VALUE_BYTES_MAX + 1]);
        assert!(long.ends_with("... (4097 bytes)"), "{long}");
    }

    #[test]
    fn numbers_have_the_names_of_the_abi() {
        for (hostcall, parameter, value, text) in [
            ("proxy_log", "level", 3, "warn"),
            ("proxy_get_buffer_bytes", "kind", 1, "response_body"),
            ("proxy_get_header_map_value", "kind", 2, "response_headers"),
            ("proxy_get_header_map_value", "kind", 9, "9"),
            ("proxy_increment_metric", "delta", -2, "-2"),
        ] {
            assert_eq!(number(hostcall, parameter, value), text);
        }
    }
}
