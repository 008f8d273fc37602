//! Bytes of a body on their way.

use bytes::Bytes;

/// Bytes that are shared with their sender until they are written.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Shared(Bytes),
    Own(Vec<u8>),
}

impl Default for Body {
    fn default() -> Body {
        Body::Shared(Bytes::new())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        Body::Shared(bytes)
    }
}

impl Body {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Body::Shared(bytes) => bytes,
            Body::Own(bytes) => bytes,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// The bytes, to be kept apart from this body.
    pub fn share(&self) -> Bytes {
        match self {
            Body::Shared(bytes) => bytes.clone(),
            Body::Own(bytes) => Bytes::copy_from_slice(bytes),
        }
    }

    /// Takes the bytes out.
    pub fn take(&mut self) -> Bytes {
        match std::mem::take(self) {
            Body::Shared(bytes) => bytes,
            Body::Own(bytes) => bytes.into(),
        }
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, more: &[u8]) {
        if !more.is_empty() {
            let mut bytes = self.own();
            bytes.extend_from_slice(more);
            *self = Body::Own(bytes);
        }
    }

    /// Adds another body at the end, which is empty then.
    pub fn append_body(&mut self, other: &mut Body) {
        if self.len() == 0 {
            *self = std::mem::take(other);
        } else {
            self.append(&other.take());
        }
    }

    /// Puts `new` in the place of the first `len` bytes, or of all if there are fewer.
    pub fn replace_front(&mut self, len: usize, new: &[u8]) {
        if len >= self.len() {
            *self = Body::Own(new.to_vec());
        } else {
            let mut bytes = self.own();
            bytes.splice(..len, new.iter().copied());
            *self = Body::Own(bytes);
        }
    }

    /// The bytes as its own; who writes them puts them back.
    fn own(&mut self) -> Vec<u8> {
        match std::mem::take(self) {
            Body::Shared(bytes) => bytes.into(),
            Body::Own(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_replaced_and_the_rest_stays() {
        let mut body = Body::from(Bytes::from_static(b"hello process"));
        body.replace_front(5, b"bye");
        assert_eq!(body.as_slice(), b"bye process");
        body.replace_front(0, b"> ");
        assert_eq!(body.as_slice(), b"> bye process");
        body.replace_front(100, b"");
        assert_eq!(body.len(), 0);
    }

    #[test]
    fn a_copy_is_not_written() {
        let mut body = Body::from(Bytes::from_static(b"a"));
        let copy = body.share();
        body.append(b"b");
        assert_eq!((&copy[..], body.as_slice()), (&b"a"[..], &b"ab"[..]));
        assert_eq!(&body.take()[..], b"ab");
        assert_eq!(body.len(), 0);
    }
}
