//! The settings that apply to one instance: its own, those of its config, those of the default.

use crate::command::import::context::Import;
use crate::command::import::node::Node;
use crate::command::import::settings::{Setting, canonical};

/// The modules that become parts of a policy.
pub(super) const MODULES: [&str; 3] = ["circuitbreaker", "retry", "timelimiter"];

/// Deepest chain of `baseConfig`.
const BASES_MAX: usize = 16;

/// The config that others inherit from.
const DEFAULT: &str = "default";

/// Returns whether a setting is of an instance (`backends` is the old word) or a config of a
/// module that is imported.
pub(super) fn is_of(setting: &Setting, kind: &str) -> bool {
    setting.path.len() > 4 && is_in(setting, kind)
}

/// Returns whether a setting is the name of an instance or config, with nothing below it.
pub(super) fn is_bare(setting: &Setting, kind: &str) -> bool {
    let is_empty = |node: &&Node| node.text().is_none_or(str::is_empty) && node.items().is_empty();
    setting.path.len() == 4 && is_in(setting, kind) && setting.nodes.iter().all(is_empty)
}

fn is_in(setting: &Setting, kind: &str) -> bool {
    let Some([_, module, section]) = setting.path.get(..3) else {
        return false;
    };
    let section = canonical(section);
    let section = if section == "backends" {
        "instances"
    } else {
        section.as_str()
    };
    MODULES.contains(&canonical(module).as_str()) && section == kind
}

/// Returns the canonical name of a setting within its instance.
pub(super) fn key(setting: &Setting) -> String {
    // Environment variables have a word in several parts.
    setting.key(4).replace('.', "")
}

/// The settings of one instance in one module: its own first, then those of its bases.
pub(super) struct Effective<'s, 'a> {
    layers: Vec<Vec<&'s Setting<'a>>>,
}

impl<'s, 'a> Effective<'s, 'a> {
    /// Returns a setting by one of its canonical names: the current one, and older ones.
    pub(super) fn setting(&self, names: &[&str]) -> Option<&'s Setting<'a>> {
        self.layers.iter().find_map(|layer| {
            let mut settings = layer.iter().copied();
            settings.find(|setting| names.contains(&key(setting).as_str()))
        })
    }

    /// Returns the settings of the layer that has one of these, and with `is_merged` those of the
    /// layers below too. Nothing is in it if no layer has one.
    pub(super) fn beside(&self, names: &[&str], is_merged: bool) -> Effective<'s, 'a> {
        let has = |layer: &Vec<&Setting>| {
            let mut keys = layer.iter().map(|setting| key(setting));
            keys.any(|key| names.contains(&key.as_str()))
        };
        let layers = self.layers.iter().skip_while(|layer| !has(layer)).cloned();
        Effective {
            layers: layers.take(if is_merged { BASES_MAX } else { 1 }).collect(),
        }
    }

    /// Returns the node of such a setting.
    pub(super) fn get(&self, names: &[&str]) -> Option<&'a Node> {
        self.setting(names).map(Setting::node)
    }
}

/// Collects what applies to an instance. `None` if the module does not have it.
pub(super) fn effective<'s, 'a>(
    import: &mut Import,
    all: &'s [Setting<'a>],
    module: &str,
    name: &str,
    is_config: bool,
) -> Option<Effective<'s, 'a>> {
    let of = |kind: &str, name: &str| -> Vec<&'s Setting<'a>> {
        let settings = all.iter().filter(|setting| {
            is_of(setting, kind) && canonical(&setting.path[1]) == module && setting.path[3] == name
        });
        settings.collect()
    };
    let kind = if is_config { "configs" } else { "instances" };
    let is_named = |setting: &Setting| {
        is_bare(setting, kind) && canonical(&setting.path[1]) == module && setting.path[3] == name
    };
    let mut layer = of(kind, name);
    if layer.is_empty() && !all.iter().any(is_named) {
        return None;
    }
    let mut layers = Vec::new();
    let mut name = name.to_owned();
    let mut is_config = is_config;
    for _ in 0..BASES_MAX {
        let base = layer
            .iter()
            .find(|setting| key(setting) == "baseconfig")
            .map(|it| it.node());
        layers.push(layer);
        let next = match base.and_then(|node| Some((node, node.text()?))) {
            Some((node, text)) if !text.is_empty() => {
                if of("configs", text).is_empty() && text != DEFAULT {
                    let names = "the name of one of the configs of this module";
                    import.problems.add(node, names);
                }
                import.report.exact(node, "the settings of that config");
                Some(text.to_owned())
            }
            _ => inherited(module, &name, is_config, !of("configs", &name).is_empty()),
        };
        let Some(next) = next else {
            return Some(Effective { layers });
        };
        layer = of("configs", &next);
        (name, is_config) = (next, true);
    }
    if let Some(setting) = layer.first() {
        import
            .problems
            .add(setting.node(), "a chain of baseConfig that ends");
    }
    Some(Effective { layers })
}

/// Returns the config that is inherited from without a `baseConfig`. Circuit breakers take the
/// config of their own name, or else the default one, and their configs inherit nothing. In the
/// other modules everything inherits from the default one.
fn inherited(module: &str, name: &str, is_config: bool, is_also_config: bool) -> Option<String> {
    match (module, is_config) {
        ("circuitbreaker", true) => None,
        ("circuitbreaker", false) if is_also_config => Some(name.to_owned()),
        _ if name == DEFAULT && is_config => None,
        _ => Some(DEFAULT.to_owned()),
    }
}

/// Reports settings without an equivalent.
pub(super) fn without(import: &mut Import, settings: &Effective, fields: &[(&str, &str)]) {
    for (name, why) in fields {
        if let Some(setting) = settings.setting(&[name]) {
            for node in &setting.nodes {
                import.report.no_equivalent(node, *why);
            }
        }
    }
}

/// Reads a switch, and reports it with what differs if it is on.
pub(super) fn is_on(
    import: &mut Import,
    settings: &Effective,
    name: &str,
    to: &str,
    differs: &[&str],
) -> bool {
    let Some(node) = settings.get(&[name]) else {
        return false;
    };
    let Some(mut read) = import.boolean(node) else {
        return false;
    };
    if read.value {
        let differs = differs.iter().map(|text| (*text).to_owned());
        read.differs.extend(differs);
    }
    import.report.became(node, to, &read.differs);
    read.value
}
