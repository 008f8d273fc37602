//! Routes that are chosen anew after headers have changed.

use super::{Row, get, post};

pub(super) const ROWS: &[Row] = &[
    get(
        "reroute-to-a-direct-response",
        "reqh set 0 x-to direct;reqh prop xds.route_name;log prop xds.route_name;\
         log prop response.code_details",
    ),
    get(
        "reroute-to-a-refused-cluster",
        "reqh set 0 x-to gone;log prop xds.cluster_name;log prop response.code_details",
    ),
    get(
        "reroute-by-a-header-of-the-cluster",
        "reqh set 0 x-to none;reqh set 0 x-cluster other;reqh prop xds.cluster_name;\
         log prop xds.cluster_name;log prop xds.route_name",
    ),
    Row {
        to: "other",
        ..get(
            "reroute-by-removal",
            "reqh prop xds.cluster_name;reqh remove 0 x-to;reqh prop xds.cluster_name;\
             log prop xds.cluster_name;log prop xds.route_name",
        )
    },
    get(
        "reroute-with-the-foreign-function",
        "reqh set 0 x-to other;reqh foreign clear_route_cache x;reqh prop xds.cluster_name;\
         reqh prop xds.route_name;log prop xds.cluster_name",
    ),
    get(
        "reroute-in-a-call",
        "reqh pause;reqh call upstream /called 1000;call set 0 x-to other;\
         call prop xds.cluster_name;call resume request;log prop xds.cluster_name",
    ),
    post(
        "reroute-too-late",
        "reqb@1 set 0 x-to other;reqb@1 prop xds.cluster_name;resh prop xds.cluster_name;\
                log prop xds.cluster_name",
    ),
    post(
        "reroute-while-the-body-waits",
        "reqh pause;reqh call upstream /called 1000;call add 0 x-to other;\
                call resume request;reqb@1 prop xds.cluster_name;log prop xds.cluster_name",
    ),
    get(
        "reroute-in-the-response",
        "resh set 0 x-to other;resh prop xds.cluster_name;resh foreign clear_route_cache x;\
         resh prop xds.cluster_name;log prop xds.cluster_name",
    ),
    get(
        "reroute-to-no-route",
        "reqh set 0 x-to nowhere;reqh prop xds.route_name;log prop xds.route_name;\
         log prop response.code;log prop response.flags;log prop response.code_details",
    ),
];
