//! The admin endpoint, where operators see a proxy's circuits and change their state.
//!
//! A listener whose configuration has `admin` serves these under its path prefix: a page, the
//! circuits as JSON, and PUT requests that force or reset circuits. A filter that stops a
//! request at its headers never sees a body, so all parameters are in the query.
//!
//! # Security
//!
//! The endpoint does not authenticate. The proxy decides who can reach the listener. What the
//! endpoint does prevent is that another web site acts through an operator's browser:
//!
//! - A PUT from another origin needs a preflight, and OPTIONS is refused.
//! - A PUT is refused if `sec-fetch-site` names another site.
//! - The page runs only its own script, and never in a frame.
//! - Only `localhost` and IP addresses are accepted as the host. With DNS rebinding, an
//!   attacker's name would resolve to this proxy and have the same origin as the page.
//!
//! Paths and queries are untrusted bytes. Only the text of a search is percent-decoded. Nothing
//! else needs that, so the prefix has only one spelling.
//!
//! # Forced states
//!
//! A forced state always has an end. Otherwise a circuit forced during an incident would stay
//! so long after everybody has forgotten it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::Request;

mod ask;
mod list;
mod problem;
mod view;

pub use view::{Action, AdminResponse, Busy, CircuitView, Circuits, Clocks, Listing, Search};

use ask::Ask;
use problem::{Refusal, one_of, problem, refuse};

/// Response code details of every response of the endpoint.
pub const DETAILS: &str = "spillway_admin";

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

/// The page `admin/page.html` as `make page` compresses it: every worker has a copy in memory.
/// It loads the circuits once a second while it is visible. The row of a circuit stays the same
/// element, so it keeps the focus. All data is inserted as text, never as markup.
const PAGE: &[u8] = include_bytes!("admin/page.html.gz");

/// Headers of every response. The hashes are those of the page's inline style and script: a
/// browser runs nothing else.
const GUARDS: [(&str, &str); 5] = [
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; \
         style-src 'sha256-vlchj2Fs0kLFSW8hKfhDpRD2WkAhHPT2evOJsdlN6ps='; \
         script-src 'sha256-L/OIe9bmcjlbjHhcq0lhXJ90CFqJfedNcutXbYiLFlo='; \
         require-trusted-types-for 'script'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
];

/// Returns whether `path`, which may have a query, is under `prefix`, so that [`respond`]
/// handles it. A prefix begins with a slash and does not end with one.
pub fn is_under(prefix: &str, path: &[u8]) -> bool {
    under(prefix, path).is_some()
}

/// Returns the rest of `path` after the prefix. `None` if it is not under the prefix.
fn under<'a>(prefix: &str, path: &'a [u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix.as_bytes())?;
    matches!(rest.first(), None | Some(b'/' | b'?')).then_some(rest)
}

/// Handles a request and returns the response. `None` if the path is not under `prefix`.
pub fn respond(
    prefix: &str,
    request: &impl Request,
    clocks: Clocks,
    circuits: &mut impl Circuits,
) -> Option<AdminResponse> {
    let rest = under(prefix, request.header(":path")?)?;
    let method = request.header(":method").unwrap_or_default();
    let result = ask::check_host(request.header(":authority"))
        .and_then(|()| ask::read(method, rest, request.header("sec-fetch-site")))
        .and_then(|ask| perform(prefix, ask, clocks, circuits));
    Some(result.unwrap_or_else(|refusal| *refusal))
}

fn perform(
    prefix: &str,
    ask: Ask<'_>,
    clocks: Clocks,
    circuits: &mut impl Circuits,
) -> Result<AdminResponse, Refusal> {
    let (policy, contains, command) = match ask {
        Ask::Home => {
            let mut redirect = AdminResponse::new(308, HTML, Vec::new());
            // The page's relative URLs need the slash.
            redirect.push("location", &[prefix, "/"].concat());
            return Ok(redirect);
        }
        Ask::Page => {
            let mut page = AdminResponse::new(200, HTML, PAGE.into());
            page.push("content-encoding", "gzip");
            return Ok(page);
        }
        Ask::List { policy, contains } => (policy, contains, None),
        Ask::Control { policy, id, action } => (Some(policy), None, Some((id, action))),
    };
    let policies = circuits.policies();
    let known: Vec<&str> = policies.iter().map(|name| &**name).collect();
    let mut names = &*known;
    if policy.is_some() {
        let at = one_of(404, "policy", policy, names)?;
        names = names.get(at..=at).unwrap_or_default();
    }
    let body = match command {
        None => {
            let contains = ask::decoded(contains.unwrap_or_default());
            let wanted = list::Wanted {
                known: &known,
                names,
                only: policy,
                contains: &contains,
            };
            list::write(&wanted, clocks, circuits)
        }
        Some((id, action)) => {
            let name = names.first().copied().unwrap_or_default();
            let changed = control(name, id, action, circuits)?;
            format!("{{\"changed\":{changed}}}").into()
        }
    };
    Ok(AdminResponse::new(200, JSON, body))
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
            let rule = "unknown to the policy";
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

/// Returns an id as it appears in lists and paths.
fn hex(id: u64) -> String {
    format!("{id:016x}")
}

impl AdminResponse {
    fn new(status: u16, content_type: &str, body: Vec<u8>) -> AdminResponse {
        let mut response = AdminResponse {
            status,
            headers: Vec::new(),
            body,
        };
        response.push("content-type", content_type);
        for (name, value) in GUARDS {
            response.push(name, value);
        }
        response
    }

    fn push(&mut self, name: &str, value: &str) {
        self.headers.push((name.into(), value.into()));
    }
}

#[cfg(test)]
mod tests;
