//! Which slots of a policy are taken, and which of them hold an open circuit.
//!
//! One bit each, in a record of its own. It tells how many circuits there are and
//! are open without a walk over all slots, so that gauges can be *set*, by whoever
//! changed something. Adding to gauges would drift with every virtual machine that
//! dies between its change and its addition; a bit that was missed is put right by the
//! next change of its slot.

use alloc::vec::Vec;

use super::{Name, Records, Slot, TRIES, Version};
use crate::snapshot::{self, Kind, Layout, Reader};

/// The bits of a policy's slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// The seed of the hash by which keys stand where they do: the directory's, in case
    /// that is lost.
    seed: u64,
    taken: Vec<u8>,
    open: Vec<u8>,
}

/// How many slots there are of either kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Slots that hold a circuit.
    pub taken: u32,
    /// Those that are open or half-open.
    pub open: u32,
}

impl Census {
    /// Reads the census of a policy of so many slots; counts anew where the record is
    /// damaged.
    pub fn read<R: Records>(records: &mut R, policy: &str, capacity: u32) -> Census {
        let (census, _) = Census::with_version(records, policy);
        census.unwrap_or_else(|| Census::count(records, policy, capacity))
    }

    /// Notes what a slot holds now, and returns the totals before and after; absent if
    /// other workers came before in every try. A census that was damaged is counted anew,
    /// and nothing is known of its totals before.
    pub fn note<R: Records>(
        records: &mut R,
        (policy, capacity): (&str, u32),
        seed: u64,
        (place, (taken, open)): (u32, (bool, bool)),
        buffer: &mut Vec<u8>,
    ) -> Option<(Option<Totals>, Totals)> {
        for _ in 0..TRIES {
            let (census, version) = Census::with_version(records, policy);
            let before = census.as_ref().map(Census::totals);
            let mut census = census.unwrap_or_else(|| Census::count(records, policy, capacity));
            census.seed = seed;
            let changed = set(&mut census.taken, place, taken) | set(&mut census.open, place, open);
            let unchanged = before.is_some() && !changed;
            if unchanged || census.write(records, policy, version, buffer) {
                return Some((before, census.totals()));
            }
        }
        None
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

    /// The slots of open circuits, lowest first.
    pub fn open(&self) -> impl Iterator<Item = u32> + '_ {
        places(&self.open)
    }

    /// Whether a slot holds an open circuit.
    pub fn is_open(&self, place: u32) -> bool {
        let byte = self.open.get((place / 8) as usize);
        byte.is_some_and(|byte| byte >> (place % 8) & 1 != 0)
    }

    /// How many slots there are of either kind.
    pub fn totals(&self) -> Totals {
        let ones = |bits: &[u8]| bits.iter().map(|byte| byte.count_ones()).sum();
        Totals {
            taken: ones(&self.taken),
            open: ones(&self.open),
        }
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
        let parsed = snapshot::open(Kind::Census, &record).and_then(|mut from| {
            let census = Census::read_from(&mut from)?;
            from.end(census)
        });
        (parsed, Some(version))
    }

    /// Looks into every slot.
    fn count<R: Records>(records: &mut R, policy: &str, capacity: u32) -> Census {
        let mut census = Census::default();
        for place in 0..capacity {
            if let Slot::Taken(it) = Slot::read(records, policy, place) {
                set(&mut census.taken, place, true);
                set(&mut census.open, place, it.circuit.breaker.is_open());
            }
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
        snapshot::seal(Kind::Census, buffer, |out| {
            self.seed.write(out);
            for bits in [&self.taken, &self.open] {
                snapshot::write_text(bits, out);
            }
        });
        records.write(Name::Census(policy), buffer, version)
    }

    fn read_from(from: &mut Reader<'_>) -> Option<Census> {
        Some(Census {
            seed: u64::read(from)?,
            taken: from.text()?.into(),
            open: from.text()?.into(),
        })
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
