//! The census of a policy: which of its slots are taken, which circuits are forced or not
//! closed, and when open ones become half-open.
//!
//! With this record, counting circuits takes no walk over all slots. So gauges can be *set* by
//! any worker that changes something or looks again later. Adding to gauges would drift with
//! every VM that dies between a change and the addition. A slot that was missed is corrected by
//! its next change. The record contains the ends of open times because a circuit stops being
//! open by the clock alone.

use alloc::vec::Vec;

use crate::codec::{self, Encode, Kind, Reader};
use crate::shared::records::{Name, Records, TRIES, Version};
use crate::shared::slots::{Slot, SlotSummary, Slots};
use crate::time::{Instant, Span};

/// The slots of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Seed of the hash by which keys select slots: a copy in case the directory is lost.
    seed: u64,
    /// Bits of the slots that hold a circuit.
    taken: Vec<u8>,
    /// Bits of the slots whose circuit is forced or not closed.
    notable: Vec<u8>,
    /// Slots of open and half-open circuits in ascending order, with the ends of their open
    /// times. A circuit whose open time is over is half-open.
    shedding: Vec<(u32, Instant)>,
}

/// Stands for an unknown recovery time: a circuit that may be recovering counts as such.
const FOREVER: Span = Span::from_ns(u64::MAX);

/// Numbers of slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Slots that hold a circuit.
    pub(crate) taken: u32,
    /// Slots that hold an open circuit.
    pub(crate) open: u32,
    /// Slots that hold a half-open circuit.
    pub(crate) half_open: u32,
}

/// Result of [`Census::update`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CensusUpdate {
    /// Whether the record was damaged.
    pub(crate) damaged: bool,
    /// Whether the number of taken slots has changed.
    pub(crate) keys_changed: bool,
    /// Whether the number of open circuits has changed since the record was written, or by this
    /// update.
    pub(crate) open_changed: bool,
    /// Whether the number of half-open circuits has.
    pub(crate) half_open_changed: bool,
    /// Whether circuits have been forced or left closed, or the other way round.
    pub(crate) notable_changed: bool,
    /// The totals after the update.
    pub(crate) after: Totals,
}

impl Census {
    /// Reads the census of a policy with this number of slots. Recounts the slots if the record
    /// is damaged.
    pub(crate) fn read<R: Records>(records: &mut R, policy: &str, capacity: u32) -> Census {
        let (census, _) = Census::with_version(records, policy);
        census.unwrap_or_else(|| Census::recount(records, policy, capacity))
    }

    /// Updates the entries of slots. Returns `None` if every compare-and-swap is lost. Recounts
    /// the slots first if the record is damaged.
    pub(crate) fn update<R: Records>(
        records: &mut R,
        slots: Slots<'_>,
        seed: u64,
        entries: &[(u32, SlotSummary)],
        now: Instant,
        buffer: &mut Vec<u8>,
    ) -> Option<CensusUpdate> {
        for _ in 0..TRIES {
            let (found, version) = Census::with_version(records, slots.policy);
            let damaged = found.is_none();
            let mut census =
                found.unwrap_or_else(|| Census::recount(records, slots.policy, slots.capacity));
            census.seed = seed;
            let before = census.totals_at(now);
            // Some open time may have ended since, and nobody has looked.
            let lapsed = census.totals().open != before.open;
            let notable = census.notable.clone();
            let mut changed = damaged;
            for (slot, summary) in entries {
                changed |= census.set(*slot, *summary);
            }
            if !changed || census.write(records, slots.policy, version, buffer) {
                let after = census.totals_at(now);
                return Some(CensusUpdate {
                    damaged,
                    keys_changed: damaged || before.taken != after.taken,
                    open_changed: damaged || lapsed || before.open != after.open,
                    half_open_changed: damaged || lapsed || before.half_open != after.half_open,
                    notable_changed: notable != census.notable,
                    after,
                });
            }
        }
        None
    }

    /// Sets the entry of a slot. Returns whether it has changed.
    fn set(&mut self, slot: u32, summary: SlotSummary) -> bool {
        let changed = set_bit(&mut self.taken, slot, summary.taken)
            | set_bit(&mut self.notable, slot, summary.notable);
        let at = self.shedding.partition_point(|(other, _)| *other < slot);
        let found = self.shedding.get(at).filter(|(other, _)| *other == slot);
        let before = found.map(|(_, until)| *until);
        match (before, summary.sheds_until) {
            (before, now) if before == now => return changed,
            (None, Some(until)) => self.shedding.insert(at, (slot, until)),
            (Some(_), Some(until)) => {
                if let Some(entry) = self.shedding.get_mut(at) {
                    entry.1 = until;
                }
            }
            (_, None) => {
                self.shedding.remove(at);
            }
        }
        true
    }

    /// Returns the seed by which the policy's keys select slots.
    pub(crate) fn seed<R: Records>(records: &mut R, policy: &str) -> Option<u64> {
        let (census, version) = Census::with_version(records, policy);
        version.and(census).map(|census| census.seed)
    }

    /// Whether no slot is taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.iter().all(|byte| *byte == 0)
    }

    /// Returns the taken slots in ascending order.
    pub(crate) fn taken(&self) -> impl Iterator<Item = u32> + '_ {
        ones(&self.taken)
    }

    /// Whether a slot may hold a circuit that is forced or not closed.
    pub(crate) fn is_notable(&self, slot: u32) -> bool {
        let byte = self.notable.get((slot / 8) as usize);
        byte.is_some_and(|byte| byte >> (slot % 8) & 1 != 0)
    }

    /// The totals as they were written, with circuits as open whose open times have ended
    /// since.
    pub(crate) fn totals(&self) -> Totals {
        self.totals_at(Instant::default())
    }

    pub(crate) fn totals_at(&self, now: Instant) -> Totals {
        let is_open = |(_, until): &&(u32, Instant)| now < *until;
        let open = self.shedding.iter().filter(is_open).count();
        let half_open = self.shedding.len().saturating_sub(open);
        Totals {
            taken: count_ones(&self.taken),
            open: u32::try_from(open).unwrap_or(u32::MAX),
            half_open: u32::try_from(half_open).unwrap_or(u32::MAX),
        }
    }

    /// When the next circuit stops being open; `None` if none is open at `now`.
    pub(crate) fn open_until(&self, now: Instant) -> Option<Instant> {
        let ends = self.shedding.iter().map(|(_, until)| *until);
        ends.filter(|until| now < *until).min()
    }

    /// Writes an empty census. Returns false if every compare-and-swap is lost.
    pub(crate) fn clear<R: Records>(
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

    /// Reads the census and its version. The census is empty if it was never written, and `None`
    /// if it is damaged.
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

    /// Reads every slot.
    fn recount<R: Records>(records: &mut R, policy: &str, capacity: u32) -> Census {
        let mut census = Census::default();
        for slot in 0..capacity {
            let summary = Slot::read(records, policy, slot).summary(FOREVER, Instant::default());
            census.set(slot, summary);
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
            for (slot, until) in &self.shedding {
                slot.write(out);
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
            shedding: Vec::new(),
        };
        while !from.is_empty() {
            census
                .shedding
                .push((u32::read(from)?, Instant::read(from)?));
        }
        Some(census)
    }
}

/// Counts the set bits. Each new key does this, so it takes eight bytes at a time.
fn count_ones(bits: &[u8]) -> u32 {
    let (words, rest) = bits.as_chunks();
    let of_words = words
        .iter()
        .map(|word| u64::from_le_bytes(*word).count_ones());
    of_words
        .chain(rest.iter().map(|byte| byte.count_ones()))
        .sum()
}

/// Returns the numbers of the set bits in ascending order.
fn ones(bits: &[u8]) -> impl Iterator<Item = u32> + '_ {
    (0..u32::MAX).zip(bits).flat_map(|(index, byte)| {
        let set = (0..8_u32).filter(move |bit| byte >> bit & 1 != 0);
        set.map(move |bit| index.saturating_mul(8).saturating_add(bit))
    })
}

/// Sets one bit. Returns whether it has changed.
fn set_bit(bits: &mut Vec<u8>, number: u32, value: bool) -> bool {
    let index = (number / 8) as usize;
    if index >= bits.len() {
        if !value {
            return false;
        }
        bits.resize(index.saturating_add(1), 0);
    }
    let Some(byte) = bits.get_mut(index) else {
        return false;
    };
    let mask = 1_u8 << (number % 8);
    let before = *byte;
    *byte = if value { before | mask } else { before & !mask };
    *byte != before
}

#[cfg(test)]
mod tests;
