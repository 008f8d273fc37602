//! Checks the documents against the project: commands run and print what is shown, examples are
//! valid, links and names exist, and the reference agrees with the schema.
//!
//! The language of a code block decides how it is checked. `sh` is run. A `text` block after it is
//! its expected output, in which a line `...` stands for any number of lines. `json` is a policy
//! and `yaml` a scenario; a word after the language is the file name by which later commands find
//! it. `sh rollout` is a step of the guide that [`rollout`] follows, and [`serve`] follows `sh serve`. `json log` and `yaml envoy`
//! are checked with a real Envoy in [`proxy`], and of `yaml istio` only the form is checked. Any
//! other block is an error.

mod commands;
mod examples;
mod links;
mod markdown;
mod metrics;
mod names;
mod output;
pub(crate) mod proxy;
mod reference;
mod rollout;
mod sandbox;
mod serve;

use std::collections::BTreeSet;
use std::fs;

use spillway_tests::places;

use examples::Example;
use markdown::Document;
use sandbox::Sandbox;

/// Every document of the project.
const DOCUMENTS: [&str; 12] = [
    ".github/CONTRIBUTING.md",
    "README.md",
    "filter/ARCHITECTURE.md",
    "filter/CHANGELOG.md",
    "filter/PERFORMANCE.md",
    "host-sim/ARCHITECTURE.md",
    "host-sim/FIDELITY.md",
    "host-sim/PLUGINS.md",
    "host-sim/README.md",
    "policies/README.md",
    "policies/REFERENCE.md",
    "policies/deploy/README.md",
];

fn documents() -> impl Iterator<Item = Document> {
    DOCUMENTS.into_iter().map(Document::read)
}

/// Reports all problems at once, so that a document can be fixed in one pass.
#[track_caller]
fn none(problems: impl IntoIterator<Item = String>) {
    let problems: Vec<String> = problems.into_iter().collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn every_document_is_checked() {
    let found = sandbox::files(places::root(), &|name| name.ends_with(".md"));
    let found: BTreeSet<String> = found.into_iter().collect();
    assert_eq!(found, DOCUMENTS.map(str::to_owned).into());
}

#[test]
fn examples_are_valid_and_commands_print_what_is_shown() {
    none(documents().flat_map(|document| {
        let sandbox = Sandbox::new();
        let mut shown = None;
        let mut problems = Vec::new();
        for block in document.blocks() {
            let result = match Example::of(&block) {
                Ok(Example::Commands) => commands::run(&block, &sandbox).map(|printed| {
                    shown = Some(printed);
                }),
                Ok(Example::Output) => match shown.take() {
                    Some(printed) => output::compare(&block.text, &printed),
                    None => Err("is the output of no command".into()),
                },
                Ok(example) => example.check(&block, &sandbox),
                Err(unknown) => Err(unknown),
            };
            problems.extend(result.err().map(|why| block.told(&document, &why)));
        }
        for path in sandbox.changed() {
            problems.push(format!("{}: {path} is out of date", document.path));
        }
        problems
    }));
}

#[test]
fn commands_in_sentences_exist() {
    let sandbox = Sandbox::new();
    none(documents().flat_map(|document| {
        let spans = document.spans().into_iter();
        let problems = spans.filter_map(|span| commands::exists(&span, &sandbox).err());
        problems
            .map(|why| format!("{}: {why}", document.path))
            .collect::<Vec<_>>()
    }));
}

#[test]
fn every_link_has_a_target() {
    none(documents().flat_map(|document| links::broken(&document)));
}

#[test]
fn files_and_types_that_are_named_exist() {
    none(documents().flat_map(|document| names::unknown(&document)));
}

#[test]
fn the_guide_for_operators_has_every_metric_and_no_document_invents_one() {
    let defined = metrics::defined();
    let guide = Document::read("policies/deploy/README.md");
    assert_eq!(metrics::described(&guide), defined);
    for document in documents() {
        let mentioned = metrics::mentioned(&document);
        assert!(mentioned.is_subset(&defined), "{}", document.path);
    }
}

#[test]
fn every_metric_in_the_dashboard_the_alerts_and_their_tests_exists() {
    let defined = metrics::defined();
    for file in [
        "dashboard.json",
        "alerts.yml",
        "recording.yml",
        "alerts_test.yml",
    ] {
        let queried = metrics::queried(file);
        assert!(!queried.is_empty(), "{file}");
        let unknown: Vec<_> = queried.difference(&defined).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn the_reference_has_every_field_with_its_type_default_and_range() {
    let schema = fs::read(places::root().join("policies/schema.json")).expect("a schema");
    let schema = serde_json::from_slice(&schema).expect("JSON");
    none(reference::problems(
        &Document::read("policies/REFERENCE.md"),
        &schema,
    ));
}
