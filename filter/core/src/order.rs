//! Sorting, once per configuration.

use alloc::vec::Vec;

/// Returns the numbers below `count` in the order that `is_less` defines.
///
/// A heapsort (Williams, "Algorithm 232", CACM 7(6), 1964): the library's sort would take
/// five kilobytes of the module.
pub(crate) fn sorted(count: usize, is_less: &dyn Fn(usize, usize) -> bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for root in (0..count / 2).rev() {
        sift_down(&mut order, root, is_less);
    }
    for end in (1..count).rev() {
        order.swap(0, end);
        sift_down(order.get_mut(..end).unwrap_or_default(), 0, is_less);
    }
    order
}

/// Moves the element at `root` down until none below it is larger.
fn sift_down(heap: &mut [usize], mut root: usize, is_less: &dyn Fn(usize, usize) -> bool) {
    loop {
        let left = root.saturating_mul(2).saturating_add(1);
        let right = left.saturating_add(1);
        let (Some(&above), Some(&child)) = (heap.get(root), heap.get(left)) else {
            return;
        };
        let (at, child) = match heap.get(right) {
            Some(&other) if is_less(child, other) => (right, other),
            _ => (left, child),
        };
        if !is_less(above, child) {
            return;
        }
        heap.swap(root, at);
        root = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_by_what_they_stand_for() {
        for count in [0, 1, 2, 3, 10, 1_000] {
            for step in [1, 7, 389] {
                let value = |n: usize| n * step % 1_009;
                let order = sorted(count, &|a, b| value(a) < value(b));
                assert_eq!(order.len(), count);
                assert!(order.is_sorted_by_key(|at| value(*at)), "{count} {step}");
            }
        }
    }
}
