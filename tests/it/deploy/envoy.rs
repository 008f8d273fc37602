//! Plain Envoys: the bootstrap, and policies that are replaced while Envoy runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use spillway_tests::envoy::{Deployed, free_ports, validate};
use spillway_tests::{Upstream, eventually, places};

use super::{
    FAILURES, REQUESTS, circuits, deploy, documents, failing_requests, folder, started, touchy,
    write,
};

fn address(upstream: &Upstream) -> String {
    upstream.address().to_string()
}

#[tokio::test]
async fn a_deployed_policy_only_counts_until_it_enforces() {
    for enforce in [false, true] {
        let upstream = Upstream::start().await;
        let (module, address) = (places::module(), address(&upstream));
        let mut options = vec![
            "--upstream",
            &address,
            "--module",
            module.to_str().expect("text"),
        ];
        options.extend(enforce.then_some("--enforce"));
        let envoy = started(folder(), &deploy(&touchy("shop"), "envoy", &options), 2).await;
        failing_requests(&envoy, "ingress", &upstream).await;

        let kept = REQUESTS - FAILURES;
        let hits = if enforce { FAILURES } else { REQUESTS };
        assert_eq!(upstream.hits() as u64, hits, "enforce: {enforce}");
        let metric = if enforce {
            "spillway_rejected_requests_total"
        } else {
            "spillway_would_reject_requests_total"
        };
        envoy
            .expect_metric(metric, &[("policy", "shop")], kept)
            .await;
        let transition = [("policy", "shop"), ("from", "closed"), ("to", "open")];
        envoy
            .expect_metric("spillway_transitions_total", &transition, 1)
            .await;
        assert_eq!(
            circuits(&envoy, "operators").await["circuits"][0]["state"],
            "open"
        );
        assert_eq!(envoy.get("ingress", "/spillway/circuits").await.status, 503);
    }
}

#[test]
fn envoy_accepts_modules_from_everywhere_that_a_deployment_names() {
    let module = places::module();
    let sum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let rows: [&[&str]; 3] = [
        &["--module", module.to_str().expect("text")],
        &[
            "--module",
            "http://127.0.0.1:1/spillway.wasm",
            "--sha256",
            sum,
        ],
        &[
            "--module",
            "https://modules.example.com/a.wasm?b=c",
            "--sha256",
            sum,
        ],
    ];
    for options in rows {
        let [bootstrap] = documents(&deploy(&touchy("shop"), "envoy", options))
            .try_into()
            .expect("one document");
        validate(&bootstrap).unwrap_or_else(|log| panic!("{options:?}: {log}"));
    }
}

/// How a policy reaches Envoy while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    /// The file is replaced by a move.
    Move,
    /// The file is a link into a folder that is itself a link, which is replaced: a `ConfigMap`.
    Link,
}

/// Rows of targets: the file with the policy, and the counters of accepted and refused updates.
const TARGETS: [(&str, &str, &str, &str); 2] = [
    (
        "envoy-ecds",
        "ecds.yaml",
        "extension_config_discovery.http_filter.spillway.update_success",
        "extension_config_discovery.http_filter.spillway.update_rejected",
    ),
    (
        "envoy-lds",
        "lds.yaml",
        "listener_manager.lds.update_success",
        "listener_manager.lds.update_rejected",
    ),
];

#[tokio::test]
async fn a_replaced_file_replaces_the_policy_and_a_bad_one_does_not() {
    for (target, file, accepted, refused) in TARGETS {
        for by in [By::Move, By::Link] {
            let upstream = Upstream::start().await;
            let folder = folder();
            let stage = |policy: &str, folder: &Path| staged(target, policy, folder, &upstream);
            let [bootstrap, first] = stage("first", folder.path());
            put(folder.path(), file, &first, by, 1);
            let envoy = started(folder, &bootstrap, 2).await;
            counted_under(&envoy, "first").await;

            let before = envoy.stat(accepted).await;
            let [_, second] = stage("second", envoy.folder());
            put(envoy.folder(), file, &second, by, 2);
            eventually("the second policy", async || {
                envoy.stat(accepted).await > before
            })
            .await;
            counted_under(&envoy, "second").await;

            let bad = second.replace("\"second\"", "\"not a name\"");
            put(envoy.folder(), file, &bad, by, 3);
            eventually(&format!("a refusal of {target} by {by:?}"), async || {
                envoy.stat(refused).await >= 1
            })
            .await;
            counted_under(&envoy, "second").await;
        }
    }
}

/// The bootstrap and the file with the policy, as `host-sim deploy` writes them for this folder.
fn staged(target: &str, policy: &str, folder: &Path, upstream: &Upstream) -> [String; 2] {
    let stage = super::folder();
    let (to, module, address) = (stage.path(), places::module(), address(upstream));
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let (output, module) = (text(to), text(&module));
    let options = ["--upstream", &address, "--module", &module, "-o", &output];
    assert_eq!(deploy(&touchy(policy), target, &options), "");
    let names: Vec<_> = fs::read_dir(to).expect("a folder").collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let file = target.replace("envoy-", "") + ".yaml";
    ["envoy.yaml", &file].map(|name| {
        let written = fs::read_to_string(to.join(name)).expect("a file");
        free_ports(&written.replace(&output, &text(folder)))
    })
}

/// Puts a file in its place, as its `number`th version.
fn put(folder: &Path, name: &str, text: &str, by: By, number: u32) {
    match by {
        By::Move => {
            write(folder, "next", text);
            fs::rename(folder.join("next"), folder.join(name)).expect("a move");
        }
        By::Link => {
            let version = format!("..version_{number}");
            fs::create_dir(folder.join(&version)).expect("a writable folder");
            write(&folder.join(&version), name, text);
            symlink(&version, folder.join("..next")).expect("a link");
            fs::rename(folder.join("..next"), folder.join("..data")).expect("a move");
            if number == 1 {
                symlink(format!("..data/{name}"), folder.join(name)).expect("a link");
            }
        }
    }
}

/// Sends a request, and waits until this policy has counted one more.
async fn counted_under(envoy: &Deployed, policy: &str) {
    let labels = [("policy", policy), ("outcome", "success")];
    let count = async || {
        envoy
            .metrics()
            .await
            .value("spillway_requests_total", &labels)
    };
    let before = count().await;
    eventually(&format!("a request counted under {policy}"), async || {
        assert_eq!(envoy.get("ingress", "/").await.status, 200);
        count().await > before
    })
    .await;
}
