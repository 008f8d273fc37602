//! Objects of meshes: what is wrong in them, and how several files go together.

use std::fs;

use serde_json::Value;

use super::import;

const RULE: &str = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n";
const ROUTE: &str = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n";
const TRAFFIC: &str = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\n";
const BUDGET: &str =
    "apiVersion: gateway.networking.x-k8s.io/v1alpha1\nkind: XBackendTrafficPolicy\n";
const HTTP: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n";
const SERVICE: &str = "apiVersion: v1\nkind: Service\n";
const PROFILE: &str = "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\n";

/// A system, the head of an object, the rest from line 3 on, and what is output.
const BAD: [(&str, &str, &str, &str); 17] = [
    (
        "istio",
        RULE,
        "spec: {host: a}",
        "1: metadata.name of the DestinationRule is missing, allowed any that is not empty",
    ),
    (
        "istio",
        RULE,
        "metadata: {name: a}",
        "1: spec of the DestinationRule is missing, allowed any that is not empty",
    ),
    (
        "istio",
        RULE,
        "metadata: {name: a}\nspec: []",
        "4: spec is a list, allowed a mapping with the settings",
    ),
    (
        "istio",
        RULE,
        "metadata: {name: a}\nspec: {subsets: []}",
        "4: spec is a mapping, allowed a mapping with host",
    ),
    (
        "istio",
        RULE,
        "metadata: {name: a}\nspec:\n  host: a\n  trafficPolicy: {outlierDetection: {consecutive5xxErrors: many}}",
        "6: spec.trafficPolicy.outlierDetection.consecutive5xxErrors is \"many\", allowed an integer from 0 on",
    ),
    (
        "istio",
        RULE,
        "metadata: {name: a}\nspec:\n  host: a\n  trafficPolicy: {outlierDetection: {baseEjectionTime: soon}}",
        "6: spec.trafficPolicy.outlierDetection.baseEjectionTime is \"soon\", allowed a duration such as 500ms or 5s",
    ),
    (
        "istio",
        RULE,
        "metadata: {name: a}\nspec: {host: a, subsets: v1}",
        "4: spec.subsets is \"v1\", allowed a list",
    ),
    (
        "istio",
        ROUTE,
        "metadata: {name: a}\nspec: {http: [{route: [{weight: 1}], retries: {}}]}",
        "4: spec.http[0].route[0] is a mapping, allowed a mapping with destination",
    ),
    (
        "envoy-gateway",
        TRAFFIC,
        "metadata: {name: a}\nspec: {retry: {}}",
        "4: spec is a mapping, allowed a mapping with targetRefs or targetSelectors",
    ),
    (
        "envoy-gateway",
        TRAFFIC,
        "metadata: {name: a}\nspec: {targetRef: {kind: Gateway, name: g}, admissionControl: {minSuccessRate: 101}}",
        "4: spec.admissionControl.minSuccessRate is \"101\", allowed 0 to 100",
    ),
    (
        "envoy-gateway",
        TRAFFIC,
        "metadata: {name: a}\nspec: {targetRef: {kind: Gateway, name: g}, admissionControl: {successCriteria: {http: {statusCodes: [99]}}}}",
        "4: spec.admissionControl.successCriteria.http.statusCodes[0] is \"99\", allowed 100 to 599",
    ),
    (
        "envoy-gateway",
        TRAFFIC,
        "metadata: {name: a}\nspec: {targetRef: {kind: Gateway, name: g}, circuitBreaker: {retryBudget: {percent: {numerator: 1, denominator: 0}}}}",
        "4: spec.circuitBreaker.retryBudget.percent.denominator is \"0\", allowed an integer from 1 on",
    ),
    (
        "gateway-api",
        BUDGET,
        "metadata: {name: a}\nspec:\n  targetRefs: [{kind: Service, name: s}]\n  retryConstraint: {budget: {percent: -5}}",
        "6: spec.retryConstraint.budget.percent is \"-5\", allowed a number from 0 on",
    ),
    (
        "gateway-api",
        HTTP,
        "metadata: {name: a}\nspec: {rules: [{backendRefs: [{name: s}], retry: {codes: [200]}}]}",
        "4: spec.rules[0].retry.codes[0] is \"200\", allowed 400 to 599",
    ),
    (
        "linkerd",
        SERVICE,
        "metadata:\n  name: a\n  annotations: {balancer.linkerd.io/failure-accrual: rate}",
        "5: metadata.annotations.balancer.linkerd.io/failure-accrual is \"rate\", allowed consecutive",
    ),
    (
        "linkerd",
        SERVICE,
        "metadata:\n  name: a\n  annotations:\n    balancer.linkerd.io/failure-accrual: consecutive\n    balancer.linkerd.io/failure-accrual-consecutive-max-penalty: 100ms",
        "7: metadata.annotations.balancer.linkerd.io/failure-accrual-consecutive-max-penalty is \"100ms\", allowed a longest penalty that is not below the shortest",
    ),
    (
        "linkerd",
        PROFILE,
        "metadata: {name: a}\nspec: {routes: [{name: r, isRetryable: perhaps}]}",
        "4: spec.routes[0].isRetryable is \"perhaps\", allowed true or false",
    ),
];

#[test]
fn wrong_values_are_named_with_their_line_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    let path = path.to_str().unwrap();
    for (system, head, rest, expected) in BAD {
        fs::write(path, format!("{head}{rest}\n")).unwrap();
        let output = import(system, &[path]);
        let expected = format!("{path}:{expected}\n");
        let found = (output.code, output.stderr, output.stdout.as_str());
        assert_eq!(found, (2, expected, ""));
    }
}

#[test]
fn a_file_without_anything_to_import_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.yaml");
    let path = path.to_str().unwrap();
    fs::write(path, format!("{SERVICE}metadata: {{name: a}}\n")).unwrap();
    for system in ["istio", "envoy-gateway", "gateway-api", "linkerd"] {
        let output = import(system, &[path]);
        let found = (output.code, output.stdout.as_str());
        assert_eq!(found, (1, ""), "{system}: {}", output.stderr);
        let nothing = format!("nothing to import in {path}");
        assert!(output.stderr.contains(&nothing), "{}", output.stderr);
    }
}

#[test]
fn rules_and_routes_of_several_files_are_one_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let rule = "metadata: {name: a}\nspec: {host: a, trafficPolicy: {outlierDetection: {}}}\n";
    let route = "metadata: {name: b}\nspec:\n  http:\n  - {route: [{destination: {host: a, port: \
                 {number: 80}}}], retries: {attempts: 1}}\n";
    let files = [("route.yaml", ROUTE, route), ("rule.yaml", RULE, rule)];
    let paths = files.map(|(name, head, rest)| {
        let path = folder.path().join(name);
        fs::write(&path, format!("{head}{rest}")).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let output = import("istio", &[&paths[0], &paths[1]]);
    let file: Value = serde_json::from_str(&output.stdout).unwrap();
    let policies = &file["policies"];
    assert_eq!([&policies[0]["name"], &policies[1]["name"]], ["b-0", "a"]);
    // The route's policy is the first to match, so it needs the breaker too.
    assert!(policies[0]["circuit_breaker"].is_object());
    assert_eq!(
        policies[0]["circuit_breaker"],
        policies[1]["circuit_breaker"]
    );
}

#[test]
fn a_policy_that_no_request_reaches_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.yaml");
    let path = path.to_str().unwrap();
    let rule = "metadata: {name: a}\nspec: {host: a, trafficPolicy: {outlierDetection: {}}}\n";
    let route = "metadata: {name: b}\nspec:\n  http:\n  - {route: [{destination: {host: a}}], \
                 retries: {attempts: 1}}\n";
    fs::write(path, format!("{RULE}{rule}---\n{ROUTE}{route}")).unwrap();
    let output = import("istio", &[path]);
    let file: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(file["policies"].as_array().unwrap().len(), 1);
    assert!(file["policies"][0]["circuit_breaker"].is_object());
    let left_out = "note: a is left out: every request that it matches has the policy b-0\n";
    assert!(output.stderr.contains(left_out), "{}", output.stderr);
}
