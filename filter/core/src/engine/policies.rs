//! The policies of one configuration, found by their index or by their name.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::policy_state::PolicyState;

/// The policies of one configuration, and the names of others that operators have met.
///
/// An index below the number of own policies is one of them; those above belong to
/// policies of other configurations, for events about them.
#[derive(Debug)]
pub(super) struct Policies {
    pub(super) own: Vec<PolicyState>,
    /// Indexes of the own policies in the order of their names.
    by_name: Vec<usize>,
    /// Names of policies of other configurations.
    others: Vec<Box<str>>,
    /// Their positions in the order of their names.
    others_by_name: Vec<usize>,
}

impl Policies {
    pub(super) fn new(own: Vec<PolicyState>) -> Policies {
        Policies {
            by_name: by_name(&own),
            own,
            others: Vec::new(),
            others_by_name: Vec::new(),
        }
    }

    /// Own policies in the order of their names.
    pub(super) fn sorted(&self) -> impl Iterator<Item = &PolicyState> {
        self.by_name.iter().filter_map(|at| self.own.get(*at))
    }

    /// The name of a policy, or an empty one if no policy has this index.
    pub(super) fn name(&self, index: usize) -> &str {
        let own = self.own.get(index).map(|state| &*state.policy.name);
        let other = || {
            let at = index.checked_sub(self.own.len())?;
            self.others.get(at).map(|name| &**name)
        };
        own.or_else(other).unwrap_or_default()
    }

    /// The index of the policy of this name. A policy of another configuration gets one.
    pub(super) fn index_of(&mut self, name: &str) -> usize {
        match self.find(name) {
            Some(index) => index,
            None => self.own.len().saturating_add(self.other(name)),
        }
    }

    /// The index of an own policy of this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let of_index = |at: &usize| heap_name(&self.own, *at);
        let found = self
            .by_name
            .binary_search_by(|at| of_index(at).cmp(&Some(name)));
        self.by_name.get(found.ok()?).copied()
    }

    /// The position of a policy among those of other configurations.
    fn other(&mut self, name: &str) -> usize {
        let of_position = |at: &usize| self.others.get(*at).map(|other| &**other);
        let found = self
            .others_by_name
            .binary_search_by(|at| of_position(at).cmp(&Some(name)));
        let last = self.others.len();
        match found {
            Ok(at) => self.others_by_name.get(at).copied().unwrap_or(last),
            Err(at) => {
                self.others.push(name.into());
                self.others_by_name.insert(at, last);
                last
            }
        }
    }
}

/// Returns the indexes of the policies in the order of their names.
///
/// A heapsort (Williams, "Algorithm 232", CACM 7(6), 1964): the library's sort would take
/// five kilobytes of the module for what happens once.
fn by_name(policies: &[PolicyState]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..policies.len()).collect();
    for root in (0..order.len() / 2).rev() {
        sift_down(&mut order, root, policies);
    }
    for end in (1..order.len()).rev() {
        order.swap(0, end);
        sift_down(order.get_mut(..end).unwrap_or_default(), 0, policies);
    }
    order
}

/// Moves the element at `root` down until none below it is larger.
fn sift_down(heap: &mut [usize], mut root: usize, policies: &[PolicyState]) {
    let name = |at: usize| heap_name(policies, at);
    loop {
        let left = root.saturating_mul(2).saturating_add(1);
        let right = left.saturating_add(1);
        let (Some(&above), Some(&child)) = (heap.get(root), heap.get(left)) else {
            return;
        };
        let (at, child) = match heap.get(right) {
            Some(&other) if name(other) > name(child) => (right, other),
            _ => (left, child),
        };
        if name(above) >= name(child) {
            return;
        }
        heap.swap(root, at);
        root = at;
    }
}

fn heap_name(policies: &[PolicyState], at: usize) -> Option<&str> {
    policies.get(at).map(|state| &*state.policy.name)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::policy::Policy;
    use crate::testing::policy;

    #[test]
    fn policies_are_sorted_by_name() {
        for count in [0, 1, 2, 3, 10, 1_000] {
            for step in [1, 7, 389] {
                let named = |n: usize| Policy {
                    name: format!("{}", n * step % 1_009).into(),
                    ..policy("")
                };
                let state = |n: usize| PolicyState::new(n, named(n), 1);
                let policies: Vec<PolicyState> = (0..count).map(state).collect();
                let order = by_name(&policies);
                assert_eq!(order.len(), count);
                assert!(
                    order.is_sorted_by_key(|at| &policies[*at].policy.name),
                    "{count} {step}"
                );
            }
        }
    }
}
