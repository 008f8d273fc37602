//! The timer of a worker: it ticks only as often as pending work needs, whatever was pending
//! before.

use host_sim::proxy::{Callback, Effect, Hostcall};
use serde_json::{Value, json};

use super::simulated::{Asking, Does, Reached, Stage, good};
use crate::scene::policy;

/// Sends fifty requests per second for one second. Returns the numbers of ticks and of timer
/// changes.
fn a_second_of_traffic(stage: &mut Stage) -> (u64, u64) {
    let count = |stage: &Stage| {
        let counts = stage.host.counts();
        (
            counts.callback(Callback::Tick),
            counts.hostcall(Hostcall::SetTickPeriod),
        )
    };
    let (ticks, settings) = count(stage);
    for _ in 0..50 {
        let status = ask(stage, "/", |_| {
            Does::Answers(good("good", "text/plain", false, false))
        });
        assert_eq!(status, 200);
        stage.run_to(stage.now_ms + 20);
    }
    let (ticks_after, settings_after) = count(stage);
    (ticks_after - ticks, settings_after - settings)
}

fn ask(stage: &mut Stage, path: &str, does: impl Fn(&Reached) -> Does) -> u16 {
    let asking = Asking {
        method: "GET",
        path,
        headers: Vec::new(),
        body: "",
    };
    stage.ask(&asking, does).status
}

fn stage(fields: Value) -> Stage {
    Stage::start(&policy(fields).to_string(), false)
}

fn breaker() -> Value {
    json!({"failure_rate_threshold": 0})
}

fn failed() -> Does {
    Does::Answers(super::simulated::failed(false))
}

#[test]
fn the_timer_returns_to_its_period_after_a_call() {
    let ladder = json!([{"type": "cluster", "on": ["failure"], "cluster": "other"}]);
    let mut stage = stage(json!({"circuit_breaker": breaker(), "fallback": ladder}));
    // In the first second gauges are confirmed.
    a_second_of_traffic(&mut stage);
    let (ticks, settings) = a_second_of_traffic(&mut stage);
    assert!(
        (8..=11).contains(&ticks) && settings <= 1,
        "{ticks} {settings}"
    );
    let status = ask(&mut stage, "/", |reached| match reached {
        Reached::Call => Does::Answers(good("other", "text/plain", false, false)),
        _ => failed(),
    });
    assert_eq!(status, 200);
    let (ticks, settings) = a_second_of_traffic(&mut stage);
    assert!(
        (8..=12).contains(&ticks) && settings <= 3,
        "{ticks} {settings}"
    );
    stage.nothing_is_left();
}

#[test]
fn the_timer_returns_to_its_period_after_a_backoff() {
    let retry = json!({"engine": "filter", "replay": "as_received",
        "backoff": {"base_interval": "20ms", "max_interval": "20ms"}});
    let mut stage = stage(json!({"circuit_breaker": breaker(), "retry": retry}));
    a_second_of_traffic(&mut stage);
    let counts = stage.host.counts();
    let settings = counts.hostcall(Hostcall::SetTickPeriod);
    let reads = counts.hostcall(Hostcall::GetSharedData);
    for _ in 0..3 {
        let stream = stage.send("/");
        stage.run(stream, |_| failed());
        let begun = stage.now_ms;
        let call = loop {
            assert!(stage.now_ms <= begun + 25, "the retry is late");
            stage.run_to(stage.now_ms + 1);
            if let Some(Effect::Call(call)) = stage.host.next_effect() {
                break call;
            }
        };
        let answer = good("again", "text/plain", false, false);
        stage
            .host
            .answer_call(call.call, super::simulated::outcome(answer));
        assert_eq!(stage.run(stream, |_| Does::Nothing).status, 200);
        stage.host.close(stream);
    }
    // Each backoff sets the timer for itself and afterwards restores the period that it
    // interrupted.
    let counts = stage.host.counts();
    let waits = counts.hostcall(Hostcall::SetTickPeriod) - settings;
    assert!(waits <= 8, "{waits}");
    let reads = counts.hostcall(Hostcall::GetSharedData) - reads;
    assert!(reads <= 10, "{reads}");
    // A recovering budget is checked once a second.
    let (ticks, settings) = a_second_of_traffic(&mut stage);
    assert!(
        (8..=16).contains(&ticks) && settings <= 8,
        "{ticks} {settings}"
    );
    stage.nothing_is_left();
}

#[test]
fn an_idle_worker_has_no_timer() {
    let ladder = json!([{"type": "cluster", "on": ["failure"], "cluster": "other"}]);
    let mut stage = stage(json!({"circuit_breaker": breaker(), "fallback": ladder}));
    ask(&mut stage, "/", |_| failed());
    a_second_of_traffic(&mut stage);
    let idle_since = stage.now_ms;
    // The failure leaves the window, and the gauge of the failure rate falls.
    stage.run_to(idle_since + 13_000);
    assert_eq!(stage.host.next_timer(), None);
    let ticks = stage.host.counts().callback(Callback::Tick);
    stage.run_to(idle_since + 60_000);
    assert_eq!(stage.host.counts().callback(Callback::Tick), ticks);
}
