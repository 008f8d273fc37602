//! Properties that a plugin test sets.

use serde_json::Value;

/// Returns the path as the host knows it: segments are separated by NUL in place of dots, and
/// `\.` is a dot.
pub(super) fn path(text: &str) -> Vec<u8> {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text.bytes().peekable();
    while let Some(byte) = rest.next() {
        path.push(match byte {
            b'\\' if rest.peek() == Some(&b'.') => rest.next().unwrap_or(byte),
            b'.' => 0,
            other => other,
        });
    }
    path
}

/// Returns a value in Envoy's encoding. `None` for a list, an object or nothing.
pub(super) fn value(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Bool(truth) => Some(vec![u8::from(*truth)]),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(whole.to_le_bytes().into()),
            None => number.as_f64().map(|real| real.to_le_bytes().into()),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_has_segments() {
        for (text, expected) in [
            ("xds.node.id", &b"xds\0node\0id"[..]),
            (
                r"metadata.filter_metadata.envoy\.lb.a",
                b"metadata\0filter_metadata\0envoy.lb\0a",
            ),
            (r"a\", br"a\"),
            ("", b""),
        ] {
            assert_eq!(path(text), expected, "{text}");
        }
    }

    #[test]
    fn values_have_the_encoding_of_envoy() {
        for (json, expected) in [
            (json!("x"), Some(b"x".to_vec())),
            (json!(true), Some(vec![1])),
            (json!(258), Some(vec![2, 1, 0, 0, 0, 0, 0, 0])),
            (json!(1.0), Some(1.0_f64.to_le_bytes().into())),
            (json!([1]), None),
        ] {
            assert_eq!(value(&json), expected, "{json}");
        }
    }
}
