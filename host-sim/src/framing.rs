//! Where the reader of an HTTP/1.1 message finds its end.
//!
//! Envoy neither corrects nor enforces the `content-length` that a plugin leaves in a message: it
//! sends the header and the body as they are. So what arrives is up to the reader, a client or a
//! service, which goes by the rules of RFC 9112.

use std::fmt;

use bytes::Bytes;

use crate::headers::HeaderMap;

/// The progress of a reader through one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    body: Body,
    sent: u64,
    fault: Option<Fault>,
}

/// The body that the headers announce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Body {
    /// Of any length: the sender marks its end.
    #[default]
    Chunked,
    Length(u64),
    /// None, because of the status of the response.
    Forbidden(u16),
}

/// How a message differs from what its headers announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More bytes follow than the length says. The reader takes the first of them.
    Long { said: u64, sent: u64 },
    /// Fewer bytes follow than the length says.
    Short { said: u64, sent: u64 },
    /// The length is not one number.
    Length(String),
    /// The plugin set `transfer-encoding` in a request that cannot have it.
    Encoding,
    /// A body follows although the status forbids one.
    Forbidden { status: u16, sent: u64 },
    /// The status is not a final status of three digits.
    Status(String),
}

/// The status of a response that upgrades its connection to another protocol.
pub const SWITCHING_PROTOCOLS: u16 = 101;

/// Length of a header's value in messages.
const SHOWN_MAX: usize = 40;

impl Reading {
    /// Begins a response, as a client reads it. `to_head`: its request was HEAD, so Envoy sends no
    /// body.
    pub fn response(headers: &HeaderMap, to_head: bool) -> Reading {
        let number = headers.status().and_then(|it| u16::try_from(it).ok());
        match number {
            Some(SWITCHING_PROTOCOLS) => Reading::default(),
            Some(200..=999) if to_head => Reading::default(),
            Some(status @ (204 | 304)) => Reading::of(Ok(Body::Forbidden(status))),
            // RFC 9110 lets a recipient take a list of equal lengths for one.
            Some(200..=999) => Reading::of(length(headers, true)),
            _ => {
                let status = headers.value(b":status").unwrap_or_default();
                Reading::of(Err(Fault::Status(shown(status))))
            }
        }
    }

    /// Begins a response, as Envoy reads it. Envoy takes no list of lengths, and no length with a
    /// 204.
    pub fn from_upstream(headers: &HeaderMap, to_head: bool) -> Reading {
        match length(headers, false) {
            Ok(Body::Length(1..)) if headers.value(b":status") == Some(b"204") => {
                let length = headers.value(b"content-length").unwrap_or_default();
                Reading::of(Err(Fault::Length(shown(length))))
            }
            Ok(_) => Reading::response(headers, to_head),
            Err(fault) => Reading::of(Err(fault)),
        }
    }

    /// Begins a request, as a service reads it. HTTP/2 has no `transfer-encoding`, and HTTP/1.1
    /// none beside a length.
    pub fn request(headers: &HeaderMap, http2: bool) -> Reading {
        let is_encoded = headers.value(b"transfer-encoding").is_some();
        Reading::of(match length(headers, false) {
            Ok(Body::Length(_)) if is_encoded => Err(Fault::Encoding),
            Ok(_) if is_encoded && http2 => Err(Fault::Encoding),
            body => body,
        })
    }

    fn of(body: Result<Body, Fault>) -> Reading {
        let fault = body.clone().err();
        Reading {
            body: body.unwrap_or_default(),
            sent: 0,
            fault,
        }
    }

    /// Returns the part of these bytes that the reader takes.
    pub fn take(&mut self, data: &Bytes) -> Bytes {
        let left = match self.body {
            Body::Chunked => u64::MAX,
            Body::Length(said) => said.saturating_sub(self.sent),
            Body::Forbidden(_) => 0,
        };
        self.sent = self.sent.saturating_add(data.len() as u64);
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        data.slice(..taken)
    }

    /// Whether the headers alone keep the reader from going on.
    pub fn is_unreadable(&self) -> bool {
        self.fault.is_some()
    }

    /// Returns what is wrong with the message, which has ended.
    pub fn end(&self) -> Option<Fault> {
        let sent = self.sent;
        let of_body = match self.body {
            Body::Length(said) if sent > said => Some(Fault::Long { said, sent }),
            Body::Length(said) if sent < said => Some(Fault::Short { said, sent }),
            Body::Forbidden(status) if sent > 0 => Some(Fault::Forbidden { status, sent }),
            _ => None,
        };
        self.fault.clone().or(of_body)
    }
}

impl Fault {
    /// Whether the reader fails to get the whole message.
    pub fn breaks(&self) -> bool {
        !matches!(self, Fault::Long { .. } | Fault::Forbidden { .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Long { said, sent } => write!(
                f,
                "content-length is {said}, but {sent} bytes were sent: only the first {said} arrive"
            ),
            Fault::Short { said, sent } => write!(
                f,
                "content-length is {said}, but {sent} bytes were sent: the rest never arrives"
            ),
            Fault::Length(value) => {
                write!(f, "content-length is {value:?}: the message cannot be read")
            }
            Fault::Encoding => f.write_str(
                "transfer-encoding is set beside content-length, or in HTTP/2: the message cannot \
                 be read",
            ),
            Fault::Forbidden { status, sent } => write!(
                f,
                "a response with status {status} has no body, but {sent} bytes were sent: \
                 none of them arrives"
            ),
            Fault::Status(value) => {
                write!(f, "the status is {value:?}: the response cannot be read")
            }
        }
    }
}

/// Returns the body that `content-length` announces. `lists`: equal numbers count as one.
fn length(headers: &HeaderMap, lists: bool) -> Result<Body, Fault> {
    let mut values = headers.values(b"content-length");
    let Some(first) = values.next() else {
        return Ok(Body::Chunked);
    };
    let rest = values.flat_map(|value| [&b","[..], value]);
    let value = [first].into_iter().chain(rest).collect::<Vec<_>>().concat();
    let text = String::from_utf8_lossy(&value);
    let mut numbers = text.split(',').map(|number| digits(number.trim()));
    let first = numbers.next().flatten();
    let is_one = numbers.all(|number| lists && number == first);
    match first {
        Some(length) if is_one => Ok(Body::Length(length)),
        _ => Err(Fault::Length(shown(&value))),
    }
}

/// Parses digits alone, without a sign.
fn digits(text: &str) -> Option<u64> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits)
}

fn shown(value: &[u8]) -> String {
    String::from_utf8_lossy(value)
        .chars()
        .take(SHOWN_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(status: &str, lengths: &[&str]) -> HeaderMap {
        let lengths = lengths.iter().map(|it| ("content-length", *it));
        [(":status", status)].into_iter().chain(lengths).collect()
    }

    /// A status, lengths, and chunks; what arrives of them, and the fault.
    type Read<'a> = (
        &'a str,
        &'a [&'a str],
        &'a [&'static str],
        &'a str,
        Option<Fault>,
    );

    /// Headers of a request of three bytes; the fault in HTTP/1.1, and in HTTP/2.
    type Sent<'a> = (&'a [(&'a str, &'a str)], Option<Fault>, Option<Fault>);

    /// Returns what arrives of chunks, and whether the reader is content.
    fn read(mut reading: Reading, chunks: &[&'static str]) -> (String, Option<Fault>) {
        let took = chunks
            .iter()
            .map(|it| reading.take(&Bytes::from_static(it.as_bytes())));
        let took: Vec<_> = took.collect();
        let text = String::from_utf8(took.concat()).unwrap();
        (text, reading.end())
    }

    #[test]
    fn a_client_goes_by_status_and_length() {
        let long = |said, sent| Some(Fault::Long { said, sent });
        let short = |said, sent| Some(Fault::Short { said, sent });
        let bad = |value: &str| Some(Fault::Length(value.into()));
        let none = |status, sent| Some(Fault::Forbidden { status, sent });
        let no_status = |value: &str| Some(Fault::Status(value.into()));
        let huge = "9".repeat(100);
        let rows: &[Read<'_>] = &[
            ("200", &[], &["ab", "c"], "abc", None),
            ("200", &["3"], &["ab", "c"], "abc", None),
            ("200", &["03"], &["abc"], "abc", None),
            ("200", &["1"], &["ab", "c"], "a", long(1, 3)),
            ("200", &["2"], &["a", "bc", "d"], "ab", long(2, 4)),
            ("200", &["4"], &["ab", "c"], "abc", short(4, 3)),
            ("200", &["4"], &[], "", short(4, 0)),
            ("200", &["0"], &[], "", None),
            ("200", &["3,3"], &["abc"], "abc", None),
            ("200", &["3", "3"], &["abc"], "abc", None),
            ("200", &["3", "4"], &["abc"], "abc", bad("3,4")),
            ("200", &["3,"], &["abc"], "abc", bad("3,")),
            ("200", &[""], &["abc"], "abc", bad("")),
            ("200", &["+3"], &["abc"], "abc", bad("+3")),
            ("200", &["-3"], &["abc"], "abc", bad("-3")),
            ("200", &["0x3"], &["abc"], "abc", bad("0x3")),
            ("200", &[&huge], &["abc"], "abc", bad(&huge[..SHOWN_MAX])),
            ("204", &[], &[], "", None),
            ("204", &["3"], &[], "", None),
            ("204", &["3"], &["abc"], "", none(204, 3)),
            ("304", &["9"], &[], "", None),
            ("304", &[], &["abc"], "", none(304, 3)),
            ("0200", &["3"], &["abc"], "abc", None),
            ("999", &["3"], &["abc"], "abc", None),
            ("100", &["3"], &["abc"], "abc", no_status("100")),
            ("99", &[], &[], "", no_status("99")),
            ("1000", &[], &[], "", no_status("1000")),
        ];
        for (status, lengths, chunks, text, fault) in rows {
            let found = read(Reading::response(&headers(status, lengths), false), chunks);
            let expected = (String::from(*text), fault.clone());
            assert_eq!(found, expected, "{status} {lengths:?} {chunks:?}");
        }
    }

    #[test]
    fn a_response_to_head_has_a_length_and_no_body() {
        for status in ["200", "204", "304"] {
            let reading = Reading::response(&headers(status, &["3"]), true);
            assert_eq!(reading.end(), None, "{status}");
        }
    }

    #[test]
    fn a_service_takes_neither_a_list_of_lengths_nor_an_encoding_beside_a_length() {
        let (length, encoding) = (("content-length", "3"), ("transfer-encoding", "chunked"));
        let list = Some(Fault::Length("3,3".into()));
        let rows: &[Sent<'_>] = &[
            (&[], None, None),
            (&[length], None, None),
            (&[encoding], None, Some(Fault::Encoding)),
            (
                &[length, encoding],
                Some(Fault::Encoding),
                Some(Fault::Encoding),
            ),
            (&[length, length], list.clone(), list),
        ];
        for (pairs, http1, http2) in rows {
            let map: HeaderMap = pairs.iter().copied().collect();
            let fault = |http2| read(Reading::request(&map, http2), &["abc"]).1;
            assert_eq!(
                (fault(false), fault(true)),
                (http1.clone(), http2.clone()),
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn values_that_are_no_text_are_read_without_a_panic() {
        let pairs = [
            (&b":status"[..], &b"2\xff0"[..]),
            (b"content-length", b"\xff\xfe"),
        ];
        let map: HeaderMap = pairs.into_iter().collect();
        let status = Reading::response(&map, false).end();
        assert!(matches!(status, Some(Fault::Status(_))), "{status:?}");
        let length = Reading::request(&map, false).end();
        assert!(matches!(length, Some(Fault::Length(_))), "{length:?}");
    }
}
