//! Names that several objects contain.

use alloc::boxed::Box;

use serde_json::json;

use crate::policy::parse::forms;
use crate::policy::parse::read::Place;
use crate::text::lower;

/// Longest policy name. It is part of every metric name.
const NAME_BYTES_MAX: usize = 64;

/// Reads the name of a policy.
pub(super) fn policy(place: &Place<'_>) -> Box<str> {
    place.require();
    let plain = |text: &str| {
        !text.is_empty()
            && text.len() <= NAME_BYTES_MAX
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    place.schema(
        || json!({"pattern": "^[A-Za-z0-9_-]+$", "minLength": 1, "maxLength": NAME_BYTES_MAX}),
    );
    let allowed = "1 to 64 characters of A-Z, a-z, 0-9, _ and -";
    place
        .text(allowed, |text| plain(text).then(|| Box::from(text)))
        .unwrap_or_default()
}

/// Reads a required header name, in lower case. Pseudo headers are not allowed.
pub(super) fn header(place: &Place<'_>) -> Option<Box<str>> {
    place.require();
    optional_header(place)
}

/// Reads a header name, in lower case. Pseudo headers are not allowed.
pub(super) fn optional_header(place: &Place<'_>) -> Option<Box<str>> {
    place.schema(|| json!({"pattern": forms::TOKEN_PATTERN}));
    place.text("a header name", |text| {
        forms::is_token(text).then(|| lower(text))
    })
}

/// Reads a method.
pub(super) fn method(item: Place<'_>) -> Option<Box<str>> {
    item.schema(|| json!({"pattern": forms::TOKEN_PATTERN}));
    item.text("a method such as GET", |text| {
        forms::is_token(text).then(|| Box::from(text))
    })
}
