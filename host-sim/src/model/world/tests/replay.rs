use std::vec::IntoIter;

use super::*;
use crate::headers::HeaderMap;
use crate::model::recorded::{Ending, Fate, RecordedRequest, Recording};
use crate::model::response::{GrpcPlace, ProxyEnding, Response, UpstreamEvent};
use crate::record::Recorded;

struct List(IntoIter<RecordedRequest>);

impl Recording for List {
    fn next_request(&mut self) -> Option<RecordedRequest> {
        self.0.next()
    }
}

/// A request to the only cluster.
fn request(at_ms: u64, fate: Fate) -> RecordedRequest {
    RecordedRequest {
        at: Time::from_ms(at_ms),
        headers: HeaderMap::from([(":method", "GET"), (":path", "/"), (":authority", "a")]),
        cluster: 0,
        grpc: false,
        head: false,
        fate,
    }
}

fn ended(took_ms: u64, event: UpstreamEvent) -> Fate {
    let took = ms(took_ms);
    Fate::Known(Ending { took, event })
}

fn status(status: u16) -> UpstreamEvent {
    UpstreamEvent::Response(Response {
        status,
        grpc: None,
        complete: true,
        healthy: status < 500,
        fault: None,
    })
}

fn replayed(requests: Vec<RecordedRequest>) -> World {
    let mut plan = plan();
    plan.traffic.clear();
    plan.routes[0].timeout = Span::ZERO;
    let mut world = World::new(plan, Host::start(Setup::default(), Time::ZERO).unwrap()).unwrap();
    world.replay(Box::new(List(requests.into_iter())));
    world.run(&mut Ignore).unwrap();
    assert_eq!(world.unfinished(), 0);
    world
}

#[test]
fn a_recorded_request_ends_as_it_did_and_when_it_did() {
    let by_proxy = UpstreamEvent::ByProxy;
    let broken = UpstreamEvent::Response(Response {
        status: 200,
        grpc: None,
        complete: false,
        healthy: false,
        fault: None,
    });
    let before = "upstream_reset_before_response_started";
    let rows = [
        (status(204), "204 - via_upstream".to_owned()),
        (status(503), "503 - via_upstream".into()),
        (
            UpstreamEvent::Reset,
            format!("503 UC {before}{{connection_termination}}"),
        ),
        (
            UpstreamEvent::Unreachable,
            format!("503 UF {before}{{connection_timeout}}"),
        ),
        (
            broken,
            "200 UPE upstream_reset_after_response_started{protocol_error}".into(),
        ),
        (
            by_proxy(ProxyEnding::RouteTimeout),
            "504 UT response_timeout".into(),
        ),
        (
            by_proxy(ProxyEnding::PerTryTimeout),
            "504 UT upstream_per_try_timeout".into(),
        ),
        (
            by_proxy(ProxyEnding::MaxDuration),
            "504 UMSDR upstream_max_stream_duration_reached".into(),
        ),
        (
            by_proxy(ProxyEnding::Duration),
            "504 - max_duration_timeout".into(),
        ),
        (
            by_proxy(ProxyEnding::Idle),
            "504 SI stream_idle_timeout".into(),
        ),
        (
            by_proxy(ProxyEnding::NoHealthyHost),
            "503 UH no_healthy_upstream".into(),
        ),
        (
            by_proxy(ProxyEnding::Unresolved),
            "503 DF dns_resolution_failure{cares_failure:Could_not_contact_DNS_servers}".into(),
        ),
        (
            by_proxy(ProxyEnding::Overflow),
            format!("503 UO {before}{{overflow}}"),
        ),
        (
            UpstreamEvent::CLIENT_LEFT,
            "0 DC downstream_remote_disconnect".into(),
        ),
    ];
    for (event, expected) in rows {
        let world = replayed(vec![request(5, ended(70, event))]);
        let [reason] = &world.record.reasons.all[..] else {
            panic!("{event:?}: {:?}", world.record.reasons);
        };
        let code = reason.code.unwrap_or(0);
        let seen = format!("{code} {} {}", reason.flags_text(), reason.details);
        assert_eq!(seen, expected, "{event:?}");
        let took = world.record.total.latency_max().map(Span::as_ms);
        assert_eq!(took, Some(70), "{event:?}");
    }
}

#[test]
fn a_request_without_a_result_ends_like_the_latest_one_of_its_cluster() {
    let world = replayed(vec![
        request(0, Fate::Unknown),
        request(20, ended(300, status(503))),
        request(40, Fate::Unknown),
        request(60, ended(10, status(200))),
        request(80, Fate::Unknown),
    ]);
    let record = world.record;
    assert_eq!(
        (
            record.total.outcome(Outcome::Success),
            record.total.outcome(Outcome::Error)
        ),
        (3, 2)
    );
    let effects = record.effects;
    assert_eq!(effects.all(Recorded::Unknown), 3);
    assert_eq!(effects.of(Recorded::Good, &[Outcome::Success]), 1);
    assert_eq!(effects.errors_let_through(), 1);
    assert_eq!(effects.good_kept_away(), 0);
}

#[test]
fn grpc_responses_carry_their_status() {
    let failed = UpstreamEvent::Response(Response {
        status: 200,
        grpc: Some((14, GrpcPlace::Trailers)),
        complete: true,
        healthy: false,
        fault: None,
    });
    let call = RecordedRequest {
        grpc: true,
        ..request(0, ended(10, failed))
    };
    assert_eq!(replayed(vec![call]).record.total.outcome(Outcome::Error), 1);
}
