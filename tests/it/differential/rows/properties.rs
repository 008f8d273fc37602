//! Properties by phase, and the routes behind them.

use super::{GET, Row};

/// Properties whose values depend on the phase.
macro_rules! properties {
    ($phase:literal) => {
        concat!(
            $phase,
            " prop xds.cluster_name;",
            $phase,
            " prop xds.route_name;",
            $phase,
            " prop xds.virtual_host_name;",
            $phase,
            " prop cluster_name;",
            $phase,
            " prop route_name;",
            $phase,
            " prop node.id;",
            $phase,
            " prop request.path;",
            $phase,
            " prop request.url_path;",
            $phase,
            " prop request.method;",
            $phase,
            " proplen request.host;",
            $phase,
            " prop request.headers.x-row;",
            $phase,
            " prop request.protocol;",
            $phase,
            " proplen request.time;",
            $phase,
            " proplen request.duration;",
            $phase,
            " prop request.size;",
            $phase,
            " prop response.code;",
            $phase,
            " prop response.size;",
            $phase,
            " prop response.flags;",
            $phase,
            " prop response.code_details;",
            $phase,
            " proplen upstream.address;",
            $phase,
            " proplen upstream.port;",
            $phase,
            " prop upstream.transport_failure_reason;",
            $phase,
            " prop upstream.request_attempt_count;",
            $phase,
            " proplen upstream.cx_pool_ready_duration;",
            $phase,
            " proplen connection.id;",
            $phase,
            " prop connection.mtls;",
            $phase,
            " prop plugin_name;",
            $phase,
            " prop plugin_root_id;",
            $phase,
            " prop plugin_vm_id;",
            $phase,
            " prop no.such.thing;",
            $phase,
            " prop response.headers.x-none"
        )
    };
}

pub(super) const ROWS: &[Row] = &[
    // Properties by phase.
    Row {
        name: "properties-reqh",
        probe: properties!("reqh"),
        ..GET
    },
    Row {
        name: "properties-resh",
        probe: properties!("resh"),
        ..GET
    },
    Row {
        name: "properties-log",
        probe: properties!("log"),
        ..GET
    },
    Row {
        name: "properties-done",
        probe: properties!("done"),
        ..GET
    },
    Row {
        name: "property-set",
        probe: "reqh setprop mine value;reqh prop mine;\
        resh prop filter_state.wasm.mine;log prop mine;log setprop mine later;log prop mine",
        ..GET
    },
    // Routes.
    Row {
        name: "reroute",
        probe: "reqh prop xds.cluster_name;reqh set 0 x-to other;\
        reqh prop xds.cluster_name;resh prop xds.cluster_name;log prop xds.route_name",
        ..GET
    },
];
