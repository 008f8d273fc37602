//! An index of policies by how the paths of their requests begin.
//!
//! The beginnings are sorted, so those of a path are found by one binary search: the last one that
//! is not after the path, and what that one begins with.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::order;
use crate::policy::{PathKind, PathPattern};

/// Beginnings of paths, in ascending order.
#[derive(Debug, Default)]
pub(super) struct Beginnings(Vec<Beginning>);

#[derive(Debug)]
struct Beginning {
    text: Box<[u8]>,
    /// Positions of the policies that have it, ascending.
    places: Vec<usize>,
    /// The longest other one that it begins with.
    shorter: Option<usize>,
}

impl Beginnings {
    /// Indexes patterns, each with the position of its policy, in ascending order.
    pub(super) fn new(patterns: &[(&PathPattern, usize)]) -> Beginnings {
        let literal = |at: &usize| {
            let pattern = patterns.get(*at);
            pattern.map_or(&[][..], |(pattern, _)| literal(pattern))
        };
        let order = order::sorted(patterns.len(), &|a, b| {
            // Of one text, the first policy comes first.
            (literal(&a), a) < (literal(&b), b)
        });
        let mut all = Beginnings::default();
        for at in &order {
            let (text, place) = (literal(at), patterns.get(*at).map(|(_, place)| *place));
            if all.0.last().is_none_or(|last| *last.text != *text) {
                all.0.push(Beginning {
                    text: text.into(),
                    places: Vec::new(),
                    shorter: all.longest(text),
                });
            }
            if let Some(last) = all.0.last_mut() {
                last.places.extend(place);
            }
        }
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the longest beginning that a path has.
    #[inline(never)]
    pub(super) fn longest(&self, path: &[u8]) -> Option<usize> {
        let after = self.0.partition_point(|it| *it.text <= *path);
        let mut at = after.checked_sub(1)?;
        loop {
            let it = self.0.get(at)?;
            if path.starts_with(&it.text) {
                return Some(at);
            }
            at = it.shorter?;
        }
    }

    /// Returns the positions of the policies that have a beginning, ascending, and the next
    /// shorter beginning that the same paths have.
    pub(super) fn get(&self, at: usize) -> Option<(&[usize], Option<usize>)> {
        self.0.get(at).map(|it| (&*it.places, it.shorter))
    }
}

/// What all paths begin with that a pattern matches.
fn literal(pattern: &PathPattern) -> &[u8] {
    let text = pattern.text.as_bytes();
    let variable = match pattern.kind {
        PathKind::Exact | PathKind::Prefix => None,
        PathKind::Template => text.windows(2).position(|pair| pair == b"/{"),
    };
    let end = variable.map(|slash| slash.saturating_add(1));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}
