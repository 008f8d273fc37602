//! Query parameters that do not select a response.

use alloc::boxed::Box;

use super::*;
use crate::random::Random;
use crate::stale::query::{split, without};

fn names(names: &[&str]) -> Vec<Box<str>> {
    names.iter().map(|name| Box::from(*name)).collect()
}

#[test]
fn ignored_parameters_are_removed_and_the_others_keep_their_order() {
    let names = names(&["gclid", "utm_*", "b%20"]);
    for (path, expected) in [
        ("/a", "/a"),
        ("/a?", "/a?"),
        ("/a?x=1", "/a?x=1"),
        ("/a?utm_source=m", "/a"),
        ("/a?x=1&utm_source=m&y&gclid=2&z=", "/a?x=1&y&z="),
        ("/a?utm_=1&gclid&utm_a=b=c", "/a"),
        ("/a?y=2&x=1&y=3", "/a?y=2&x=1&y=3"),
        // Names are compared whole, as sent.
        (
            "/a?gclid2=1&GCLID=1&utm=1&x=utm_a",
            "/a?gclid2=1&GCLID=1&utm=1&x=utm_a",
        ),
        (
            "/a?gcli%64=1&utm%5Fa=1&b%20=1&b =1",
            "/a?gcli%64=1&utm%5Fa=1&b =1",
        ),
        // Parameters without a name or a value.
        ("/a?&&=1&=gclid", "/a?&&=1&=gclid"),
        ("/a?gclid=1&", "/a?"),
        // Some upstreams see another parameter in these.
        ("/a?gclid=1;id=2", "/a?gclid=1;id=2"),
        ("/a?gclid=1?id=2", "/a?gclid=1?id=2"),
        (
            "/a?gclid;id=2&gclid#id=2&gclid=3",
            "/a?gclid;id=2&gclid#id=2",
        ),
        // The path itself has no parameters, whatever it looks like.
        ("/gclid=1&utm_a=2", "/gclid=1&utm_a=2"),
        ("gclid=1", "gclid=1"),
        ("?gclid=1", ""),
        ("", ""),
    ] {
        let seen = without(path.as_bytes(), &names);
        assert_eq!(String::from_utf8_lossy(&seen), expected, "{path}");
        assert_eq!(without(path.as_bytes(), &[]), path.as_bytes());
    }
}

#[test]
fn parameters_after_the_256th_are_never_ignored() {
    let path = |ignored: usize, others: &str| format!("/a?{}{others}", "utm_a=1&".repeat(ignored));
    for (path, expected) in [
        (path(255, "x=1"), "/a?x=1"),
        (path(255, "utm_a=1"), "/a"),
        (path(255, "utm_a=1&"), "/a?"),
        (path(256, "utm_a=1&x&utm_a=2"), "/a?utm_a=1&x&utm_a=2"),
        (path(255, "x=1&utm_a=1"), "/a?x=1&utm_a=1"),
    ] {
        let seen = without(path.as_bytes(), &names(&["utm_*"]));
        assert_eq!(String::from_utf8_lossy(&seen), expected, "{path}");
    }
    assert_eq!(without(&[b'&'; 60_000], &names(&["a"])), [b'&'; 60_000]);
    let long = format!("/a?{}", "&=".repeat(30_000));
    assert_eq!(without(long.as_bytes(), &names(&["a"])), long.as_bytes());
}

/// The parameters of a path by another way: each with its bytes, in order.
fn selecting(path: &str) -> (&str, Option<Vec<&str>>) {
    let (bare, query) = path
        .split_once('?')
        .map_or((path, None), |(a, b)| (a, Some(b)));
    let hides = |it: &str| it.contains([';', '?', '#']);
    let ignored =
        |it: &&str| (*it == "g" || it.starts_with("g=") || it.starts_with("u_")) && !hides(it);
    let kept: Option<Vec<&str>> = query.map(|it| it.split('&').filter(|it| !ignored(it)).collect());
    // Without any parameter there is no query.
    (bare, kept.filter(|kept| !kept.is_empty()))
}

/// Draws pairs of short paths, and compares what they have in common with the resources.
#[test]
fn requests_that_differ_in_another_parameter_never_share_a_response() {
    let mut random = Random::new(11);
    let pieces = [
        "g", "u_", "x", "=", "&", "&", "?", ";", "1", "2", "%67", "/", "#", "g=1", "u_a=2",
    ];
    let ignored = names(&["g", "u_*"]);
    let mut path = || {
        let mut path = String::from("/?");
        for _ in 0..random.between(0, 5) {
            let at = random.between(0, pieces.len() as u64 - 1);
            path.push_str(pieces[usize::try_from(at).unwrap()]);
        }
        path
    };
    let resource = |path: &str| {
        let mut request = request("GET", &[]);
        let header = request.headers.iter_mut().find(|(name, _)| name == ":path");
        header.expect("a path").1 = path.into();
        let mut outline = Outline::of(&request);
        outline.ignore_query(&ignored);
        let mut resource = Resource::default();
        assert!(resource.set(&request, &outline, SCOPE, 7));
        CacheRequest::new(Purpose::Get, &resource, request.copy_headers(), at_ms(0))
    };
    let mut shared = 0;
    for _ in 0..30_000 {
        let (one, other) = (path(), path());
        let (a, b) = (resource(&one), resource(&other));
        let same = selecting(&one) == selecting(&other);
        assert_eq!(a.resource == b.resource, same, "{one} {other}");
        assert_eq!(a.usual.resource == b.usual.resource, same, "{one} {other}");
        shared += u32::from(same && one != other);
        // A change is found whatever its query is.
        assert_eq!(
            a.usual.uri == b.usual.uri,
            split(one.as_bytes()).0 == split(other.as_bytes()).0
        );
    }
    assert!(shared > 100, "{shared}");
}

#[test]
fn a_resource_without_ignored_parameters_is_another_one() {
    let request = request("GET", &[]);
    let mut resource = Resource::default();
    let mut seen = Vec::new();
    for ignores in [false, true] {
        let mut outline = Outline::of(&request);
        if ignores {
            outline.ignore_query(&[]);
        }
        assert!(resource.set(&request, &outline, SCOPE, 7));
        seen.push(resource.usual.resource);
    }
    assert_ne!(seen[0], seen[1]);
}
