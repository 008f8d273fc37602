//! Counts of requests, which wait for the tick that merges.

use super::*;

/// What the adapter would report now.
fn reported(bench: &mut Bench) -> Vec<String> {
    let events = core::iter::from_fn(|| bench.engine.next_event());
    let mut events: Vec<String> = events.map(shown).collect();
    events.retain(|event| event.contains("success") || event.contains("failure"));
    events
}

fn serve(bench: &mut Bench, statuses: &[u16]) {
    for status in statuses {
        bench.serve(&TestRequest::cluster("c"), *status);
    }
}

/// A bench whose key is known, and whose outcomes wait for a merge.
fn warm() -> Bench {
    let mut bench = Bench::new(&[r#""circuit_breaker": {}"#]);
    serve(&mut bench, &[200, 200]);
    assert_eq!(
        reported(&mut bench),
        ["p0 success"; 2],
        "nothing had asked for a tick"
    );
    assert!(bench.engine.workspace.merge_at.is_some());
    bench
}

#[test]
fn counts_of_requests_wait_for_a_tick_that_is_to_come() {
    let mut bench = warm();
    serve(&mut bench, &[200, 503, 200, 200]);
    assert_eq!(reported(&mut bench), [""; 0]);
    let due = bench.engine.next_tick(bench.now).expect("a tick");
    bench.now = due;
    bench.engine.tick(due);
    assert_eq!(reported(&mut bench), ["p0 success x3", "p0 failure"]);
    bench.wait(1_000);
    bench.engine.tick(bench.now);
    assert_eq!(reported(&mut bench), [""; 0], "each is counted once");
}

#[test]
fn counts_that_wait_are_reported_when_the_configuration_ends() {
    let mut bench = warm();
    serve(&mut bench, &[503, 200]);
    assert_eq!(reported(&mut bench), [""; 0]);
    bench.engine.retire(bench.now);
    assert_eq!(reported(&mut bench), ["p0 success", "p0 failure"]);
}

#[test]
fn without_a_merge_to_come_requests_are_counted_at_once() {
    let fallback = r#""fallback": [{"type": "respond", "on": ["failure"], "status": 503}]"#;
    let mut bench = Bench::new(&[fallback]);
    serve(&mut bench, &[200, 200, 503]);
    let counted = reported(&mut bench);
    assert_eq!(counted, ["p0 success", "p0 success", "p0 failure"]);
    assert_eq!(bench.engine.workspace.merge_at, None);
}

#[test]
fn on_a_host_without_ticks_a_later_request_reports_the_counts() {
    let mut bench = warm();
    serve(&mut bench, &[200, 200]);
    bench.wait(60_000);
    serve(&mut bench, &[503]);
    assert_eq!(reported(&mut bench), ["p0 success x2"]);
}
