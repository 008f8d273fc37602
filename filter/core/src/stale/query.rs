//! Query parameters that do not select a response.
//!
//! Names are compared as sent: `utm%5Fid` is not `utm_id`. Upstreams disagree on where a
//! parameter ends: some also split at `;`, and some take a second `?` for a separator. A
//! parameter that contains one of these may hide another, so it always selects. So do all after
//! the first few hundred: a client must not buy much work with a long query.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Bytes by which some upstreams end a parameter.
const SEPARATORS: &[u8] = b";?#";

/// Parameters of a query that are compared with the names.
const COMPARED_MAX: usize = 256;

/// Splits a path into the path itself and its query, which is `None` if there is no `?`.
pub(super) fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    cut(path, b'?')
}

/// Returns what comes before the first `separator`, and what comes after it, if there is one.
#[inline(never)]
fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    let at = text.iter().position(|byte| *byte == separator);
    let parts = at.and_then(|at| Some((text.get(..at)?, text.get(at.checked_add(1)?..))));
    parts.unwrap_or((text, None))
}

/// Returns the path without the parameters that have one of these names. A name that ends with
/// `*` stands for all names with that beginning. The other parameters keep their order.
pub(super) fn without(path: &[u8], names: &[Box<str>]) -> Vec<u8> {
    let (bare, mut rest) = split(path);
    let mut kept = Vec::with_capacity(path.len());
    kept.extend_from_slice(bare);
    let mut separator = b'?';
    for _ in 0..COMPARED_MAX {
        let Some(query) = rest else {
            return kept;
        };
        let parameter;
        (parameter, rest) = cut(query, b'&');
        if !is_ignored(parameter, names) {
            kept.push(separator);
            kept.extend_from_slice(parameter);
            separator = b'&';
        }
    }
    if let Some(query) = rest {
        kept.push(separator);
        kept.extend_from_slice(query);
    }
    kept
}

fn is_ignored(parameter: &[u8], names: &[Box<str>]) -> bool {
    let sent = cut(parameter, b'=').0;
    let is_named = names.iter().any(|name| match name.strip_suffix('*') {
        Some(beginning) => sent.starts_with(beginning.as_bytes()),
        None => sent == name.as_bytes(),
    });
    is_named && !parameter.iter().any(|byte| SEPARATORS.contains(byte))
}
