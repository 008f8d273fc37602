//! A strict client: it accepts a response only if it follows RFC 9112 to the last byte.
//!
//! Other clients tolerate what they can, such as a slightly wrong length or bytes after the end, so
//! a test that uses them never notices.

/// A valid response.
#[derive(Clone, Debug, PartialEq)]
pub struct Strict {
    pub status: u16,
    /// Lower-case names with their values.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Strict {
    /// Parses everything that a connection received until it closed, in response to a request with
    /// this method.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with it.
    pub fn parse(method: &str, bytes: &[u8]) -> Result<Strict, String> {
        let mut lines = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Response::new(&mut lines);
        let parsed = head.parse(bytes).map_err(|error| error.to_string())?;
        let httparse::Status::Complete(head_len) = parsed else {
            return Err("the head has no end".into());
        };
        let status = head.code.ok_or("no status")?;
        let mut headers = Vec::new();
        for line in head.headers.iter() {
            let value = std::str::from_utf8(line.value).map_err(|error| error.to_string())?;
            if line.name.chars().any(|c| c.is_ascii_uppercase()) || value != value.trim() {
                return Err(format!(
                    "{}: {value:?} is not as Envoy writes it",
                    line.name
                ));
            }
            headers.push((line.name.to_owned(), value.to_owned()));
        }
        let answer = Strict {
            status,
            headers,
            body: Vec::new(),
        };
        let body = answer.framed(method, &bytes[head_len..])?;
        Ok(Strict { body, ..answer })
    }

    /// The single value of a header; `None` if missing.
    ///
    /// # Panics
    ///
    /// Panics if the header is repeated.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| &**value);
        assert!(
            values.next().is_none(),
            "{name} stands there twice: {self:?}"
        );
        value
    }

    /// The body of a message, given the bytes after its head (RFC 9112, 6.3).
    fn framed(&self, method: &str, rest: &[u8]) -> Result<Vec<u8>, String> {
        let once = |name: &str| match self.headers.iter().filter(|it| it.0 == name).count() {
            0 | 1 => Ok(self.header(name)),
            _ => Err(format!("{name} stands there twice")),
        };
        let (length, coding) = (once("content-length")?, once("transfer-encoding")?);
        if length.is_some() && coding.is_some() {
            return Err("both a length and a coding".into());
        }
        let length = length.map(|it| it.parse::<usize>().map_err(|error| error.to_string()));
        let length = length.transpose()?;
        if matches!(self.status, 204) && (length.is_some() || coding.is_some()) {
            return Err("204 with framing".into());
        }
        if method == "HEAD" || matches!(self.status, 204 | 304) {
            return match rest {
                [] => Ok(Vec::new()),
                _ => Err(format!("{} bytes where there is no body", rest.len())),
            };
        }
        match (length, coding) {
            (Some(length), _) if length == rest.len() => Ok(rest.to_vec()),
            (Some(length), _) => Err(format!("{} bytes of {length}", rest.len())),
            (None, Some("chunked")) => chunked(rest),
            _ => Err("neither a length nor chunks".into()),
        }
    }
}

fn chunked(mut rest: &[u8]) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest).map_err(|_| "no size of a chunk")?;
        let httparse::Status::Complete((head_len, size)) = size else {
            return Err("a chunk without a size".into());
        };
        rest = &rest[head_len..];
        let size = usize::try_from(size).map_err(|error| error.to_string())?;
        let (piece, behind) = rest.split_at_checked(size).ok_or("a chunk is cut off")?;
        rest = behind
            .strip_prefix(b"\r\n")
            .ok_or("a chunk without an end")?;
        body.extend_from_slice(piece);
        if size == 0 {
            return match rest {
                [] => Ok(body),
                _ => Err(format!("{} bytes behind the last chunk", rest.len())),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_right_is_read_and_what_is_wrong_is_told() {
        let rows: [(&str, &str, Result<&str, ()>); 14] = [
            (
                "GET",
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                Ok("ok"),
            ),
            (
                "GET",
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no",
                Err(()),
            ),
            (
                "GET",
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok!",
                Err(()),
            ),
            ("GET", "HTTP/1.1 200 OK\r\n\r\nok", Err(())),
            (
                "HEAD",
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
                Ok(""),
            ),
            (
                "HEAD",
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                Err(()),
            ),
            ("GET", "HTTP/1.1 304 X\r\n\r\n", Ok("")),
            ("GET", "HTTP/1.1 304 X\r\n\r\nok", Err(())),
            (
                "GET",
                "HTTP/1.1 204 X\r\ncontent-length: 0\r\n\r\n",
                Err(()),
            ),
            (
                "GET",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                Ok("ok"),
            ),
            (
                "GET",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
                Err(()),
            ),
            (
                "GET",
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok",
                Err(()),
            ),
            (
                "GET",
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
                Err(()),
            ),
            ("GET", "HTTP/1.1 200 OK\r\ncontent-le", Err(())),
        ];
        for (method, bytes, expected) in rows {
            let parsed = Strict::parse(method, bytes.as_bytes()).map(|it| it.body);
            let expected = expected.map(|body| body.as_bytes().to_vec());
            assert_eq!(parsed.map_err(|_| ()), expected, "{method} {bytes}");
        }
    }
}
