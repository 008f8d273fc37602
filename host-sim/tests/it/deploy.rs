//! `host-sim deploy`: its resources for Kubernetes, by schemas of their CRDs' fields.
//!
//! The schemas know every field of the objects that a deployment writes, and refuse others, as an
//! API server does with a strict client. That the resources work is shown in a real Envoy, in the
//! tests of the workspace.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::commands::host_sim_in;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

const SHA256: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Rows of options.
const DEPLOYMENTS: [&[&str]; 8] = [
    &["--for", "istio"],
    &[
        "--for",
        "istio",
        "--enforce",
        "--namespace",
        "shop",
        "--selector",
        "app.kubernetes.io/name=a",
    ],
    &[
        "--for",
        "istio",
        "--module",
        "https://example.com/a.wasm",
        "--sha256",
        SHA256,
    ],
    &["--for", "istio", "--module", "file:///opt/spillway.wasm"],
    &["--for", "istio", "--traffic-extension", "--sha256", SHA256],
    &["--for", "envoy-gateway", "--gateway", "edge"],
    &[
        "--for",
        "envoy-gateway",
        "--module",
        "https://example.com/a.wasm",
        "--sha256",
        SHA256,
    ],
    &[
        "--for",
        "envoy-gateway",
        "--module",
        "localhost:5000/spillway:1",
        "--sha256",
        SHA256,
    ],
];

#[test]
fn the_resources_of_every_shipped_policy_have_the_fields_of_their_crds() {
    let schemas = Schemas::read();
    for policy in policies() {
        for options in DEPLOYMENTS {
            let line = [&["deploy", &policy], options].concat();
            let output = host_sim_in(&root(), &line);
            assert_eq!(output.code, 0, "{}", output.all());
            for document in documents(&output.stdout) {
                let problems = schemas.problems(&document);
                assert!(problems.is_empty(), "{line:?}: {problems:#?}");
            }
        }
    }
}

#[test]
fn the_shipped_resources_have_the_fields_of_their_crds() {
    let folder = root().join("policies/deploy");
    let schemas = Schemas::read();
    let mut kinds = Vec::new();
    for file in [
        "istio.yaml",
        "istio-traffic-extension.yaml",
        "istio-route.yaml",
        "envoy-gateway.yaml",
    ] {
        for document in documents(&fs::read_to_string(folder.join(file)).unwrap()) {
            let problems = schemas.problems(&document);
            assert!(problems.is_empty(), "{file}: {problems:#?}");
            kinds.push(document["kind"].as_str().unwrap().to_owned());
        }
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "EnvoyExtensionPolicy",
            "EnvoyFilter",
            "EnvoyProxy",
            "TrafficExtension",
            "VirtualService",
            "WasmPlugin",
        ]
    );
}

/// Rows of changes to shipped resources: the file, the document, a place in it, and a value that
/// its API server would refuse there.
#[test]
fn the_schemas_refuse_what_the_crds_do_not_have() {
    let rows = [
        ("istio.yaml", 0, "/spec/failStrategy", json!("FAIL_RESTART")),
        ("istio.yaml", 0, "/spec/config", json!({})),
        (
            "istio.yaml",
            0,
            "/spec/url",
            json!("ftp://example.com/a.wasm"),
        ),
        ("istio.yaml", 0, "/spec/targetRefs", json!([])),
        ("istio.yaml", 0, "/metadata/name", json!("Spillway")),
        (
            "istio.yaml",
            1,
            "/spec/configPatches/0/applyTo",
            json!("BOOT"),
        ),
        (
            "istio.yaml",
            2,
            "/spec/configPatches/0/patch/op",
            json!("ADD"),
        ),
        (
            "istio-traffic-extension.yaml",
            0,
            "/spec/url",
            json!("oci://example.com/a"),
        ),
        (
            "istio-traffic-extension.yaml",
            0,
            "/spec/wasm/sha256",
            json!("0"),
        ),
        (
            "istio-traffic-extension.yaml",
            0,
            "/spec/lua",
            json!({"inlineCode": "a"}),
        ),
        (
            "istio-route.yaml",
            0,
            "/spec/http/0/match/0/headers/x-checkout/suffix",
            json!("a"),
        ),
        (
            "envoy-gateway.yaml",
            0,
            "/spec/wasm/0/failurePolicy",
            json!("FAIL_RELOAD"),
        ),
        (
            "envoy-gateway.yaml",
            0,
            "/spec/wasm/0/code/http",
            json!({"url": "https://a/b"}),
        ),
        (
            "envoy-gateway.yaml",
            0,
            "/spec/targetRefs/0/kind",
            json!("Service"),
        ),
        (
            "envoy-gateway.yaml",
            1,
            "/spec/bootstrap/type",
            json!("Add"),
        ),
    ];
    let schemas = Schemas::read();
    for (file, at, place, value) in rows {
        let text = fs::read_to_string(root().join("policies/deploy").join(file)).unwrap();
        let mut document = documents(&text).swap_remove(at);
        let (parent, field) = place.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[field] = value;
        assert!(!schemas.problems(&document).is_empty(), "{file}: {place}");
    }
}

/// A schema of each kind.
struct Schemas(BTreeMap<String, Validator>);

impl Schemas {
    fn read() -> Schemas {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/deploy/schemas");
        let schemas = fs::read_dir(folder).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            let kind = path.file_stem().unwrap().to_string_lossy().into_owned();
            let schema = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (kind, jsonschema::validator_for(&schema).unwrap())
        });
        Schemas(schemas.collect())
    }

    /// What the schema of its kind says against a resource.
    fn problems(&self, resource: &Value) -> Vec<String> {
        let validator = &self.0[resource["kind"].as_str().unwrap()];
        let errors = validator.iter_errors(resource);
        errors
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// The policies that are shipped.
fn policies() -> Vec<String> {
    let entries = fs::read_dir(root().join("policies")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let policies = names.filter(|name| name.ends_with(".json") && name != "schema.json");
    policies.map(|name| format!("policies/{name}")).collect()
}
