//! Values by the id that a host has given them.
//!
//! Each callback begins with such a lookup, so it has to take few instructions. This is a hash
//! table with linear probing (Knuth, "The Art of Computer Programming", volume 3, section 6.4,
//! algorithms L and R). Hosts number their contexts upward, and one multiplication spreads such
//! ids evenly. At most half of the places are taken, so probes are short.

use alloc::vec::Vec;

/// Places of the smallest table.
const PLACES_MIN: usize = 16;
/// The golden ratio as a fraction of 2^64: multiples of it are spread evenly.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Values by id.
#[derive(Debug)]
pub struct ById<T> {
    /// A power of two of places, or none.
    places: Vec<Option<(u32, T)>>,
    len: usize,
}

impl<T> Default for ById<T> {
    fn default() -> ById<T> {
        ById::new()
    }
}

impl<T> ById<T> {
    /// Creates an empty table. It allocates with the first value.
    pub const fn new() -> ById<T> {
        ById {
            places: Vec::new(),
            len: 0,
        }
    }

    /// Returns the value of an id.
    #[inline]
    pub fn find(&self, id: u32) -> Option<&T> {
        let (_, value) = self.places.get(self.place(id)?)?.as_ref()?;
        Some(value)
    }

    /// Adds a value, and returns the one that the id had before.
    pub fn insert(&mut self, id: u32, value: T) -> Option<T> {
        if self.len >= self.places.len() / 2 {
            self.grow();
        }
        let at = self.place(id)?;
        let before = self.places.get_mut(at)?.replace((id, value));
        if before.is_none() {
            self.len = self.len.saturating_add(1);
        }
        before.map(|(_, value)| value)
    }

    /// Removes the value of an id, and returns it.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let mut hole = self.place(id)?;
        let (_, value) = self.places.get_mut(hole)?.take()?;
        self.len = self.len.saturating_sub(1);
        // A probe ends at the first free place, so no value may be behind a hole that its probe
        // comes to.
        let mask = mask(&self.places);
        let mut at = hole.wrapping_add(1) & mask;
        while let Some(Some((other, _))) = self.places.get(at) {
            let probed = at.wrapping_sub(home(*other, mask)) & mask;
            if probed >= at.wrapping_sub(hole) & mask {
                let moved = self.places.get_mut(at).and_then(Option::take);
                if let Some(place) = self.places.get_mut(hole) {
                    *place = moved;
                }
                hole = at;
            }
            at = at.wrapping_add(1) & mask;
        }
        Some(value)
    }

    /// Returns the place of an id or, if the table does not have the id, the free place where its
    /// probe ends.
    #[inline]
    fn place(&self, id: u32) -> Option<usize> {
        probe(&self.places, id, |place| {
            place.as_ref().is_none_or(|(other, _)| *other == id)
        })
    }

    #[cold]
    fn grow(&mut self) {
        let places = self.places.len().saturating_mul(2).max(PLACES_MIN);
        let mut larger = Vec::with_capacity(places);
        larger.resize_with(places, || None);
        for (id, value) in core::mem::replace(&mut self.places, larger)
            .into_iter()
            .flatten()
        {
            let free = probe(&self.places, id, Option::is_none);
            if let Some(place) = free.and_then(|at| self.places.get_mut(at)) {
                *place = Some((id, value));
            }
        }
    }
}

fn mask<T>(places: &[T]) -> usize {
    places.len().wrapping_sub(1)
}

/// Returns the first place of an id's probe.
#[inline]
fn home(id: u32, mask: usize) -> usize {
    let spread = u64::from(id).wrapping_mul(SPREAD) >> u32::BITS;
    usize::try_from(spread).unwrap_or(0) & mask
}

/// Returns the first place of an id's probe that `ends` it. `None` if there are no places.
#[inline]
fn probe<T>(places: &[T], id: u32, ends: impl Fn(&T) -> bool) -> Option<usize> {
    let mask = mask(places);
    let mut at = home(id, mask);
    // Half of the places are free, so the loop ends; the bound makes that certain.
    for _ in 0..places.len() {
        if ends(places.get(at)?) {
            return Some(at);
        }
        at = at.wrapping_add(1) & mask;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::ById;
    use crate::random::Random;

    /// Ids of a host that numbers its contexts upward, of one that numbers them in steps, and of
    /// one whose ids share their low bits.
    const STEPS: [u32; 3] = [1, 4, 65_536];

    #[test]
    fn it_holds_what_a_map_holds_while_ids_come_and_go() {
        for step in STEPS {
            let mut random = Random::new(u64::from(step));
            let (mut table, mut model) = (ById::new(), BTreeMap::new());
            for turn in 0..20_000_u32 {
                let id = turn.wrapping_mul(step);
                assert_eq!(table.insert(id, turn), model.insert(id, turn));
                // Some stay for long, most leave at once, and some are removed twice.
                let back = u32::try_from(random.word() % 300).unwrap();
                for old in [id, turn.saturating_sub(back).wrapping_mul(step)] {
                    if !random.word().is_multiple_of(3) {
                        assert_eq!(table.remove(old), model.remove(&old), "{old}");
                    }
                    assert_eq!(table.find(old), model.get(&old), "{old}");
                }
            }
            for (id, value) in &model {
                assert_eq!(table.find(*id), Some(value), "{id}");
            }
            assert_eq!(table.len, model.len());
        }
    }

    #[test]
    fn the_second_value_of_an_id_replaces_the_first() {
        let mut table = ById::new();
        assert_eq!(table.insert(7, 'a'), None);
        assert_eq!(table.insert(7, 'b'), Some('a'));
        assert_eq!(table.remove(7), Some('b'));
        assert_eq!(table.remove(7), None);
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        let mut table = ById::<char>::new();
        assert_eq!(table.find(0), None);
        assert_eq!(table.remove(0), None);
    }

    #[test]
    fn probes_stay_short_while_many_ids_are_held() {
        let mut table = ById::new();
        // A burst of streams stays open, and others come and go after it.
        for id in 0..20_000 {
            table.insert(id, ());
            if id >= 5_000 {
                table.remove(id);
            }
        }
        let mask = super::mask(&table.places);
        let probed = |(at, id): (usize, u32)| at.wrapping_sub(super::home(id, mask)) & mask;
        let places = table.places.iter().enumerate();
        let taken = places.filter_map(|(at, place)| Some((at, place.as_ref()?.0)));
        assert!(taken.map(probed).max().unwrap() < 16);
    }
}
