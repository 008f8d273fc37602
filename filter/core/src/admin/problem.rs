//! Responses that say why a request was refused (RFC 9457).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use super::view::AdminResponse;
use crate::text;

/// A response to a refused request. Boxed, since many results hold it and few are errors.
pub(super) type Refusal = Box<AdminResponse>;

/// Maximum number of allowed words in a refusal. A proxy may have thousands of policies.
const WORDS_MAX: usize = 20;

/// Returns the index in `known` of the word `found`. `place` is where the request has it.
///
/// # Errors
///
/// Returns a refusal that lists `known` if `found` is not one of them.
pub(super) fn one_of(
    status: u16,
    place: &str,
    found: Option<&[u8]>,
    known: &[&str],
) -> Result<usize, Refusal> {
    let same = |word: &&str| Some(word.as_bytes()) == found;
    known.iter().position(same).ok_or_else(|| {
        let mut allowed = known.get(..WORDS_MAX).unwrap_or(known).join(", ");
        match known.len() {
            0 => allowed.push_str("none"),
            1..=WORDS_MAX => {}
            _ => allowed.push_str(", ..."),
        }
        refuse(status, place, found, &["allowed ", &allowed].concat())
    })
}

/// Refuses a request because of what was found in `place`. `rule` says what is allowed there.
pub(super) fn refuse(status: u16, place: &str, found: Option<&[u8]>, rule: &str) -> Refusal {
    let found = match found {
        None => String::from("missing"),
        Some(found) => {
            let text = text::shorten(String::from_utf8_lossy(found).into_owned());
            ["\"", &text, "\""].concat()
        }
    };
    problem(status, &[place, " is ", &found, ", ", rule].concat())
}

/// Returns a refusal with this status and detail.
pub(super) fn problem(status: u16, detail: &str) -> Refusal {
    // With the type `about:blank`, RFC 9457 requires the status's reason phrase as the title.
    let title = match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Service Unavailable",
    };
    // Serializing a string cannot fail.
    let detail = serde_json::to_string(detail).unwrap_or_default();
    let body = format!(
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"detail\":{detail}}}"
    );
    Box::new(AdminResponse::new(
        status,
        "application/problem+json",
        body.into(),
    ))
}
