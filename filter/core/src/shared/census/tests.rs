use super::*;
use crate::random::Random;
use crate::testing::{Memory, at_ms};

/// Compares the census with a naive map after random updates.
#[test]
fn a_census_equals_a_naive_map_after_random_updates() {
    let mut memory = Memory::default();
    let mut naive = alloc::collections::BTreeMap::new();
    let mut random = Random::new(9);
    let slots = Slots {
        policy: "p",
        capacity: 100,
        recovery: Span::ZERO,
    };
    for step in 0..2_000 {
        let now = at_ms(step * 10);
        let entries: Vec<(u32, SlotSummary)> = (0..random.between(1, 5))
            .map(|_| {
                let open = random.chance(3_000);
                let until = now.after(Span::from_ms(random.between(1, 500)));
                let summary = SlotSummary {
                    taken: open || random.chance(6_000),
                    notable: open || random.chance(1_000),
                    sheds_until: open.then_some(until),
                };
                (random.between(0, 99) as u32, summary)
            })
            .collect();
        naive.extend(entries.iter().copied());
        let update = Census::update(&mut memory, slots, 7, &entries, now, &mut Vec::new());
        let update = update.expect("no other writer");
        let taken = naive.values().filter(|it| it.taken).count();
        let ends = || naive.values().filter_map(|it| it.sheds_until);
        let open = ends().filter(|until| now < *until);
        assert_eq!(update.after.taken as usize, taken);
        assert_eq!(update.after.open as usize, open.clone().count());
        let half_open = ends().filter(|until| *until <= now).count();
        assert_eq!(update.after.half_open as usize, half_open);
        let census = Census::read(&mut memory, "p", 100);
        assert_eq!(census.open_until(now), open.min());
        let later = now.after(Span::from_ms(200));
        let open = ends().filter(|until| later < *until).count();
        assert_eq!(census.totals_at(later).open as usize, open);
    }
    assert_eq!(Census::seed(&mut memory, "p"), Some(7));
    let census = Census::read(&mut memory, "p", 100);
    let taken: Vec<u32> = census.taken().collect();
    let expected = naive.iter().filter(|(_, it)| it.taken);
    assert_eq!(taken, expected.map(|(slot, _)| *slot).collect::<Vec<_>>());
    for slot in 0..100 {
        let expected = naive.get(&slot).is_some_and(|it| it.notable);
        assert_eq!(census.is_notable(slot), expected);
    }
}
