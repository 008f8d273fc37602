//! Which slots of a policy are taken, which circuits are not plainly closed, and until when
//! the open ones are open.
//!
//! A record of its own tells how many circuits there are and are open without a walk over
//! all slots, so that gauges can be *set*, by whoever changed something or looks again later.
//! Adding to gauges would drift with every VM that dies between its change and its addition;
//! a slot that was missed is put right by its next change. The ends of open times are in the
//! record, because a circuit stops being open by the clock alone.

use alloc::vec::Vec;

use crate::codec::{self, Encode, Kind, Reader};
use crate::shared::records::{Name, Outline, Records, Slot, Slots, TRIES, Version};
use crate::time::{Instant, Span};

/// Slots of a policy, as its census lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// The seed of the hash by which keys stand where they do: the directory's, in case
    /// that is lost.
    seed: u64,
    taken: Vec<u8>,
    notable: Vec<u8>,
    /// The slots of open circuits, lowest first, and when their open time ends.
    open: Vec<(u32, Instant)>,
}

/// A recovery time that is not known: whatever may be recovering is.
const FOREVER: Span = Span::from_ns(u64::MAX);

/// How many slots there are of either kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Slots that hold a circuit.
    pub taken: u32,
    /// Those that are open.
    pub open: u32,
}

/// What came of a note in a census.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Whether the record was damaged.
    pub damaged: bool,
    /// Whether the number of taken slots is another one now.
    pub keys_changed: bool,
    /// Whether the number of open circuits is another one now, or was when it was written.
    pub open_changed: bool,
    /// The totals now.
    pub after: Totals,
    /// When the next circuit stops being open.
    pub open_until: Option<Instant>,
}

impl Census {
    /// Reads the census of a policy of so many slots; counts anew where the record is
    /// damaged.
    pub fn read<R: Records>(records: &mut R, policy: &str, capacity: u32) -> Census {
        let (census, _) = Census::with_version(records, policy);
        census.unwrap_or_else(|| Census::count(records, policy, capacity))
    }

    /// Notes what slots hold now. `None` if other workers came before in every try. A census
    /// that was damaged is counted anew.
    pub fn note<R: Records>(
        records: &mut R,
        slots: Slots<'_>,
        seed: u64,
        held: &[(u32, Outline)],
        now: Instant,
        buffer: &mut Vec<u8>,
    ) -> Option<Noted> {
        for _ in 0..TRIES {
            let (found, version) = Census::with_version(records, slots.policy);
            let damaged = found.is_none();
            let mut census =
                found.unwrap_or_else(|| Census::count(records, slots.policy, slots.capacity));
            census.seed = seed;
            let (written, before) = (census.totals(), census.totals_at(now));
            let mut changed = damaged;
            for (place, outline) in held {
                changed |= census.enter(*place, *outline);
            }
            if changed {
                // They count no longer, so nobody need look at them again.
                census.open.retain(|(_, until)| now < *until);
            }
            if !changed || census.write(records, slots.policy, version, buffer) {
                let after = census.totals_at(now);
                return Some(Noted {
                    damaged,
                    keys_changed: damaged || before.taken != after.taken,
                    open_changed: damaged || [written.open, before.open] != [after.open; 2],
                    after,
                    open_until: census.open_until(now),
                });
            }
        }
        None
    }

    /// Enters what a slot holds; says whether something else stood there.
    fn enter(&mut self, place: u32, outline: Outline) -> bool {
        let changed = set(&mut self.taken, place, outline.taken)
            | set(&mut self.notable, place, outline.notable);
        let at = self.open.partition_point(|(other, _)| *other < place);
        let found = self.open.get(at).filter(|(other, _)| *other == place);
        let before = found.map(|(_, until)| *until);
        match (before, outline.open_until) {
            (before, now) if before == now => return changed,
            (None, Some(until)) => self.open.insert(at, (place, until)),
            (Some(_), Some(until)) => {
                if let Some(entry) = self.open.get_mut(at) {
                    entry.1 = until;
                }
            }
            (_, None) => {
                self.open.remove(at);
            }
        }
        true
    }

    /// The seed by which the keys of a policy stand where they do.
    pub fn seed<R: Records>(records: &mut R, policy: &str) -> Option<u64> {
        let (census, version) = Census::with_version(records, policy);
        version.and(census).map(|census| census.seed)
    }

    /// Whether no slot is taken.
    pub fn is_empty(&self) -> bool {
        self.taken.iter().all(|byte| *byte == 0)
    }

    /// The slots that are taken, lowest first.
    pub fn taken(&self) -> impl Iterator<Item = u32> + '_ {
        places(&self.taken)
    }

    /// Whether a slot holds a circuit that may not be plainly closed: an operator may have
    /// forced it, or its state is another one.
    pub fn is_notable(&self, place: u32) -> bool {
        let byte = self.notable.get((place / 8) as usize);
        byte.is_some_and(|byte| byte >> (place % 8) & 1 != 0)
    }

    /// How many slots there are of either kind, as they were noted.
    pub fn totals(&self) -> Totals {
        self.totals_at(Instant::default())
    }

    /// How many slots there are of either kind at `now`.
    pub fn totals_at(&self, now: Instant) -> Totals {
        let open = self.open.iter().filter(|(_, until)| now < *until);
        Totals {
            taken: self.taken.iter().map(|byte| byte.count_ones()).sum(),
            open: u32::try_from(open.count()).unwrap_or(u32::MAX),
        }
    }

    /// When the next circuit stops being open; `None` if none is open at `now`.
    pub fn open_until(&self, now: Instant) -> Option<Instant> {
        let ends = self.open.iter().map(|(_, until)| *until);
        ends.filter(|until| now < *until).min()
    }

    /// Notes that no slot holds anything; false where others came before in every try.
    pub fn clear<R: Records>(
        records: &mut R,
        policy: &str,
        seed: u64,
        buffer: &mut Vec<u8>,
    ) -> bool {
        let empty = Census {
            seed,
            ..Census::default()
        };
        (0..TRIES).any(|_| {
            let version = records
                .read(Name::Census(policy))
                .map(|(_, version)| version);
            version.is_none() || empty.write(records, policy, version, buffer)
        })
    }

    /// The census and the number of its last write: an empty one where there is none,
    /// none where it is damaged.
    fn with_version<R: Records>(
        records: &mut R,
        policy: &str,
    ) -> (Option<Census>, Option<Version>) {
        let Some((record, version)) = records.read(Name::Census(policy)) else {
            return (Some(Census::default()), None);
        };
        let parsed = codec::open(Kind::Census, &record).and_then(|mut from| {
            let census = Census::read_from(&mut from)?;
            from.end(census)
        });
        (parsed, Some(version))
    }

    /// Looks into every slot.
    fn count<R: Records>(records: &mut R, policy: &str, capacity: u32) -> Census {
        let mut census = Census::default();
        for place in 0..capacity {
            let slot = Slot::read(records, policy, place);
            census.enter(place, slot.outline(FOREVER, Instant::default()));
        }
        census
    }

    fn write<R: Records>(
        &self,
        records: &mut R,
        policy: &str,
        version: Option<Version>,
        buffer: &mut Vec<u8>,
    ) -> bool {
        codec::seal(Kind::Census, buffer, |out| {
            self.seed.write(out);
            for bits in [&self.taken, &self.notable] {
                codec::write_text(bits, out);
            }
            for (place, until) in &self.open {
                place.write(out);
                until.write(out);
            }
        });
        records.write(Name::Census(policy), buffer, version)
    }

    fn read_from(from: &mut Reader<'_>) -> Option<Census> {
        let mut census = Census {
            seed: u64::read(from)?,
            taken: from.text()?.into(),
            notable: from.text()?.into(),
            open: Vec::new(),
        };
        while !from.is_empty() {
            census.open.push((u32::read(from)?, Instant::read(from)?));
        }
        Some(census)
    }
}

/// The numbers of the bits that are set, lowest first.
fn places(bits: &[u8]) -> impl Iterator<Item = u32> + '_ {
    (0..u32::MAX).zip(bits).flat_map(|(index, byte)| {
        let set = (0..8_u32).filter(move |bit| byte >> bit & 1 != 0);
        set.map(move |bit| index.saturating_mul(8).saturating_add(bit))
    })
}

/// Sets one bit; says whether it was another before.
fn set(bits: &mut Vec<u8>, place: u32, value: bool) -> bool {
    let index = (place / 8) as usize;
    if index >= bits.len() {
        if !value {
            return false;
        }
        bits.resize(index.saturating_add(1), 0);
    }
    let Some(byte) = bits.get_mut(index) else {
        return false;
    };
    let mask = 1_u8 << (place % 8);
    let before = *byte;
    *byte = if value { before | mask } else { before & !mask };
    *byte != before
}
