mod chains;

use super::*;
use crate::model::spec::{
    Arrivals, ClientRetry, Cluster, Direct, Fault, FaultKind, Latency, MaxStreamDuration, Percent,
    Request, RetryPolicy, Route, Shape, Traffic, Upload,
};
use crate::proxy::Setup;
use crate::record::Outcome;

struct Nobody;

impl Watcher for Nobody {
    fn mark(&mut self, _: usize, _: &World) {}
    fn progress(&mut self, _: Time) {}
}

fn ms(ms: u64) -> Span {
    Span::from_ms(ms)
}

/// Ten requests a second for a second, to a cluster that takes ten milliseconds.
fn plan() -> Plan {
    Plan {
        seed: 1,
        workers: 1,
        duration: ms(1_000),
        clusters: vec![("up".into(), Cluster::default())],
        routes: vec![Route {
            name: "main".into(),
            cluster: Some("up".into()),
            timeout: ms(1_000),
            ..Route::default()
        }],
        traffic: vec![Traffic {
            rate: Some(10.5),
            arrivals: Arrivals::Constant,
            ..Traffic::default()
        }],
        ..Plan::default()
    }
}

fn faulty(fault: FaultKind) -> Plan {
    let fault = Fault {
        cluster: "up".into(),
        from: Span::ZERO,
        to: None,
        share: Percent::ALL,
        fault,
    };
    Plan {
        faults: vec![fault],
        ..plan()
    }
}

fn run(plan: Plan) -> World {
    let workers = plan.workers;
    let host = Host::start(
        Setup {
            workers,
            ..Setup::default()
        },
        Time::ZERO,
    )
    .unwrap();
    let mut world = World::new(plan, host).unwrap();
    world.run(&mut Nobody).unwrap();
    assert_eq!(world.unfinished(), 0);
    assert!(world.calls.is_empty() && world.by_stream.is_empty());
    world
}

/// The one way in which all ten requests ended: code, flags, details, tries of the proxy.
fn ending(plan: Plan) -> (u16, String, String, u64) {
    let record = run(plan).record;
    let [reason] = &record.reasons.all[..] else {
        panic!("requests ended in several ways: {:?}", record.reasons);
    };
    assert_eq!(reason.requests, 10);
    let tries = record.total.attempts() / 10;
    (
        reason.code.unwrap_or(0),
        reason.flags_text(),
        reason.details.to_string(),
        tries,
    )
}

fn retrying(fault: FaultKind, retry_on: &str) -> Plan {
    let mut plan = faulty(fault);
    plan.routes[0].retry = RetryPolicy {
        retry_on: retry_on.into(),
        num_retries: 2,
        per_try_timeout: ms(200),
        ..RetryPolicy::default()
    };
    plan.clusters[0].1.limits.max_retries = 100;
    plan
}

#[test]
fn requests_end_with_the_code_flags_and_details_that_envoy_gives_them() {
    let before = "upstream_reset_before_response_started";
    let refused =
        format!("{before}{{remote_connection_failure|delayed_connect_error:_Connection_refused}}");
    let rows = [
        ("well", plan(), (200, "-", "via_upstream".to_owned(), 1)),
        (
            "status",
            faulty(FaultKind::Status(503)),
            (503, "-", "via_upstream".into(), 1),
        ),
        (
            "refused",
            faulty(FaultKind::Refused),
            (503, "UF", refused, 1),
        ),
        (
            "reset",
            faulty(FaultKind::Reset),
            (503, "UC", format!("{before}{{connection_termination}}"), 1),
        ),
        (
            "hang",
            faulty(FaultKind::Hang),
            (504, "UT", "response_timeout".into(), 1),
        ),
        (
            "unhealthy",
            faulty(FaultKind::Unhealthy),
            (503, "UH", "no_healthy_upstream".into(), 0),
        ),
        (
            "break",
            faulty(FaultKind::ResetAfterHeaders),
            (
                200,
                "UPE",
                "upstream_reset_after_response_started{protocol_error}".into(),
                1,
            ),
        ),
        (
            "unreachable",
            faulty(FaultKind::Unreachable),
            (504, "UT", "response_timeout".into(), 1),
        ),
        (
            "unreachable for long",
            with_cluster(faulty(FaultKind::Unreachable), |it| {
                it.connect_timeout = ms(500);
            }),
            (503, "UF", format!("{before}{{connection_timeout}}"), 1),
        ),
        (
            "unresolved",
            faulty(FaultKind::Unresolved),
            (
                503,
                "DF",
                "dns_resolution_failure{cares_failure:Could_not_contact_DNS_servers}".into(),
                0,
            ),
        ),
        (
            "nobody may wait for a connection",
            with_cluster(plan(), |it| it.limits.max_pending_requests = 0),
            (503, "UO", format!("{before}{{overflow}}"), 0),
        ),
        (
            "attempts that last too long",
            with_cluster(retrying(FaultKind::Hang, "5xx"), |it| {
                it.max_stream_duration = ms(100);
            }),
            (
                504,
                "URX,UMSDR",
                "upstream_max_stream_duration_reached".into(),
                3,
            ),
        ),
        (
            "retried",
            retrying(FaultKind::Status(503), "5xx"),
            (503, "URX", "via_upstream".into(), 3),
        ),
        (
            "not retried",
            retrying(FaultKind::Status(503), "reset"),
            (503, "-", "via_upstream".into(), 1),
        ),
        (
            "per-try time-outs",
            retrying(FaultKind::Hang, "reset"),
            (504, "UT,URX", "upstream_per_try_timeout".into(), 3),
        ),
        (
            "per-try time-out alone",
            retrying(FaultKind::Hang, "connect-failure"),
            (504, "UT", "upstream_per_try_timeout".into(), 1),
        ),
    ];
    for (name, plan, (code, flags, details, tries)) in rows {
        assert_eq!(
            ending(plan),
            (code, flags.to_owned(), details, tries),
            "{name}"
        );
    }
}

/// The plan with its cluster changed.
fn with_cluster(mut plan: Plan, change: impl FnOnce(&mut Cluster)) -> Plan {
    change(&mut plan.clusters[0].1);
    plan
}

#[test]
fn a_hang_ends_after_the_fifteen_seconds_that_a_route_has_by_default() {
    let mut plan = faulty(FaultKind::Hang);
    plan.routes[0] = Route {
        cluster: Some("up".into()),
        ..Route::default()
    };
    let world = run(plan.clone());
    let total = &world.record.total;
    let took = total.percentile(100.0).map(Span::as_ms);
    assert!((15_000..15_100).contains(&took.unwrap_or(0)), "{took:?}");
    let expected = (504, "UT".into(), "response_timeout".into(), 1);
    assert_eq!(ending(plan), expected);
}

#[test]
fn a_hang_without_a_route_timeout_ends_after_five_minutes_of_silence() {
    let mut plan = faulty(FaultKind::Hang);
    plan.routes[0].timeout = Span::ZERO;
    let world = run(plan.clone());
    let total = &world.record.total;
    let took = total.percentile(100.0).map(Span::as_ms);
    assert!((300_000..301_000).contains(&took.unwrap_or(0)), "{took:?}");
    let expected = (504, "SI".into(), "stream_idle_timeout".into(), 1);
    assert_eq!(ending(plan), expected);
}

#[test]
fn a_body_that_trickles_keeps_a_stream_from_being_silent() {
    let streaming = |chunks| {
        let mut plan = with_cluster(plan(), |it| {
            it.answer.body_time = ms(900);
            it.answer.body_chunks = chunks;
        });
        plan.routes[0].idle_timeout = ms(300);
        ending(plan)
    };
    let silent = (200, "SI".into(), "stream_idle_timeout".into(), 1);
    assert_eq!(streaming(1), silent);
    assert_eq!(streaming(9), (200, "-".into(), "via_upstream".into(), 1));
}

#[test]
fn an_upload_that_never_ends_is_answered_early_or_cut_or_ends_in_silence() {
    let upload = |mut plan: Plan| {
        plan.routes[0].idle_timeout = ms(300);
        plan.traffic[0].requests = vec![Request {
            method: "POST".into(),
            body_bytes: 8,
            upload: Some(Upload {
                unfinished: true,
                ..Upload::default()
            }),
            ..Request::default()
        }];
        ending(plan)
    };
    let silent = (408, "SI".into(), "stream_idle_timeout".into(), 1);
    assert_eq!(upload(plan()), silent);
    let early = with_cluster(plan(), |it| it.answers_early = true);
    assert_eq!(upload(early), (200, "-".into(), "via_upstream".into(), 1));
    let details = "upstream_reset_before_response_started{connection_termination}";
    let cut = upload(faulty(FaultKind::CutUpload));
    assert_eq!(cut, (503, "UC".into(), details.into(), 1));
}

#[test]
fn an_upload_that_is_whole_in_time_is_not_cut() {
    let mut plan = faulty(FaultKind::CutUpload);
    plan.traffic[0].requests = vec![Request {
        method: "POST".into(),
        body_bytes: 8,
        ..Request::default()
    }];
    assert_eq!(ending(plan), (200, "-".into(), "via_upstream".into(), 1));
}

#[test]
fn an_upgraded_connection_ends_with_a_termination() {
    let plan = with_cluster(plan(), |it| {
        it.answer.status = 101;
        it.answer.body_time = ms(200);
    });
    let details = "upstream_reset_after_response_started{connection_termination}";
    assert_eq!(ending(plan), (101, "UC".into(), details.into(), 1));
}

#[test]
fn a_stream_ends_with_the_duration_of_its_route_and_not_with_its_timeout() {
    let limited = |mut plan: Plan| {
        plan.routes[0].timeout = ms(100);
        plan.routes[0].max_stream_duration = Some(MaxStreamDuration {
            max_stream_duration: Some(ms(300)),
            ..MaxStreamDuration::default()
        });
        let took = run(plan.clone()).record.total.percentile(100.0);
        assert_eq!(took.map(Span::as_ms), Some(300));
        ending(plan)
    };
    let details = "max_duration_timeout";
    assert_eq!(
        limited(faulty(FaultKind::Hang)),
        (504, "-".into(), details.into(), 1)
    );
    let streaming = with_cluster(plan(), |it| it.answer.body_time = ms(900));
    assert_eq!(limited(streaming), (200, "-".into(), details.into(), 1));
}

#[test]
fn requests_without_a_cluster_are_answered_by_the_router() {
    let mut no_route = plan();
    no_route.routes[0].matches.prefix = Some("/other".into());
    assert_eq!(
        ending(no_route),
        (404, "NR".into(), "route_not_found".into(), 0)
    );
    let mut no_cluster = plan();
    no_cluster.routes[0].cluster = None;
    no_cluster.routes[0].cluster_header = Some("x-none".into());
    assert_eq!(
        ending(no_cluster),
        (503, "NC".into(), "cluster_not_found".into(), 0)
    );
    let mut direct = plan();
    direct.routes[0].cluster = None;
    direct.routes[0].direct_response = Some(Direct {
        status: 418,
        body: "tea".into(),
    });
    assert_eq!(
        ending(direct),
        (418, "-".into(), "direct_response".into(), 0)
    );
}

#[test]
fn request_headers_steer_retries_and_times() {
    let with = |fault, headers: &[(&str, &str)]| {
        let mut plan = retrying(fault, "");
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        plan.traffic[0].requests = vec![Request {
            headers: headers.collect(),
            ..Request::default()
        }];
        ending(plan)
    };
    let retried = [("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "3")];
    let expected = (503, "URX".into(), "via_upstream".into(), 4);
    assert_eq!(with(FaultKind::Status(503), &retried), expected);
    let times = [("x-envoy-upstream-rq-timeout-ms", "100")];
    let expected = (504, "UT".into(), "response_timeout".into(), 1);
    assert_eq!(with(FaultKind::Hang, &times), expected);
}

#[test]
fn a_client_that_waits_in_vain_goes() {
    let mut plan = faulty(FaultKind::Hang);
    plan.traffic[0].timeout = Some(ms(300));
    let world = run(plan);
    let total = &world.record.total;
    assert_eq!(total.outcome(Outcome::GaveUp), 10);
    assert_eq!(world.record.reasons.all[0].flags_text(), "DC");
    assert_eq!(total.percentile(100.0).map(Span::as_ms), Some(300));
}

#[test]
fn the_limit_of_retries_at_once_shows_as_overflow() {
    let mut plan = retrying(FaultKind::Status(503), "5xx");
    plan.clusters[0].1.limits.max_retries = 0;
    assert_eq!(ending(plan), (503, "UO".into(), "via_upstream".into(), 1));
}

#[test]
fn the_limit_of_requests_at_once_shows_as_overflow() {
    let mut plan = plan();
    plan.clusters[0].1.limits.max_requests = 0;
    let details = "upstream_reset_before_response_started{overflow}";
    assert_eq!(ending(plan), (503, "UO".into(), details.into(), 0));
}

#[test]
fn clients_that_retry_multiply_what_reaches_the_upstream() {
    let mut plan = faulty(FaultKind::Status(503));
    plan.traffic[0].retry = Some(ClientRetry {
        max: 2,
        ..ClientRetry::default()
    });
    let total = run(plan).record.total;
    assert_eq!((total.calls, total.calls_succeeded), (10, 0));
    // A call of the last moment is not repeated after the traffic's end.
    assert!((25..=30).contains(&total.requests), "{}", total.requests);
    assert!(total.amplification() > 2.4);
}

#[test]
fn a_closed_loop_waits_for_its_answers() {
    let mut plan = plan();
    plan.clusters[0].1.latency = Latency(Shape::Constant(ms(100)));
    plan.traffic[0] = Traffic {
        clients: Some(5),
        think: Latency(Shape::Constant(ms(100))),
        ..Traffic::default()
    };
    let total = run(plan).record.total;
    assert_eq!(total.calls, 25);
    assert_eq!(total.clusters[0].serving_max, 5);
}

#[test]
fn overload_makes_answers_late_and_waiting_clients_make_it_last() {
    let mut plan = plan();
    plan.duration = ms(10_000);
    plan.clusters[0].1.capacity = Some(1);
    plan.traffic[0].rate = Some(90.0);
    let calm = run(plan.clone()).record.total;
    assert!(calm.percentile(99.0) < Some(ms(20)));
    plan.traffic[0].rate = Some(120.0);
    let busy = run(plan).record.total;
    assert!(
        busy.percentile(99.0) > Some(ms(1_000)),
        "{:?}",
        busy.percentile(99.0)
    );
    assert!(busy.clusters[0].line_max > 100);
}

#[test]
fn grpc_calls_are_judged_by_their_status() {
    let grpc = |fault| {
        let mut plan = faulty(fault);
        plan.traffic[0].requests = vec![Request {
            grpc: true,
            ..Request::default()
        }];
        let record = run(plan).record;
        let total = &record.total;
        (
            total.outcome(Outcome::Success),
            total.outcome(Outcome::Error),
        )
    };
    assert_eq!(grpc(FaultKind::Slower(2.0)), (10, 0));
    assert_eq!(grpc(FaultKind::GrpcStatus(14)), (0, 10));
    assert_eq!(grpc(FaultKind::GrpcStatusInTrailers(13)), (0, 10));
    assert_eq!(grpc(FaultKind::Refused), (0, 10));
}

#[test]
fn a_share_of_the_requests_fails() {
    let mut plan = faulty(FaultKind::Status(500));
    plan.faults[0].share = Percent::from_bp(2_500);
    plan.traffic[0].rate = Some(2_000.0);
    let total = run(plan).record.total;
    let failed = total.outcome(Outcome::Error);
    assert!(
        (430..570).contains(&failed),
        "{failed} of {}",
        total.requests
    );
}

#[test]
fn the_same_seed_is_the_same_run() {
    let digest = |seed| {
        let mut plan = retrying(FaultKind::Status(503), "5xx");
        plan.seed = seed;
        plan.workers = 3;
        plan.faults[0].share = Percent::from_bp(3_000);
        plan.traffic[0].arrivals = Arrivals::Poisson;
        plan.traffic[0].rate = Some(500.0);
        let (median, p99) = (ms(10), ms(100));
        plan.clusters[0].1.latency = Latency(Shape::Lognormal { median, p99 });
        run(plan).record.trace.digest()
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
    // Debug and release builds, and all machines, come to this.
    assert_eq!(
        format!("{:032x}", digest(1)),
        "a009ab7933d25a0eeec783931df4015b"
    );
}
