//! The options of `host-sim deploy`.

use std::path::PathBuf;

use crate::command::Failure;

/// Writes the configuration that deploys a policy.
#[derive(clap::Args)]
pub struct Arguments {
    /// What the configuration is for. With envoy-ecds and envoy-lds, Envoy takes the policy from a
    /// file of its own, which can be replaced while it runs
    #[arg(long = "for", value_enum, value_name = "TARGET")]
    pub(super) target: Target,
    /// A policy file
    #[arg(value_name = "POLICY")]
    pub(super) policy: PathBuf,
    /// Write to a file in place of stdout. With envoy-ecds and envoy-lds, write two files into this
    /// folder
    #[arg(short, long, value_name = "PATH")]
    pub(super) output: Option<PathBuf>,
    /// Reject and retry. Without it, policies that would only count what they would have done;
    /// those with another mode, such as forced_open, keep it
    #[arg(long)]
    pub(super) enforce: bool,
    /// Where the proxy finds the module: a path, an http(s) URL, or an image for Istio and Envoy
    /// Gateway [default: /etc/envoy/spillway.wasm, or an image to be named]
    #[arg(long, value_name = "PATH_OR_URL")]
    pub(super) module: Option<String>,
    /// Checksum of the module, or digest of its image. Envoy needs it for a URL
    #[arg(long, value_name = "HEX")]
    pub(super) sha256: Option<String>,
    /// The service behind Envoy [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) upstream: Option<String>,
    /// Write a TrafficExtension, which Istio has since 1.30, in place of a WasmPlugin
    #[arg(long)]
    pub(super) traffic_extension: bool,
    /// Namespace of the resources for Kubernetes [default: default]
    #[arg(long, value_name = "NAME")]
    pub(super) namespace: Option<String>,
    /// Label of the pods whose sidecars get the policy [default: app=CALLER]
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) selector: Option<String>,
    /// The Gateway that gets the policy [default: GATEWAY]
    #[arg(long, value_name = "NAME")]
    pub(super) gateway: Option<String>,
}

/// The proxy that reads the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Target {
    Envoy,
    EnvoyEcds,
    EnvoyLds,
    Istio,
    EnvoyGateway,
}

impl Target {
    /// Returns whether a plain Envoy reads the configuration.
    pub(super) fn is_envoy(self) -> bool {
        matches!(self, Target::Envoy | Target::EnvoyEcds | Target::EnvoyLds)
    }

    /// Returns the name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Target::Envoy => "envoy",
            Target::EnvoyEcds => "envoy-ecds",
            Target::EnvoyLds => "envoy-lds",
            Target::Istio => "istio",
            Target::EnvoyGateway => "envoy-gateway",
        }
    }
}

impl Arguments {
    /// Refuses an option that does not apply to the target, or whose value is not valid.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] with the option.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let target = self.target;
        let (envoy, istio) = (target.is_envoy(), target == Target::Istio);
        let options = [
            ("--upstream", self.upstream.is_some(), envoy),
            ("--traffic-extension", self.traffic_extension, istio),
            ("--namespace", self.namespace.is_some(), !envoy),
            ("--selector", self.selector.is_some(), istio),
            (
                "--gateway",
                self.gateway.is_some(),
                target == Target::EnvoyGateway,
            ),
        ];
        if let Some((option, ..)) = options.iter().find(|(_, given, fits)| *given && !fits) {
            return Err(Failure::Usage(format!(
                "{option} is not for {}",
                target.name()
            )));
        }
        let values = [
            (
                "--namespace",
                &self.namespace,
                is_name as fn(&str) -> bool,
                NAME,
            ),
            ("--gateway", &self.gateway, is_name, NAME),
            ("--selector", &self.selector, is_selector, "KEY=VALUE"),
        ];
        for (option, value, is_valid, allowed) in values {
            if let Some(value) = value.as_deref().filter(|it| !is_valid(it)) {
                let text = format!("{option} is {value:?}, allowed {allowed}");
                return Err(Failure::Usage(text));
            }
        }
        Ok(())
    }
}

const NAME: &str = "a name of small letters, digits, - and .";

/// Whether Kubernetes takes a text as the name of a resource.
fn is_name(text: &str) -> bool {
    let is_inner = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "-.".contains(it);
    let is_outer = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit();
    text.starts_with(is_outer) && text.ends_with(is_outer) && text.chars().all(is_inner)
}

/// Whether a text is one label. Kubernetes allows a label without a value.
fn is_selector(text: &str) -> bool {
    let is_part = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    let is_value = |text: &str| text.chars().all(is_part);
    let Some((key, value)) = text.split_once('=') else {
        return false;
    };
    let (prefix, name) = key.split_once('/').unwrap_or(("x", key));
    is_name(prefix) && !name.is_empty() && is_value(name) && is_value(value)
}
