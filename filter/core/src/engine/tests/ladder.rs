//! The order of the entries of `fallback` when some of them cannot answer.

use super::*;
use crate::fallback::Skip;

const CLUSTER: &str = r#"{"type": "cluster", "on": ["open", "failure"], "cluster": "other"}"#;
const STALE: &str = r#"{"type": "stale", "on": ["open", "failure"], "shared": true}"#;
const ROUTE: &str = r#"{"type": "route", "header": {"name": "x-to", "value": "b"}}"#;
const RESPOND: &str = r#"{"type": "respond", "on": ["open", "failure"], "status": 299}"#;

fn bench(entries: &[&str]) -> Bench {
    let entries = entries.join(",");
    Bench::new(&[&format!(r#"{FRAGILE}, "fallback": [{entries}]"#)])
}

fn get() -> TestRequest {
    TestRequest::cluster("c")
        .with(":method", "GET")
        .with(":path", "/a")
}

/// A request that is rejected, and the step for it.
fn rejected(bench: &mut Bench, request: &TestRequest, complete: bool) -> (Box<Ticket>, Step) {
    bench.trip(request);
    match bench.engine.admit(request, complete, bench.now) {
        Admission::Reject(ticket, step, _) => (ticket, step),
        other => panic!("{other:?}"),
    }
}

/// A request that fails, and the step for it.
fn failed(bench: &mut Bench, request: &TestRequest) -> (Box<Ticket>, Step) {
    let mut ticket = bench.pass(request);
    bench.events();
    let failed = TestResponse::status(503);
    let step = bench
        .engine
        .response_headers(&mut ticket, &failed, bench.now);
    (ticket, step)
}

fn status(step: &Step) -> u16 {
    match step {
        Step::Respond(reply) => reply.status,
        _ => 0,
    }
}

#[test]
fn an_entry_without_a_response_is_counted_and_the_next_is_tried() {
    let mut bench = bench(&[STALE, CLUSTER, RESPOND]);
    let (mut ticket, step) = rejected(&mut bench, &get(), true);
    assert_eq!(step, Step::Call);
    let to = bench.engine.call(&ticket).expect("a call");
    assert_eq!((&*to.cluster, to.timeout), ("other", Span::from_ms(1_000)));
    assert_eq!(bench.events(), ["p0 rejected", "p0 skipped stale not_kept"]);
    let step = bench
        .engine
        .called(&mut ticket, &TestResponse::status(500), true, bench.now);
    assert_eq!(status(&step), 299);
    assert_eq!(
        bench.events(),
        ["p0 skipped cluster failure", "p0 fallback Open respond"]
    );
    let note = ticket.note().expect("a note");
    assert_eq!(
        (note.decision, note.state),
        (Decision::Reject, StateName::Open)
    );
    // Whatever the host says in the end, nothing more is counted.
    bench.settle(ticket, &TestResponse::status(200));
    assert_eq!(bench.events(), [""; 0]);
}

/// Each row: the result of the call, whether it can be delivered, and why it is not.
#[test]
fn the_response_of_another_cluster_is_delivered_unless_it_failed_too() {
    let none = || TestResponse {
        status: None,
        ..TestResponse::status(0)
    };
    let rows = [
        (TestResponse::status(200), true, None),
        (TestResponse::status(304), true, None),
        (TestResponse::status(404), true, None),
        (TestResponse::status(499), true, None),
        (TestResponse::status(500), true, Some("failure")),
        (TestResponse::status(504), true, Some("failure")),
        (none(), false, Some("failure")),
        (TestResponse::status(200), false, Some("answer_shape")),
        (TestResponse::status(503), false, Some("failure")),
    ];
    for (response, fits, skipped) in rows {
        for on in ["Open", "Failure"] {
            let mut bench = bench(&[CLUSTER]);
            let (mut ticket, step) = match on {
                "Open" => rejected(&mut bench, &get(), true),
                _ => failed(&mut bench, &get()),
            };
            assert_eq!(step, Step::Call);
            bench.events();
            let step = bench.engine.called(&mut ticket, &response, fits, bench.now);
            let told = bench.events();
            let row = format!("{response:?} {on}");
            match skipped {
                None => {
                    let state = if on == "Open" { "open" } else { "closed" };
                    let details = if on == "Open" {
                        "spillway_open"
                    } else {
                        "spillway_failure"
                    };
                    let labels = [
                        ("x-circuit-fallback", "cluster"),
                        ("x-circuit-state", state),
                    ];
                    let labels = labels
                        .map(|(name, value)| (name.into(), value.into()))
                        .into();
                    assert_eq!(step, Step::HandOn { labels, details }, "{row}");
                    assert_eq!(told, [format!("p0 fallback {on} cluster")], "{row}");
                }
                Some(skip) => {
                    assert_eq!(told[0], format!("p0 skipped cluster {skip}"), "{row}");
                    // After a failure the upstream's own response stays; a rejection has a default.
                    let expected = if on == "Open" { 503 } else { 0 };
                    assert_eq!(status(&step), expected, "{row}");
                    assert_eq!(step == Step::Pass, on == "Failure", "{row}");
                }
            }
            bench.settle(ticket, &TestResponse::status(200));
            let counted: &[&str] = if on == "Open" { &[] } else { &["p0 failure"] };
            assert_eq!(bench.events(), counted, "{row}");
        }
    }
}

/// Each row: the request, whether it is complete, whether its body comes while it is paused,
/// and why another cluster is not asked.
#[test]
fn another_cluster_is_called_only_with_the_complete_request() {
    let grpc = || get().with("content-type", "application/grpc");
    let rows = [
        (get(), true, false, None),
        (get(), false, false, Some("request_body")),
        (get(), false, true, None),
        (grpc(), true, true, Some("request_shape")),
    ];
    for (request, complete, comes, skipped) in rows {
        let mut bench = bench(&[CLUSTER]);
        bench.engine.workspace.host.headers_stop_iteration = comes;
        let (_ticket, step) = rejected(&mut bench, &request, complete);
        let told = bench.events();
        let expected = skipped.map(|skip| format!("p0 skipped cluster {skip}"));
        assert_eq!(
            told.get(1).filter(|it| it.contains("skipped")),
            expected.as_ref()
        );
        assert_eq!(step == Step::Call, skipped.is_none());
    }
}

#[test]
fn a_failed_request_that_is_incomplete_or_not_copied_calls_no_cluster() {
    let spoil: [fn(&mut Ticket); 4] = [
        |_| {},
        |ticket| ticket.spoil(crate::retry::Denial::RequestBody),
        |ticket| ticket.spoil(crate::retry::Denial::RequestShape),
        |ticket| ticket.timing.request_complete = false,
    ];
    let expected = [
        "none",
        "p0 skipped cluster request_body",
        "p0 skipped cluster request_shape",
        "p0 skipped cluster request_body",
    ];
    for (spoil, expected) in spoil.into_iter().zip(expected) {
        let mut bench = bench(&[CLUSTER]);
        let mut ticket = bench.pass(&get());
        assert!(ticket.wants_copy());
        bench.events();
        spoil(&mut ticket);
        let failed = TestResponse::status(503);
        let step = bench
            .engine
            .response_headers(&mut ticket, &failed, bench.now);
        assert_eq!(step == Step::Call, expected == "none", "{expected}");
        let told = bench.events();
        assert_eq!(told.first().map_or("none", |it| it), expected);
        bench.settle(ticket, &failed);
        assert_eq!(bench.events(), ["p0 failure"], "{expected}");
    }
}

#[test]
fn a_request_is_copied_only_if_another_cluster_may_be_called_later() {
    let on_open = r#"{"type": "cluster", "cluster": "other"}"#;
    let grpc = get().with("content-type", "application/grpc");
    let rows = [
        (CLUSTER, "", get(), true),
        (on_open, "", get(), false),
        (CLUSTER, "", grpc, false),
        (CLUSTER, r#""mode": "shadow","#, get(), false),
        (CLUSTER, r#""enforce_percent": 0,"#, get(), false),
    ];
    for (entry, more, request, copied) in rows {
        let mut bench = Bench::new(&[&format!(r#"{more} "fallback": [{entry}]"#)]);
        let ticket = bench.pass(&request);
        assert_eq!(ticket.wants_copy(), copied, "{entry} {more} {request:?}");
        bench.settle(ticket, &TestResponse::status(200));
    }
}

#[test]
fn a_call_that_cannot_be_made_is_skipped() {
    let mut bench = bench(&[CLUSTER, CLUSTER, RESPOND]);
    let (mut ticket, step) = failed(&mut bench, &get());
    assert_eq!(step, Step::Call);
    let step = bench.engine.skip(&mut ticket, Skip::Host, bench.now);
    assert_eq!(step, Step::Call);
    let step = bench.engine.skip(&mut ticket, Skip::Host, bench.now);
    assert_eq!(status(&step), 299);
    let told = bench.events();
    assert_eq!(
        told[..2],
        ["p0 skipped cluster host", "p0 skipped cluster host"]
    );
    bench.settle(ticket, &TestResponse::status(299));
    assert_eq!(bench.events(), ["p0 failure"]);
}

#[test]
fn an_abort_during_a_call_to_another_cluster_hides_no_failure() {
    let gone = TestResponse {
        status: None,
        details: Some("downstream_remote_disconnect"),
        flags: 0x4000,
        ..TestResponse::status(0)
    };
    let mut bench = bench(&[CLUSTER]);
    let (ticket, step) = failed(&mut bench, &get());
    assert_eq!(step, Step::Call);
    bench.settle(ticket, &gone);
    assert_eq!(bench.events(), ["p0 failure"]);
    let (ticket, step) = failed(&mut bench, &get());
    assert_eq!(step, Step::Call);
    bench.engine.abandon(ticket, bench.now);
    let told = bench.events();
    assert_eq!(told[..2], ["p0 failure", "p0 closed>open"]);
    // A rejected request counts only as rejected.
    let Admission::Reject(ticket, Step::Call, _) = bench.admit(&get()) else {
        panic!("it was not rejected");
    };
    bench.settle(ticket, &gone);
    assert_eq!(bench.events(), ["p0 rejected"]);
}

#[test]
fn a_host_without_calls_is_never_told_to_make_one() {
    let mut bench = bench(&[CLUSTER, RESPOND]);
    bench.set_abilities(false, true);
    let (ticket, step) = rejected(&mut bench, &get(), true);
    assert_eq!(status(&step), 299);
    let events = bench.events();
    assert!(
        events.contains(&"p0 skipped cluster host".into()),
        "{events:?}"
    );
    bench.settle(ticket, &TestResponse::status(299));
    bench.wait(1_000);
    let probe = bench.pass(&get());
    bench.settle(probe, &TestResponse::status(200));
    bench.events();
    let (_ticket, step) = failed(&mut bench, &get());
    assert_eq!(status(&step), 299);
    assert!(bench.happened("p0 skipped cluster host"));
}

#[test]
fn a_request_on_another_route_has_no_outcome_and_no_further_fallback() {
    let mut bench = bench(&[ROUTE, RESPOND]);
    assert_eq!(bench.engine.reserved_headers(), ["x-to".into()]);
    let (mut ticket, step) = rejected(&mut bench, &get(), false);
    let edit = HeaderEdit {
        name: "x-to".into(),
        value: "b".into(),
    };
    assert_eq!(step, Step::Divert(edit));
    assert_eq!(bench.events(), ["p0 rejected", "p0 fallback Open route"]);
    assert_eq!(
        ticket.note().map(|note| note.decision),
        Some(Decision::Divert)
    );
    assert!(
        ticket.watches_response()
            && !bench.engine.wants_headers(&ticket, bench.now)
            && !ticket.wants_copy()
    );
    let failed = TestResponse::status(503);
    let step = bench
        .engine
        .response_headers(&mut ticket, &failed, bench.now);
    let labels = [("x-circuit-fallback", "route"), ("x-circuit-state", "open")];
    let labels = labels
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    assert_eq!(step, Step::Label(labels));
    assert!(ticket.ordered().is_none());
    bench.settle(ticket, &failed);
    assert_eq!(bench.events(), [""; 0]);
}

#[test]
fn a_failure_is_not_sent_to_another_route() {
    let mut bench = bench(&[ROUTE]);
    let (ticket, step) = failed(&mut bench, &get());
    assert_eq!(step, Step::Pass);
    bench.settle(ticket, &TestResponse::status(503));
    assert_eq!(bench.events(), ["p0 failure"]);
}

#[test]
fn headers_that_select_routes_are_reserved_in_every_mode() {
    let of = |mode: &str, name: &str| {
        format!(
            r#""mode": "{mode}", "fallback": [{{"type": "route", "header": {{"name": "{name}", "value": "1"}}}}]"#
        )
    };
    let policies = [
        of("enforce", "x-a"),
        of("shadow", "x-b"),
        of("disabled", "x-c"),
        of("enforce", "X-A"),
    ];
    let bench = Bench::new(&policies.each_ref().map(|it| &**it));
    let names: Vec<&str> = bench
        .engine
        .reserved_headers()
        .iter()
        .map(|it| &**it)
        .collect();
    assert_eq!(names, ["x-a", "x-b", "x-c"]);
}

#[test]
fn a_fallback_does_not_apply_to_requests_outside_its_policy() {
    let fields = format!(
        r#""mode": "forced_open", "match": {{"methods": ["GET"]}}, "fallback": [{RESPOND}]"#
    );
    let mut bench = Bench::new(&[&fields]);
    assert!(matches!(bench.admit(&get()), Admission::Reject(..)));
    let post = TestRequest::cluster("c")
        .with(":method", "POST")
        .with(":path", "/a");
    assert!(matches!(bench.admit(&post), Admission::Unmatched));
}

/// Each row: the entry after the cluster's, the request's announced length, and whether
/// the request pauses until its body has come.
#[test]
fn a_request_whose_body_does_not_fit_is_not_paused() {
    let rows = [
        (RESPOND, "8000", true),
        (RESPOND, "8001", false),
        // A request that may still continue stays in the host's buffer.
        (ROUTE, "4096", true),
        (ROUTE, "4097", false),
        (RESPOND, "", true),
        (RESPOND, "x", true),
    ];
    for (last, length, waits) in rows {
        let file = format!(
            r#"{{"policies": [{{"name": "p0", {FRAGILE}, "fallback": [{CLUSTER}, {last}]}}],
                "limits": {{"replay_body_bytes": 8000}},
                "host": {{"headers_stop_iteration": true, "buffer_limit_bytes": 4096}}}}"#
        );
        let mut bench = Bench::of_file(&file, 1);
        let mut request = get();
        if !length.is_empty() {
            request = request.with("content-length", length);
        }
        let (ticket, step) = rejected(&mut bench, &request, false);
        assert_eq!(step == Step::Call, waits, "{last} {length}");
        assert_eq!(bench.engine.may_divert(&ticket), waits && last == ROUTE);
    }
}

/// Each row: the announced size of the response, and whether the wait for another cluster
/// begins.
#[test]
fn a_failed_response_that_does_not_fit_is_not_paused() {
    for (length, waits) in [(None, true), (Some(20_000), true), (Some(20_001), false)] {
        let file = format!(
            r#"{{"policies": [{{"name": "p0", {FRAGILE}, "fallback": [{CLUSTER}, {RESPOND}]}}],
                "host": {{"headers_stop_iteration": true, "buffer_limit_bytes": 20000}}}}"#
        );
        let mut bench = Bench::of_file(&file, 1);
        let (mut ticket, step) = failed(&mut bench, &get());
        let now = bench.now;
        let engine = &mut bench.engine;
        let step = engine.pass_long_response(&mut ticket, step, || length, now);
        assert_eq!(step == Step::Call, waits, "{length:?}");
        assert_eq!(status(&step), if waits { 0 } else { 299 });
        assert!(engine.fits_buffer(3_616, false) && !engine.fits_buffer(3_617, false));
        assert!(engine.fits_buffer(20_000, true) && !engine.fits_buffer(20_001, true));
    }
}
