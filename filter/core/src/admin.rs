//! The endpoint for operators: the circuits of a proxy, shown and moved.
//!
//! A listener whose configuration has `admin` answers here what is under its path
//! prefix: a page, the circuits as JSON, and a PUT that forces or resets them. Every
//! answer is made from the request's head alone, since a filter that stops a request
//! at its headers never sees a body; so what to do stands in the query.
//!
//! Whoever reaches the listener may do all of this: who that is, is the proxy's
//! affair. One thing is not, that a browser of an operator carries out what a strange
//! page tells it. A PUT from another origin needs a preflight, which is refused like
//! every OPTIONS; one that the browser marks as another site's is refused by that
//! mark; and the page runs no script but its own, and in no frame. A stranger whose
//! own name points to this proxy (DNS rebinding) would be of the same origin: so only
//! requests to `localhost` or to an address are answered.
//!
//! A force ends by itself, or a circuit that was forced on a bad night would still
//! be so when everybody has forgotten it.
//!
//! Paths and queries are bytes that anyone may have made up. Nothing that may stand
//! in them needs percent-encoding, so none is decoded: an encoded name is another name,
//! and the prefix cannot be written in two ways.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::Request;

mod ask;
mod list;
mod problem;
mod view;

pub use view::{Action, Answer, Busy, CircuitView, Circuits, Clocks, Listing};

use ask::Ask;
use problem::{Refusal, one_of, problem, refuse};

/// What access logs show as response code details of every answer made here.
pub const DETAILS: &str = "spillway_admin";

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// The page. It asks for the circuits each second while someone looks at it, keeps
/// the row of a circuit the same element for as long as the circuit is there, so that
/// focus stays where it is, and writes what it was told as text, never as markup.
const PAGE: &str = include_str!("admin/page.html");

/// Headers of every answer. The hashes are those of the page's style and script, so
/// that a browser runs these and nothing else.
const GUARDS: [(&str, &str); 5] = [
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; \
         style-src 'sha256-RWHpXFJZyDRbYz9U41yGwN6UcE5r96j8J0LvMhybNaU='; \
         script-src 'sha256-fJh88Vbh23Try+AA5uS8T1NqizHo/SjrxiE/vg9zF78='; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
];

/// Whether `path`, with its query, is under `prefix` and so for [`answer`] to answer.
/// A prefix begins with a slash and does not end with one.
pub fn is_under(prefix: &str, path: &[u8]) -> bool {
    under(prefix, path).is_some()
}

/// What of `path` comes after the prefix.
fn under<'a>(prefix: &str, path: &'a [u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix.as_bytes())?;
    matches!(rest.first(), None | Some(b'/' | b'?')).then_some(rest)
}

/// The answer to a request under `prefix`; absent where it is not under it.
pub fn answer(
    prefix: &str,
    request: &impl Request,
    clocks: Clocks,
    circuits: &mut impl Circuits,
) -> Option<Answer> {
    let rest = under(prefix, request.header(":path")?)?;
    let method = request.header(":method").unwrap_or_default();
    let made = ask::to_a_near_host(request.header(":authority"))
        .and_then(|()| ask::read(method, rest, request.header("sec-fetch-site")))
        .and_then(|ask| perform(prefix, ask, clocks, circuits));
    Some(made.unwrap_or_else(|refusal| *refusal))
}

fn perform(
    prefix: &str,
    ask: Ask<'_>,
    clocks: Clocks,
    circuits: &mut impl Circuits,
) -> Result<Answer, Refusal> {
    let (policy, command) = match ask {
        Ask::Home => {
            let mut answer = Answer::new(308, HTML, Vec::new());
            // The page's own links are relative, and need the slash.
            answer.push("location", &[prefix, "/"].concat());
            return Ok(answer);
        }
        Ask::Page => return Ok(Answer::new(200, HTML, PAGE.into())),
        Ask::List { policy } => (policy, None),
        Ask::Control { policy, id, action } => (Some(policy), Some((id, action))),
    };
    let policies = circuits.policies();
    let known: Vec<&str> = policies.iter().map(|name| &**name).collect();
    let mut names = &*known;
    if policy.is_some() {
        let at = one_of(404, "policy", policy, names)?;
        names = names.get(at..=at).unwrap_or_default();
    }
    let body = match command {
        None => list::write(names, policy, clocks, circuits),
        Some((id, action)) => {
            let name = names.first().copied().unwrap_or_default();
            let changed = control(name, id, action, circuits)?;
            format!("{{\"changed\":{changed}}}").into()
        }
    };
    Ok(Answer::new(200, JSON, body))
}

fn control(
    policy: &str,
    id: Option<u64>,
    action: Action,
    circuits: &mut impl Circuits,
) -> Result<usize, Refusal> {
    match (circuits.control(policy, id, action), id) {
        (Err(Busy), _) => {
            let detail = "other workers changed the circuits at the same time; try again";
            let mut refusal = problem(503, detail);
            refusal.push("retry-after", "1");
            Err(refusal)
        }
        (Ok(0), Some(id)) => {
            let rule = "which the policy does not have, or no longer";
            Err(refuse(
                404,
                "the circuit's id",
                Some(hex(id).as_bytes()),
                rule,
            ))
        }
        (Ok(count), _) => Ok(count),
    }
}

/// An id as the list shows it and paths name it.
fn hex(id: u64) -> String {
    format!("{id:016x}")
}

impl Answer {
    fn new(status: u16, content_type: &str, body: Vec<u8>) -> Answer {
        let mut answer = Answer {
            status,
            headers: Vec::new(),
            body,
        };
        answer.push("content-type", content_type);
        for (name, value) in GUARDS {
            answer.push(name, value);
        }
        answer
    }

    fn push(&mut self, name: &str, value: &str) {
        self.headers.push((name.into(), value.into()));
    }
}

#[cfg(test)]
mod tests;
