//! Properties: their availability by phase, and their encoding.

use crate::proxy::{GET, headers, probe};

/// Returns what a property reads as in four phases.
fn phases(path: &str) -> [String; 4] {
    let names = ["rqh", "rsh", "log", "done"];
    let script: Vec<_> = names
        .iter()
        .map(|phase| format!("{phase}=prop,{path}"))
        .collect();
    let mut proxy = probe(&script.join(";"));
    let stream = proxy.open_on(0);
    let pairs = [
        &GET[..],
        &[("content-length", "5"), ("x-a", "1"), ("x-a", "2")],
    ]
    .concat();
    proxy.host.request(stream, headers(true, &pairs));
    let info = proxy.host.info_mut(stream).unwrap();
    info.code = Some(503);
    info.flags = 0x20;
    info.details = "via_upstream".into();
    info.attempts = Some(2);
    info.upstream_address = Some("10.0.0.2:80".into());
    proxy.respond(stream);
    proxy.host.close(stream);
    let results = proxy.results();
    std::array::from_fn(|index| results[index].split_once("-> ").unwrap().1.to_owned())
}

#[test]
fn a_property_is_available_in_its_phases() {
    let details = "0 via_upstream";
    let five = "0 0x0500000000000000";
    let rows = [
        ("xds/cluster_name", ["0 up"; 4]),
        ("xds/route_name", ["0 r"; 4]),
        ("xds/virtual_host_name", ["0 v"; 4]),
        ("cluster_name", ["1"; 4]),
        ("route_name", ["1"; 4]),
        ("node/id", ["1"; 4]),
        ("xds/upstream_host_metadata", ["1", "3", "3", "3"]),
        (
            "upstream/address",
            ["1", "0 10.0.0.2:80", "0 10.0.0.2:80", "0 10.0.0.2:80"],
        ),
        (
            "upstream/port",
            [
                "1",
                "0 0x5000000000000000",
                "0 0x5000000000000000",
                "0 0x5000000000000000",
            ],
        ),
        ("upstream/transport_failure_reason", ["1", "0 ", "0 ", "0 "]),
        (
            "upstream/request_attempt_count",
            [
                "0 0x0000000000000000",
                "0 0x0200000000000000",
                "0 0x0200000000000000",
                "0 0x0200000000000000",
            ],
        ),
        (
            "response/code",
            [
                "1",
                "0 0xf701000000000000",
                "0 0xc800000000000000",
                "0 0xc800000000000000",
            ],
        ),
        (
            "response/flags",
            [
                "0 0x0000000000000000",
                "0 0x2000000000000000",
                "0 0x2000000000000000",
                "0 0x2000000000000000",
            ],
        ),
        ("response/code_details", ["1", details, details, details]),
        (
            "response/grpc_status",
            [
                "1",
                "0 0x0e00000000000000",
                "0 0x0200000000000000",
                "0 0x0200000000000000",
            ],
        ),
        ("request/path", ["0 /x", "1", "0 /x", "1"]),
        ("request/method", ["0 GET", "1", "0 GET", "1"]),
        ("request/headers/x-a", ["0 1,2", "1", "0 1,2", "1"]),
        (
            "request/size",
            [five, "0 0x0000000000000000", five, "0 0x0000000000000000"],
        ),
        ("request/protocol", ["0 HTTP/1.1"; 4]),
        ("connection/id", ["0 0x0900000000000000"; 4]),
        ("connection/mtls", ["0 0x00"; 4]),
        ("connection/termination_details", ["1"; 4]),
        ("source/address", ["0 10.0.0.1:4444"; 4]),
        ("plugin_name", ["0 plugin"; 4]),
        ("plugin_root_id", ["0 "; 4]),
        ("plugin_name/more", ["1"; 4]),
        ("xds/cluster_name/more", ["1"; 4]),
        ("request", ["3"; 4]),
        ("", ["3"; 4]),
        ("response/trailers", ["0 0x00000000"; 4]),
        ("metadata/filter_metadata", ["0 0x00000000"; 4]),
        ("nonsense", ["1"; 4]),
    ];
    for (path, expected) in rows {
        assert_eq!(phases(path), expected, "{path}");
    }
}

#[test]
fn a_root_context_has_only_its_own_properties() {
    let script = "configure=tick,10;tick=prop,plugin_name|prop,request/path|prop,xds/cluster_name|\
                  setprop,a,b";
    let mut proxy = probe(script);
    proxy.trace();
    proxy.run_to(10);
    let results = proxy.results();
    let expected = [
        "tick prop,plugin_name -> 0 plugin",
        "tick prop,request/path -> 1",
        "tick prop,xds/cluster_name -> 1",
        "tick setprop,a,b -> 1",
    ];
    assert_eq!(results[..4], expected);
}

#[test]
fn a_set_property_is_readable_and_visible_to_access_logs() {
    let script = "rqh=setprop,mine,v|setprop,two/parts,w;\
                  log=prop,mine|prop,filter_state/wasm.mine|prop,filter_state/mine|prop,two/parts";
    let mut proxy = probe(script);
    let stream = proxy.get();
    let info = proxy.host.close(stream).unwrap();
    let expected = [
        "log prop,mine -> 0 v",
        "log prop,filter_state/wasm.mine -> 0 v",
        "log prop,filter_state/mine -> 1",
        "log prop,two/parts -> 1",
    ];
    assert_eq!(proxy.results()[2..], expected);
    assert_eq!(info.filter_state.get(&b"mine"[..]).unwrap(), b"v");
}
