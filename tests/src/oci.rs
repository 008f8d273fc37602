//! An image of the module, as proxies pull it from a registry.
//!
//! Istio and Envoy Gateway read the "compat" variant of Wasm images: an ordinary OCI image whose
//! last layer is a compressed archive with a file `plugin.wasm`. It has no date and nothing of the
//! machine: the same module is the same image, with the same digest.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use oci_spec::image::{
    ANNOTATION_DESCRIPTION, ANNOTATION_LICENSES, ANNOTATION_REF_NAME, ANNOTATION_TITLE,
    ANNOTATION_VERSION, Arch, Descriptor, DescriptorBuilder, ImageConfigurationBuilder,
    ImageIndexBuilder, ImageManifestBuilder, MediaType, OciLayoutBuilder, Os, RootFsBuilder,
    Sha256Digest,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tar::Header;

/// The file that proxies look for in the last layer.
pub const MODULE: &str = "plugin.wasm";

/// Version of the image layout and of its documents.
const LAYOUT: &str = "1.0.0";
const SCHEMA: u32 = 2;

/// Says which variant of Wasm images this is.
const VARIANT: (&str, &str) = ("module.wasm.image/variant", "compat");

/// A module with the tag of its image.
pub struct Tagged<'a> {
    pub tag: String,
    pub title: &'a str,
    pub description: &'a str,
    pub module: &'a [u8],
}

/// Writes an image layout with an image of each module, and returns their digests.
///
/// # Errors
///
/// If the folder cannot be written.
pub fn write_layout(folder: &Path, images: &[Tagged<'_>]) -> io::Result<Vec<String>> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let mut manifests = Vec::new();
    for image in images {
        manifests.push(write_image(&blobs, image)?);
    }
    let digests = manifests
        .iter()
        .map(|image| image.digest().to_string())
        .collect();
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .build();
    fs::write(
        folder.join("index.json"),
        json(&index.map_err(io::Error::other)?)?,
    )?;
    let layout = OciLayoutBuilder::default()
        .image_layout_version(LAYOUT)
        .build();
    fs::write(
        folder.join("oci-layout"),
        json(&layout.map_err(io::Error::other)?)?,
    )?;
    Ok(digests)
}

/// The checksum of some bytes, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn write_image(blobs: &Path, image: &Tagged<'_>) -> io::Result<Descriptor> {
    let archive = archive(image.module)?;
    let layer = write_blob(blobs, MediaType::ImageLayerGzip, &compressed(&archive)?)?;
    let files = RootFsBuilder::default()
        .typ("layers")
        .diff_ids([format!("sha256:{}", sha256(&archive))])
        .build();
    let config = ImageConfigurationBuilder::default()
        .architecture(Arch::Wasm)
        .os(Os::Other("wasip1".into()))
        .rootfs(files.map_err(io::Error::other)?)
        .build();
    let config = json(&config.map_err(io::Error::other)?)?;
    let config = write_blob(blobs, MediaType::ImageConfig, &config)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers([layer])
        .annotations(annotations(image))
        .build();
    let manifest = json(&manifest.map_err(io::Error::other)?)?;
    let written = write_blob(blobs, MediaType::ImageManifest, &manifest)?;
    let name = HashMap::from([(ANNOTATION_REF_NAME.to_owned(), image.tag.clone())]);
    let tagged = DescriptorBuilder::default()
        .media_type(MediaType::ImageManifest)
        .size(written.size())
        .digest(written.digest().clone())
        .annotations(name)
        .build();
    tagged.map_err(io::Error::other)
}

fn annotations(image: &Tagged<'_>) -> HashMap<String, String> {
    let annotations = [
        (ANNOTATION_TITLE, image.title),
        (ANNOTATION_DESCRIPTION, image.description),
        (ANNOTATION_VERSION, env!("CARGO_PKG_VERSION")),
        (ANNOTATION_LICENSES, env!("CARGO_PKG_LICENSE")),
        VARIANT,
    ];
    annotations
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// An archive of the module alone, which names no user, group or time.
fn archive(module: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = Header::new_ustar();
    header.set_size(module.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, MODULE, module)?;
    archive.into_inner()
}

fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut writer = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::best());
    writer.write_all(bytes)?;
    writer.finish()
}

fn write_blob(blobs: &Path, media_type: MediaType, bytes: &[u8]) -> io::Result<Descriptor> {
    let sum = sha256(bytes);
    fs::write(blobs.join(&sum), bytes)?;
    let digest: Sha256Digest = sum.parse().map_err(io::Error::other)?;
    Ok(Descriptor::new(media_type, bytes.len() as u64, digest))
}

/// Writes a document with its fields in order. Annotations are hash maps, whose order is another
/// one each time, and so would be the digest.
fn json(document: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&serde_json::to_value(document)?)?)
}
