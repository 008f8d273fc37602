use clap::Parser;
use serde_json::{Value, json};

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

/// Runs the command with a policy, and returns what it wrote and said.
fn deployed(policy: &str, options: &[&str]) -> Result<(String, String), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    fs::write(&path, policy).unwrap();
    let line = ["deploy", path.to_str().unwrap()]
        .into_iter()
        .chain(options.iter().copied());
    let arguments = Line::try_parse_from(line)
        .map_err(|error| error.to_string())?
        .arguments;
    let (mut out, mut messages) = (Vec::new(), Vec::new());
    let hidden = |text: String| text.replace(path.to_str().unwrap(), "policy.json");
    match run(&arguments, &mut out, &mut messages) {
        Ok(()) => {
            let text = |bytes| hidden(String::from_utf8(bytes).unwrap());
            Ok((text(out), text(messages)))
        }
        Err(failure) => Err(hidden(failure.to_string())),
    }
}

const PLAIN: &str = r#"{"$schema": "schema.json", "policies": [
    {"name": "plain", "circuit_breaker": {"window": {"type": "count", "size": 10}}}]}"#;

#[test]
fn options_and_policies_that_make_no_sense_are_refused() {
    const SUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let rows: &[(&str, &[&str], &str)] = &[
        ("{", &["--for", "envoy"], "policy.json: "),
        (
            "{\"policies\": []}",
            &["--for", "envoy"],
            "policies is [], allowed",
        ),
        (
            r#"{"policies": [{"name": "a b"}]}"#,
            &["--for", "istio"],
            "policies[0].name is \"a b\"",
        ),
        (
            r#"{"policies": [], "admin": {}}"#,
            &["--for", "envoy"],
            "has no policies to deploy",
        ),
        (
            PLAIN,
            &["--for", "envoy", "--namespace", "shop"],
            "--namespace is not for envoy",
        ),
        (
            PLAIN,
            &["--for", "istio", "--upstream", "a:1"],
            "--upstream is not for istio",
        ),
        (
            PLAIN,
            &["--for", "envoy-gateway", "--selector", "a=b"],
            "--selector is not for",
        ),
        (
            PLAIN,
            &["--for", "istio", "--gateway", "a"],
            "--gateway is not for istio",
        ),
        (
            PLAIN,
            &["--for", "envoy", "--traffic-extension"],
            "--traffic-extension is not for",
        ),
        (
            PLAIN,
            &["--for", "envoy-ecds"],
            "writes two files: name a folder by -o",
        ),
        (
            PLAIN,
            &["--for", "envoy", "--upstream", "a"],
            "--upstream is a, allowed HOST:PORT",
        ),
        (
            PLAIN,
            &["--for", "envoy", "--upstream", "a:b"],
            "--upstream is a:b, allowed HOST:PORT",
        ),
        (
            PLAIN,
            &["--for", "envoy", "--upstream", "::1:80"],
            "--upstream is ::1:80, allowed",
        ),
        (
            PLAIN,
            &["--for", "envoy", "--module", "oci://a/b"],
            "Envoy pulls no images",
        ),
        (
            PLAIN,
            &["--for", "envoy", "--module", "http://a/b"],
            "only with its --sha256",
        ),
        (
            PLAIN,
            &["--for", "envoy", "--module", "ftp://a/b"],
            "--module is ftp://a/b, allowed",
        ),
        (
            PLAIN,
            &["--for", "istio", "--module", "http:///b"],
            "--module is http:///b, allowed",
        ),
        (
            PLAIN,
            &["--for", "envoy-gateway", "--module", "file:///a"],
            "from images and URLs alone",
        ),
        (
            PLAIN,
            &["--for", "envoy", "--sha256", SUM],
            "nothing checks the --sha256",
        ),
        (
            PLAIN,
            &["--for", "istio", "--sha256", "AB"],
            "--sha256 is AB, allowed 64 digits",
        ),
        (
            PLAIN,
            &["--for", "istio", "--selector", "app"],
            "--selector is \"app\", allowed KEY=VALUE",
        ),
        (
            PLAIN,
            &["--for", "istio", "--selector", "=x"],
            "--selector is \"=x\", allowed KEY=VALUE",
        ),
        (
            PLAIN,
            &["--for", "istio", "--selector", "a=b,c=d"],
            "--selector is \"a=b,c=d\", allowed KEY=VALUE",
        ),
        (
            PLAIN,
            &["--for", "istio", "--namespace", ""],
            "--namespace is \"\", allowed a name",
        ),
        (
            PLAIN,
            &["--for", "envoy-gateway", "--gateway", "A"],
            "--gateway is \"A\", allowed a name",
        ),
    ];
    for (policy, options, expected) in rows {
        let told = deployed(policy, options).unwrap_err();
        assert!(told.contains(expected), "{options:?}: {told}");
    }
}

/// Rows of modes: in the policy, after a deployment, and after one with `--enforce`.
#[test]
fn policies_that_would_enforce_are_in_shadow_mode_unless_it_is_wanted() {
    let rows = [
        (None, Some("shadow"), None),
        (Some("enforce"), Some("shadow"), Some("enforce")),
        (Some("shadow"), Some("shadow"), Some("shadow")),
        (Some("disabled"), Some("disabled"), Some("disabled")),
        (
            Some("forced_open"),
            Some("forced_open"),
            Some("forced_open"),
        ),
        (
            Some("forced_closed"),
            Some("forced_closed"),
            Some("forced_closed"),
        ),
    ];
    for (before, watched, enforced) in rows {
        let mode = before.map_or(String::new(), |mode| format!(r#", "mode": "{mode}""#));
        let policy = format!(r#"{{"policies": [{{"name": "a"{mode}}}]}}"#);
        for (option, expected) in [(None, watched), (Some("--enforce"), enforced)] {
            let options: Vec<&str> = ["--for", "istio"].into_iter().chain(option).collect();
            let (text, told) = deployed(&policy, &options).unwrap();
            let resource = text.split("---").next().unwrap();
            let resource: Value = serde_saphyr::from_str(resource).unwrap();
            let mode = &resource["spec"]["pluginConfig"]["policies"][0]["mode"];
            assert_eq!(mode.as_str(), expected, "{before:?} {option:?}");
            let note = match before {
                _ if option.is_some() => String::new(),
                None | Some("enforce") => "is shadow: --enforce lets it act".into(),
                Some("shadow" | "disabled") => String::new(),
                Some(other) => format!("stays {other}"),
            };
            let is_told = match note.is_empty() {
                true => told.is_empty(),
                false => told == format!("policy.json: policies[0].mode {note}\n"),
            };
            assert!(is_told, "{before:?} {option:?}: {told}");
        }
    }
}

#[test]
fn what_operators_have_is_not_on_the_listener_of_the_traffic() {
    let policy = r#"{"policies": [{"name": "a"}], "admin": {"path_prefix": "/ops"}}"#;
    let (text, told) = deployed(policy, &["--for", "envoy", "--enforce"]).unwrap();
    assert_eq!(text.matches("admin\"").count(), 1);
    assert!(
        text.contains(r#"{"policies": [], "admin": {"path_prefix":"/ops"}}"#),
        "{text}"
    );
    assert!(
        told.contains("admin is on the operators' listener alone"),
        "{told}"
    );
}

#[test]
fn envoy_gateway_has_no_operators() {
    let policy = r#"{"policies": [{"name": "a"}], "admin": {"path_prefix": "/ops"}}"#;
    let (text, told) = deployed(policy, &["--for", "envoy-gateway", "--enforce"]).unwrap();
    assert!(!text.contains("/ops"), "{text}");
    assert_eq!(
        told,
        "policy.json: admin is left out: Envoy Gateway has no operators' listener\n"
    );
}

#[test]
fn a_link_stays_and_a_failure_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("file"), "old").unwrap();
    std::os::unix::fs::symlink("file", path("link")).unwrap();
    deployed(PLAIN, &["--for", "envoy", "-o", &path("link")]).unwrap();
    assert!(fs::symlink_metadata(path("link")).unwrap().is_symlink());
    assert!(fs::read_to_string(path("file")).unwrap().contains("plain"));

    fs::create_dir_all(path("out/ecds.yaml")).unwrap();
    for (target, name) in [("envoy", "out"), ("envoy-ecds", "out")] {
        let told = deployed(PLAIN, &["--for", target, "-o", &path(name)]).unwrap_err();
        assert!(told.contains("cannot be written"), "{told}");
    }
    let left = |folder| {
        fs::read_dir(folder)
            .unwrap()
            .map(|it| it.unwrap().file_name())
    };
    let hidden = |name: &std::ffi::OsString| name.to_string_lossy().starts_with('.');
    let names: Vec<_> = left(path(""))
        .chain(left(path("out")))
        .filter(hidden)
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_folder_with_the_name_of_a_place_stays_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("{{code}}").display().to_string();
    for (target, name) in [("envoy-ecds", "ecds.yaml"), ("envoy-lds", "lds.yaml")] {
        deployed(PLAIN, &["--for", target, "-o", &out]).unwrap();
        let text = fs::read_to_string(format!("{out}/envoy.yaml")).unwrap();
        let _: Value = serde_saphyr::from_str(&text).unwrap();
        assert!(text.contains(&format!("path: \"{out}/{name}\"")), "{text}");
    }
}

#[test]
fn fields_keep_their_order_and_the_schema_is_left_out() {
    let (text, _) = deployed(PLAIN, &["--for", "istio"]).unwrap();
    let at = |word: &str| {
        text.find(word)
            .unwrap_or_else(|| panic!("{word} in {text}"))
    };
    assert!(at("name: plain") < at("mode: shadow"));
    assert!(at("mode: shadow") < at("circuit_breaker:"));
    assert!(at("type: count") < at("size: 10"));
    assert!(!text.contains("schema.json"));
}

/// Texts that would mean something in YAML, or in a template.
const HOSTILE: &str = "one\n---\n{{operators}}\n\ttab  \n# no comment\n\n: - 'a' \"b\" \\ {c} on";

#[test]
fn a_policy_means_the_same_in_every_manifest() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_policy = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|it| it == "json") && !path.ends_with("schema.json")
    };
    let shipped = paths
        .filter(is_policy)
        .map(|path| fs::read_to_string(path).unwrap());
    let hostile = json!({"policies": [{"name": "a", "description": HOSTILE}]});
    for policy in shipped.chain([hostile.to_string()]) {
        let mut expected: Value = serde_json::from_str(&policy).unwrap();
        expected.as_object_mut().unwrap().remove("$schema");
        for (options, place) in [
            (&["--for", "istio"][..], "/spec/pluginConfig"),
            (
                &["--for", "istio", "--traffic-extension"],
                "/spec/wasm/pluginConfig",
            ),
            (&["--for", "envoy-gateway"], "/spec/wasm/0/config"),
        ] {
            let (text, _) = deployed(&policy, &[options, &["--enforce"]].concat()).unwrap();
            let resources: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            assert_eq!(resources[0].pointer(place), Some(&expected), "{options:?}");
        }
        let (text, _) = deployed(&policy, &["--for", "envoy", "--enforce"]).unwrap();
        let bootstrap: Value = serde_saphyr::from_str(&text).unwrap();
        let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
        let place = format!("{manager}/http_filters/0/typed_config/config/configuration/value");
        let text = bootstrap.pointer(&place).and_then(Value::as_str).unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), expected);
    }
}
