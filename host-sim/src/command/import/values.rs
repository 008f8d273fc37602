//! Values as the sources write them, and how they fit into a policy.
//!
//! A value of the wrong kind is an error of the source. A value outside the policy's range is
//! clamped, and the report shows both values.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Number, Value};

use super::context::Import;
use super::draft::Policy;
use super::node::Node;

/// The units of bare numbers.
pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A value with what keeps it from being exact.
#[derive(Clone, Debug)]
pub(super) struct Read<T> {
    pub value: T,
    pub differs: Vec<String>,
}

/// Replaces `${NAME:default}`, or returns `None` if one has no default. A default may have
/// placeholders, too.
pub(super) fn resolve(text: &str) -> Option<Read<String>> {
    resolve_below(text, 0)
}

/// Deepest nesting of placeholders.
const PLACEHOLDERS_MAX: usize = 16;

fn resolve_below(text: &str, depth: usize) -> Option<Read<String>> {
    let mut value = String::new();
    let mut differs = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let inner = &rest[start + 2..];
        let end = closing(inner).filter(|_| depth < PLACEHOLDERS_MAX)?;
        let (name, default) = inner[..end].split_once(':')?;
        let default = resolve_below(default, depth + 1)?;
        value.push_str(&rest[..start]);
        value.push_str(&default.value);
        differs.push(format!("the default of {name} is used"));
        differs.extend(default.differs);
        rest = &inner[end + 1..];
    }
    value.push_str(rest);
    Some(Read { value, differs })
}

/// Returns where the placeholder ends whose name a text begins with.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.char_indices().find_map(|(at, letter)| {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        None
    })
}

/// Parses `5s`, `500ms`, `1m30s`, `1.5h`, `PT5S`, or a bare number of `bare` units.
pub(super) fn duration(text: &str, bare: Duration) -> Option<Duration> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(number * bare.as_secs_f64()).ok();
    }
    let lower = text.to_ascii_lowercase();
    let rest = match lower.strip_prefix('p') {
        None => lower,
        Some(iso) => iso.replacen('t', "", 1),
    };
    parts(&rest)
}

/// Adds up numbers with units.
fn parts(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let seconds = match unit.trim() {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        sum = sum.checked_add(part)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(sum)
}

/// Writes a duration as policies do, in whole milliseconds.
pub(super) fn write(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

/// Writes a percentage with at most two decimals, and without those if it is whole.
pub(super) fn percent(value: f64) -> Value {
    let hundredths = (value * 100.0).round();
    if hundredths % 100.0 == 0.0 {
        Value::from((hundredths / 100.0) as u64)
    } else {
        Number::from_f64(hundredths / 100.0).map_or(Value::Null, Value::Number)
    }
}

/// Clamps a value, and notes both if it changed.
pub(super) fn clamp<T: PartialOrd + Copy>(
    read: &mut Read<T>,
    range: &RangeInclusive<T>,
    write: impl Fn(T) -> String,
) {
    let (low, high) = (*range.start(), *range.end());
    let old = read.value;
    if old < low {
        read.value = low;
    } else if old > high {
        read.value = high;
    } else {
        return;
    }
    let (old, new) = (write(old), write(read.value));
    read.differs.push(format!("{old} is clamped to {new}"));
}

impl Import<'_> {
    /// Returns the text of a scalar with its placeholders replaced. `None` if a placeholder has no
    /// default, which is reported, or if the node is not a scalar, which is an error.
    pub(super) fn text(&mut self, node: &Node, allowed: &str) -> Option<Read<String>> {
        let Some(text) = node.text() else {
            self.problems.add(node, allowed);
            return None;
        };
        let read = resolve(text);
        if read.is_none() {
            let why = format!("{text} has no default here, so the value has to be set by hand");
            self.report.no_equivalent(node, why);
        }
        read
    }

    fn read<T>(
        &mut self,
        node: &Node,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Read<T>> {
        let Read { value, differs } = self.text(node, allowed)?;
        match parse(value.trim()) {
            Some(value) => Some(Read { value, differs }),
            None => {
                self.problems.add(node, allowed);
                None
            }
        }
    }

    /// Reads a duration, whose bare numbers are of a unit.
    pub(super) fn duration(&mut self, node: &Node, bare: Duration) -> Option<Read<Duration>> {
        self.read(node, "a duration such as 500ms or 5s", |text| {
            duration(text, bare)
        })
    }

    /// Reads an integer from 0 on. `20.0` is one.
    pub(super) fn integer(&mut self, node: &Node) -> Option<Read<u64>> {
        self.read(node, "an integer from 0 on", |text| {
            text.parse().ok().or_else(|| {
                let number: f64 = text.parse().ok()?;
                let whole = number.fract() == 0.0 && (0.0..=1e15).contains(&number);
                whole.then_some(number as u64)
            })
        })
    }

    /// Reads a number from 0 on, with or without a percent sign.
    pub(super) fn number(&mut self, node: &Node) -> Option<Read<f64>> {
        self.read(node, "a number from 0 on", |text| {
            let number = text.strip_suffix('%').unwrap_or(text);
            let number: f64 = number.trim().parse().ok()?;
            (number >= 0.0 && number.is_finite()).then_some(number)
        })
    }

    /// Reads a boolean.
    pub(super) fn boolean(&mut self, node: &Node) -> Option<Read<bool>> {
        self.read(node, "true or false", |text| {
            match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Some(true),
                "false" | "no" | "off" => Some(false),
                _ => None,
            }
        })
    }

    /// Sets a duration, clamped to a range, and reports the node.
    pub(super) fn set_duration(
        &mut self,
        policy: &mut Policy,
        path: &str,
        node: &Node,
        mut read: Read<Duration>,
        range: &RangeInclusive<Duration>,
    ) {
        clamp(&mut read, range, |value| format!("{value:?}"));
        let rest = read.value.subsec_nanos() % 1_000_000;
        if rest != 0 {
            let text = format!("{:?} is cut to milliseconds", read.value);
            read.differs.push(text);
        }
        let text = write(read.value);
        self.report
            .became(node, format!("{path} {text}"), &read.differs);
        policy.set(path, text);
    }

    /// Sets an integer, clamped to a range, and reports the node.
    pub(super) fn set_integer(
        &mut self,
        policy: &mut Policy,
        path: &str,
        node: &Node,
        mut read: Read<u64>,
        range: &RangeInclusive<u64>,
    ) {
        clamp(&mut read, range, |value| value.to_string());
        self.report
            .became(node, format!("{path} {}", read.value), &read.differs);
        policy.set(path, read.value);
    }

    /// Sets a percentage, clamped to a range, and reports the node.
    pub(super) fn set_percent(
        &mut self,
        policy: &mut Policy,
        path: &str,
        node: &Node,
        mut read: Read<f64>,
        range: &RangeInclusive<f64>,
    ) {
        clamp(&mut read, range, |value| format!("{value} %"));
        let hundredths = read.value * 100.0;
        if (hundredths - hundredths.round()).abs() > 1e-6 {
            let text = format!("{} % is rounded to two decimals", read.value);
            read.differs.push(text);
        }
        let value = percent(read.value);
        self.report
            .became(node, format!("{path} {value}"), &read.differs);
        policy.set(path, value);
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn placeholders_give_their_defaults_however_deep() {
        let rows = [
            ("5", Some("5")),
            ("${A:5}s", Some("5s")),
            ("${A:}", Some("")),
            ("${A:${B:7}}", Some("7")),
            ("${A:1}-${B:${C:2}${D:3}}", Some("1-23")),
            ("${A:http://h:80}", Some("http://h:80")),
            ("${A}", None),
            ("${A:${B}}", None),
            ("${A:5", None),
        ];
        for (text, expected) in rows {
            let value = resolve(text).map(|read| read.value);
            assert_eq!(value.as_deref(), expected, "{text}");
        }
        assert!(resolve(&"${A:".repeat(100_000)).is_none());
    }
}
