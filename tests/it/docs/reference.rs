//! Compares the reference of the policy with its schema.

use std::collections::BTreeMap;

use serde_json::Value;

use super::markdown::Document;

/// A field of the policy, from the schema.
#[derive(Clone, Copy)]
struct Field<'a> {
    name: &'a str,
    schema: &'a Value,
    required: bool,
}

/// Fields that are missing in the reference or unknown to the schema, and cells that differ.
pub(super) fn problems(reference: &Document, schema: &Value) -> Vec<String> {
    let mut fields = BTreeMap::new();
    collect(schema, "", &mut fields);
    let mut missing: Vec<&String> = fields.keys().collect();
    let mut problems = Vec::new();
    for cells in rows(reference) {
        let [path, kind, default, range, _meaning] = &cells;
        let path = path.trim_matches('`');
        let of_policy = format!("policies[].{path}");
        let known = [path, &of_policy]
            .into_iter()
            .find_map(|it| fields.get_key_value(it));
        let Some((path, field)) = known else {
            problems.push(format!("the policy has no field {path}"));
            continue;
        };
        missing.retain(|it| *it != path);
        for (shown, expected) in [
            (kind, field.kind()),
            (default, field.default()),
            (range, field.range()),
        ] {
            let Some(expected) = expected else { continue };
            if !shown.starts_with(&expected) {
                problems.push(format!("{path}: {shown:?} is not {expected:?}"));
            }
        }
        if field.schema["default"].is_null() && default.starts_with('`') {
            problems.push(format!("{path}: has no default, but {default}"));
        }
    }
    problems.extend(missing.into_iter().map(|path| format!("{path} is missing")));
    problems
}

/// Lists all fields under a schema, except descriptions, by their path.
fn collect<'a>(schema: &'a Value, within: &str, fields: &mut BTreeMap<String, Field<'a>>) {
    let required: Vec<&str> = match &schema["required"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if name == "description" {
            continue;
        }
        let path = format!("{within}{name}");
        collect(schema, &format!("{path}."), fields);
        let items = &schema["items"];
        collect(items, &format!("{path}[]."), fields);
        for choice in items["anyOf"].as_array().into_iter().flatten() {
            collect(choice, &format!("{path}[]."), fields);
        }
        let field = Field {
            name,
            schema,
            required: required.contains(&name.as_str()),
        };
        fields.insert(path, field);
    }
}

/// Rows of the tables of fields, which have five cells, without the header rows.
fn rows(reference: &Document) -> Vec<[String; 5]> {
    let prose = reference.prose().replace("\\|", "\u{0}");
    let lines = prose.lines().filter(|line| line.starts_with("| `"));
    let cells = lines.map(|line| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    });
    cells.filter_map(|cells| cells.try_into().ok()).collect()
}

impl Field<'_> {
    /// The type with its unit.
    fn kind(&self) -> Option<String> {
        let kind = match self.schema["type"].as_str() {
            _ if self.is_duration() => "duration",
            _ if self.name.ends_with("_bytes") => "bytes",
            Some("number") if self.name == "multiplier" => "factor",
            Some("number") => "percent",
            Some("array") => "list",
            Some(kind) => kind,
            None => "any JSON",
        };
        Some(kind.into())
    }

    /// The default as JSON. Without one, words say what a missing field means.
    fn default(&self) -> Option<String> {
        match (&self.schema["default"], self.required) {
            (Value::Null, true) => Some("required".into()),
            (Value::Null, false) => None,
            (Value::Array(items), _) => {
                let items: Vec<String> = items.iter().map(Value::to_string).collect();
                Some(format!("`[{}]`", items.join(", ")))
            }
            (default, _) => Some(format!("`{default}`")),
        }
    }

    /// The range of numbers and durations, and the words of an enumeration. The forms of texts are
    /// described in words that no schema has.
    fn range(&self) -> Option<String> {
        let schema = self.schema;
        let items = &schema["items"];
        let choices = [&schema["enum"], &items["enum"], &items["anyOf"][1]["enum"]];
        if self.is_duration() {
            let text = |name: &str| schema[name].as_str().unwrap_or_default().to_owned();
            let zero = if schema["x-zero"] == true {
                "0s, or "
            } else {
                ""
            };
            return Some(format!(
                "{zero}{} to {}",
                text("x-minimum"),
                text("x-maximum")
            ));
        }
        if let (Some(min), Some(max)) = (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
            let shown = if self.name.ends_with("_bytes") {
                size
            } else {
                grouped
            };
            return Some(format!("{} to {}", shown(min), shown(max)));
        }
        let words = choices.into_iter().find_map(Value::as_array)?;
        if words.iter().any(|word| word == "UNAVAILABLE") {
            return Some("[gRPC status](#grpc-status)".into());
        }
        let words = words.iter().filter_map(Value::as_str);
        let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
        Some(words.join(", "))
    }

    fn is_duration(&self) -> bool {
        self.schema["x-minimum"].is_string()
    }
}

fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units
        .into_iter()
        .find(|(size, _)| bytes > 0 && bytes.is_multiple_of(*size));
    unit.map_or(bytes.to_string(), |(size, name)| {
        format!("{} {name}", bytes / size)
    })
}

/// Formats a number with commas from five digits on.
fn grouped(number: u64) -> String {
    match number {
        1_000_000.. => format!(
            "{},{:03},{:03}",
            number / 1_000_000,
            number / 1_000 % 1_000,
            number % 1_000
        ),
        10_000.. => format!("{},{:03}", number / 1_000, number % 1_000),
        _ => number.to_string(),
    }
}
