//! Resources for Envoy Gateway: the filter on a Gateway, and metric tags.
//!
//! Envoy Gateway gives each extension VMs of its own, with an id that it makes up, and knows no
//! failure policy besides open and closed. So there is no operators' listener here.

use super::arguments::Arguments;
use super::envoy::stats_tags;
use super::module::{Module, Place};
use super::policy::Policy;
use super::template::{fill, scalar};

const RESOURCES: &str = include_str!("envoy_gateway/resources.yaml");

/// Returns all resources, to be applied together.
pub(super) fn resources(arguments: &Arguments, module: &Module, policy: &Policy) -> String {
    let (kind, field, url) = match &module.place {
        Place::Web(url) => ("HTTP", "http", url.text.clone()),
        Place::Image(image) | Place::File(image) => ("Image", "image", image.clone()),
    };
    let values = [
        ("mode", policy.mode().to_owned()),
        (
            "namespace",
            scalar(arguments.namespace.as_deref().unwrap_or("default")),
        ),
        (
            "gateway",
            scalar(arguments.gateway.as_deref().unwrap_or("GATEWAY")),
        ),
        ("type", kind.to_owned()),
        ("field", field.to_owned()),
        ("url", scalar(&url)),
        ("sha256", module.checksum()),
        ("policy", policy.yaml()),
        ("tags", stats_tags()),
    ];
    fill(RESOURCES, &values)
}
