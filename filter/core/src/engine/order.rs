//! The policies by their names.

use alloc::vec::Vec;

use crate::policy::Policy;

/// The places of the policies in the order of their names: a heapsort (Williams, "Algorithm
/// 232", CACM 7(6), 1964), since the library's sort would be five kilobytes of the module
/// for what happens once.
pub(super) fn by_name(policies: &[Policy]) -> Vec<usize> {
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
fn sift_down(heap: &mut [usize], mut root: usize, policies: &[Policy]) {
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

fn heap_name(policies: &[Policy], at: usize) -> Option<&str> {
    policies.get(at).map(|policy| &*policy.name)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::testing::policy;

    #[test]
    fn policies_come_in_the_order_of_their_names() {
        for count in [0, 1, 2, 3, 10, 1_000] {
            for step in [1, 7, 389] {
                let named = |n: usize| Policy {
                    name: format!("{}", n * step % 1_009).into(),
                    ..policy("")
                };
                let policies: Vec<Policy> = (0..count).map(named).collect();
                let order = by_name(&policies);
                assert_eq!(order.len(), count);
                assert!(
                    order.is_sorted_by_key(|at| &policies[*at].name),
                    "{count} {step}"
                );
            }
        }
    }
}
