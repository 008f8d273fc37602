//! All errors of the sources, so that the user can fix them in one go.

use std::io::{self, Write};

use super::node::Node;

/// Problems in the order of files and lines.
#[derive(Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    file: usize,
    line: Option<usize>,
    text: String,
}

impl Problems {
    /// Adds that a value is not one that its system allows.
    pub(super) fn add(&mut self, node: &Node, allowed: &str) {
        let text = format!("{} is {}, allowed {allowed}", node.path, node.found());
        self.add_line(node.place.file, node.place.first, text);
    }

    /// Adds a problem of one line.
    pub(super) fn add_line(&mut self, file: usize, line: usize, text: String) {
        self.push(file, Some(line), text);
    }

    /// Adds a problem of a whole file.
    pub(super) fn add_file(&mut self, file: usize, text: String) {
        self.push(file, None, text);
    }

    fn push(&mut self, file: usize, line: Option<usize>, text: String) {
        let problem = Problem { file, line, text };
        // A value that several policies share is read for each.
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Prints `path:line: what was found, what is allowed`, one line for each problem.
    ///
    /// # Errors
    ///
    /// If `out` fails.
    pub(super) fn print(&mut self, files: &[String], out: &mut dyn Write) -> io::Result<()> {
        self.found.sort();
        for problem in &self.found {
            write!(out, "{}:", files[problem.file])?;
            if let Some(line) = problem.line {
                write!(out, "{line}:")?;
            }
            writeln!(out, " {}", problem.text)?;
        }
        Ok(())
    }
}
