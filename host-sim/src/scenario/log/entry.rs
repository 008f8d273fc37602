//! One request of a log.

use super::field::{Field, Value, Values};
use super::time;
use crate::sim::span::Span;

/// One request, as the proxy logged it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When it began, in nanoseconds since 1970.
    pub start_ns: u64,
    pub duration: Span,
    /// 0 if there was no response.
    pub status: u16,
    /// As in `%RESPONSE_FLAGS%`. Empty if there are none.
    pub flags: String,
    /// As in `%RESPONSE_CODE_DETAILS%`. Empty if the log does not have them.
    pub details: String,
    pub method: String,
    pub path: String,
    pub authority: String,
    /// Empty if the request had none.
    pub cluster: String,
    pub request_id: String,
    pub grpc_status: Option<u32>,
    /// Spillway's decision record.
    pub decision: String,
}

/// The cluster of logs that do not name it.
pub(super) const UNNAMED_CLUSTER: &str = "upstream";

/// The longest request, in milliseconds: a day.
const DURATION_MS_MAX: f64 = 86_400_000.0;

impl Entry {
    /// Checks the values of a line.
    ///
    /// # Errors
    ///
    /// What is missing or not allowed.
    pub fn new(mut values: Values<'_>) -> Result<Entry, String> {
        Ok(Entry {
            start_ns: start(&values[Field::Time as usize])?,
            duration: duration(&values[Field::Duration as usize])?,
            status: status(&values[Field::Status as usize])?,
            grpc_status: grpc_status(&values[Field::GrpcStatus as usize])?,
            cluster: match &values[Field::Cluster as usize] {
                Value::Absent => UNNAMED_CLUSTER.into(),
                _ => take(&mut values, Field::Cluster),
            },
            flags: take(&mut values, Field::Flags),
            details: take(&mut values, Field::Details),
            method: or(take(&mut values, Field::Method), "GET"),
            path: or(take(&mut values, Field::Path), "/"),
            authority: or(take(&mut values, Field::Authority), "unknown"),
            request_id: take(&mut values, Field::RequestId),
            decision: take(&mut values, Field::Decision),
        })
    }

    /// Returns whether the client got a successful response.
    pub fn is_good(&self) -> bool {
        (1..500).contains(&self.status) && self.grpc_status.is_none_or(|status| status == 0)
    }

    /// Returns how much memory it takes.
    pub(super) fn byte_size(&self) -> usize {
        let texts = [
            &self.flags,
            &self.details,
            &self.method,
            &self.path,
            &self.authority,
            &self.cluster,
            &self.request_id,
            &self.decision,
        ];
        let texts: usize = texts.iter().map(|text| text.capacity()).sum();
        size_of::<Entry>() + texts
    }

    /// Returns when it ended, in nanoseconds since 1970.
    pub fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.duration.as_ns())
    }
}

fn take(values: &mut Values<'_>, field: Field) -> String {
    match std::mem::take(&mut values[field as usize]) {
        Value::Text(text) => text.into_owned(),
        Value::Whole(number) => number.to_string(),
        _ => String::new(),
    }
}

fn or(text: String, default: &str) -> String {
    match text.is_empty() {
        true => default.into(),
        false => text,
    }
}

fn absent(field: Field) -> String {
    let known = field.known_names();
    format!("has no {}, allowed one of the names {known}", field.name())
}

fn start(value: &Value<'_>) -> Result<u64, String> {
    let text = match value {
        Value::Absent | Value::Missing => return Err(absent(Field::Time)),
        Value::Text(text) => text.to_string(),
        Value::Whole(number) => number.to_string(),
        // Shortest digits that give the number back: a fraction of a second keeps its digits.
        Value::Number(number) => number.to_string(),
    };
    let allowed = "allowed a time of RFC 3339 or a number since 1970";
    time::parse(&text).ok_or_else(|| format!("has the time {:?}, {allowed}", shown(&text)))
}

fn number(value: &Value<'_>, field: Field) -> Result<Option<f64>, String> {
    match value {
        Value::Absent | Value::Missing => Ok(None),
        Value::Whole(number) => Ok(Some(*number as f64)),
        Value::Number(number) => Ok(Some(*number)),
        Value::Text(text) => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!(
                "has the {} {:?}, allowed a number",
                field.name(),
                shown(text)
            )),
        },
    }
}

fn duration(value: &Value<'_>) -> Result<Span, String> {
    let ms = number(value, Field::Duration)?.ok_or_else(|| absent(Field::Duration))?;
    match (0.0..=DURATION_MS_MAX).contains(&ms) {
        true => Ok(Span::from_ns((ms * 1e6) as u64)),
        false => Err(format!(
            "has the duration {ms}, allowed 0 to {DURATION_MS_MAX} milliseconds"
        )),
    }
}

fn status(value: &Value<'_>) -> Result<u16, String> {
    let status = number(value, Field::Status)?;
    if *value == Value::Absent {
        return Err(absent(Field::Status));
    }
    let status = status.unwrap_or(0.0);
    match status == 0.0 || (100.0..=599.0).contains(&status) && status.fract() == 0.0 {
        true => Ok(status as u16),
        false => Err(format!("has the status {status}, allowed 0 or 100 to 599")),
    }
}

/// Names of gRPC statuses, by number. Envoy's default is to log the name.
const GRPC: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

fn grpc_status(value: &Value<'_>) -> Result<Option<u32>, String> {
    if let Value::Text(text) = value {
        let plain = text.replace('_', "");
        let named = GRPC.iter().position(|it| it.eq_ignore_ascii_case(&plain));
        if let Some(status) = named {
            return Ok(Some(status as u32));
        }
    }
    match number(value, Field::GrpcStatus)? {
        None => Ok(None),
        Some(status) if (0.0..1e9).contains(&status) => Ok(Some(status as u32)),
        // Envoy logs -1 if a response has no gRPC status.
        Some(_) => Ok(Some(2)),
    }
}

/// Returns the beginning of a text, since lines may be huge.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
