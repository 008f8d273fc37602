//! What may be stored, who gets it, and for how long.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::recorder::{Facts, Recorder};
use super::recording::Recording;
use super::request::{CacheRequest, Resource};
use super::stored::StoredResponse;
use super::*;
use crate::circuit::breaker::StateName;
use crate::exchange::Request;
use crate::fallback::{FallbackResponse, Occasion};
use crate::headers::Headers;
use crate::policy::{On, StaleConfig};
use crate::testing::{TestRequest, at_ms};
use crate::time::{Instant, Span};

mod freshness;
mod query;
mod record;
mod refresh;
mod request;
mod response;
mod sharing;
mod storing;

/// Sun, 06 Nov 1994 08:49:37 GMT.
const UNIX_SECS: u64 = 784_111_777;

type Lines = &'static [&'static str];

/// Splits a line `name: value`.
fn line(text: &str) -> (&str, &str) {
    text.split_once(": ").expect("a header line")
}

fn headers(lines: &[&str]) -> Headers {
    let mut headers = Headers::default();
    headers.push(b":status", b"200");
    for text in lines {
        let (name, value) = line(text);
        headers.push(name.as_bytes(), value.as_bytes());
    }
    headers
}

fn request(method: &str, lines: &[&str]) -> TestRequest {
    let plain = TestRequest::cluster("c")
        .with(":method", method)
        .with(":scheme", "https")
        .with(":authority", "site")
        .with(":path", "/a?b");
    lines.iter().fold(plain, |request, text| {
        let (name, value) = line(text);
        request.with(name, value)
    })
}

const SCOPE: CacheScope<'_> = CacheScope {
    policy: 1,
    key: b"k",
};

fn scoped_request(
    request: &TestRequest,
    scope: CacheScope<'_>,
    now: Instant,
) -> Option<CacheRequest> {
    let outline = Outline::of(request);
    let purpose = outline.purpose().filter(|it| *it != Purpose::Change)?;
    let mut resource = Resource::default();
    let whole = resource.set(request, &outline, scope, 7);
    whole.then(|| CacheRequest::new(purpose, &resource, request.copy_headers(), now))
}

fn cache_request(lines: &[&str]) -> Option<CacheRequest> {
    scoped_request(&request("GET", lines), SCOPE, at_ms(10_000))
}

fn stored_for(request: &[&str], response: &[&str], vouched: bool) -> Option<StoredResponse> {
    let request = cache_request(request)?;
    let recorder = Recorder::new(&request, &headers(response), facts(vouched));
    recorder.map(|it| StoredResponse {
        body: b"body".to_vec(),
        ..it.stored
    })
}

fn facts(vouched: bool) -> Facts {
    Facts {
        vouched,
        unix_secs: UNIX_SECS,
        seed: 7,
    }
}

fn config(max_age_ms: u64, shared: bool) -> StaleConfig {
    StaleConfig {
        max_age: Span::from_ms(max_age_ms),
        shared,
        ignore_query: Vec::new(),
    }
}
