//! Which fields of plugin tests the replay in Envoy heeds.

use std::collections::BTreeSet;
use std::fs;

use host_sim::trial::file;
use serde_json::Value;
use spillway_tests::places;

/// Fields that stay in the simulator, since a real proxy does not offer them.
pub(super) const SIMULATED: [&str; 6] = [
    // The wall clock is the machine's.
    "File.start",
    // Envoy chooses the worker, and draws its own random numbers.
    "File.seed",
    "Step.worker",
    // Every hostcall exists, and no callback has a limit.
    "File.stubs",
    "PluginFile.fuel",
    // The replay reads lines of all levels.
    "File.log_level",
];

/// Fields that the replay heeds, or that are texts for readers.
const REPLAYED: [&str; 44] = [
    "Answer.body",
    "Answer.chunks",
    "Answer.delay",
    "Answer.grpc_message",
    "Answer.grpc_status",
    "Answer.headers",
    "Answer.messages",
    "Answer.reset",
    "Answer.status",
    "Answer.trailers",
    "File.$schema",
    "File.description",
    "File.mocks",
    "File.name",
    "File.per_connection_buffer_limit_bytes",
    "File.plugin",
    "File.plugins",
    "File.properties",
    "File.requests",
    "File.workers",
    "Mock.answer",
    "Mock.call",
    "Mock.cluster",
    "Mock.path",
    "PluginFile.allow_on_headers_stop_iteration",
    "PluginFile.configuration",
    "PluginFile.environment",
    "PluginFile.failure_policy",
    "PluginFile.module",
    "PluginFile.name",
    "PluginFile.root_id",
    "PluginFile.vm_configuration",
    "PluginFile.vm_id",
    "Step.body",
    "Step.chunks",
    "Step.configuration",
    "Step.expect",
    "Step.headers",
    "Step.method",
    "Step.name",
    "Step.path",
    "Step.plugin",
    "Step.trailers",
    "Step.wait",
];

/// Fields of [`SIMULATED`] that the files in `tests/plugins` have, where their expectations hold on
/// any clock and any worker.
const HARMLESS: [(&str, &str); 2] = [("expiry", "start:"), ("limiter", "worker:")];

fn fields(schema: &Value) -> BTreeSet<String> {
    let definitions = schema["$defs"].as_object().expect("definitions");
    let types = ["Answer", "Mock", "PluginFile", "Step"];
    let types = types.map(|name| (name, &definitions[name]));
    let mut fields = BTreeSet::new();
    for (name, schema) in types.into_iter().chain([("File", schema)]) {
        let properties = schema["properties"].as_object().expect("properties");
        fields.extend(properties.keys().map(|field| format!("{name}.{field}")));
    }
    fields
}

#[test]
fn the_replay_heeds_every_field_or_lists_it() {
    let listed = REPLAYED.iter().chain(&SIMULATED);
    let listed: BTreeSet<_> = listed.map(|it| (*it).to_owned()).collect();
    assert_eq!(fields(&file::schema()), listed);
}

#[test]
fn a_file_has_a_field_of_the_simulator_only_where_it_does_no_harm() {
    let folder = fs::read_dir(places::root().join("tests/plugins")).expect("a folder");
    let mut found = BTreeSet::new();
    for path in folder.map(|it| it.expect("an entry").path()) {
        let text = fs::read_to_string(&path).expect("a file");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split('.').next().unwrap_or_default().to_owned();
        for field in SIMULATED {
            let word = field.split('.').nth(1).expect("a name");
            let word = format!("{word}:");
            let mut words = text.split([' ', '{', '\n']);
            if words.any(|it| it == word) {
                found.insert((name.clone(), word));
            }
        }
    }
    let harmless = HARMLESS.map(|(name, word)| (name.to_owned(), word.to_owned()));
    assert_eq!(found, BTreeSet::from(harmless));
}
