//! Text with placeholders, whose values are escaped for their context.
//!
//! The placeholders are `{policy}`, `{retry_after}`, `{path}` and `{request_id}`. Every other
//! brace is plain text, so JSON needs no extra escaping. Placeholders inside a value are not
//! replaced.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// Maximum length of a client's value in a response. A response must not grow with what a
/// hostile client sent.
const VALUE_BYTES_MAX: usize = 1_024;

/// Values of the placeholders.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// `{policy}`: the policy's name.
    pub policy: &'a str,
    /// `{retry_after}`: whole seconds.
    pub retry_after: u64,
    /// `{path}`: the request's path and query, as the client sent them.
    pub path: &'a [u8],
    /// `{request_id}`: the request's `x-request-id`, as the client sent it.
    pub request_id: &'a [u8],
}

/// The context of a value, which decides how it is escaped.
///
/// The author of a policy puts placeholders anywhere, so each form is safe in more contexts
/// than its name says. For example, a placeholder outside of any string, or in an attribute
/// without quotes, must not allow an injection either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// Text that nothing interprets, such as `text/plain` or a gRPC message. Control
    /// characters are dropped.
    #[default]
    Line,
    /// A header value. Everything but visible ASCII is percent-encoded, and so are the
    /// delimiters of list members, parameters, quoted strings and links.
    Header,
    /// A JSON string.
    Json,
    /// A string in JavaScript, or in JSON that is sent as another type. Only letters, digits
    /// and underscores are not escaped.
    Script,
    /// Text or an attribute's value in HTML or XML.
    Markup,
    /// A body of any other type, whose syntax is unknown. Every possible delimiter is
    /// percent-encoded.
    Unknown,
}

impl Escape {
    /// Returns the escape for a body of this content type.
    pub fn of_content_type(content_type: &str) -> Escape {
        let mut lower = String::from(content_type);
        lower.make_ascii_lowercase();
        let essence = lower.split(';').next().unwrap_or_default().trim();
        let has = |words: &[&str]| words.iter().any(|word| essence.contains(word));
        // Of several types in one header browsers take the last that they understand.
        if lower.contains(',') {
            Escape::Unknown
        } else if has(&["html", "xml", "svg"]) {
            Escape::Markup
        } else if has(&["script"]) {
            Escape::Script
        } else if essence.ends_with("json") || essence.ends_with("json-seq") {
            Escape::Json
        } else if essence == "text/plain" {
            Escape::Line
        } else {
            Escape::Unknown
        }
    }
}

/// Text with placeholders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    escape: Escape,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(Box<str>),
    Policy,
    RetryAfter,
    Path,
    RequestId,
}

const PLACEHOLDERS: [(&str, Piece); 4] = [
    ("{policy}", Piece::Policy),
    ("{retry_after}", Piece::RetryAfter),
    ("{path}", Piece::Path),
    ("{request_id}", Piece::RequestId),
];

impl Template {
    /// Parses `text`. Values are escaped with `escape`.
    pub fn new(text: &str, escape: Escape) -> Template {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((at, name, piece)) = first_placeholder(rest) {
            push_text(&mut pieces, rest.get(..at).unwrap_or_default());
            pieces.push(piece);
            let end = at.saturating_add(name.len());
            rest = rest.get(end..).unwrap_or_default();
        }
        push_text(&mut pieces, rest);
        Template { escape, pieces }
    }

    /// Returns whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Returns whether it repeats something that the client sent.
    pub fn echoes_request(&self) -> bool {
        let echo = |piece: &Piece| matches!(piece, Piece::Path | Piece::RequestId);
        self.pieces.iter().any(echo)
    }

    /// Returns the text outside the placeholders.
    pub fn literal(&self) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => String::from(&**text),
            _ => String::new(),
        };
        self.pieces.iter().map(text).collect()
    }

    /// Returns the text with the values in place of the placeholders.
    pub fn fill(&self, values: &Values<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Policy => out.extend_from_slice(values.policy.as_bytes()),
                Piece::RetryAfter => {
                    out.extend_from_slice(alloc::format!("{}", values.retry_after).as_bytes());
                }
                Piece::Path => self.escape.write(values.path, &mut out),
                Piece::RequestId => self.escape.write(values.request_id, &mut out),
            }
        }
        out
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
}

fn first_placeholder(text: &str) -> Option<(usize, &'static str, Piece)> {
    PLACEHOLDERS
        .iter()
        .filter_map(|(name, piece)| Some((text.find(name)?, *name, piece.clone())))
        .min_by_key(|(at, ..)| *at)
}

impl Escape {
    /// Appends `value`, which a client may have chosen, escaped so that a reader takes it for
    /// text only. Bytes that are not UTF-8 become U+FFFD or are percent-encoded.
    fn write(self, value: &[u8], out: &mut Vec<u8>) {
        let value = value.get(..VALUE_BYTES_MAX).unwrap_or(value);
        if matches!(self, Escape::Header | Escape::Unknown) {
            for (at, byte) in value.iter().enumerate() {
                // `location: //host` would redirect to another host.
                let leads_away = at == 1 && value.starts_with(b"//");
                if self.keeps(char::from(*byte)) && !leads_away {
                    out.push(*byte);
                } else {
                    percent(*byte, out);
                }
            }
            return;
        }
        let text = String::from_utf8_lossy(value);
        for c in text.chars().filter(|c| is_text(*c)) {
            if self.keeps(c) {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            } else if self == Escape::Markup {
                out.extend_from_slice(alloc::format!("&#{};", u32::from(c)).as_bytes());
            } else {
                for unit in c.encode_utf16(&mut [0; 2]).iter() {
                    let [high, low] = unit.to_be_bytes();
                    let digits = [high >> 4, high, low >> 4, low].map(hex);
                    out.extend_from_slice(b"\\u");
                    out.extend_from_slice(&digits);
                }
            }
        }
    }

    /// Returns whether a character needs no escape.
    fn keeps(self, c: char) -> bool {
        match self {
            Escape::Line => true,
            Escape::Header => matches!(c, ' '..='~') && !"\"<>\\,;".contains(c),
            // Delimiters of JSON, in case the value is outside of a string, and everything that
            // could end a string, a comment or an element of a script or page around the JSON.
            Escape::Json => !" \"\\'`$*<>&,:[]{}\u{2028}\u{2029}".contains(c),
            Escape::Script => c.is_ascii_alphanumeric() || c == '_',
            Escape::Markup => !"&<>\"'`=()\\$".contains(c),
            Escape::Unknown => c.is_ascii_alphanumeric() || "-._~/?%".contains(c),
        }
    }
}

/// Encodes a message for `grpc-message` ("gRPC over HTTP2", Status-Message).
pub(crate) fn grpc_message(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in message {
        match byte {
            b'%' | ..b' ' | 0x7f.. => percent(*byte, &mut out),
            plain => out.push(*plain),
        }
    }
    out
}

fn percent(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'%', hex(byte >> 4), hex(byte)]);
}

/// Returns whether a character is allowed in a line of text and in XML.
fn is_text(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Returns the hexadecimal digit of the lower four bits.
fn hex(byte: u8) -> u8 {
    let nibble = byte & 15;
    nibble.wrapping_add(if nibble < 10 { b'0' } else { b'A' - 10 })
}

#[cfg(test)]
mod tests;
