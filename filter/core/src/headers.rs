//! Headers of a message that outlive its callback. The host drops a request's headers before
//! the response arrives, and all headers at the end of the stream.
//!
//! They are one run of bytes, so a copy costs one allocation and the record of a stored
//! response contains them unchanged. Each header has its name and then its value, both with
//! their length in front.

use alloc::string::String;
use alloc::vec::Vec;

use crate::codec::{Encode, Reader, write_bytes};

mod map;

pub use map::{Map, encode};

/// Headers of a response: names in lower case, and values without control characters.
pub type Pairs = Vec<(String, Vec<u8>)>;

/// Header names in lower case and their values, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<u8>);

impl Headers {
    /// Appends a header.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        write_bytes(name, &mut self.0);
        write_bytes(value, &mut self.0);
    }

    /// Returns whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the size in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns all headers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = Reader::new(&self.0);
        core::iter::from_fn(move || Some((rest.long_bytes()?, rest.long_bytes()?)))
    }

    /// Returns the values of a header. `name` is in lower case.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let named = self.iter().filter(move |(other, _)| *other == name);
        named.map(|(_, value)| value)
    }

    /// Returns the first value of a header.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        let mut all = self.iter();
        all.find(|(other, _)| *other == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// Returns whether there is a header of this name.
    pub fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }
}

impl Encode for Headers {
    fn write(&self, out: &mut Vec<u8>) {
        write_bytes(&self.0, out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Headers> {
        let bytes = from.long_bytes()?;
        let mut rest = Reader::new(bytes);
        while !rest.is_empty() {
            rest.long_bytes()?;
            rest.long_bytes()?;
        }
        Some(Headers(bytes.into()))
    }
}

/// Returns whether a header is always hop-by-hop (RFC 9110, 7.6.1). [`Hops`] has those that a
/// message's `connection` header adds.
pub fn is_hop(name: &[u8]) -> bool {
    let hops: [&[u8]; 6] = [
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ];
    hops.contains(&name)
}

/// The hop-by-hop headers that a message's `connection` header names.
#[derive(Debug, Default)]
pub struct Hops(Vec<u8>);

impl Hops {
    /// Adds the names in the value of a `connection` header.
    pub fn add(&mut self, names: &[u8]) {
        self.0.extend_from_slice(names);
        self.0.push(b',');
    }

    /// Returns whether a header is named.
    pub fn have(&self, name: &[u8]) -> bool {
        list(&self.0).any(|it| it.eq_ignore_ascii_case(name))
    }
}

/// Returns the members of a list without quoted strings (RFC 9110, 5.6.1).
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let members = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    members.filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in pairs {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        headers
    }

    #[test]
    fn headers_are_found_in_the_order_they_were_pushed() {
        let many = headers(&[("a", "1"), ("b", ""), ("a", "2")]);
        let values: Vec<&[u8]> = many.values(b"a").collect();
        assert_eq!(values, [b"1", b"2"]);
        assert_eq!(many.first("b"), Some(&b""[..]));
        assert_eq!((many.first("c"), many.has("c")), (None, false));
        assert_eq!(many.iter().count(), 3);
        assert!(Headers::default().is_empty());
    }

    #[test]
    fn truncated_headers_are_refused() {
        let whole = headers(&[("name", "value")]);
        let mut bytes = Vec::new();
        whole.write(&mut bytes);
        assert_eq!(Headers::read(&mut Reader::new(&bytes)), Some(whole));
        // The outer length fits what is left, so that only the headers inside are truncated.
        for cut in 1..bytes.len() - 4 {
            let mut out = Vec::new();
            write_bytes(&bytes[4..4 + cut], &mut out);
            let read = Headers::read(&mut Reader::new(&out));
            assert_eq!(read.is_some(), cut == bytes.len() - 4, "{cut}");
        }
    }

    #[test]
    fn headers_named_by_connection_are_hop_by_hop() {
        let mut hops = Hops::default();
        hops.add(b"close, X-One ,");
        hops.add(b"x-two");
        for (name, is) in [("x-one", true), ("x-two", true), ("x", false), ("", false)] {
            assert_eq!(hops.have(name.as_bytes()), is, "{name}");
        }
        assert!(is_hop(b"upgrade") && !is_hop(b"etag"));
    }
}
