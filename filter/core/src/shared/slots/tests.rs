use alloc::collections::BTreeSet;

use super::*;
use crate::shared::key;

#[test]
fn a_key_can_use_every_slot_of_a_small_table_and_a_few_of_a_large_one() {
    for capacity in [1, 2, 5, WAYS, WAYS + 1, 100, 1_000, 100_000] {
        for n in 0..200_u64 {
            let hash = key::hash(n, b"a");
            let all: Vec<u32> = candidates(hash, capacity).collect();
            assert_eq!(all.len(), capacity.min(WAYS) as usize);
            assert!(all.iter().all(|slot| *slot < capacity));
            let distinct = all.iter().collect::<BTreeSet<_>>().len();
            assert_eq!(distinct, all.len(), "{capacity}");
        }
    }
    assert_eq!(candidates(1, 0).count(), 0);
}
