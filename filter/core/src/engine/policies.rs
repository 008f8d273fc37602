//! The policies of one configuration, found by their index or by their name.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::order;

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
        let of_index = |at: &usize| name_of(&self.own, *at);
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
fn by_name(policies: &[PolicyState]) -> Vec<usize> {
    let name = |at: usize| name_of(policies, at);
    order::sorted(policies.len(), &|a, b| name(a) < name(b))
}

fn name_of(policies: &[PolicyState], at: usize) -> Option<&str> {
    policies.get(at).map(|state| &*state.policy.name)
}
