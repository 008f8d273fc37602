//! Rows of a page, as Envoy 1.40 shows them.

use super::*;
use MetricKind::{Counter, Gauge};

/// Returns the page without the lines of types.
fn samples(metrics: &Metrics) -> Vec<u8> {
    let page = page(metrics);
    let lines = page.split_inclusive(|byte| *byte == b'\n');
    let samples = lines.filter(|line| !line.starts_with(b"#"));
    samples.flatten().copied().collect()
}

#[test]
fn names_and_labels_are_those_of_envoy() {
    let rows: &[(&[u8], &[u8])] = &[
        (b"plain", b"plain{}"),
        (b"a.b", b"a_b{}"),
        (b"a-b", b"a_b{}"),
        (b"colon:x", b"colon_x{}"),
        (b"B.x", b"B_x{}"),
        (b"with space\"q\\b\nline", b"with_space_q_b_line{}"),
        (b"nul\0x", b"nul_x{}"),
        (b".start", b"_start{}"),
        (b"dots..two", b"dots__two{}"),
        (b"end.", b"end{}"),
        (b"...", b"envoy_wasmcustom{}"),
        (b"", b"envoy_wasmcustom{}"),
        (b"wasmcustom.x", b"wasmcustom_x{}"),
        (b"1digit", b""),
        ("ünï".as_bytes(), b"_n_{}"),
        ("😀z".as_bytes(), b"_z{}"),
        (b"\xed\xa0\x80z", b"_z{}"),
        (b"bad\xff\xfe", b"bad\xff\xfe{}"),
        (b"x\xe2\x82y", b"x\xe2\x82y{}"),
        (b"http.ingress.rq_total", b"http_ingress_rq_total{}"),
        (b"up_rq_503", br#"up_rq{envoy_response_code="503"}"#),
        (b"up_rq_5xx", br#"up_rq_xx{envoy_response_code_class="5"}"#),
        (b"up_rq_503.tail", b"up_rq_503_tail{}"),
        (
            b"tail_rq_200_rq_503",
            br#"tail_rq_200_rq{envoy_response_code="503"}"#,
        ),
        (
            b"spillway.policy.p.t_rq_503",
            br#"spillway_t_rq{envoy_response_code="503",policy="p"}"#,
        ),
        (
            b"spillway.policy.a.outcome.success.requests_total",
            br#"spillway_requests_total{policy="a",outcome="success"}"#,
        ),
        (
            b"spillway.policy.a.from.closed.to.half_open.transitions_total",
            br#"spillway_transitions_total{policy="a",from="closed",to="half_open"}"#,
        ),
        (
            b"spillway.policy.a.on.open.type.default.fallbacks_total",
            br#"spillway_fallbacks_total{policy="a",on="open",type="default"}"#,
        ),
        (
            b"spillway.policy.a.circuit.c-1.state.open.circuit_state",
            br#"spillway_circuit_state{policy="a",circuit="c-1",state="open"}"#,
        ),
        (
            b"spillway.version.0.1.0.policy_hash.abcdef.build_info",
            br#"spillway_build_info{version="0.1.0",policy_hash="abcdef"}"#,
        ),
        (b"spillway.policy.a b.x", b"spillway_policy_a_b_x{}"),
        (b"spillway.policy.\xff.x", b"spillway_policy_\xff_x{}"),
        (b"spillway.policy.q.", b"spillway_policy_q{}"),
        (
            b"spillway.policy.a.policy.b.x",
            br#"spillway_policy_b_x{policy="a"}"#,
        ),
    ];
    for (name, expected) in rows {
        let mut metrics = Metrics::default();
        let place = metrics.define(Counter, name);
        metrics.add(place, 7);
        let expected = match *expected {
            b"" => Vec::new(),
            line => [line, b" 7\n"].concat(),
        };
        let (found, name) = (samples(&metrics), name.escape_ascii());
        assert_eq!(
            found.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{name}"
        );
    }
}

#[test]
fn families_and_their_series_are_sorted_segment_by_segment() {
    let mut metrics = Metrics::default();
    let names = [
        "b0.x",
        "b-.x",
        "b.x.y",
        "b.x",
        "b",
        "spillway.policy.checkout.outcome.success.requests_total",
        "spillway.policy.a.outcome.success.requests_total",
        "spillway.policy.checkout.outcome.failure.requests_total",
    ];
    for name in names {
        metrics.define(Counter, name.as_bytes());
    }
    let below = metrics.define(Gauge, b"b");
    metrics.add(below, -5);
    let expected = "\
# TYPE b counter
b{} 0
# TYPE b_x counter
b_x{} 0
# TYPE b_x_y counter
b_x_y{} 0
# TYPE b__x counter
b__x{} 0
# TYPE b0_x counter
b0_x{} 0
# TYPE spillway_requests_total counter
spillway_requests_total{policy=\"a\",outcome=\"success\"} 0
spillway_requests_total{policy=\"checkout\",outcome=\"failure\"} 0
spillway_requests_total{policy=\"checkout\",outcome=\"success\"} 0
# TYPE b gauge
b{} 18446744073709551611
";
    assert_eq!(String::from_utf8(page(&metrics)).unwrap(), expected);
}

#[test]
fn a_histogram_has_the_buckets_of_envoy() {
    let mut metrics = Metrics::default();
    let place = metrics.define(MetricKind::Histogram, b"spillway.policy.a.took_ms");
    for sample in [3, 0, 100, 9_999_999] {
        metrics.record(place, sample);
    }
    let page = String::from_utf8(page(&metrics)).unwrap();
    assert!(page.starts_with("# TYPE spillway_took_ms histogram\n"));
    let rows = [
        ("0.5", 1),
        ("1", 1),
        ("5", 2),
        ("50", 2),
        ("100", 3),
        ("3600000", 3),
        ("+Inf", 4),
    ];
    for (limit, count) in rows {
        let line = format!("spillway_took_ms_bucket{{policy=\"a\",le=\"{limit}\"}} {count}\n");
        assert!(page.contains(&line), "{line} is not in\n{page}");
    }
    assert!(page.contains("spillway_took_ms_count{policy=\"a\"} 4\n"));
    assert_eq!(page.lines().count(), 1 + LIMITS.len() + 3);
}

#[test]
fn a_histogram_without_samples_has_the_sum_0() {
    let mut metrics = Metrics::default();
    metrics.define(MetricKind::Histogram, b"h");
    let page = String::from_utf8(page(&metrics)).unwrap();
    assert!(page.ends_with("h_bucket{le=\"+Inf\"} 0\nh_sum{} 0\nh_count{} 0\n"));
}

#[test]
fn no_metrics_are_an_empty_page() {
    assert_eq!(page(&Metrics::default()), b"");
}
