//! Requests from templates.
//!
//! Most templates are constant, so all their requests share one header map. Only values with
//! placeholders are built for each request.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::headers::HeaderMap;
use crate::model::spec::{Request, Upload};
use crate::sim::rng::Rng;

/// One kind of request.
pub struct Template {
    constant: HeaderMap,
    drawn: Vec<(Box<[u8]>, Pattern)>,
    pub body: Bytes,
    /// How the body is sent. `None` if it is sent at once.
    pub upload: Option<Upload>,
    /// Trailers after the body.
    pub trailers: Option<HeaderMap>,
    pub grpc: bool,
    /// Whether the method is HEAD, so that the response has no body.
    pub head: bool,
}

/// A text with placeholders.
#[derive(Debug)]
struct Pattern(Vec<Segment>);

#[derive(Debug, PartialEq)]
enum Segment {
    Text(String),
    Number,
    Random(u64),
    Uuid,
}

/// Takes the place of the id that Envoy would generate. A scenario can set `{uuid}` instead.
const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

impl Template {
    /// Creates a template from a scenario's request.
    ///
    /// # Errors
    ///
    /// If there is an unknown placeholder.
    pub fn new(spec: &Request) -> Result<Template, BadPlaceholder> {
        let method = if spec.grpc { "POST" } else { &spec.method };
        let mut pairs = vec![
            (":authority".to_owned(), spec.authority.clone()),
            (":path".to_owned(), spec.path.clone()),
            (":method".to_owned(), method.to_owned()),
            (":scheme".to_owned(), "http".to_owned()),
        ];
        let given = spec.headers.iter();
        pairs.extend(given.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
        let mut add = |name: &str, value: &str| {
            if !pairs.iter().any(|(given, _)| given == name) {
                pairs.push((name.to_owned(), value.to_owned()));
            }
        };
        if spec.grpc {
            add("content-type", "application/grpc");
            add("te", "trailers");
        }
        let whole = spec.upload.is_none() && spec.trailers.is_empty();
        if spec.body_bytes > 0 && !spec.grpc && whole {
            add("content-length", &spec.body_bytes.to_string());
        }
        add("x-forwarded-proto", "http");
        add("x-request-id", REQUEST_ID);
        let mut drawn = Vec::new();
        for (name, value) in &pairs {
            let pattern = Pattern::parse(value)?;
            if !pattern.is_constant() {
                drawn.push((name.as_bytes().into(), pattern));
            }
        }
        // A gRPC message has a frame header of five bytes.
        let body_min = if spec.grpc { 5 } else { 0 };
        Ok(Template {
            constant: pairs.iter().map(|(name, value)| (name, value)).collect(),
            drawn,
            body: vec![0; spec.body_bytes.max(body_min) as usize].into(),
            upload: spec.upload.clone(),
            trailers: (!spec.trailers.is_empty()).then(|| spec.trailers.iter().collect()),
            grpc: spec.grpc,
            head: method == "HEAD",
        })
    }

    /// Creates the template of recorded requests, which bring headers of their own.
    pub fn recorded() -> Template {
        let pairs = [
            (":authority", ""),
            (":path", "/"),
            (":method", "GET"),
            (":scheme", "http"),
            ("x-forwarded-proto", "http"),
            ("x-request-id", REQUEST_ID),
        ];
        Template {
            constant: pairs.into_iter().collect(),
            drawn: Vec::new(),
            body: Bytes::new(),
            upload: None,
            trailers: None,
            grpc: false,
            head: false,
        }
    }

    /// Returns the headers of request `number`.
    pub fn headers(&self, number: u64, rng: &mut Rng) -> HeaderMap {
        let mut map = self.constant.clone();
        for (name, pattern) in &self.drawn {
            map.replace(name, pattern.fill(number, rng).as_bytes());
        }
        map
    }

    /// Returns the headers if they are the same for all requests.
    pub fn constant(&self) -> Option<&HeaderMap> {
        self.drawn.is_empty().then_some(&self.constant)
    }
}

/// An unknown placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPlaceholder(pub String);

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, BadPlaceholder> {
        let mut segments = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let bad = || BadPlaceholder(format!("{{{after}"));
            let (name, next) = after.split_once('}').ok_or_else(bad)?;
            segments.push(Segment::Text(before.into()));
            segments.push(match name.split_once(':') {
                None if name == "n" => Segment::Number,
                None if name == "uuid" => Segment::Uuid,
                Some(("random", bound)) => bound.parse().map(Segment::Random).map_err(|_| bad())?,
                _ => return Err(bad()),
            });
            rest = next;
        }
        segments.push(Segment::Text(rest.into()));
        segments.retain(|segment| *segment != Segment::Text(String::new()));
        Ok(Pattern(segments))
    }

    fn is_constant(&self) -> bool {
        self.0
            .iter()
            .all(|segment| matches!(segment, Segment::Text(_)))
    }

    fn fill(&self, number: u64, rng: &mut Rng) -> String {
        let mut text = String::new();
        for segment in &self.0 {
            // Writing to a string cannot fail.
            let _ = match segment {
                Segment::Text(part) => text.write_str(part),
                Segment::Number => write!(text, "{number}"),
                Segment::Random(bound) => write!(text, "{}", rng.below(*bound)),
                Segment::Uuid => write_uuid(&mut text, rng.word(), rng.word()),
            };
        }
        text
    }
}

/// Writes a UUID of version 4 (RFC 9562).
fn write_uuid(text: &mut String, high: u64, low: u64) -> std::fmt::Result {
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    let (d, e) = ((low >> 48) & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
    write!(text, "{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::rng::Seed;

    fn template(path: &str, headers: &[(&str, &str)]) -> Result<Template, BadPlaceholder> {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Template::new(&Request {
            path: path.into(),
            headers: headers.collect(),
            ..Request::default()
        })
    }

    #[test]
    fn placeholders_are_filled_for_each_request() {
        let template = template(
            "/users/{n}",
            &[("X-Tenant", "t{random:3}"), ("x-id", "{uuid}")],
        );
        let template = template.unwrap();
        let mut rng = Seed(1).split("test");
        let headers = template.headers(12, &mut rng);
        assert_eq!(headers.text(":path"), Some("/users/12"));
        let tenant = headers.text("x-tenant").unwrap();
        assert!(["t0", "t1", "t2"].contains(&tenant), "{tenant}");
        assert_eq!(headers.text("x-id").map(str::len), Some(36));
        assert!(template.constant().is_none());
    }

    #[test]
    fn an_unknown_placeholder_is_rejected() {
        for text in ["/{x}", "/{n", "/{random:}", "/{random:x}", "/{n:1}"] {
            assert!(template(text, &[]).is_err(), "{text}");
        }
    }

    #[test]
    fn constant_requests_have_the_same_headers() {
        let template = template("/", &[]).unwrap();
        assert_eq!(
            template.constant(),
            Some(&template.headers(1, &mut Seed(1).split("test")))
        );
    }
}
