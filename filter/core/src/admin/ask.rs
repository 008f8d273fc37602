//! Parses a request's method, path and query.

use alloc::vec::Vec;

use super::problem::{Refusal, one_of, refuse};
use super::view::Action;
use crate::circuit::Forced;
use crate::text;
use crate::time::Span;

/// A valid request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask<'a> {
    /// The prefix without a trailing slash.
    Home,
    /// The page.
    Page,
    /// The circuits of one policy, or of all, whose names contain a text. The text is
    /// percent-encoded.
    List {
        policy: Option<&'a [u8]>,
        contains: Option<&'a [u8]>,
    },
    /// An action on one circuit, or on all of a policy.
    Control {
        policy: &'a [u8],
        id: Option<u64>,
        action: Action,
    },
}

/// The paths after the prefix. Words in capitals are placeholders.
const PATHS: [&str; 4] = ["/", "/circuits", "/circuits/POLICY", "/circuits/POLICY/ID"];
const LIST: usize = 1;

/// Values of `sec-fetch-site` for requests from the endpoint's own page, or from no page.
const SITES: [&str; 2] = ["same-origin", "none"];

const ACTIONS: [&str; 4] = ["force_open", "force_closed", "reset", "automatic"];

/// How long a state may be forced. A day is longer than any shift.
const FORCE_MIN: Span = Span::from_secs(1);
const FORCE_MAX: Span = Span::from_secs(24 * 60 * 60);

/// Refuses requests to any host name that an attacker could point at this proxy. No public
/// name consists of digits and dots only, and only addresses are in brackets.
pub(super) fn check_host(authority: Option<&[u8]>) -> Result<(), Refusal> {
    let host = authority.unwrap_or_default();
    let name = match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !host.ends_with(b"]") => host.get(..colon).unwrap_or_default(),
        _ => host,
    };
    let is_address = name.starts_with(b"[")
        || !name.is_empty() && name.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    if is_address || name.eq_ignore_ascii_case(b"localhost") {
        return Ok(());
    }
    Err(refuse(
        403,
        "the host",
        authority,
        "allowed localhost or an address",
    ))
}

/// Parses a request. `rest` is its path after the prefix, and `fetch_site` is its header
/// `sec-fetch-site`, in which browsers say where a request comes from.
pub(super) fn read<'a>(
    method: &[u8],
    rest: &'a [u8],
    fetch_site: Option<&[u8]>,
) -> Result<Ask<'a>, Refusal> {
    let (path, query) = split(rest, b'?').unwrap_or((rest, b""));
    if let Some(target) = path.strip_prefix(b"/circuits/") {
        allow(method, &["PUT"])?;
        if fetch_site.is_some() {
            one_of(403, "sec-fetch-site", fetch_site, &SITES)?;
        }
        return control(target, query);
    }
    let is_list = match path {
        b"" => false,
        path => one_of(404, "the path after the prefix", Some(path), &PATHS)? == LIST,
    };
    allow(method, &["GET", "HEAD"])?;
    let names: &[&str] = if is_list {
        &["policy", "contains"]
    } else {
        &[]
    };
    let [policy, contains] = parameters(query, names)?;
    Ok(match (is_list, path) {
        (true, _) => Ask::List { policy, contains },
        (false, b"") => Ask::Home,
        (false, _) => Ask::Page,
    })
}

fn allow(method: &[u8], methods: &[&str]) -> Result<(), Refusal> {
    match one_of(405, "the method", Some(method), methods) {
        Ok(_) => Ok(()),
        Err(mut refusal) => {
            refusal.push("allow", &methods.join(", "));
            Err(refusal)
        }
    }
}

fn control<'a>(target: &'a [u8], query: &'a [u8]) -> Result<Ask<'a>, Refusal> {
    let (policy, id) = match split(target, b'/') {
        Some((policy, digits)) => (policy, Some(circuit_id(digits)?)),
        None => (target, None),
    };
    let [action, length] = parameters(query, &["action", "for"])?;
    let action = read_action(action, length)?;
    Ok(Ask::Control { policy, id, action })
}

/// Parses 16 hexadecimal digits, as lists show them.
fn circuit_id(digits: &[u8]) -> Result<u64, Refusal> {
    let add = |id: u64, digit: &u8| Some(id << 4 | u64::from(char::from(*digit).to_digit(16)?));
    let id = digits.iter().try_fold(0, add);
    id.filter(|_| digits.len() == 16).ok_or_else(|| {
        let rule = "allowed 16 hexadecimal digits";
        refuse(400, "the circuit's id", Some(digits), rule)
    })
}

fn read_action(action: Option<&[u8]>, length: Option<&[u8]>) -> Result<Action, Refusal> {
    let at = one_of(400, "action", action, &ACTIONS)?;
    let forced = match at {
        0 => Forced::Open,
        1 => Forced::Closed,
        _ if length.is_some() => {
            let rule = "allowed with force_open and force_closed only";
            return Err(refuse(400, "for", length, rule));
        }
        2 => return Ok(Action::Reset),
        _ => return Ok(Action::Automatic),
    };
    length
        .and_then(|length| text::duration(core::str::from_utf8(length).ok()?))
        .filter(|span| (FORCE_MIN..=FORCE_MAX).contains(span))
        .map(|span| Action::Force(forced, span))
        .ok_or_else(|| refuse(400, "for", length, "allowed 1s to 24h"))
}

/// Returns the values of the parameters `names`, of which there are at most two. Each may
/// occur once.
fn parameters<'a>(query: &'a [u8], names: &[&str]) -> Result<[Option<&'a [u8]>; 2], Refusal> {
    let mut values = [None; 2];
    if query.is_empty() {
        return Ok(values);
    }
    for pair in query.split(|byte| *byte == b'&') {
        let (name, value) = split(pair, b'=').unwrap_or((pair, b""));
        let at = one_of(400, "a parameter", Some(name), names)?;
        let place = values.get_mut(at);
        if place.is_some_and(|place| place.replace(value).is_some()) {
            return Err(refuse(400, "a parameter", Some(name), "allowed once"));
        }
    }
    Ok(values)
}

/// Decodes a percent-encoded text. A percent sign without two digits stands for itself.
pub(super) fn decoded(mut text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::new();
    while let [first, rest @ ..] = text {
        let escaped = match text {
            [b'%', high, low, after @ ..] => digit(*high)
                .zip(digit(*low))
                .map(|(high, low)| ((high << 4 | low) as u8, after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*first, rest));
        bytes.push(byte);
        text = after;
    }
    bytes
}

/// Returns the parts before and after the first `mark`.
fn split(bytes: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == mark)?;
    let (before, after) = bytes.split_at_checked(at)?;
    Some((before, after.get(1..)?))
}
