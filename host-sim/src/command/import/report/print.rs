//! The report as text and as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Entry, Report, Verdict};

/// Verdicts with their names, in the order of a file's summary.
const VERDICTS: [(Verdict, &str); 6] = [
    (Verdict::Exact, "exact"),
    (Verdict::Approximate, "approximate"),
    (Verdict::NoEquivalent, "no equivalent"),
    (Verdict::Unknown, "unknown"),
    (Verdict::Unrelated, "unrelated"),
    (Verdict::Section, "section"),
];

impl Report {
    /// Prints each file with its entries, and the remarks.
    ///
    /// # Errors
    ///
    /// If `out` fails.
    pub(crate) fn text(&self, files: &[String], out: &mut dyn Write) -> io::Result<()> {
        for (number, file) in files.iter().enumerate() {
            writeln!(out, "{file}: {}", self.summary(number))?;
            let width = self.entries(number).map(|entry| lines(entry).len()).max();
            for entry in self.entries(number) {
                let verdict = name(entry.verdict);
                // The top of a document has no key.
                let path = if entry.path.is_empty() {
                    "document"
                } else {
                    entry.path.as_str()
                };
                let width = width.unwrap_or_default();
                write!(out, "  {:>width$}  {verdict:<13}  {}", lines(entry), path)?;
                match entry.note.as_str() {
                    "" => writeln!(out)?,
                    note => writeln!(out, ": {note}")?,
                }
            }
        }
        for remark in &self.remarks {
            writeln!(out, "note: {remark}")?;
        }
        Ok(())
    }

    /// Prints one JSON document.
    ///
    /// # Errors
    ///
    /// If `out` fails.
    pub(crate) fn json(&self, files: &[String], out: &mut dyn Write) -> io::Result<()> {
        let files = files.iter().enumerate().map(|(number, file)| {
            let entries: Vec<Value> = self.entries(number).map(entry_json).collect();
            json!({"file": file, "entries": entries})
        });
        let files: Vec<Value> = files.collect();
        writeln!(out, "{:#}", json!({"files": files, "notes": self.remarks}))
    }

    fn summary(&self, file: usize) -> String {
        let counts = VERDICTS.iter().filter_map(|(verdict, name)| {
            let entries = self.entries(file).filter(|entry| entry.verdict == *verdict);
            let count = entries.count();
            (count > 0 && *verdict != Verdict::Section).then(|| format!("{count} {name}"))
        });
        let counts: Vec<String> = counts.collect();
        if counts.is_empty() {
            "empty".to_owned()
        } else {
            counts.join(", ")
        }
    }
}

fn entry_json(entry: &Entry) -> Value {
    json!({
        "lines": [entry.place.first, entry.place.last],
        "path": entry.path,
        "verdict": entry.verdict,
        "note": entry.note,
    })
}

fn name(verdict: Verdict) -> &'static str {
    let mut verdicts = VERDICTS.iter();
    verdicts
        .find(|(other, _)| *other == verdict)
        .map_or("", |(_, name)| name)
}

fn lines(entry: &Entry) -> String {
    if entry.place.first == entry.place.last {
        entry.place.first.to_string()
    } else {
        format!("{}-{}", entry.place.first, entry.place.last)
    }
}
