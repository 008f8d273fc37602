//! Headers of a message that outlive its callback: the host lets go of a request's before
//! the response's come, and of both when the stream is over.
//!
//! One run of bytes, so that a copy is one allocation and the record of a kept answer can
//! hold it as it is: for each header the lengths of its name and its value, then both.

use alloc::string::String;
use alloc::vec::Vec;

use crate::codec::{Encode, Reader, write_bytes};

mod map;

pub use map::{Map, encode};

/// Headers of a response: names in lower case, and values without control characters.
pub type Pairs = Vec<(String, Vec<u8>)>;

/// Names in lower case and values, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<u8>);

impl Headers {
    /// Adds a header behind the others.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        write_bytes(name, &mut self.0);
        write_bytes(value, &mut self.0);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes they take.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = Reader::new(&self.0);
        core::iter::from_fn(move || Some((rest.long_bytes()?, rest.long_bytes()?)))
    }

    /// The values of a header, by its name in lower case.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let named = self.iter().filter(move |(other, _)| *other == name);
        named.map(|(_, value)| value)
    }

    /// The first value of a header.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        let mut all = self.iter();
        all.find(|(other, _)| *other == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// Whether there is such a header.
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

/// Whether a header is about one connection alone (RFC 9110, 7.6.1). Those that
/// `connection` names besides are known by [`Hops`].
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

/// The headers that a message's `connection` names: they are about one connection too.
#[derive(Debug, Default)]
pub struct Hops(Vec<u8>);

impl Hops {
    /// Takes the names of one `connection` header.
    pub fn add(&mut self, names: &[u8]) {
        self.0.extend_from_slice(names);
        self.0.push(b',');
    }

    /// Whether a header is named.
    pub fn have(&self, name: &[u8]) -> bool {
        list(&self.0).any(|it| it.eq_ignore_ascii_case(name))
    }
}

/// The members of a list without quoted texts (RFC 9110, 5.6.1).
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
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
    fn what_was_pushed_is_found_in_its_order() {
        let many = headers(&[("a", "1"), ("b", ""), ("a", "2")]);
        let values: Vec<&[u8]> = many.values(b"a").collect();
        assert_eq!(values, [b"1", b"2"]);
        assert_eq!(many.first("b"), Some(&b""[..]));
        assert_eq!((many.first("c"), many.has("c")), (None, false));
        assert_eq!(many.iter().count(), 3);
        assert!(Headers::default().is_empty());
    }

    #[test]
    fn bytes_that_are_none_are_refused() {
        let whole = headers(&[("name", "value")]);
        let mut bytes = Vec::new();
        whole.write(&mut bytes);
        assert_eq!(Headers::read(&mut Reader::new(&bytes)), Some(whole));
        // The outer length is that of what is left, so that only the inside is cut.
        for cut in 1..bytes.len() - 4 {
            let mut out = Vec::new();
            write_bytes(&bytes[4..4 + cut], &mut out);
            let read = Headers::read(&mut Reader::new(&out));
            assert_eq!(read.is_some(), cut == bytes.len() - 4, "{cut}");
        }
    }

    #[test]
    fn hops_are_those_that_are_always_and_those_that_are_named() {
        let mut hops = Hops::default();
        hops.add(b"close, X-One ,");
        hops.add(b"x-two");
        for (name, is) in [("x-one", true), ("x-two", true), ("x", false), ("", false)] {
            assert_eq!(hops.have(name.as_bytes()), is, "{name}");
        }
        assert!(is_hop(b"upgrade") && !is_hop(b"etag"));
    }
}
