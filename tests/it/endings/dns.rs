//! A dynamic forward proxy with unresolvable names.

use serde_json::{Value, json};
use spillway_tests::{Envoy, Upstream};

use super::{FAILURE, cased, extension};
use crate::scene::outcomes_are;

/// A resolver address where nobody listens.
fn cache() -> Value {
    let nobody = json!({"socket_address": {"address": "127.0.0.1", "port_value": 9}});
    let kind = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig";
    json!({
        "name": "cache",
        "dns_lookup_family": "V4_ONLY",
        "typed_dns_resolver_config": {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": format!("type.googleapis.com/{kind}"),
                "resolvers": [nobody],
            },
        },
    })
}

fn filter() -> Value {
    let fields = json!({"dns_cache_config": cache()});
    extension("dynamic_forward_proxy.v3.FilterConfig", fields)
}

fn cluster() -> Value {
    let kind = "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig";
    let config = json!({
        "@type": format!("type.googleapis.com/{kind}"),
        "dns_cache_config": cache(),
    });
    json!({
        "type": null,
        "load_assignment": null,
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": "dynamic", "typed_config": config},
    })
}

#[tokio::test]
async fn an_unresolvable_name_is_a_failure_on_either_side_of_the_dynamic_forward_proxy() {
    let upstream = Upstream::start().await;
    for in_front in [false, true] {
        let setting = Envoy::in_front_of(upstream.address())
            .cluster("dynamic", upstream.address())
            .cluster_fields("dynamic", cluster());
        let setting = match in_front {
            false => setting.after(filter()),
            true => setting.before(filter()),
        };
        let envoy = cased(setting, &["dns"]).await;
        let headers = [
            ("x-case", "dns"),
            ("x-to", "dynamic"),
            ("host", "nowhere.invalid"),
        ];
        assert_eq!(envoy.get_with("/dns", &headers).await.status, 503);
        let details = envoy.access("/dns").await["details"].to_string();
        assert!(
            details.contains("dns_resolution_failure"),
            "{in_front} {details}"
        );
        outcomes_are(&envoy, "dns", FAILURE).await;
    }
    assert_eq!(upstream.hits(), 0);
}
