use super::*;

#[test]
fn each_failure_has_the_code_flags_and_details_that_envoy_gives_it() {
    let before = "upstream_reset_before_response_started";
    let refused =
        format!("{before}{{remote_connection_failure|delayed_connect_error:_Connection_refused}}");
    let rows = [
        ("success", plan(), (200, "-", "via_upstream".to_owned(), 1)),
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
            "connect timeout",
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
            "no pending requests allowed",
            with_cluster(plan(), |it| it.limits.max_pending_requests = 0),
            (503, "UO", format!("{before}{{overflow}}"), 0),
        ),
        (
            "attempts that exceed max_stream_duration",
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
            "per-try timeouts",
            retrying(FaultKind::Hang, "reset"),
            (504, "UT,URX", "upstream_per_try_timeout".into(), 3),
        ),
        (
            "per-try timeout without a retry",
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

#[test]
fn a_hang_ends_after_the_default_route_timeout_of_fifteen_seconds() {
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
fn a_hang_without_a_route_timeout_ends_after_the_idle_timeout() {
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
fn each_body_chunk_restarts_the_idle_timeout() {
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
fn an_endless_upload_ends_by_an_early_response_a_cut_or_the_idle_timeout() {
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
fn a_complete_upload_is_not_cut() {
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
fn max_stream_duration_replaces_the_route_timeout() {
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
fn the_router_answers_requests_without_a_cluster() {
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
fn request_headers_change_retries_and_timeouts() {
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
    let timeout = [("x-envoy-upstream-rq-timeout-ms", "100")];
    let expected = (504, "UT".into(), "response_timeout".into(), 1);
    assert_eq!(with(FaultKind::Hang, &timeout), expected);
}

#[test]
fn a_retry_over_the_limit_ends_with_the_overflow_flag() {
    let mut plan = retrying(FaultKind::Status(503), "5xx");
    plan.clusters[0].1.limits.max_retries = 0;
    assert_eq!(ending(plan), (503, "UO".into(), "via_upstream".into(), 1));
}

#[test]
fn a_request_over_the_limit_ends_with_the_overflow_flag() {
    let mut plan = plan();
    plan.clusters[0].1.limits.max_requests = 0;
    let details = "upstream_reset_before_response_started{overflow}";
    assert_eq!(ending(plan), (503, "UO".into(), details.into(), 0));
}
