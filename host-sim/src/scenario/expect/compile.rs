//! Turns statements into expectations, and checks which fields go together.

use super::{Amount, Bounds, Expectation, Limit, Memory, Statement, Subject, UpstreamMetric};
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// Reports a problem at a path.
type Report<'a> = &'a mut dyn FnMut(String, String);

/// Turns the statements of a file into expectations, and reports problems with their paths.
pub fn compile(statements: &[Statement], report: Report<'_>) -> Vec<Expectation> {
    let mut expectations = Vec::new();
    for (number, statement) in statements.iter().enumerate() {
        match one(statement) {
            Ok(expectation) => expectations.push(expectation),
            Err((field, text)) => {
                let dot = if field.is_empty() { "" } else { "." };
                report(format!("expect[{number}]{dot}{field}"), text);
            }
        }
    }
    expectations
}

/// A field and its problem.
type Wrong = (&'static str, String);

fn one(statement: &Statement) -> Result<Expectation, Wrong> {
    let subject = subject(statement)?;
    let is_moment = matches!(subject, Subject::State { .. });
    if statement.at.is_some() && !is_moment {
        let text = "is a moment, but only the state of a circuit has one; use between";
        return Err(("at", text.into()));
    }
    if statement.between.is_some() && is_moment {
        let text = "is a period, but a state needs a moment; use at, or enters";
        return Err(("between", text.into()));
    }
    if let Some((from, to)) = statement.between
        && from >= to
    {
        return Err(("between", format!("ends at {to}, not after {from}")));
    }
    let bounds = bounds(statement, &subject)?;
    Ok(Expectation {
        text: text(statement),
        source: statement.source.clone(),
        window: statement.between.map(|(from, to)| (time(from), time(to))),
        subject,
        bounds,
    })
}

fn subject(statement: &Statement) -> Result<Subject, Wrong> {
    let Statement {
        circuit,
        metric,
        client,
        amplification,
        ..
    } = statement;
    let given = [
        circuit.is_some(),
        metric.is_some(),
        client.is_some(),
        amplification.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        let text = "needs exactly one of circuit, metric, client and amplification";
        return Err(("", text.into()));
    }
    for (field, given, wanted) in [
        ("key", statement.key.is_some(), circuit.is_some()),
        ("state", statement.state.is_some(), circuit.is_some()),
        ("enters", statement.enters.is_some(), circuit.is_some()),
        (
            "cluster",
            statement.cluster.is_some(),
            metric.is_some() || amplification.is_some(),
        ),
        ("source", statement.source.is_some(), client.is_some()),
        ("value", statement.value.is_some(), amplification.is_some()),
    ] {
        if given && !wanted {
            return Err((field, "has no effect here".into()));
        }
    }
    if let Some(policy) = circuit {
        return of_circuit(statement, policy);
    }
    if let Some(name) = metric {
        return of_metric(name, statement.cluster.clone());
    }
    let amplification = || Subject::Amplification(statement.cluster.clone());
    Ok(client.map_or_else(amplification, Subject::Client))
}

fn of_circuit(statement: &Statement, policy: &str) -> Result<Subject, Wrong> {
    let (policy, key) = (policy.to_owned(), statement.key.clone());
    match (statement.state, statement.enters, statement.at) {
        (Some(state), None, Some(at)) => Ok(Subject::State {
            at: time(at),
            policy,
            key,
            state,
        }),
        (None, Some(state), None) => Ok(Subject::Enters { policy, key, state }),
        _ => Err(("", "needs state and at, or enters, with circuit".into())),
    }
}

fn of_metric(name: &str, cluster: Option<String>) -> Result<Subject, Wrong> {
    let metric = match name {
        "upstream_requests" => UpstreamMetric::Requests,
        "upstream_retries" => UpstreamMetric::Retries,
        "upstream_failures" => UpstreamMetric::Failures,
        "upstream_overflows" => UpstreamMetric::Overflows,
        "callouts" => UpstreamMetric::Callouts,
        "serving_max" => UpstreamMetric::ServingMax,
        "line_max" => UpstreamMetric::LineMax,
        "shared_data_names" if cluster.is_none() => {
            return Ok(Subject::Memory(Memory::SharedNames));
        }
        "shared_data_bytes" if cluster.is_none() => {
            return Ok(Subject::Memory(Memory::SharedBytes));
        }
        "machine_bytes" if cluster.is_none() => return Ok(Subject::Memory(Memory::Vm)),
        // The plugin's metrics are unknown before the run. Their names usually have a dot, so a
        // misspelt name without one is an error, and not a metric that stays 0.
        _ if !name.contains('.') => {
            let known = "upstream_requests, upstream_retries, upstream_failures, \
                         upstream_overflows, callouts, serving_max, line_max, shared_data_names, \
                         shared_data_bytes, machine_bytes";
            let text = format!(
                "is {name:?}, unknown metric; known: {known}, and metrics of the plugin, which have a dot"
            );
            return Err(("metric", text));
        }
        _ if cluster.is_some() => {
            return Err(("cluster", "has no effect on a metric of the plugin".into()));
        }
        _ => return Ok(Subject::Plugin(name.to_owned())),
    };
    Ok(Subject::Upstream { metric, cluster })
}

fn bounds(statement: &Statement, subject: &Subject) -> Result<Bounds, Wrong> {
    let Statement {
        min,
        max,
        equals,
        value,
        ..
    } = statement;
    if let Some(limit) = statement.amplification {
        let Some(value) = value else {
            return Err(("", "needs a value with amplification".into()));
        };
        let value = Some(number(*value, false, "value")?);
        return Ok(match limit {
            Limit::Min => Bounds {
                min: value,
                max: None,
            },
            Limit::Max => Bounds {
                min: None,
                max: value,
            },
        });
    }
    if matches!(subject, Subject::State { .. }) {
        return Ok(Bounds::default());
    }
    let is_time = subject.is_time();
    let read =
        |amount: &Option<Amount>, field| amount.map(|it| number(it, is_time, field)).transpose();
    let (low, high, exact) = (
        read(min, "min")?,
        read(max, "max")?,
        read(equals, "equals")?,
    );
    match (low, high, exact) {
        (None, None, None) => Err(("", "needs min, max or equals".into())),
        (None, None, Some(exact)) => Ok(Bounds {
            min: Some(exact),
            max: Some(exact),
        }),
        (min, max, None) => Ok(Bounds { min, max }),
        _ => Err(("equals", "cannot be combined with min or max".into())),
    }
}

fn number(amount: Amount, is_time: bool, field: &'static str) -> Result<f64, Wrong> {
    match (amount, is_time) {
        (Amount::Number(number), false) => Ok(number),
        (Amount::Span(span), true) => Ok(span.as_ns() as f64),
        (Amount::Number(number), true) => Err((
            field,
            format!("is {number}, but must be a duration such as 250ms"),
        )),
        (Amount::Span(span), false) => Err((field, format!("is {span}, but must be a number"))),
    }
}

/// Returns the statement on one line: `at: 12s, circuit: checkout, state: open`.
fn text(statement: &Statement) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(statement) else {
        return String::new();
    };
    // The order of the struct reads as a sentence. A JSON map is sorted by name.
    const ORDER: [&str; 16] = [
        "at",
        "between",
        "circuit",
        "key",
        "state",
        "enters",
        "metric",
        "cluster",
        "client",
        "source",
        "amplification",
        "value",
        "min",
        "max",
        "equals",
        "policy",
    ];
    let show = |name: &&str| {
        fields
            .get(*name)
            .map(|value| format!("{name}: {}", flat(value)))
    };
    let parts: Vec<_> = ORDER.iter().filter_map(show).collect();
    parts.join(", ")
}

/// Time since the start of the run.
fn time(span: Span) -> Time {
    Time::ZERO + span
}

fn flat(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => {
            let items: Vec<_> = items.iter().map(flat).collect();
            format!("[{}]", items.join(", "))
        }
        serde_json::Value::Number(number) => match number.as_f64() {
            Some(number) => number.to_string(),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}
