//! gRPC calls of plugins.

use bytes::Bytes;
use host_sim::proxy::{CallOutcome, Crash, Halt};

use crate::proxy::probe;

fn results(cluster: &str) -> Vec<String> {
    let mut proxy = probe(&format!("rqh=grpc,{cluster},pkg.Service,Ask,100"));
    proxy.get();
    proxy.results()
}

#[test]
fn a_call_that_cannot_be_sent_returns_an_error_status() {
    assert!(results("nowhere")[0].ends_with("-> 4"));
    assert!(results("vacant")[0].ends_with("-> 10"));
    assert!(results("up")[0].ends_with("-> 0 5"));
}

#[test]
fn a_cluster_whose_name_is_a_valid_message_cannot_be_called_by_name() {
    // "empty" happens to be a valid encoding of a service without a cluster.
    let mut proxy = probe("rqh=grpc,empty,pkg.Service,Ask,100");
    proxy.get();
    let crash = Halt::Crash(Crash::ServiceWithoutCluster);
    assert_eq!(proxy.host.halt(), Some(&crash));
}

#[test]
fn a_refused_grpc_call_has_a_status() {
    let mut proxy = probe("rqh=grpc,vacant,pkg.Service,Ask,100;rsh=status");
    let stream = proxy.get();
    proxy.respond(stream);
    assert_eq!(proxy.results()[1], "rsh status -> 0 14 ");
}

#[test]
fn a_grpc_call_ends_with_a_message_or_a_status() {
    let rows = [
        (
            CallOutcome::Message(Bytes::from_static(b"yes")),
            "2 grpc 5 0 3",
            "2 grpc body,5 -> 0 yes",
        ),
        (
            CallOutcome::Closed {
                status: 7,
                message: "no".into(),
            },
            "2 grpc 5 7 0",
            "2 grpc body,5 -> 0 ",
        ),
    ];
    for (outcome, callback, message) in rows {
        let mut proxy = probe("rqh=grpc,up,pkg.Service,Ask,100|pause;grpc=body,5|status");
        proxy.get();
        assert_eq!(proxy.effects(), ["call: Grpc up /pkg.Service/Ask"]);
        proxy.trace();
        proxy.answer_call(outcome.clone());
        let trace = proxy.trace();
        assert_eq!(trace[..2], [callback, message]);
        let status = if matches!(outcome, CallOutcome::Closed { .. }) {
            "7 no"
        } else {
            "0 "
        };
        assert_eq!(trace[2], format!("2 grpc status -> 0 {status}"));
    }
}
