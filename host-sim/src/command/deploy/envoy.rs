//! Configuration of a plain Envoy, made of `policies/deploy/envoy.yaml`.
//!
//! That file is the example that users read and the one that every test of the project starts its
//! Envoys from. It becomes a template here: parts of its text are the places of values. A test
//! finds each of them, so that an edit of the file cannot miss one.

use std::path::Path;

use super::arguments::{Arguments, Target};
use super::module::{Module, Place, Url, host_and_port};
use super::policy::Policy;
use super::template::{dedented, fill, indented, scalar};
use crate::command::Failure;

/// A file to write into the folder of the configuration.
pub(super) struct Written {
    pub name: &'static str,
    pub text: String,
}

/// The shipped bootstrap.
const SHIPPED: &str = include_str!("../../../../policies/deploy/envoy.yaml");

/// Parts of the shipped bootstrap that are replaced, with the names of what replaces them.
const PLACES: [(&str, &str); 3] = [
    ("local: {filename: /etc/envoy/spillway.wasm}", "{{code}}"),
    (
        r#"{"policies": [], "admin": {"path_prefix": "/spillway"}}"#,
        "{{operators}}",
    ),
    ("{address: 127.0.0.1, port_value: 8080}", "{{upstream}}"),
];

/// First line of the filter's stanza, and the line that its policy follows.
const STANZA: &str = "          - name: spillway\n";
const POLICY: &str = "                  value: |\n";

/// Indentation of the policy's text, and of the stanza.
const POLICY_INDENT: usize = 20;
const STANZA_INDENT: usize = 10;

const LISTENERS: &str = "  listeners:\n";
const CLUSTERS: &str = "  clusters:\n";
const RESOURCES: &str = "static_resources:\n";

/// A name that Envoy needs to take anything from files.
const NODE: &str = "node: {id: spillway, cluster: spillway}\n";

/// Cluster of the server that has the module.
const MODULE_CLUSTER: &str = include_str!("envoy/module_cluster.yaml");

/// In the place of the filter's stanza, if it has a file of its own.
const DISCOVERY: &str = include_str!("envoy/discovery.yaml");

/// In the place of the listeners, if they have a file of their own.
const DYNAMIC: &str = include_str!("envoy/dynamic.yaml");

/// Returns a complete bootstrap.
///
/// # Errors
///
/// If the address of the upstream is not valid.
pub(super) fn bootstrap(
    arguments: &Arguments,
    module: &Module,
    policy: &Policy,
) -> Result<String, Failure> {
    let text = format!("{}{}", heading(arguments.target, policy), template());
    filled(&text, &[], arguments, module, policy)
}

/// Returns a bootstrap and the file from which the running Envoy takes its policy.
///
/// # Errors
///
/// If the address of the upstream is not valid.
pub(super) fn files(
    arguments: &Arguments,
    module: &Module,
    policy: &Policy,
    folder: &Path,
) -> Result<[Written; 2], Failure> {
    let template = template();
    let (name, bootstrap, resources) = match arguments.target {
        Target::EnvoyLds => {
            let (bootstrap, listeners) = without_listeners(&template);
            ("lds.yaml", bootstrap, listeners)
        }
        _ => {
            let (bootstrap, stanza) = without_stanza(&template);
            ("ecds.yaml", bootstrap, stanza)
        }
    };
    let (path, directory) = (folder.join(name), folder.display().to_string());
    let (path, directory) = (scalar(&path.display().to_string()), scalar(&directory));
    let places = [("path", path.as_str()), ("folder", directory.as_str())];
    let heading = heading(arguments.target, policy);
    let bootstrap = format!("{heading}{bootstrap}");
    let text = |template: &str| filled(template, &places, arguments, module, policy);
    Ok([
        Written {
            name: "envoy.yaml",
            text: text(&bootstrap)?,
        },
        Written {
            name,
            text: text(&format!("{REPLACE}{resources}"))?,
        },
    ])
}

const REPLACE: &str = "\
# The policy of a running Envoy. Write it anew by `host-sim deploy`, or replace it by a move: Envoy
# takes the new one at once, and keeps the old one if the filter refuses it.

";

fn heading(target: Target, policy: &Policy) -> String {
    let (name, mode) = (target.name(), policy.mode());
    format!("# Written by `host-sim deploy --for {name}`.\n# {mode}\n\n")
}

/// Returns the shipped bootstrap with places for values.
fn template() -> String {
    let (_, text) = SHIPPED.split_at(SHIPPED.find("\nadmin:\n").map_or(0, |at| at + 1));
    let text = PLACES.iter().fold(text.to_owned(), |text, (part, place)| {
        text.replace(part, place)
    });
    let Some((before, after)) = text.split_once(POLICY) else {
        return text;
    };
    let is_deep = |line: &&str| line.starts_with(&" ".repeat(POLICY_INDENT));
    let rest: String = after.split_inclusive('\n').skip_while(is_deep).collect();
    format!(
        "{before}{POLICY}{}{{{{policy}}}}\n{rest}",
        " ".repeat(POLICY_INDENT)
    )
}

/// Moves the listeners out of the bootstrap.
fn without_listeners(template: &str) -> (String, String) {
    let (head, rest) = template.split_once(LISTENERS).unwrap_or((template, ""));
    let (listeners, clusters) = rest.split_once(CLUSTERS).unwrap_or((rest, ""));
    let head = head.trim_end_matches(RESOURCES);
    let bootstrap = format!("{NODE}\n{head}{DYNAMIC}\n{RESOURCES}{CLUSTERS}{clusters}");
    let typed = "- \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n  name:";
    let listeners = dedented(listeners, 2);
    let listeners = match listeners.strip_prefix("- name:") {
        Some(first) => format!(
            "{typed}{}",
            first.replace("\n- name:", &format!("\n{typed}"))
        ),
        None => listeners,
    };
    (bootstrap, format!("resources:\n{}", listeners.trim_end()))
}

/// Moves the filter's stanza of the traffic out of the bootstrap.
fn without_stanza(template: &str) -> (String, String) {
    let (before, rest) = template.split_once(STANZA).unwrap_or((template, ""));
    let next = format!("\n{}- ", " ".repeat(STANZA_INDENT));
    let (stanza, after) = rest.split_at(rest.find(&next).map_or(rest.len(), |at| at + 1));
    let discovery = indented(DISCOVERY, &" ".repeat(STANZA_INDENT));
    let typed = "- \"@type\": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig\n";
    let stanza = dedented(stanza, STANZA_INDENT);
    (
        format!("{NODE}\n{before}{discovery}{after}"),
        format!("resources:\n{typed}  name: spillway\n{stanza}"),
    )
}

fn filled(
    template: &str,
    places: &[(&str, &str)],
    arguments: &Arguments,
    module: &Module,
    policy: &Policy,
) -> Result<String, Failure> {
    let given = arguments.upstream.as_deref().unwrap_or("127.0.0.1:8080");
    let wrong = || Failure::Usage(format!("--upstream is {given}, allowed HOST:PORT"));
    let (host, port) = host_and_port(given, 0)
        .filter(|(_, port)| *port != 0)
        .ok_or_else(wrong)?;
    let upstream = socket(&host, port);
    let cluster = match &module.place {
        Place::Web(url) => module_cluster(url),
        _ => String::new(),
    };
    let (code, json, operators) = (
        code(module, "spillway_module"),
        policy.json(),
        policy.operators(),
    );
    let own: [(&str, &str); 4] = [
        ("code", &code),
        ("policy", &json),
        ("operators", &operators),
        ("upstream", &upstream),
    ];
    let text = fill(template, &[places, &own].concat());
    Ok(match template.contains(CLUSTERS) {
        true => text + &cluster,
        false => text,
    })
}

fn socket(host: &str, port: u16) -> String {
    format!("{{address: {}, port_value: {port}}}", scalar(host))
}

fn module_cluster(url: &Url) -> String {
    let tls = match url.tls {
        true => include_str!("envoy/tls.yaml").replace("{{host}}", &scalar(&url.host)),
        false => String::new(),
    };
    let values = [("address", socket(&url.host, url.port)), ("tls", tls)];
    fill(MODULE_CLUSTER, &values)
}

/// Returns the `code` of a VM. A remote module is fetched from this cluster.
pub(super) fn code(module: &Module, cluster: &str) -> String {
    if let Place::File(path) = &module.place {
        return format!("local: {{filename: {}}}", scalar(path));
    }
    let url = scalar(&module.place.to_string());
    let uri = format!("http_uri:\n    uri: {url}\n    cluster: {cluster}\n    timeout: 30s");
    format!("remote:\n  {uri}\n  {}", module.checksum())
        .trim_end()
        .to_owned()
}

/// Returns the metric tags, as a YAML list.
pub(super) fn stats_tags() -> String {
    let (_, tags) = SHIPPED.split_once("  stats_tags:\n").unwrap_or_default();
    let is_tag = |line: &&str| line.starts_with("  ");
    let tags: String = tags.split_inclusive('\n').take_while(is_tag).collect();
    dedented(&tags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_value_is_in_the_shipped_bootstrap() {
        for (part, times) in PLACES.map(|(part, _)| part).into_iter().zip([2, 1, 1]) {
            assert_eq!(SHIPPED.matches(part).count(), times, "{part}");
        }
        for part in [
            "\nadmin:\n",
            RESOURCES,
            LISTENERS,
            CLUSTERS,
            "  stats_tags:\n",
        ] {
            assert_eq!(SHIPPED.matches(part).count(), 1, "{part}");
        }
        for part in [STANZA, POLICY] {
            assert_eq!(SHIPPED.matches(part).count(), 2, "{part}");
        }
    }
}
