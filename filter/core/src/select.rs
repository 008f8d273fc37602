//! Which policy a request is under: the first whose conditions hold.
//!
//! Trying ten thousand policies one by one would cost every request for all of
//! them. Each policy is therefore filed under one condition that an exact look-up
//! can answer: its clusters, else its routes, else its exact authorities; the
//! rest are tried by hand. What the look-ups find, in the order of the file, is
//! tried in full, so that filing changes the cost but never the choice.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::borrow::Borrow;

use hashbrown::HashMap;

use crate::exchange::Request;
use crate::http_value::without_port;
use crate::policy::{Authority, HeaderTest, Match, Mode, PathKind, PathPattern, Policy};

/// Policies by what they can be found by; the numbers are places in the file.
#[derive(Debug, Default)]
pub struct Selector {
    clusters: Files,
    routes: Files,
    authorities: Files,
    unfiled: Vec<usize>,
}

type Files = HashMap<Box<[u8]>, Vec<usize>>;

/// A request's policy, and the path pattern by which it is under it.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'a> {
    /// Place of the policy in the file.
    pub policy: usize,
    /// The pattern that the path matched; absent where the policy has none.
    pub pattern: Option<&'a str>,
}

impl Selector {
    /// Files the policies; disabled ones are left out, as if they were absent.
    pub fn new(policies: &[Policy]) -> Selector {
        let mut selector = Selector::default();
        for (place, policy) in policies.iter().enumerate() {
            if policy.mode != Mode::Disabled {
                selector.file(place, &policy.matcher);
            }
        }
        selector
    }

    fn file(&mut self, place: usize, matcher: &Match) {
        let exact = |authority: &Authority| match authority {
            Authority::Exact(name) => Some(name.clone()),
            Authority::Suffix(_) => None,
        };
        let authorities: Option<Vec<Box<str>>> = matcher.authorities.iter().map(exact).collect();
        if !matcher.clusters.is_empty() {
            file_under(&mut self.clusters, &matcher.clusters, place);
        } else if !matcher.routes.is_empty() {
            file_under(&mut self.routes, &matcher.routes, place);
        } else if let Some(names) = authorities.filter(|names| !names.is_empty()) {
            file_under(&mut self.authorities, &names, place);
        } else {
            self.unfiled.push(place);
        }
    }

    /// The policy of a request.
    pub fn select<'a, P: Borrow<Policy>>(
        &self,
        policies: &'a [P],
        request: &impl Request,
    ) -> Option<Selected<'a>> {
        let mut lists = [
            found(&self.clusters, || request.cluster()),
            found(&self.routes, || request.route()),
            &[],
            &[],
            &self.unfiled,
        ];
        if !self.authorities.is_empty() {
            let authority = request.header(":authority").unwrap_or_default();
            let lower = authority.to_ascii_lowercase();
            let bare = without_port(&lower);
            lists[2] = found(&self.authorities, || Some(&lower));
            if bare.len() < lower.len() {
                lists[3] = found(&self.authorities, || Some(bare));
            }
        }
        let of_place = |place: usize| {
            let pattern = holds(&policies.get(place)?.borrow().matcher, request)?;
            Some(Selected {
                policy: place,
                pattern: pattern.map(|p| &*p.text),
            })
        };
        // Mostly one list has all that may match, and is in order.
        let mut filled = lists.iter().filter(|list| !list.is_empty());
        let only = filled.next()?;
        if filled.next().is_none() {
            return only.iter().find_map(|place| of_place(*place));
        }
        while let Some(place) = pop_lowest(&mut lists) {
            let selected = of_place(place);
            if selected.is_some() {
                return selected;
            }
        }
        None
    }
}

fn file_under(files: &mut Files, names: &[Box<str>], place: usize) {
    for name in names {
        let list = files.entry(name.as_bytes().into()).or_default();
        if list.last() != Some(&place) {
            list.push(place);
        }
    }
}

/// Asks for the name only if anything is filed at all.
#[inline]
fn found<'f, 'r>(files: &'f Files, name: impl FnOnce() -> Option<&'r [u8]>) -> &'f [usize] {
    if files.is_empty() {
        return &[];
    }
    name()
        .and_then(|name| files.get(name))
        .map_or(&[], Vec::as_slice)
}

/// Takes the lowest first element off the lists, which are ascending.
fn pop_lowest(lists: &mut [&[usize]]) -> Option<usize> {
    let lowest = lists
        .iter()
        .filter_map(|list| list.first())
        .min()
        .copied()?;
    for list in lists {
        if let Some((first, rest)) = list.split_first()
            && *first == lowest
        {
            *list = rest;
        }
    }
    Some(lowest)
}

/// Whether all conditions hold: then the path pattern that did, if paths are one.
fn holds<'a>(matcher: &'a Match, request: &impl Request) -> Option<Option<&'a PathPattern>> {
    let one_of = |names: &[Box<str>], value: Option<&[u8]>| {
        value.is_some_and(|value| names.iter().any(|name| name.as_bytes() == value))
    };
    if !matcher.clusters.is_empty() && !one_of(&matcher.clusters, request.cluster()) {
        return None;
    }
    if !matcher.routes.is_empty() && !one_of(&matcher.routes, request.route()) {
        return None;
    }
    if !matcher.methods.is_empty() && !one_of(&matcher.methods, request.header(":method")) {
        return None;
    }
    if !matcher.authorities.is_empty() {
        let authority = request.header(":authority")?;
        matcher
            .authorities
            .iter()
            .find(|a| authority_holds(a, authority))?;
    }
    for header in &matcher.headers {
        if !header_holds(&header.name, &header.test, request) {
            return None;
        }
    }
    if matcher.paths.is_empty() {
        return Some(None);
    }
    let path = without_query(request.header(":path")?);
    matcher.paths.iter().find(|p| path_holds(p, path)).map(Some)
}

fn authority_holds(pattern: &Authority, authority: &[u8]) -> bool {
    let compare = |name: &[u8]| match pattern {
        Authority::Exact(exact) => name.eq_ignore_ascii_case(exact.as_bytes()),
        Authority::Suffix(suffix) => {
            let start = name.len().checked_sub(suffix.len()).filter(|at| *at > 0);
            start
                .and_then(|at| name.get(at..))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
        }
    };
    compare(authority) || compare(without_port(authority))
}

fn header_holds(name: &str, test: &HeaderTest, request: &impl Request) -> bool {
    match test {
        HeaderTest::Exact(exact) => {
            request.any_header(name, &mut |value| value == exact.as_bytes())
        }
        HeaderTest::Present(present) => request.any_header(name, &mut |_| true) == *present,
    }
}

fn without_query(path: &[u8]) -> &[u8] {
    path.split(|b| *b == b'?' || *b == b'#')
        .next()
        .unwrap_or_default()
}

fn path_holds(pattern: &PathPattern, path: &[u8]) -> bool {
    let text = pattern.text.as_bytes();
    match pattern.kind {
        PathKind::Exact => path == text,
        PathKind::Prefix => path.starts_with(text),
        PathKind::Template => {
            let mut segments = path.split(|b| *b == b'/');
            let all = text.split(|b| *b == b'/').all(|wanted| {
                segments.next().is_some_and(|segment| {
                    segment == wanted || (wanted.starts_with(b"{") && !segment.is_empty())
                })
            });
            all && segments.next().is_none()
        }
    }
}

#[cfg(test)]
mod tests;
