//! The variants under comparison.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use spillway_tests::envoy::{INGRESS, Setting};
use spillway_tests::{Envoy, Upstream, places};

use crate::WORKERS;

/// One filter chain, behind its own listener.
pub(crate) struct Variant {
    pub name: String,
    pub listener: String,
    module: Option<PathBuf>,
}

impl Variant {
    /// Returns the variants: no filter, the empty filter, and each of these modules.
    pub(crate) fn all(modules: &[PathBuf]) -> Vec<Variant> {
        let plain = Variant {
            name: "no filter".to_owned(),
            listener: INGRESS.to_owned(),
            module: None,
        };
        let filter = |(name, path): (String, PathBuf), number: usize| Variant {
            name,
            listener: format!("filter_{number}"),
            module: Some(path),
        };
        let empty = ("empty filter".to_owned(), places::empty());
        let given = modules.iter().map(|path| (shown(path), absolute(path)));
        let filters = [empty].into_iter().chain(given).zip(1..);
        let filters = filters.map(|(named, number)| filter(named, number));
        [plain].into_iter().chain(filters).collect()
    }

    fn listen(&self, setting: Setting, policy: &str) -> Setting {
        match &self.module {
            None => setting,
            Some(module) => setting.listener(&self.listener, |plain| {
                plain.policy_text(policy).plugin(self.plugin(module))
            }),
        }
    }

    /// Gives each variant its own VMs. Byte-identical modules would share them otherwise.
    fn plugin(&self, module: &Path) -> Value {
        json!({"name": self.listener, "vm_config": {
            "vm_id": self.listener,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": module}},
        }})
    }
}

/// Starts an Envoy with one listener per variant.
pub(crate) async fn envoy(upstream: &Upstream, variants: &[Variant], policy: &str) -> Envoy {
    let plain = Envoy::in_front_of(upstream.address())
        .concurrency(WORKERS)
        .balanced()
        // An access log line per request would only add a constant to every variant.
        .manager(json!({"access_log": []}));
    let all = variants.iter();
    all.fold(plain, |setting, variant| variant.listen(setting, policy))
        .start()
        .await
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(places::root())
        .unwrap_or(path)
        .display()
        .to_string()
}
