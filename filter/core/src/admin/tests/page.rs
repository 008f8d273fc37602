//! The page and its security headers.

extern crate std;

use std::io::Read;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::*;

/// The page without indentation, comments and empty lines.
fn source() -> String {
    let lines = include_str!("../page.html").lines().map(str::trim_start);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("// "));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn the_prefix_redirects_to_the_page() {
    let home = send("GET /spillway", &mut three_circuits());
    assert_eq!(
        (home.status, header(&home, "location")),
        (308, "/spillway/")
    );
    assert_eq!(body(&home), "");
    for line in ["GET /spillway/", "GET /spillway/?"] {
        let page = send(line, &mut three_circuits());
        assert_eq!(page.status, 200);
        assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
        assert_eq!(header(&page, "content-encoding"), "gzip");
        let mut text = String::new();
        let read = GzDecoder::new(&*page.body).read_to_string(&mut text);
        assert!(
            read.is_ok() && text == source(),
            "the page has changed: `make page`"
        );
    }
}

#[test]
fn a_link_from_another_site_may_open_the_page() {
    let request = ask("GET", "/spillway/").with("sec-fetch-site", "cross-site");
    let response = respond(PREFIX, &request, CLOCKS, &mut three_circuits()).expect("a response");
    assert_eq!(response.status, 200);
}

#[test]
fn every_response_has_the_security_headers() {
    let lines = [
        "GET /spillway",
        "GET /spillway/",
        "GET /spillway/circuits",
        "PUT /spillway/circuits/p?action=reset",
        "PUT /spillway/circuits/p",
        "OPTIONS /spillway/circuits/p",
    ];
    for line in lines {
        let response = send(line, &mut three_circuits());
        assert_eq!(header(&response, "cache-control"), "no-store", "{line}");
        assert_eq!(
            header(&response, "x-content-type-options"),
            "nosniff",
            "{line}"
        );
        assert_eq!(
            header(&response, "referrer-policy"),
            "no-referrer",
            "{line}"
        );
        assert_eq!(
            header(&response, "cross-origin-resource-policy"),
            "same-origin",
            "{line}"
        );
        let policy = header(&response, "content-security-policy");
        for part in [
            "default-src 'none'",
            "require-trusted-types-for 'script'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(
                policy.split("; ").any(|other| other == part),
                "{line}: {policy}"
            );
        }
        let cors = response
            .headers
            .iter()
            .any(|(name, _)| name.starts_with("access-control"));
        assert!(!cors, "{line}");
    }
}

#[test]
fn a_browser_runs_only_the_style_and_the_script_of_the_page() {
    let page = send("GET /spillway/", &mut three_circuits());
    let policy = header(&page, "content-security-policy");
    assert!(!policy.contains("unsafe"), "{policy}");
    let source = source();
    for tag in ["style", "script"] {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        let mut pieces = source.split(&open).skip(1);
        let content = pieces.next().and_then(|rest| rest.split(&close).next());
        assert!(pieces.next().is_none(), "one {tag} can be allowed");
        let hash = BASE64_STANDARD.encode(Sha256::digest(content.expect("a tag")));
        let part = format!("{tag}-src 'sha256-{hash}'");
        assert!(policy.contains(&part), "{part} is missing in {policy}");
    }
}

/// Every worker of every proxy holds the page in its module.
#[test]
fn the_page_is_small_and_loads_nothing_else() {
    assert!(PAGE.len() < 8_400, "{} bytes", PAGE.len());
    for word in [
        "http:",
        "https:",
        "innerHTML",
        "insertAdjacent",
        "outerHTML",
        "eval(",
    ] {
        assert!(!source().contains(word), "{word}");
    }
}
