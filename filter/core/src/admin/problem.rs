//! The answer that says why a request is not carried out: RFC 9457.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use super::view::Answer;
use crate::text;

/// An answer in place of the one that was wanted; boxed, since it is the rare case
/// of many results.
pub(super) type Refusal = Box<Answer>;

/// How many words a refusal lists: a proxy may have thousands of policies.
const WORDS_MAX: usize = 20;

/// The index of the one of `known` that was found in some place.
///
/// # Errors
///
/// A refusal that lists them, where it is none of these.
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

/// Refuses because of what was found in some place; `rule` says what may stand there.
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

/// An answer with this status and these words.
pub(super) fn problem(status: u16, detail: &str) -> Refusal {
    // The status's own words, as RFC 9457 wants them beside `about:blank`.
    let title = match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Service Unavailable",
    };
    // A text cannot fail to be written.
    let detail = serde_json::to_string(detail).unwrap_or_default();
    let body = format!(
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"detail\":{detail}}}"
    );
    Box::new(Answer::new(status, "application/problem+json", body.into()))
}
