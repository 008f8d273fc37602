//! Local replies: Envoy's `prepareLocalReply`.

use std::rc::Rc;

use bytes::Bytes;

use crate::grpc;
use crate::headers::HeaderMap;
use crate::proxy::stream::half::Side;

/// A local reply as requested, by a plugin or by the proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocalReply {
    pub code: u32,
    pub details: Rc<str>,
    pub body: Bytes,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub grpc_status: Option<u32>,
}

/// A local reply as it is sent to the client.
#[derive(Clone, Debug)]
pub(crate) struct PreparedReply {
    pub headers: HeaderMap,
    /// `None` if the headers are the whole response.
    pub body: Option<Bytes>,
}

impl LocalReply {
    /// Returns the reply to a stream whose VM has failed.
    pub(crate) fn failed() -> LocalReply {
        LocalReply {
            code: 503,
            details: "wasm_fail_stream".into(),
            grpc_status: Some(grpc::UNAVAILABLE),
            ..LocalReply::default()
        }
    }

    /// Returns the reply that replaces a response whose status the filter removed or made
    /// invalid.
    pub(crate) fn without_status() -> LocalReply {
        LocalReply {
            code: 502,
            details: "filter_removed_required_response_headers\
                      {missing_required_header:_:status}"
                .into(),
            body: Bytes::from_static(b"missing required header: :status"),
            ..LocalReply::default()
        }
    }

    /// Returns the reply to a message that is larger than the proxy may buffer.
    pub(crate) fn too_large(side: Side) -> LocalReply {
        let (code, details, body) = match side {
            Side::Request => (413, "request_payload_too_large", "Payload Too Large"),
            Side::Response => (500, "response_payload_too_large", "Internal Server Error"),
        };
        LocalReply {
            code,
            details: details.into(),
            body: Bytes::from_static(body.as_bytes()),
            ..LocalReply::default()
        }
    }

    /// Adapts the reply to the request. gRPC clients get trailers only. A reply without a body
    /// has neither a length nor a type.
    pub(crate) fn prepare(&self, is_grpc: bool, is_head: bool) -> PreparedReply {
        let mut headers = HeaderMap::from([(":status", self.code.to_string())]);
        for (name, value) in &self.headers {
            headers.add(name, value);
        }
        // A plugin cannot override the status with a header.
        headers.replace(b":status", self.code.to_string().as_bytes());
        if is_grpc {
            self.make_grpc(&mut headers, is_head);
            return PreparedReply {
                headers,
                body: None,
            };
        }
        if self.body.is_empty() {
            headers.remove(b"content-length");
            headers.remove(b"content-type");
            return PreparedReply {
                headers,
                body: None,
            };
        }
        headers.replace(b"content-length", self.body.len().to_string().as_bytes());
        if headers.value(b"content-type").is_none() {
            headers.replace(b"content-type", b"text/plain");
        }
        PreparedReply {
            headers,
            body: (!is_head).then(|| self.body.clone()),
        }
    }

    fn make_grpc(&self, headers: &mut HeaderMap, is_head: bool) {
        headers.replace(b":status", b"200");
        headers.replace(b"content-type", b"application/grpc");
        if headers.value(b"grpc-status").is_none_or(<[u8]>::is_empty) {
            let status = self
                .grpc_status
                .unwrap_or_else(|| grpc::status_of_http(self.code));
            headers.replace(b"grpc-status", status.to_string().as_bytes());
        }
        if !self.body.is_empty() && !is_head {
            headers.replace(b"grpc-message", percent_encoded(&self.body).as_bytes());
        }
        headers.remove(b"content-length");
    }
}

fn percent_encoded(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'%' | 0..=0x1f | 0x7e..=0xff => out.push_str(&format!("%{byte:02X}")),
            plain => out.push(char::from(*plain)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: &'static str) -> LocalReply {
        LocalReply {
            code: 503,
            body: Bytes::from_static(body.as_bytes()),
            headers: vec![(b"content-type".into(), b"text/html".into())],
            ..LocalReply::default()
        }
    }

    #[test]
    fn a_reply_with_a_body_has_its_length() {
        let prepared = reply("no").prepare(false, false);
        assert_eq!(prepared.headers.text("content-length"), Some("2"));
        assert_eq!(prepared.headers.text("content-type"), Some("text/html"));
        assert_eq!(prepared.body.as_deref(), Some(&b"no"[..]));
    }

    #[test]
    fn an_empty_reply_has_no_content_type() {
        let prepared = reply("").prepare(false, false);
        assert_eq!(prepared.headers, HeaderMap::from([(":status", "503")]));
    }

    #[test]
    fn a_reply_to_head_has_only_headers() {
        assert_eq!(reply("no").prepare(false, true).body, None);
    }

    #[test]
    fn a_grpc_client_gets_a_trailers_only_reply() {
        let prepared = reply("50% \n").prepare(true, false);
        let expected = [
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", "14"),
            ("grpc-message", "50%25 %0A"),
        ];
        assert_eq!(
            (prepared.headers, prepared.body),
            (HeaderMap::from(expected), None)
        );
    }
}
