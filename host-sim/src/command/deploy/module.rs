//! Where the proxy finds the module.

use std::fmt;

use super::arguments::{Arguments, Target};
use super::template::scalar;
use crate::command::Failure;

/// Where plain Envoys find it by default.
const FILE: &str = "/etc/envoy/spillway.wasm";

/// The image that users have to name, with the version of this build.
const IMAGE: &str = concat!(
    "oci://registry.example.com/spillway:",
    env!("CARGO_PKG_VERSION")
);

/// A place that the target can load a module from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Module {
    pub place: Place,
    pub sha256: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A file in the proxy's file system.
    File(String),
    /// An HTTP URL.
    Web(Url),
    /// An image, without a scheme.
    Image(String),
}

/// An HTTP URL, with the parts that a cluster needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub text: String,
    pub host: String,
    pub port: u16,
    pub tls: bool,
}

impl Module {
    /// Returns the module that the arguments name, or the default of the target.
    ///
    /// # Errors
    ///
    /// If the target cannot load a module from there.
    pub(super) fn new(arguments: &Arguments) -> Result<Module, Failure> {
        let envoy = arguments.target.is_envoy();
        let default = if envoy { FILE } else { IMAGE };
        let given = arguments.module.as_deref().unwrap_or(default);
        let place = Place::parse(given, envoy)?;
        let module = Module {
            place,
            sha256: arguments.sha256.clone(),
        };
        match module.problem(arguments.target) {
            Some(why) => Err(Failure::Usage(why)),
            None => Ok(module),
        }
    }

    /// Returns the field with the checksum. Empty if there is none.
    pub(super) fn checksum(&self) -> String {
        let sha256 = self.sha256.as_deref();
        sha256.map_or(String::new(), |it| format!("sha256: {}", scalar(it)))
    }

    /// Returns why the target cannot load this module.
    fn problem(&self, target: Target) -> Option<String> {
        if let Some(sha256) = &self.sha256 {
            let digits = |text: &str| text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
            if sha256.len() != 64 || !digits(sha256) {
                return Some(format!(
                    "--sha256 is {sha256}, allowed 64 digits of 0-9 and a-f"
                ));
            }
        }
        let why = match (&self.place, &self.sha256) {
            (Place::Image(_), _) if target.is_envoy() => {
                "Envoy pulls no images: name a path, or a URL with its --sha256, by --module"
            }
            (Place::Web(_), None) if target.is_envoy() => {
                "Envoy loads a module from a URL only with its --sha256"
            }
            (Place::File(_), _) if target == Target::EnvoyGateway => {
                "Envoy Gateway loads modules from images and URLs alone: name one by --module"
            }
            (Place::File(_), Some(_)) => "nothing checks the --sha256 of a local file",
            _ => return None,
        };
        Some(why.into())
    }
}

impl Place {
    /// Reads a place. Without a scheme, it is a path for Envoy and an image for the others.
    fn parse(text: &str, is_envoy: bool) -> Result<Place, Failure> {
        let unknown = || {
            let schemes = "allowed a path, file://, http://, https:// and oci://";
            Failure::Usage(format!("--module is {text}, {schemes}"))
        };
        match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => Ok(Place::File(path.into())),
            Some(("oci", image)) if !image.is_empty() => Ok(Place::Image(image.into())),
            Some(("http", rest)) => Url::parse(text, rest, false)
                .map(Place::Web)
                .ok_or_else(unknown),
            Some(("https", rest)) => Url::parse(text, rest, true)
                .map(Place::Web)
                .ok_or_else(unknown),
            None if !text.is_empty() && is_envoy => Ok(Place::File(text.into())),
            None if !text.is_empty() => Ok(Place::Image(text.into())),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Place {
    /// Writes the place as a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => write!(f, "file://{path}"),
            Place::Web(url) => f.write_str(&url.text),
            Place::Image(image) => write!(f, "oci://{image}"),
        }
    }
}

impl Url {
    fn parse(text: &str, rest: &str, tls: bool) -> Option<Url> {
        let authority = rest
            .split('/')
            .next()
            .filter(|authority| !authority.is_empty())?;
        let (host, port) = host_and_port(authority, if tls { 443 } else { 80 })?;
        Some(Url {
            text: text.into(),
            host,
            port,
            tls,
        })
    }
}

/// Splits `host:port`, `host`, or `[v6]:port`. `None` if the host is empty or the port no number.
pub(super) fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, default),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    let is_valid = !host.is_empty() && (bare.is_some() || !host.contains(':'));
    is_valid.then(|| (host.to_owned(), port))
}
