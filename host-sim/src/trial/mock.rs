//! Literal answers of clusters.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::file::Reset;
use crate::sim::span::Span;

/// An answer, and which requests get it.
#[derive(Clone, Debug, PartialEq)]
pub struct Mock {
    pub cluster: String,
    /// `None` for any path.
    pub path: Option<String>,
    /// Number of the request at the cluster, from 1. `None` for any.
    pub call: Option<u64>,
    pub answer: Answer,
}

/// An answer of a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// The body, in parts.
    pub chunks: Vec<Bytes>,
    pub trailers: Vec<(String, String)>,
    pub delay: Span,
    pub reset: Option<Reset>,
    pub grpc: Option<Grpc>,
}

/// What makes an answer one of gRPC.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grpc {
    pub status: u32,
    pub message: String,
    pub messages: Vec<Bytes>,
}

/// The mocks of a plugin test, with counts of requests so far.
pub(super) struct Mocks<'a> {
    mocks: &'a [Mock],
    counts: BTreeMap<String, u64>,
}

impl Answer {
    /// Returns an answer without headers and body.
    pub fn bare(status: u16) -> Answer {
        Answer {
            status,
            ..Answer::default()
        }
    }

    /// Returns the body in parts, as it is sent: messages of gRPC have their prefix.
    pub fn parts(&self) -> Vec<Bytes> {
        match &self.grpc {
            Some(grpc) => grpc.messages.iter().map(frame).collect(),
            None => self.chunks.clone(),
        }
    }

    /// Returns the whole body, as it is sent.
    pub fn body(&self) -> Bytes {
        match self.parts().as_slice() {
            [only] => only.clone(),
            parts => parts.concat().into(),
        }
    }

    /// Returns the trailers, with those of gRPC.
    pub fn all_trailers(&self) -> Vec<(String, String)> {
        let mut trailers = self.trailers.clone();
        if let Some(grpc) = &self.grpc {
            trailers.push(("grpc-status".into(), grpc.status.to_string()));
            if !grpc.message.is_empty() {
                trailers.push(("grpc-message".into(), grpc.message.clone()));
            }
        }
        trailers
    }
}

/// Returns a message with gRPC's prefix: no compression, and the length.
fn frame(message: &Bytes) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), message].concat().into()
}

impl Mock {
    /// Whether a request at a cluster, the `call`th there, gets this answer.
    pub fn fits(&self, cluster: &str, path: &str, call: u64) -> bool {
        self.cluster == cluster
            && self.call.is_none_or(|wanted| wanted == call)
            && self
                .path
                .as_deref()
                .is_none_or(|wanted| is_path(wanted, path))
    }
}

/// Whether a path fits a pattern, with or without its query.
fn is_path(pattern: &str, path: &str) -> bool {
    let bare = path.split('?').next().unwrap_or_default();
    match pattern.strip_suffix('*') {
        Some(front) => path.starts_with(front),
        None => pattern == path || pattern == bare,
    }
}

impl<'a> Mocks<'a> {
    /// Creates mocks that have seen no request.
    pub(super) fn new(mocks: &'a [Mock]) -> Mocks<'a> {
        Mocks {
            mocks,
            counts: BTreeMap::new(),
        }
    }

    /// Counts a request and returns its answer. `None` if no mock fits.
    pub(super) fn answer(&mut self, cluster: &str, path: &str) -> Option<Answer> {
        let count = self.counts.entry(cluster.to_owned()).or_default();
        *count += 1;
        let call = *count;
        let fitting = self
            .mocks
            .iter()
            .find(|mock| mock.fits(cluster, path, call));
        fitting.map(|mock| mock.answer.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mock_that_fits_answers() {
        let mock = |cluster: &str, path: Option<&str>, call, status| Mock {
            cluster: cluster.into(),
            path: path.map(Into::into),
            call,
            answer: Answer::bare(status),
        };
        let list = [
            mock("auth", Some("/slow"), None, 1),
            mock("auth", None, Some(2), 2),
            mock("auth", Some("/v1/*"), None, 3),
            mock("other", None, None, 4),
        ];
        let mut mocks = Mocks::new(&list);
        for (cluster, path, status) in [
            ("auth", "/slow?x=1", Some(1)),
            ("auth", "/any", Some(2)),
            ("auth", "/any", None),
            ("auth", "/v1/users", Some(3)),
            ("other", "/", Some(4)),
            ("unknown", "/", None),
        ] {
            let answer = mocks.answer(cluster, path);
            assert_eq!(answer.map(|it| it.status), status, "{cluster}{path}");
        }
    }
}
