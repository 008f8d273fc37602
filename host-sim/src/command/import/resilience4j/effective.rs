//! The settings that apply to one instance: its own, those of its config, those of the default.

use crate::command::import::context::Import;
use crate::command::import::node::Node;
use crate::command::import::settings::{Setting, canonical};

/// The modules that become parts of a policy.
pub(super) const MODULES: [&str; 3] = ["circuitbreaker", "retry", "timelimiter"];

/// Deepest chain of `baseConfig`.
const BASES_MAX: usize = 16;

/// Returns whether a setting is of an instance (`backends` is the old word) or a config of a
/// module that is imported.
pub(super) fn is_of(setting: &Setting, kind: &str) -> bool {
    let Some([_, module, section, _, _]) = setting.path.get(..5) else {
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
    setting.key(4)
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
    let mut layer = of(if is_config { "configs" } else { "instances" }, name);
    if layer.is_empty() {
        return None;
    }
    let mut layers = Vec::new();
    let mut is_default = is_config;
    for _ in 0..BASES_MAX {
        let base = layer
            .iter()
            .find(|setting| key(setting) == "baseconfig")
            .map(|it| it.node());
        layers.push(layer);
        layer = match base {
            Some(node) => {
                let base = of("configs", node.text().unwrap_or_default());
                if base.is_empty() && node.text() != Some("default") {
                    import
                        .problems
                        .add(node, "the name of one of the configs of this module");
                }
                import.report.exact(node, "the settings of that config");
                is_default = true;
                base
            }
            None if !is_default => {
                is_default = true;
                of("configs", "default")
            }
            None => return Some(Effective { layers }),
        };
    }
    if let Some(setting) = layer.first() {
        import
            .problems
            .add(setting.node(), "a chain of baseConfig that ends");
    }
    Some(Effective { layers })
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
