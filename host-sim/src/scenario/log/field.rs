//! The fields of a log line that matter here, and the names that logs give them.

use std::borrow::Cow;
use std::str::FromStr;

/// A field of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Time,
    Duration,
    Status,
    Flags,
    Details,
    Method,
    Path,
    Authority,
    Cluster,
    RequestId,
    GrpcStatus,
    Decision,
}

/// Number of fields.
pub(super) const FIELDS: usize = 12;

/// A field, its name on the command line, and the names in JSON logs.
type Names = (Field, &'static str, &'static [&'static str]);

/// The names that Spillway's and Istio's formats and most others use.
const NAMES: [Names; FIELDS] = [
    (
        Field::Time,
        "time",
        &["start", "start_time", "time", "timestamp", "@timestamp"],
    ),
    (Field::Duration, "duration", &["duration_ms", "duration"]),
    (
        Field::Status,
        "status",
        &["code", "response_code", "status", "status_code"],
    ),
    (Field::Flags, "flags", &["flags", "response_flags"]),
    (
        Field::Details,
        "details",
        &["details", "response_code_details"],
    ),
    (Field::Method, "method", &["method"]),
    (Field::Path, "path", &["path"]),
    (Field::Authority, "authority", &["authority", "host"]),
    (
        Field::Cluster,
        "cluster",
        &["cluster", "upstream_cluster", "upstream_cluster_raw"],
    ),
    (Field::RequestId, "request_id", &["request_id"]),
    (
        Field::GrpcStatus,
        "grpc_status",
        &["grpc_status", "grpc_status_number"],
    ),
    (Field::Decision, "decision", &["spillway"]),
];

impl Field {
    /// Returns its names in logs, for messages.
    pub fn known_names(self) -> String {
        NAMES[self as usize].2.join(", ")
    }

    /// Returns its name on the command line.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].1
    }
}

/// The name that a log gives a field: `status=code`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMap {
    pub field: Field,
    pub name: String,
}

impl FromStr for FieldMap {
    type Err = String;

    fn from_str(text: &str) -> Result<FieldMap, String> {
        let allowed = || {
            let names: Vec<_> = NAMES.iter().map(|it| it.1).collect();
            format!("allowed FIELD=NAME with a field of {}", names.join(", "))
        };
        let (field, name) = text.split_once('=').ok_or_else(allowed)?;
        let known = NAMES.iter().find(|it| it.1 == field).ok_or_else(allowed)?;
        match name.is_empty() {
            true => Err(allowed()),
            false => Ok(FieldMap {
                field: known.0,
                name: name.into(),
            }),
        }
    }
}

/// Returns the field that a JSON log calls `name`.
pub(super) fn find(name: &str, maps: &[FieldMap]) -> Option<Field> {
    if let Some(map) = maps.iter().find(|it| it.name == name) {
        return Some(map.field);
    }
    let known = NAMES.iter().find(|it| it.2.contains(&name))?;
    // A field that the user has named elsewhere is read only from there.
    let mapped = maps.iter().any(|it| it.field == known.0);
    (!mapped).then_some(known.0)
}

/// The value of a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// The log does not have the field.
    #[default]
    Absent,
    /// The request does not have it: `null`, or `-` in text.
    Missing,
    Text(Cow<'a, str>),
    Whole(u64),
    Number(f64),
}

/// The values of one line.
pub(super) type Values<'a> = [Value<'a>; FIELDS];
