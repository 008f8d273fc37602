//! Writes an OCI image layout of both modules, for `make oci`.
//!
//! Prints what a manifest needs of each image: its tag, the digest of the image, and the checksum
//! of the module in it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

use spillway_tests::oci::{Tagged, sha256, write_layout};
use spillway_tests::places;

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("oci: name the folder to write");
        return ExitCode::from(2);
    };
    match write(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oci: {} cannot be written: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &PathBuf) -> io::Result<()> {
    let (full, lite) = (
        fs::read(places::module())?,
        fs::read(places::lite_module())?,
    );
    let version = env!("CARGO_PKG_VERSION");
    let images = [
        Tagged {
            tag: version.to_owned(),
            title: "spillway",
            description: "Circuit breaking, retry budgets and fallbacks for Envoy",
            module: &full,
        },
        Tagged {
            tag: format!("{version}-lite"),
            title: "spillway-lite",
            description: "Circuit breaking for Envoy, without a look at bodies and responses",
            module: &lite,
        },
    ];
    // Blobs of an earlier build would stay otherwise.
    if folder.join("oci-layout").exists() {
        fs::remove_dir_all(folder)?;
    }
    let digests = write_layout(folder, &images)?;
    for (image, digest) in images.iter().zip(digests) {
        println!(
            "{}: image {digest}, module sha256:{}",
            image.tag,
            sha256(image.module)
        );
    }
    Ok(())
}
