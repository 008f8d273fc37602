//! Text with placeholders, each escaped for where it stands.
//!
//! The placeholders are `{policy}`, `{retry_after}`, `{path}` and `{request_id}`;
//! every other brace is plain text, so that JSON needs no escaping of its own. A
//! value is never looked at for placeholders again.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// How much of a caller's value is repeated to it: an answer must not grow with
/// what a hostile client sent.
const VALUE_BYTES_MAX: usize = 1_024;

/// What placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// `{policy}`: the policy's name.
    pub policy: &'a str,
    /// `{retry_after}`: whole seconds.
    pub retry_after: u64,
    /// `{path}`: the request's path, query included, as the client sent it.
    pub path: &'a [u8],
    /// `{request_id}`: the request's `x-request-id`, as it came.
    pub request_id: &'a [u8],
}

/// Where a value stands, and so what could break out of it there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// One line of text: control characters are dropped.
    #[default]
    Line,
    /// A header value: what is not visible ASCII is percent-encoded.
    Header,
    /// Inside a JSON string.
    Json,
    /// HTML text, or an attribute's value in quotes.
    Html,
}

impl Escape {
    /// The escape for a body of this content type.
    pub fn of_content_type(content_type: &str) -> Escape {
        let mut lower = String::from(content_type);
        lower.make_ascii_lowercase();
        let media_type = lower.split(';').next().unwrap_or_default().trim();
        if media_type.ends_with("json") {
            Escape::Json
        } else if ["html", "xml", "svg"]
            .iter()
            .any(|kind| media_type.contains(kind))
        {
            Escape::Html
        } else {
            Escape::Line
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
    /// Finds the placeholders of `text`, whose values will be escaped for `escape`.
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

    /// Whether it is the empty text.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether it repeats something that the client sent.
    pub fn echoes_request(&self) -> bool {
        let echo = |piece: &Piece| matches!(piece, Piece::Path | Piece::RequestId);
        self.pieces.iter().any(echo)
    }

    /// The text outside the placeholders.
    pub fn literal(&self) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => String::from(&**text),
            _ => String::new(),
        };
        self.pieces.iter().map(text).collect()
    }

    /// The text with the values in their places.
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
    /// Appends `value`, which a client may have chosen, so that it cannot be
    /// anything but text there. What is not UTF-8 becomes U+FFFD.
    fn write(self, value: &[u8], out: &mut Vec<u8>) {
        let value = value.get(..VALUE_BYTES_MAX).unwrap_or(value);
        if self == Escape::Header {
            value.iter().for_each(|b| percent(*b, out));
            return;
        }
        let text = String::from_utf8_lossy(value);
        for c in text.chars() {
            match (self, c) {
                (Escape::Json, '"' | '\\') => {
                    out.push(b'\\');
                    out.push(c as u8);
                }
                (Escape::Html, '&') => out.extend_from_slice(b"&amp;"),
                (Escape::Html, '<') => out.extend_from_slice(b"&lt;"),
                (Escape::Html, '>') => out.extend_from_slice(b"&gt;"),
                (Escape::Html, '"') => out.extend_from_slice(b"&quot;"),
                (Escape::Html, '\'') => out.extend_from_slice(b"&#39;"),
                (_, c) if c.is_control() => {}
                (_, c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
}

fn percent(byte: u8, out: &mut Vec<u8>) {
    if byte.is_ascii_graphic() || byte == b' ' {
        out.push(byte);
    } else {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
        out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &[u8] = b"/a?\"x\"\\<script>'&\r\nset-cookie: a=b\x00\xff{policy}";

    fn filled(text: &str, escape: Escape) -> String {
        let values = Values {
            policy: "p",
            retry_after: 7,
            path: HOSTILE,
            request_id: b"id-1",
        };
        String::from_utf8_lossy(&Template::new(text, escape).fill(&values)).into_owned()
    }

    #[test]
    fn every_placeholder_is_filled_and_other_braces_stay() {
        let text = "{policy} {retry_after} {request_id} {other} { {} {policy";
        assert_eq!(filled(text, Escape::Line), "p 7 id-1 {other} { {} {policy");
    }

    #[test]
    fn a_value_cannot_leave_the_place_where_it_stands() {
        let rows = [
            (
                Escape::Line,
                "/a?\"x\"\\<script>'&set-cookie: a=b\u{fffd}{policy}",
            ),
            (
                Escape::Header,
                "/a?\"x\"\\<script>'&%0D%0Aset-cookie: a=b%00%FF{policy}",
            ),
            (
                Escape::Json,
                "/a?\\\"x\\\"\\\\<script>'&set-cookie: a=b\u{fffd}{policy}",
            ),
            (
                Escape::Html,
                "/a?&quot;x&quot;\\&lt;script&gt;&#39;&amp;set-cookie: a=b\u{fffd}{policy}",
            ),
        ];
        for (escape, expected) in rows {
            assert_eq!(filled("{path}", escape), expected, "{escape:?}");
        }
    }

    #[test]
    fn an_answer_does_not_grow_with_what_the_client_sent() {
        let long = alloc::vec![b'a'; 60_000];
        let values = Values {
            policy: "p",
            retry_after: 1,
            path: &long,
            request_id: b"",
        };
        let filled = Template::new("{path}", Escape::Header).fill(&values);
        assert_eq!(filled.len(), VALUE_BYTES_MAX);
    }

    #[test]
    fn the_content_type_says_how_to_escape() {
        let rows = [
            ("application/json", Escape::Json),
            ("application/problem+json; charset=utf-8", Escape::Json),
            ("text/HTML; charset=utf-8", Escape::Html),
            ("image/svg+xml", Escape::Html),
            ("text/plain", Escape::Line),
            ("", Escape::Line),
        ];
        for (content_type, escape) in rows {
            assert_eq!(
                Escape::of_content_type(content_type),
                escape,
                "{content_type}"
            );
        }
    }
}
