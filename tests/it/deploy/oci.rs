//! The image of the module: pulled from a registry, and run.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;
use spillway_tests::oci::{MODULE, Tagged, sha256, write_layout};
use spillway_tests::{Client, Reply, Upstream, places};

use super::{deploy, folder, started, touchy};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What Istio's agent and Envoy Gateway accept.
const ACCEPTED: &str = "application/vnd.docker.distribution.manifest.v1+json,\
    application/vnd.docker.distribution.manifest.v1+prettyjws,\
    application/vnd.docker.distribution.manifest.v2+json,\
    application/vnd.oci.image.manifest.v1+json,\
    application/vnd.docker.distribution.manifest.list.v2+json,\
    application/vnd.oci.image.index.v1+json";

fn write(folder: &Path, module: &[u8]) -> Vec<String> {
    let image = Tagged {
        tag: "1".into(),
        title: "spillway",
        description: "a filter",
        module,
    };
    write_layout(folder, &[image]).expect("a writable folder")
}

#[test]
fn the_same_module_is_the_same_image_and_another_one_is_not() {
    let (first, second, third) = (folder(), folder(), folder());
    let module = fs::read(places::module()).expect("a module");
    let digests = write(first.path(), &module);
    assert_eq!(digests, write(second.path(), &module));
    assert_eq!(files(first.path()), files(second.path()));
    assert_ne!(digests, write(third.path(), &module[1..]));
}

/// All files under a folder, with their contents.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let blobs = fs::read_dir(folder.join("blobs/sha256")).expect("blobs");
    let blobs = blobs.map(|entry| entry.expect("an entry").file_name().into_string());
    let blobs = blobs.map(|name| format!("blobs/sha256/{}", name.expect("a readable name")));
    let mut names: Vec<String> = blobs
        .chain(["index.json".into(), "oci-layout".into()])
        .collect();
    names.sort();
    let read = |name: String| {
        let bytes = fs::read(folder.join(&name)).expect("a file");
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

#[tokio::test]
async fn envoy_runs_a_module_that_was_pulled_from_a_registry() {
    let layout = folder();
    let module = fs::read(places::module()).expect("a module");
    let digests = write(layout.path(), &module);
    let registry = registry(layout.path()).await;
    let pulled = pull(&registry, "1", &digests[0]).await;
    assert_eq!(pulled, module);

    let upstream = Upstream::start().await;
    let modules = Upstream::start().await;
    modules.reply_on("/spillway.wasm", Reply::status(200).body(pulled.clone()));
    let url = format!("http://{}/spillway.wasm", modules.address());
    let address = upstream.address().to_string();
    let sum = sha256(&pulled);
    let options = ["--module", &url, "--sha256", &sum, "--upstream", &address];
    let envoy = started(folder(), &deploy(&touchy("pulled"), "envoy", &options), 2).await;
    assert_eq!(envoy.get("ingress", "/").await.status, 200);
    let labels = [("policy", "pulled"), ("outcome", "success")];
    envoy
        .expect_metric("spillway_requests_total", &labels, 1)
        .await;
    assert!(modules.hits_on("/spillway.wasm") > 0);
}

#[test]
fn an_image_says_what_it_is() {
    let layout = folder();
    let digests = write(layout.path(), b"module");
    let read = |path: &str| -> Value {
        let text = fs::read_to_string(layout.path().join(path)).expect("a file");
        serde_json::from_str(&text).expect("JSON")
    };
    let index = read("index.json");
    let tag = &index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"];
    assert_eq!(
        (tag, &index["manifests"][0]["digest"]),
        (&"1".into(), &digests[0].as_str().into())
    );
    assert_eq!(read("oci-layout")["imageLayoutVersion"], "1.0.0");
    let manifest = read(&format!(
        "blobs/sha256/{}",
        digests[0].replace("sha256:", "")
    ));
    assert_eq!(manifest["mediaType"], MANIFEST);
    let annotations = &manifest["annotations"];
    for (name, value) in [
        ("org.opencontainers.image.title", "spillway"),
        ("org.opencontainers.image.description", "a filter"),
        (
            "org.opencontainers.image.version",
            env!("CARGO_PKG_VERSION"),
        ),
        ("org.opencontainers.image.licenses", "Apache-2.0"),
        ("module.wasm.image/variant", "compat"),
    ] {
        assert_eq!(annotations[name], value, "{name}");
    }
}

/// A registry with the images of a layout, under the name `spillway`.
async fn registry(layout: &Path) -> Upstream {
    let registry = Upstream::start().await;
    registry.reply(Reply::status(404));
    registry.reply_on("/v2/", Reply::status(200));
    for (name, bytes) in files(layout) {
        if let Some(digest) = name.strip_prefix("blobs/sha256/") {
            let path = format!("/v2/spillway/blobs/sha256:{digest}");
            registry.reply_on(&path, Reply::status(200).body(bytes));
        }
    }
    let index = fs::read(layout.join("index.json")).expect("an index");
    let index: Value = serde_json::from_slice(&index).expect("JSON");
    for image in index["manifests"].as_array().expect("images") {
        let digest = image["digest"].as_str().expect("a digest");
        let path = format!("blobs/sha256/{}", digest.replace("sha256:", ""));
        let bytes = fs::read(layout.join(path)).expect("a blob");
        let tag = image["annotations"]["org.opencontainers.image.ref.name"].as_str();
        for reference in [digest, tag.expect("a tag")] {
            let manifest = Reply::status(200)
                .header("content-type", image["mediaType"].as_str().expect("a type"))
                .header("docker-content-digest", digest)
                .body(bytes.clone());
            registry.reply_on(&format!("/v2/spillway/manifests/{reference}"), manifest);
        }
    }
    registry
}

/// Pulls a module as the agent of a sidecar does: the manifest by its tag, then its last layer,
/// both checked by their digests, and from it the file with the module.
async fn pull(registry: &Upstream, tag: &str, digest: &str) -> Vec<u8> {
    let client = Client::new(registry.address());
    assert_eq!(client.get("/v2/").await.status, 200);
    let path = format!("/v2/spillway/manifests/{tag}");
    let answer = client.get_with(&path, &[("accept", ACCEPTED)]).await;
    assert_eq!(answer.status, 200);
    assert!(ACCEPTED.contains(answer.header("content-type")));
    assert_eq!(format!("sha256:{}", sha256(&answer.body)), digest);
    let manifest = answer.json();
    let layer = manifest["layers"]
        .as_array()
        .and_then(|layers| layers.last());
    let layer = layer.expect("a layer");
    assert_eq!(layer["mediaType"], LAYER);
    let digest = layer["digest"].as_str().expect("a digest");
    let blob = client.get(&format!("/v2/spillway/blobs/{digest}")).await;
    assert_eq!(blob.status, 200);
    assert_eq!(format!("sha256:{}", sha256(&blob.body)), digest);
    assert_eq!(blob.body.len() as u64, layer["size"]);
    unpacked(&blob.body).expect("an archive with the module")
}

fn unpacked(layer: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(GzDecoder::new(layer));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.file_name().is_some_and(|name| name == MODULE) {
            let mut module = Vec::new();
            entry.read_to_end(&mut module)?;
            return Ok(module);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}
