//! Holds a transcript against what is expected.

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;
use serde_json::Value;

use super::file::{
    BodyForms, Callout, Expect, HeaderForms, LineForms, Scalar, Upstream, WantedBody, WantedHeader,
    WantedLine,
};
use super::transcript::{self, Message, StepTranscript};
use crate::headers::HeaderMap;
use crate::proxy::LogLevel;

/// An expectation that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The field of the expectation, such as `headers.x-user`.
    pub field: String,
    pub wanted: String,
    pub found: String,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected {}, got {}",
            self.field, self.wanted, self.found
        )
    }
}

/// Collects what does not hold.
struct Judge {
    misses: Vec<Miss>,
}

/// Returns the expectations of a step that do not hold, in the order of their fields.
pub fn judge(expect: &Expect, seen: &StepTranscript) -> Vec<Miss> {
    let mut judge = Judge { misses: Vec::new() };
    let response = seen.client.response.clone().unwrap_or_default();
    let status = response.status();
    match (&seen.refused, expect.refused) {
        (Some(why), false) => judge.miss("refused", "false".into(), format!("true: {why}")),
        (None, true) => judge.miss("refused", "true".into(), "false".into()),
        (None, false) | (Some(_), true) => {}
    }
    if let Some(wanted) = expect.status {
        judge.equal(
            "status",
            &wanted.to_string(),
            status.map(|it| it.to_string()),
        );
    }
    judge.headers("headers", &expect.headers, &response.headers);
    judge.body("body", expect.body.as_ref(), &response);
    judge.headers("trailers", &expect.trailers, &response.trailers);
    judge.ends(expect, seen);
    for (at, wanted) in expect.log.iter().enumerate() {
        judge.line(&format!("log[{at}]"), wanted, seen);
    }
    if let Some(wanted) = &expect.upstream {
        judge.upstream(wanted, &seen.upstream);
    }
    if let Some(wanted) = &expect.callouts {
        judge.callouts(wanted, &seen.callouts);
    }
    for (name, wanted) in &expect.metrics {
        let found = seen.metrics.iter().find(|(known, _)| known == name);
        let found = found.map_or(0, |(_, value)| *value);
        judge.equal(
            &format!("metrics.{name}"),
            &wanted.to_string(),
            Some(found.to_string()),
        );
    }
    judge.misses
}

impl Judge {
    fn miss(&mut self, field: &str, wanted: String, found: String) {
        self.misses.push(Miss {
            field: field.to_owned(),
            wanted,
            found,
        });
    }

    fn equal(&mut self, field: &str, wanted: &str, found: Option<String>) {
        if found.as_deref() != Some(wanted) {
            let found = found.unwrap_or_else(|| "nothing".into());
            self.miss(field, wanted.to_owned(), found);
        }
    }

    /// A response has to be whole, unless it is expected not to be.
    fn ends(&mut self, expect: &Expect, seen: &StepTranscript) {
        let broken = seen.client.is_broken().to_string();
        match expect.reset {
            Some(wanted) => self.equal("reset", &wanted.to_string(), Some(broken)),
            // A status does not say that the whole response has come.
            None if expect.status.is_some() && seen.client.reset => {
                self.equal("reset", "false", Some(broken));
            }
            None => {}
        }
        self.fits(expect, seen);
    }

    /// Messages have to fit their headers, unless they are expected not to.
    fn fits(&mut self, expect: &Expect, seen: &StepTranscript) {
        let response = seen.client.response.iter().map(|it| ("response", it));
        let requests = seen.upstream.iter().map(|it| ("upstream", it));
        let messages = response.chain(requests);
        let faults = messages.filter_map(|(field, it)| Some((field, it.fault.as_ref()?)));
        let faults: Vec<_> = faults.collect();
        if expect.fits == Some(false) {
            if faults.is_empty() {
                self.equal("fits", "false", Some("true".into()));
            }
            return;
        }
        // Without any expectation, a step only shows what happens.
        let is_asked = *expect != Expect::default();
        for (field, fault) in faults.into_iter().filter(|_| is_asked) {
            let is_expected = field == "response" && expect.reset == Some(true) && fault.breaks();
            if !is_expected {
                let wanted = "a message that fits its headers".to_owned();
                self.miss(field, wanted, fault.to_string());
            }
        }
    }

    fn headers(&mut self, field: &str, wanted: &BTreeMap<String, WantedHeader>, found: &HeaderMap) {
        for (name, wanted) in wanted {
            let key = name.to_ascii_lowercase();
            let values = found.values(key.as_bytes());
            let values: Vec<_> = values.map(String::from_utf8_lossy).collect();
            if !header_fits(wanted, &values) {
                let found = match values.as_slice() {
                    [] => "no such header".into(),
                    values => quoted(values),
                };
                self.miss(&format!("{field}.{name}"), header_shown(wanted), found);
            }
        }
    }

    fn body(&mut self, field: &str, wanted: Option<&WantedBody>, found: &Message) {
        let Some(wanted) = wanted else {
            return;
        };
        let text = found.text();
        let forms = match wanted {
            WantedBody::Text(wanted) if *wanted == text => return,
            WantedBody::Text(wanted) => {
                return self.miss(field, format!("{wanted:?}"), format!("{text:?}"));
            }
            WantedBody::Rule(forms) => forms,
        };
        let mut rule = |holds: bool, wanted: String| {
            if !holds {
                self.miss(field, wanted, format!("{text:?}"));
            }
        };
        if let Some(part) = &forms.contains {
            rule(text.contains(part), format!("{part:?} in it"));
        }
        if let Some(regex) = &forms.regex {
            rule(matches(regex, &text), format!("a match of {regex}"));
        }
        if let Some(json) = &forms.json {
            let parsed = serde_json::from_slice::<Value>(&found.body);
            let holds = parsed.is_ok_and(|parsed| includes(&parsed, json));
            rule(holds, format!("JSON that includes {json}"));
        }
        if let Some(bytes) = forms.bytes {
            rule(found.body.len() == bytes, format!("{bytes} bytes"));
        }
    }

    fn line(&mut self, field: &str, wanted: &WantedLine, seen: &StepTranscript) {
        let fits = |(level, text): (LogLevel, &str)| match wanted {
            WantedLine::Part(part) => text.contains(part),
            WantedLine::Rule(rule) => line_fits(rule, level, text),
        };
        let is_unwanted = matches!(wanted, WantedLine::Rule(LineForms { absent: true, .. }));
        if seen.lines().any(fits) == is_unwanted {
            let wanted = match wanted {
                WantedLine::Part(part) => format!("a line with {part:?}"),
                WantedLine::Rule(rule) => line_shown(rule),
            };
            let lines: Vec<_> = seen.lines().map(|(_, text)| text).collect();
            let found = match lines.as_slice() {
                [] => "no lines".into(),
                lines => quoted(lines),
            };
            self.miss(field, wanted, found);
        }
    }

    fn upstream(&mut self, wanted: &Upstream, found: &[Message]) {
        if let Some(count) = wanted.requests {
            let found = found.len().to_string();
            self.equal("upstream.requests", &count.to_string(), Some(found));
        }
        let nothing = Message::default();
        let message = match (found.last(), wanted.requests) {
            (Some(message), _) => message,
            (None, Some(0)) => &nothing,
            (None, Some(_)) => return,
            (None, None) => return self.miss("upstream", "a request".into(), "none".into()),
        };
        let texts = [("method", &wanted.method), ("path", &wanted.path)];
        self.texts("upstream", &texts, message);
        self.headers("upstream.headers", &wanted.headers, &message.headers);
        self.body("upstream.body", wanted.body.as_ref(), message);
        self.headers("upstream.trailers", &wanted.trailers, &message.trailers);
    }

    fn texts(&mut self, field: &str, wanted: &[(&str, &Option<String>)], message: &Message) {
        for (name, wanted) in wanted {
            if let Some(wanted) = wanted {
                let found = message.headers.text(&format!(":{name}"));
                self.equal(&format!("{field}.{name}"), wanted, found.map(Into::into));
            }
        }
    }

    fn callouts(&mut self, wanted: &[Callout], found: &[transcript::Callout]) {
        if wanted.len() != found.len() {
            let name = |it: &transcript::Callout| {
                format!(
                    "{}{}",
                    it.cluster,
                    it.request.headers.text(":path").unwrap_or_default()
                )
            };
            let found: Vec<_> = found.iter().map(name).collect();
            let found = format!("{} ({})", found.len(), found.join(", "));
            return self.miss("callouts", wanted.len().to_string(), found);
        }
        for (at, (wanted, found)) in wanted.iter().zip(found).enumerate() {
            let field = format!("callouts[{at}]");
            if let Some(cluster) = &wanted.cluster {
                self.equal(
                    &format!("{field}.cluster"),
                    cluster,
                    Some(found.cluster.clone()),
                );
            }
            let texts = [("method", &wanted.method), ("path", &wanted.path)];
            self.texts(&field, &texts, &found.request);
            let headers = &found.request.headers;
            self.headers(&format!("{field}.headers"), &wanted.headers, headers);
            self.body(
                &format!("{field}.body"),
                wanted.body.as_ref(),
                &found.request,
            );
        }
    }
}

fn header_fits(wanted: &WantedHeader, values: &[impl AsRef<str>]) -> bool {
    let mut all = values.iter().map(AsRef::as_ref);
    match wanted {
        WantedHeader::Value(value) => values.len() == 1 && all.any(|it| it == value.text()),
        WantedHeader::Values(wanted) => {
            let wanted: Vec<_> = wanted.iter().map(Scalar::text).collect();
            all.eq(wanted.iter().map(String::as_str))
        }
        WantedHeader::Rule(HeaderForms { absent: true, .. }) => values.is_empty(),
        WantedHeader::Rule(rule) => all.any(|it| forms_fit(&rule.regex, &rule.contains, it)),
    }
}

fn header_shown(wanted: &WantedHeader) -> String {
    match wanted {
        WantedHeader::Value(value) => format!("{:?}", value.text()),
        WantedHeader::Values(values) => {
            quoted(&values.iter().map(Scalar::text).collect::<Vec<_>>())
        }
        WantedHeader::Rule(HeaderForms { absent: true, .. }) => "no such header".into(),
        WantedHeader::Rule(rule) => forms_shown("a value", &rule.regex, &rule.contains),
    }
}

fn line_fits(rule: &LineForms, level: LogLevel, text: &str) -> bool {
    rule.level
        .is_none_or(|wanted| LogLevel::from(wanted) == level)
        && forms_fit(&rule.regex, &rule.contains, text)
}

fn line_shown(rule: &LineForms) -> String {
    let article = if rule.absent { "no" } else { "a" };
    let level = rule.level.map(|level| format!("{level:?} ").to_lowercase());
    let line = format!("{article} {}line", level.unwrap_or_default());
    forms_shown(&line, &rule.regex, &rule.contains)
}

fn forms_fit(regex: &Option<String>, contains: &Option<String>, text: &str) -> bool {
    regex.as_ref().is_none_or(|regex| matches(regex, text))
        && contains.as_ref().is_none_or(|part| text.contains(part))
}

fn forms_shown(what: &str, regex: &Option<String>, contains: &Option<String>) -> String {
    match (regex, contains) {
        (None, None) => what.to_owned(),
        (Some(regex), None) => format!("{what} that matches {regex}"),
        (None, Some(part)) => format!("{what} with {part:?}"),
        (Some(regex), Some(part)) => format!("{what} with {part:?} that matches {regex}"),
    }
}

fn quoted(values: &[impl AsRef<str>]) -> String {
    let quoted: Vec<_> = values
        .iter()
        .map(|it| format!("{:?}", it.as_ref()))
        .collect();
    quoted.join(", ")
}

/// An invalid expression fits nothing; [`check`] has reported it.
fn matches(regex: &str, text: &str) -> bool {
    Regex::new(regex).is_ok_and(|regex| regex.is_match(text))
}

/// Whether a value includes another: objects field by field, and arrays item by item.
fn includes(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Object(value), Value::Object(part)) => {
            let is_in = |(name, part)| value.get(name).is_some_and(|it| includes(it, part));
            part.iter().all(is_in)
        }
        (Value::Array(value), Value::Array(part)) => {
            let mut pairs = value.iter().zip(part);
            value.len() == part.len() && pairs.all(|(value, part)| includes(value, part))
        }
        _ => value == part,
    }
}

/// Reports regular expressions that are not valid, with their path.
pub(super) fn check(expect: &Expect, path: &str, report: &mut dyn FnMut(String, String)) {
    let mut regex = |path: String, regex: Option<&String>| {
        if let Some(Err(error)) = regex.map(|regex| Regex::new(regex)) {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default();
            let why = why.strip_prefix("error: ").unwrap_or(why);
            report(path, format!("is not a regular expression: {why}"));
        }
    };
    let mut headers = |path: String, headers: &BTreeMap<String, WantedHeader>| {
        for (name, wanted) in headers {
            if let WantedHeader::Rule(HeaderForms { regex: it, .. }) = wanted {
                regex(format!("{path}.{name}.regex"), it.as_ref());
            }
        }
    };
    headers(format!("{path}.headers"), &expect.headers);
    headers(format!("{path}.trailers"), &expect.trailers);
    let upstream = expect.upstream.iter();
    upstream.for_each(|it| {
        headers(format!("{path}.upstream.headers"), &it.headers);
        headers(format!("{path}.upstream.trailers"), &it.trailers);
    });
    for (at, callout) in expect.callouts.iter().flatten().enumerate() {
        headers(format!("{path}.callouts[{at}].headers"), &callout.headers);
    }
    for (at, line) in expect.log.iter().enumerate() {
        if let WantedLine::Rule(rule) = line {
            regex(format!("{path}.log[{at}].regex"), rule.regex.as_ref());
        }
    }
    let bodies = [
        ("body".to_owned(), expect.body.as_ref()),
        (
            "upstream.body".to_owned(),
            expect.upstream.as_ref().and_then(|it| it.body.as_ref()),
        ),
    ];
    let callouts = expect.callouts.iter().flatten().enumerate();
    let of_callouts = callouts.map(|(at, it)| (format!("callouts[{at}].body"), it.body.as_ref()));
    for (field, body) in bodies.into_iter().chain(of_callouts) {
        if let Some(WantedBody::Rule(BodyForms { regex: it, .. })) = body {
            regex(format!("{path}.{field}.regex"), it.as_ref());
        }
    }
}

#[cfg(test)]
mod tests;
