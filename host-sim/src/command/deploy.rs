//! `host-sim deploy`: the configuration that runs a policy, complete and in shadow mode.
//!
//! A policy alone runs nowhere: it needs the filter's stanza with a failure policy, tags that turn
//! metric names into labels, and a listener for operators. Each target has a template with all of
//! it, and the metric tags of all targets are those of `policies/deploy/envoy.yaml`. What is
//! written is for the user to keep and to edit, so templates are text: comments stay.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::Failure;
use super::run::{unwritable, write};

mod arguments;
mod envoy;
mod envoy_gateway;
mod istio;
mod module;
mod policy;
mod template;

pub use arguments::Arguments;
use arguments::Target;
use module::Module;
use policy::Policy;

/// Writes the configuration, and says what of the policy was changed.
///
/// # Errors
///
/// [`Failure::Policy`] if the filter would reject the policy, [`Failure::Usage`] if a file cannot
/// be read or written, or an option is not for this target.
pub fn run(
    arguments: &Arguments,
    out: &mut dyn Write,
    messages: &mut dyn Write,
) -> Result<(), Failure> {
    arguments.check()?;
    let module = Module::new(arguments)?;
    let policy = Policy::read(arguments)?;
    for note in &policy.notes {
        writeln!(messages, "{}: {note}", arguments.policy.display())?;
    }
    let text = match arguments.target {
        Target::Envoy => envoy::bootstrap(arguments, &module, &policy)?,
        Target::Istio => istio::resources(arguments, &module, &policy),
        Target::EnvoyGateway => envoy_gateway::resources(arguments, &module, &policy),
        Target::EnvoyEcds | Target::EnvoyLds => {
            let needed = || {
                let target = arguments.target.name();
                Failure::Usage(format!(
                    "--for {target} writes two files: name a folder by -o"
                ))
            };
            let folder = arguments.output.as_deref().ok_or_else(needed)?;
            for file in envoy::files(arguments, &module, &policy, folder)? {
                replace(&folder.join(file.name), &file.text)?;
            }
            return Ok(());
        }
    };
    match &arguments.output {
        Some(path) => {
            create_folder(path)?;
            write(path, &text)
        }
        None => Ok(out.write_all(text.as_bytes())?),
    }
}

/// Replaces a file as a whole, by a move: a proxy that watches it never reads half of it.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    create_folder(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let next = path.with_file_name(format!(".{name}.new"));
    let moved = fs::write(&next, text).and_then(|()| fs::rename(&next, path));
    if moved.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&next);
    }
    moved.map_err(|error| unwritable(path, &error))
}

/// Creates the folder of a file.
fn create_folder(path: &Path) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let created = folder.map_or(Ok(()), fs::create_dir_all);
    created.map_err(|error| unwritable(path, &error))
}

#[cfg(test)]
mod tests;
