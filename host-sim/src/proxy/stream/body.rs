//! Body bytes that the filter buffers or passes on.

use bytes::Bytes;

/// Bytes, shared with their sender until they are written to.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Shared(Bytes),
    Owned(Vec<u8>),
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
    /// Returns the bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Body::Shared(bytes) => bytes,
            Body::Owned(bytes) => bytes,
        }
    }

    /// Returns the number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Returns a copy that later writes to this body do not change.
    pub(crate) fn share(&self) -> Bytes {
        match self {
            Body::Shared(bytes) => bytes.clone(),
            Body::Owned(bytes) => Bytes::copy_from_slice(bytes),
        }
    }

    /// Takes the bytes and leaves the body empty.
    pub(crate) fn take(&mut self) -> Bytes {
        match std::mem::take(self) {
            Body::Shared(bytes) => bytes,
            Body::Owned(bytes) => bytes.into(),
        }
    }

    /// Appends bytes.
    pub(crate) fn append(&mut self, more: &[u8]) {
        if !more.is_empty() {
            let mut bytes = self.take_owned();
            bytes.extend_from_slice(more);
            *self = Body::Owned(bytes);
        }
    }

    /// Appends another body and leaves it empty.
    pub(crate) fn append_body(&mut self, other: &mut Body) {
        if self.len() == 0 {
            *self = std::mem::take(other);
        } else {
            self.append(&other.take());
        }
    }

    /// Replaces the first `len` bytes, or all bytes if there are fewer.
    pub(crate) fn replace_front(&mut self, len: usize, new: &[u8]) {
        if len >= self.len() {
            *self = Body::Owned(new.to_vec());
        } else {
            let mut bytes = self.take_owned();
            bytes.splice(..len, new.iter().copied());
            *self = Body::Owned(bytes);
        }
    }

    /// Takes the bytes as an owned vector. The caller puts them back.
    fn take_owned(&mut self) -> Vec<u8> {
        match std::mem::take(self) {
            Body::Shared(bytes) => bytes.into(),
            Body::Owned(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_front_is_replaced() {
        let mut body = Body::from(Bytes::from_static(b"hello process"));
        body.replace_front(5, b"bye");
        assert_eq!(body.as_slice(), b"bye process");
        body.replace_front(0, b"> ");
        assert_eq!(body.as_slice(), b"> bye process");
        body.replace_front(100, b"");
        assert_eq!(body.len(), 0);
    }

    #[test]
    fn writing_to_a_body_leaves_its_copies_unchanged() {
        let mut body = Body::from(Bytes::from_static(b"a"));
        let copy = body.share();
        body.append(b"b");
        assert_eq!((&copy[..], body.as_slice()), (&b"a"[..], &b"ab"[..]));
        assert_eq!(&body.take()[..], b"ab");
        assert_eq!(body.len(), 0);
    }
}
