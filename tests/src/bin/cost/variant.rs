//! The variants under comparison, as data: modules, policies, and filters of other kinds.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use spillway_tests::envoy::{INGRESS, Setting};
use spillway_tests::places;

use crate::cases::{self, Case, DEFAULT};
use crate::native;
use crate::statistics::{CONTROL, PLAIN};

/// Index of the empty filter, with which modules are compared.
pub(crate) const EMPTY: usize = 2;

/// One filter chain, behind its own listener.
pub(crate) struct Variant {
    pub name: String,
    chain: Chain,
    /// Number of different paths that requests have.
    pub paths: usize,
    /// Whether its circuit is opened before the measurement.
    pub opened: bool,
    /// Whether long responses are measured too.
    pub streams: bool,
}

enum Chain {
    Plain,
    Native(Value),
    Module { file: PathBuf, policy: String },
}

/// A module to measure.
pub(crate) struct Module {
    name: String,
    file: PathBuf,
    /// Whether it refuses policies that need callbacks for bodies.
    lite: bool,
}

/// The modules that `make wasm` builds, by file name. One that is not built is left out.
const MODULES: [&str; 2] = ["spillway.wasm", "spillway-lite.wasm"];

impl Module {
    /// The modules of this project that are built.
    pub(crate) fn built() -> Vec<Self> {
        let folder = places::module().with_file_name("");
        let files = MODULES.map(|name| folder.join(name)).into_iter();
        let built = files.filter(|file| file.exists());
        built.map(|file| Self::new(stem(&file), file)).collect()
    }

    /// Any module, which is named by its path.
    ///
    /// # Errors
    ///
    /// Returns the path if there is no such file.
    pub(crate) fn at(path: &Path) -> Result<Self, String> {
        let file = path.canonicalize();
        let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self::new(path.display().to_string(), file))
    }

    fn new(name: String, file: PathBuf) -> Self {
        let lite = stem(&file).ends_with("-lite");
        Self { name, file, lite }
    }
}

fn stem(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

impl Variant {
    fn new(name: String, chain: Chain) -> Self {
        Self {
            name,
            chain,
            paths: 1,
            opened: false,
            streams: false,
        }
    }

    /// Returns all variants: two without a filter, the empty filter, the modules with each policy
    /// that they take, and the filters of other kinds.
    pub(crate) fn all(modules: &[Module]) -> Vec<Variant> {
        let plain = |name: &str| Variant::new(name.to_owned(), Chain::Plain);
        let empty = Chain::Module {
            file: places::empty(),
            policy: String::new(),
        };
        let empty = Variant::new("empty filter of the SDK".to_owned(), empty);
        let mut variants = vec![
            plain("no filter"),
            plain("no filter again (control)"),
            empty,
        ];
        for variant in &mut variants {
            variant.streams = true;
        }
        for module in modules {
            let cases = cases::all().into_iter();
            let cases =
                cases.filter(|case| !module.lite || places::fits_lite(&case.policy.to_string()));
            variants.extend(cases.map(|case| Variant::of(module, case)));
        }
        let native = native::filters().into_iter();
        variants.extend(native.map(|(name, filter)| {
            Variant::new(format!("Envoy's `{name}`"), Chain::Native(filter))
        }));
        variants
    }

    fn of(module: &Module, case: Case) -> Variant {
        let policy = case.policy.to_string();
        let chain = Chain::Module {
            file: module.file.clone(),
            policy,
        };
        Variant {
            paths: case.paths,
            opened: case.opened,
            streams: case.name == DEFAULT,
            ..Variant::new(format!("{}: {}", module.name, case.name), chain)
        }
    }

    /// Keeps the variants whose names contain one of these texts, and those that others are
    /// compared with.
    pub(crate) fn only(variants: Vec<Variant>, texts: &[String]) -> Vec<Variant> {
        let wanted = |name: &str| texts.is_empty() || texts.iter().any(|text| name.contains(text));
        let numbered = variants.into_iter().enumerate();
        let kept = numbered.filter(|(index, variant)| {
            [PLAIN, CONTROL, EMPTY].contains(index) || wanted(&variant.name)
        });
        kept.map(|(_index, variant)| variant).collect()
    }

    /// The paths of its requests.
    pub(crate) fn paths(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.paths).map(|number| format!("/items/{number}"))
    }

    /// Adds its listener, named by its index.
    pub(crate) fn listen(&self, setting: Setting, index: usize) -> Setting {
        let name = listener(index);
        match &self.chain {
            Chain::Plain if index == PLAIN => setting,
            Chain::Plain => setting.listener(&name, |plain| plain),
            Chain::Native(filter) => setting.listener(&name, |plain| plain.after(filter.clone())),
            Chain::Module { file, policy } => setting.listener(&name, |plain| {
                plain.policy_text(policy).plugin(plugin(&name, file))
            }),
        }
    }
}

/// The name of a variant's listener. The first one is the one that every Envoy has.
pub(crate) fn listener(index: usize) -> String {
    match index {
        PLAIN => INGRESS.to_owned(),
        index => format!("variant_{index}"),
    }
}

/// Gives each variant its own VMs. Byte-identical modules would share them otherwise.
fn plugin(name: &str, module: &Path) -> Value {
    json!({"name": name, "vm_config": {
        "vm_id": name,
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": module}},
    }})
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Module, Variant};

    fn module(file: &str) -> Module {
        Module::new(file.to_owned(), PathBuf::from(file))
    }

    fn names(modules: &[&str], only: &[&str]) -> Vec<String> {
        let modules: Vec<Module> = modules.iter().map(|file| module(file)).collect();
        let only: Vec<String> = only.iter().map(|text| (*text).to_owned()).collect();
        let variants = Variant::only(Variant::all(&modules), &only);
        variants.into_iter().map(|variant| variant.name).collect()
    }

    #[test]
    fn a_lite_module_has_a_row_for_each_policy_that_it_takes() {
        let full = names(&["spillway.wasm"], &[]);
        let both = names(&["spillway.wasm", "spillway-lite.wasm"], &[]);
        assert!(full.iter().all(|name| both.contains(name)), "{both:?}");
        let lite: Vec<&String> = both.iter().filter(|name| !full.contains(name)).collect();
        assert_eq!(
            lite,
            [
                "spillway-lite.wasm: default policy",
                "spillway-lite.wasm: `retry` and `respond`",
                "spillway-lite.wasm: 10,000 policies",
                "spillway-lite.wasm: open circuit",
            ]
        );
    }

    #[test]
    fn what_others_are_compared_with_is_always_measured() {
        let compared = [
            "no filter",
            "no filter again (control)",
            "empty filter of the SDK",
        ];
        for (only, expected) in [
            (&["nothing"][..], &[][..]),
            (
                &["default", "lua"],
                &["a.wasm: default policy", "Envoy's `lua`"],
            ),
        ] {
            let expected: Vec<&str> = compared.iter().chain(expected).copied().collect();
            assert_eq!(names(&["a.wasm"], only), expected);
        }
    }
}
