//! Envoy's own filters that limit or break, and a breaker in Lua. None of them rejects anything
//! under this load.

use serde_json::{Value, json};

/// The filters by name, with their configuration.
pub(crate) fn filters() -> [(&'static str, Value); 4] {
    [
        ("admission_control", admission_control()),
        ("adaptive_concurrency", adaptive_concurrency()),
        ("local_ratelimit", local_ratelimit()),
        ("lua", lua()),
    ]
}

fn filter(name: &str, message: &str, config: Value) -> Value {
    let mut config = config;
    config["@type"] = json!(format!(
        "type.googleapis.com/envoy.extensions.filters.http.{name}.v3.{message}"
    ));
    json!({"name": format!("envoy.filters.http.{name}"), "typed_config": config})
}

fn admission_control() -> Value {
    filter(
        "admission_control",
        "AdmissionControl",
        json!({"success_criteria": {
            "http_criteria": {"http_success_status": [{"start": 100, "end": 500}]},
            "grpc_criteria": {"grpc_success_status": [0]},
        }}),
    )
}

fn adaptive_concurrency() -> Value {
    // While it measures the shortest round trip, it admits `min_concurrency` requests at a time.
    let controller = json!({
        "sample_aggregate_percentile": {"value": 90},
        "concurrency_limit_params": {"concurrency_update_interval": "0.1s"},
        "min_rtt_calc_params": {"interval": "60s", "request_count": 50, "min_concurrency": 1000},
    });
    filter(
        "adaptive_concurrency",
        "AdaptiveConcurrency",
        json!({"gradient_controller_config": controller}),
    )
}

fn local_ratelimit() -> Value {
    let always = json!({"default_value": {"numerator": 100, "denominator": "HUNDRED"}});
    filter(
        "local_ratelimit",
        "LocalRateLimit",
        json!({
            "stat_prefix": "local_ratelimit",
            "token_bucket": {
                "max_tokens": 1_000_000_000,
                "tokens_per_fill": 1_000_000_000,
                "fill_interval": "1s",
            },
            "filter_enabled": always,
            "filter_enforced": always,
        }),
    )
}

/// A breaker without windows, probes and sharing: the least that breaks a circuit.
const LUA_BREAKER: &str = r#"
failures, open_until = 0, 0
function envoy_on_request(handle)
  if os.time() < open_until then
    handle:respond({[":status"] = "503"}, "open")
  end
end
function envoy_on_response(handle)
  failures = handle:headers():get(":status") >= "500" and failures + 1 or 0
  if failures >= 5 then failures, open_until = 0, os.time() + 5 end
end
"#;

fn lua() -> Value {
    filter(
        "lua",
        "Lua",
        json!({"default_source_code": {"inline_string": LUA_BREAKER}}),
    )
}
