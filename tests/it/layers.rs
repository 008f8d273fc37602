//! Enforces the structure in the architecture pages: permitted imports, and the length of files,
//! functions and lines.

mod source;
mod tree;

use std::fs;

use source::Source;
use spillway_tests::places;
use tree::{Tree, files};

/// The layers of a crate, top to bottom. A module may import from its own line and from lines
/// below. The longest matching name decides the line of a module, so child modules may have their
/// own lines.
struct Layers {
    root: &'static str,
    lines: &'static [&'static [&'static str]],
    /// Modules that may use each other crate of this workspace.
    foreign: &'static [(&'static str, &'static [&'static str])],
}

const CORE: Layers = Layers {
    root: "filter/core/src/lib.rs",
    lines: &[
        &[""],
        &["engine"],
        &[
            "engine::admission",
            "engine::lifecycle",
            "engine::operator",
            "engine::paused",
            "engine::replay",
            "engine::response",
            "engine::tick",
        ],
        &[
            "engine::early",
            "engine::fallback",
            "engine::gauges",
            "engine::lookup",
            "engine::permit",
            "engine::placing",
            "engine::report",
            "engine::retry",
            "engine::router",
            "engine::slip",
            "engine::stale",
            "engine::states",
            "engine::survey",
            "engine::sync",
        ],
        &[
            "engine::capabilities",
            "engine::decision",
            "engine::needs",
            "engine::policies",
            "engine::policy_state",
            "engine::slots",
            "engine::ticket",
            "engine::waiting",
            "engine::watched",
            "engine::workspace",
        ],
        &["stale"],
        &["event", "keys"],
        &["admin", "fallback"],
        &["shared"],
        &["retry", "circuit"],
        &["outcome"],
        &["select"],
        &["exchange"],
        &["policy"],
        &[
            "headers",
            "codec",
            "by_id",
            "text",
            "http_value",
            "time",
            "random",
            "order",
        ],
    ],
    foreign: &[],
};

const FILTER: Layers = Layers {
    root: "filter/src/lib.rs",
    lines: &[
        &[""],
        &["exports"],
        &["contexts"],
        &["root"],
        &["http"],
        &["replay"],
        &["apply"],
        &["runtime"],
        &["report"],
        &["facts", "metrics", "outbox", "ticker"],
        &["host", "allocator"],
    ],
    foreign: &[("spillway_core", &[""])],
};

const SIMULATOR: Layers = Layers {
    root: "host-sim/src/lib.rs",
    lines: &[
        &[""],
        &["command"],
        &["report", "serve"],
        &["trial"],
        &["scenario"],
        &["model"],
        &["record", "prometheus"],
        &["proxy"],
        &["proxy::host"],
        &["proxy::worker"],
        &["proxy::setup"],
        &["proxy::module"],
        &["proxy::abi", "proxy::flow"],
        &["proxy::vm"],
        &["proxy::process"],
        &["proxy::stream"],
        &["proxy::ids"],
        &["sim", "framing", "headers", "grpc"],
    ],
    // The simulator runs the module's bytes. Only the tools that read policies may know its types.
    foreign: &[(
        "spillway_core",
        &["command::check", "command::replay::grid", "command::schema"],
    )],
};

const CRATES: [&Layers; 3] = [&CORE, &FILTER, &SIMULATOR];

/// Names under which the crates of this workspace are used.
const WORKSPACE: [&str; 4] = ["spillway_core", "spillway", "host_sim", "spillway_tests"];

const FILE_LINES_MAX: usize = 450;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// Whether a module belongs to a line of layers: it is listed there, or inside a listed module.
fn is_in(module: &str, name: &str) -> bool {
    module == name || name.is_empty() || module.starts_with(&format!("{name}::"))
}

impl Layers {
    fn tree(&self) -> Tree {
        Tree::read(&places::root().join(self.root), &WORKSPACE)
    }

    /// The line of a module, counted from the top: that of the longest name that it is under.
    fn line(&self, module: &str) -> Option<usize> {
        let names = self.lines.iter().enumerate();
        let names =
            names.flat_map(|(at, line)| line.iter().map(move |name| (name.len(), at, name)));
        let mut fitting = names.filter(|(_, _, name)| match **name {
            // The root alone, and not every module under it.
            "" => module.is_empty(),
            name => is_in(module, name),
        });
        let first = fitting.next()?;
        Some(
            fitting
                .fold(
                    first,
                    |longest, other| if other.0 > longest.0 { other } else { longest },
                )
                .1,
        )
    }
}

#[test]
fn modules_import_only_from_their_own_layer_and_from_those_below() {
    let mut problems = Vec::new();
    for layers in CRATES {
        for (module, imports) in &layers.tree().imports {
            let Some(line) = layers.line(module) else {
                problems.push(format!("{}: {module} is in no layer", layers.root));
                continue;
            };
            for (target, path) in imports {
                if layers.line(target).is_some_and(|below| below < line) {
                    problems.push(format!(
                        "{}: {module} imports {path} of {target}, a layer above",
                        layers.root
                    ));
                }
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn no_files_import_each_other() {
    let mut problems = Vec::new();
    for layers in CRATES {
        let tree = layers.tree();
        for cycle in tree.cycles() {
            problems.push(format!("{}: a cycle", layers.root));
            for module in &cycle {
                for (target, path) in &tree.imports[module] {
                    if cycle.contains(target) {
                        problems.push(format!("  {module} imports {path} of {target}"));
                    }
                }
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn crates_use_each_other_only_where_the_table_says_so() {
    let mut problems = Vec::new();
    for layers in CRATES {
        for (module, paths) in &layers.tree().foreign {
            for path in paths {
                let may = layers.foreign.iter().any(|(name, modules)| {
                    path.starts_with(name) && modules.iter().any(|allowed| is_in(module, allowed))
                });
                if !may {
                    problems.push(format!("{}: {module} uses {path}", layers.root));
                }
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn files_functions_and_lines_stay_short() {
    let mut problems = Vec::new();
    let root = places::root();
    for folder in ["filter", "host-sim", "tests"] {
        for file in files(&root.join(folder)) {
            let name = file.strip_prefix(root).expect("a file of this tree");
            let (name, text) = (
                name.display().to_string(),
                fs::read_to_string(&file).expect("text"),
            );
            let source = Source::read(&text);
            // The rows of a table are data.
            let lines = text.lines().count() - source.table_lines.len();
            if lines > FILE_LINES_MAX {
                problems.push(format!("{name}: {lines} lines"));
            }
            for (at, line) in text.lines().enumerate() {
                let columns = line.chars().count();
                let (is_row, has_text) = (
                    source.table_lines.contains(&(at + 1)),
                    source.text_lines.contains(&(at + 1)),
                );
                if columns > COLUMNS_MAX && !is_row && !has_text {
                    problems.push(format!("{name}:{}: {columns} columns", at + 1));
                }
            }
            for (function, lines) in source.functions {
                if lines > FUNCTION_LINES_MAX {
                    problems.push(format!("{name}: {function} has {lines} lines"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
