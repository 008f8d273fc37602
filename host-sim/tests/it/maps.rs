//! Which maps and bodies are available in which phase, and the statuses otherwise.

use crate::proxy::{GET, OK, body, headers, probe, trailers};

/// Runs a script over a request and a response with bodies and trailers.
fn results(script: &str) -> Vec<String> {
    let mut proxy = probe(script);
    let stream = proxy.open_on(0);
    proxy.trace();
    proxy.host.request(stream, headers(false, &GET));
    proxy.host.request(stream, body("in", false));
    proxy.host.request(stream, trailers(&[("rt", "1")]));
    proxy.host.response(stream, headers(false, &OK));
    proxy.host.response(stream, body("out", false));
    proxy.host.response(stream, trailers(&[("st", "2")]));
    proxy.host.close(stream);
    proxy.results()
}

#[test]
fn a_map_is_available_only_in_its_phase() {
    let rows = [
        ("rqh=get,0,:path", "rqh get,0,:path -> 0 /x"),
        ("rqh=get,0,:PATH", "rqh get,0,:PATH -> 0 /x"),
        ("rqh=get,0,none", "rqh get,0,none -> 1"),
        ("rqh=get,0,Host", "rqh get,0,Host -> 0 site"),
        ("rqh=get,1,rt", "rqh get,1,rt -> 2"),
        ("rqh=get,2,:status", "rqh get,2,:status -> 2"),
        ("rqh=get,3,st", "rqh get,3,st -> 2"),
        ("rqh=get,6,:status", "rqh get,6,:status -> 2"),
        ("rqh=get,8,:status", "rqh get,8,:status -> 2"),
        ("rqb=get,0,:path", "rqb get,0,:path -> 2"),
        ("rqb=add,0,a,b", "rqb add,0,a,b -> 2"),
        ("rqt=get,1,rt", "rqt get,1,rt -> 0 1"),
        ("rqt=get,0,:path", "rqt get,0,:path -> 2"),
        ("rsh=get,0,:path", "rsh get,0,:path -> 2"),
        ("rsh=get,2,:status", "rsh get,2,:status -> 0 200"),
        ("rsh=get,3,st", "rsh get,3,st -> 2"),
        ("rsb=get,2,:status", "rsb get,2,:status -> 2"),
        ("rst=get,3,st", "rst get,3,st -> 0 2"),
        ("log=get,0,:path", "log get,0,:path -> 0 /x"),
        ("log=get,1,rt", "log get,1,rt -> 1"),
        ("log=get,2,:status", "log get,2,:status -> 0 200"),
        ("log=get,3,st", "log get,3,st -> 0 2"),
        ("log=add,0,a,b", "log add,0,a,b -> 2"),
        ("done=get,0,:path", "done get,0,:path -> 2"),
        ("configure=get,0,:path", ""),
    ];
    for (script, expected) in rows {
        assert_eq!(
            results(script).first().map_or("", |line| line),
            expected,
            "{script}"
        );
    }
}

#[test]
fn a_missing_map_has_no_pairs() {
    assert_eq!(results("rqh=map,2"), ["rqh map,2 -> 0 0 pairs in 0 bytes"]);
    assert_eq!(results("rqh=map,0"), ["rqh map,0 -> 0 4 pairs in 86 bytes"]);
    assert_eq!(results("rqh=size,0"), ["rqh size,0 -> 0 42"]);
    assert_eq!(results("rqh=size,2"), ["rqh size,2 -> 2"]);
}

#[test]
fn a_missing_body_is_empty_and_cannot_be_written() {
    let rows = [
        ("rqh=body,0", "rqh body,0 -> 0 "),
        ("rqh=setbody,0,0,9,x", "rqh setbody,0,0,9,x -> 2"),
        ("rqb=body,0", "rqb body,0 -> 0 in"),
        ("rqb=part,0,1,9", "rqb part,0,1,9 -> 0 n"),
        ("rqb=part,0,7,9", "rqb part,0,7,9 -> 0 "),
        ("rqb=length,0", "rqb length,0 -> 0 2"),
        ("rqb=body,1", "rqb body,1 -> 0 "),
        ("rqb=body,4", "rqb body,4 -> 1"),
        ("rqb=body,7", "rqb body,7 -> 1"),
        ("rqb=body,9", "rqb body,9 -> 2"),
        ("rsb=body,1", "rsb body,1 -> 0 out"),
        ("rsb=setbody,1,1,1,x", "rsb setbody,1,1,1,x -> 2"),
        ("rsb=setbody,1,0,1,x", "rsb setbody,1,0,1,x -> 0"),
        ("rsb=setbody,6,0,1,x", "rsb setbody,6,0,1,x -> 2"),
    ];
    for (script, expected) in rows {
        assert_eq!(results(script), [expected], "{script}");
    }
}

#[test]
fn changed_headers_reach_the_upstream_and_select_the_route_again() {
    let mut proxy = probe("");
    proxy.get_with("rqh=add,0,X-Tag,1|replace,0,:path,/y|remove,0,:scheme");
    assert_eq!(proxy.effects(), ["up: :path=/y x-tag=1. rerouted"]);
    proxy.get_with("rqh=set,0,:path~/z,a~b");
    assert_eq!(proxy.effects(), ["up: :path=/z a=b. rerouted"]);
    proxy.get_with("rqh=get,0,:path");
    assert_eq!(proxy.effects(), ["up: :path=/x."]);
    proxy.get_with("rqh=foreign,clear_route_cache");
    assert_eq!(proxy.effects(), ["up: :path=/x. rerouted"]);
}

#[test]
fn bodies_are_changed_in_place() {
    let mut proxy = probe("rsb=setbody,1,0,1,[|setbody,1,9,0,]");
    let stream = proxy.get();
    proxy.effects();
    proxy.host.response(stream, headers(false, &OK));
    proxy.host.response(stream, body("out", true));
    assert_eq!(
        proxy.effects(),
        ["client: :status=200 server=up", "client: '[ut]'."]
    );
}

#[test]
fn trailers_can_be_added_after_the_last_body_chunk() {
    let mut proxy = probe("rsb=add,3,t,1");
    let stream = proxy.get();
    proxy.effects();
    proxy.host.response(stream, headers(false, &OK));
    proxy.host.response(stream, body("out", true));
    let expected = [
        "client: :status=200 server=up",
        "client: 'out'",
        "client: 1 trailers.",
    ];
    assert_eq!(proxy.effects(), expected);
}

#[test]
fn a_response_without_a_status_is_a_502() {
    let mut proxy = probe("rsh=remove,2,:status");
    let stream = proxy.get();
    proxy.effects();
    proxy.respond(stream);
    assert!(proxy.effects()[0].starts_with("client: :status=502"));
    let details = &proxy.host.info(stream).unwrap().details;
    assert!(
        details.starts_with("filter_removed_required_response_headers"),
        "{details}"
    );
}
