//! Selects the policy of a request: the first whose conditions all hold.
//!
//! With ten thousand policies, trying one after the other would be too slow. So each policy is
//! indexed by one condition that a lookup can test: its clusters, else its routes, else its
//! authorities, unless one of them has a wildcard, else the beginnings of its paths. If many
//! policies are for one name, such as the paths of one host, they are indexed by their paths. The
//! rest are always tried. The candidates are tried in full, in the order of the file, so the index
//! changes the cost but never the choice.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::borrow::Borrow;

use hashbrown::HashMap;

use crate::exchange::Request;
use crate::http_value::without_port;
use crate::policy::{Authority, HeaderTest, Match, Mode, PathKind, PathPattern, Policy};

mod beginnings;

use beginnings::Beginnings;

/// An index of the policies, by their positions in the file.
#[derive(Debug, Default)]
pub struct Selector {
    clusters: Index,
    routes: Index,
    authorities: Index,
    paths: Beginnings,
    others: Vec<usize>,
}

type Index = HashMap<Box<[u8]>, Vec<usize>>;

/// Number of policies for one name from which on policies are indexed by their paths.
const CROWD: usize = 8;

/// The policy of a request, and the path pattern that matched.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'a> {
    /// Position of the policy in the file.
    pub policy: usize,
    /// The pattern that the path matched; `None` if the policy has no patterns.
    pub pattern: Option<&'a str>,
}

impl Selector {
    /// Indexes the policies, except disabled ones.
    pub fn new(policies: &[Policy]) -> Selector {
        let mut selector = Selector::default();
        let mut patterns = Vec::new();
        for (place, policy) in policies.iter().enumerate() {
            let matcher = &policy.matcher;
            if policy.mode == Mode::Disabled || selector.insert(place, matcher) {
                continue;
            }
            match &*matcher.paths {
                [] => selector.others.push(place),
                paths => patterns.extend(paths.iter().map(|pattern| (pattern, place))),
            }
        }
        selector.paths = Beginnings::new(&patterns);
        selector
    }

    /// Indexes a policy by a name. Returns false if it has none, or too many policies have its
    /// name and its paths tell more.
    fn insert(&mut self, place: usize, matcher: &Match) -> bool {
        let exact = |authority: &Authority| match authority {
            Authority::Exact(name) => Some(name.clone()),
            Authority::Suffix(_) => None,
        };
        let authorities: Option<Vec<Box<str>>> = matcher.authorities.iter().map(exact).collect();
        let (index, names) = if matcher.names_clusters() {
            (&mut self.clusters, &*matcher.clusters)
        } else if !matcher.routes.is_empty() {
            (&mut self.routes, &*matcher.routes)
        } else {
            (&mut self.authorities, authorities.as_deref().unwrap_or(&[]))
        };
        let list = |name: &str| index.get(name.as_bytes());
        let is_crowded = names
            .iter()
            .filter_map(|name| list(name))
            .any(|list| list.len() >= CROWD);
        if names.is_empty() || (is_crowded && !matcher.paths.is_empty()) {
            return false;
        }
        index_by(index, names, place);
        true
    }

    fn has_index(&self) -> bool {
        !(self.clusters.is_empty()
            && self.routes.is_empty()
            && self.authorities.is_empty()
            && self.paths.is_empty())
    }

    /// Returns the policy of a request, `None` if no policy applies.
    pub fn select<'a, P: Borrow<Policy>>(
        &self,
        policies: &'a [P],
        request: &impl Request,
    ) -> Option<Selected<'a>> {
        let of_place = |place: usize| {
            let pattern = holds(&policies.get(place)?.borrow().matcher, request)?;
            Some(Selected {
                policy: place,
                pattern: pattern.map(|p| &*p.text),
            })
        };
        if !self.has_index() {
            return self.others.iter().find_map(|place| of_place(*place));
        }
        let mut lists = Candidates {
            named: [
                found(&self.clusters, || request.cluster()),
                found(&self.routes, || request.route()),
                &[],
                &[],
                &self.others,
            ],
            paths: &self.paths,
            beginning: None,
            from: 0,
        };
        if !self.authorities.is_empty() {
            let authority = request.header(":authority").unwrap_or_default();
            let lower = authority.to_ascii_lowercase();
            let bare = without_port(&lower);
            lists.named[2] = found(&self.authorities, || Some(&lower));
            if bare.len() < lower.len() {
                lists.named[3] = found(&self.authorities, || Some(bare));
            }
        }
        if !self.paths.is_empty() {
            let path = request.header(":path").unwrap_or_default();
            lists.beginning = self.paths.longest(without_query(path));
        }
        lists.find_map(of_place)
    }
}

/// Positions of the policies that may be a request's, in ascending order.
struct Candidates<'a> {
    /// The lists of the request's names.
    named: [&'a [usize]; 5],
    paths: &'a Beginnings,
    /// The longest beginning that the request's path has.
    beginning: Option<usize>,
    /// The lowest position that was not returned yet.
    from: usize,
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    #[inline(never)]
    fn next(&mut self) -> Option<usize> {
        let mut lowest = usize::MAX;
        for list in &self.named {
            if let Some(first) = list.first() {
                lowest = lowest.min(*first);
            }
        }
        let mut beginning = self.beginning;
        while let Some((list, shorter)) = beginning.and_then(|at| self.paths.get(at)) {
            let at = list.partition_point(|place| *place < self.from);
            lowest = lowest.min(list.get(at).copied().unwrap_or(usize::MAX));
            beginning = shorter;
        }
        for list in &mut self.named {
            if let Some((first, rest)) = list.split_first()
                && *first == lowest
            {
                *list = rest;
            }
        }
        self.from = lowest.saturating_add(1);
        (lowest < usize::MAX).then_some(lowest)
    }
}

fn index_by(index: &mut Index, names: &[Box<str>], place: usize) {
    for name in names {
        let list = index.entry(name.as_bytes().into()).or_default();
        if list.last() != Some(&place) {
            list.push(place);
        }
    }
}

/// Looks a name up. The host is asked for it only if the index has entries.
#[inline]
fn found<'f, 'r>(index: &'f Index, name: impl FnOnce() -> Option<&'r [u8]>) -> &'f [usize] {
    if index.is_empty() {
        return &[];
    }
    name()
        .and_then(|name| index.get(name))
        .map_or(&[], Vec::as_slice)
}

/// Returns `Some` if all conditions hold, with the path pattern that matched, if any.
#[inline(never)]
fn holds<'a>(matcher: &'a Match, request: &impl Request) -> Option<Option<&'a PathPattern>> {
    let one_of = |names: &[Box<str>], value: Option<&[u8]>| {
        value.is_some_and(|value| names.iter().any(|name| name.as_bytes() == value))
    };
    if !matcher.clusters.is_empty() {
        let cluster = request.cluster()?;
        let clusters = &matcher.clusters;
        clusters.iter().find(|it| cluster_holds(it, cluster))?;
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

/// Whether a pattern matches the whole name of a cluster. A `*` stands for any run of characters
/// other than `|`, which divides Istio's names into fields.
///
/// A mismatch lengthens the run of the last `*`. Earlier ones need no other length: the last
/// one can stand for whatever a longer run would have skipped. So the time is at most the product
/// of both lengths, whatever the name.
pub fn cluster_holds(pattern: &str, cluster: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern.as_bytes(), cluster);
    // What follows the last `*` in the pattern, and behind its run in the name.
    let mut retry = None;
    loop {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => return true,
            (Some((b'*', after)), _) => {
                retry = Some((after, name));
                pattern = after;
            }
            (Some((wanted, after)), Some((byte, rest))) if wanted == byte => {
                (pattern, name) = (after, rest);
            }
            _ => {
                let longer = retry.and_then(|(after, name)| Some((after, name.split_first()?)));
                let Some((after, (_, rest))) = longer.filter(|(_, (byte, _))| **byte != b'|')
                else {
                    return false;
                };
                retry = Some((after, rest));
                (pattern, name) = (after, rest);
            }
        }
    }
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
