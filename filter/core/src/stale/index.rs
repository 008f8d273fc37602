//! The index of one set: the content of its slots.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::request::{Hashes, Key, upper_half};
use super::sketch::Sketch;
use crate::codec::{self, Encode, HEAD_BYTES, Reader, write_text};
use crate::shared::records::{Name, Records, Version};
use crate::time::{Instant, Span};

/// Slots of a set. If all its responses are small, their bytes run out first: 500 bytes take 700
/// with their headers.
pub(super) const SLOTS: usize = 64;

/// Length of a URI in the record.
const URI_BYTES: usize = size_of::<u32>();

const WORD_BYTES: usize = size_of::<u64>();

/// Length of the numbers of an item.
const ITEM_BYTES: usize = 6 * WORD_BYTES;

/// The content of the slots of one set. A vacant slot has no bytes.
#[derive(Debug, Default)]
pub(super) struct Index(Vec<Item>);

/// The content of one slot: a response, or a part of a large one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    /// Hash of the resource and the variant.
    pub(super) response: u64,
    /// Upper half of the hash of the URI.
    pub(super) uri: u32,
    pub(super) bytes: u32,
    /// Number of this part. The next ones are in the next sets.
    pub(super) part: u8,
    /// Number of the last part.
    pub(super) parts: u8,
    pub(super) validator: u32,
    pub(super) stored_at: Instant,
    pub(super) used_at: Instant,
    /// Age from which on it is too old for its policy.
    lifetime: Span,
    /// The names that it varies by. With them a request finds its variant before it reads a
    /// response.
    pub(super) vary: Rc<[u8]>,
}

/// Where a response goes in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) slot: usize,
    /// The slots to empty first, a bit for each.
    emptied: u64,
}

impl Index {
    /// Reads the index of a set. If it is damaged the content of the slots is unknown, so they
    /// are emptied.
    pub(super) fn read(records: &mut impl Records, set: u32) -> (Index, Option<Version>) {
        let Some((record, version)) = records.read(Name::StaleSet(set)) else {
            return (Index::default(), None);
        };
        let index = Index::parse(&record).unwrap_or_else(|| {
            for slot in 0..SLOTS {
                records.put(slot_name(set, slot), &[]);
            }
            Index::default()
        });
        (index, Some(version))
    }

    /// Whether a set may hold a response of a URI. Most changes affect URIs that are not stored,
    /// and computing the checksum alone would cost ten times this search.
    pub(super) fn mentions(records: &mut impl Records, set: u32, uri: u32) -> bool {
        let Some((record, _)) = records.read(Name::StaleSet(set)) else {
            return false;
        };
        let mut from = Reader::new(record.get(HEAD_BYTES..).unwrap_or_default());
        let count = u8::read(&mut from).map_or(0, usize::from);
        let mut uris = from.rest().chunks_exact(URI_BYTES).take(count);
        uris.any(|it| it == uri.to_le_bytes())
    }

    fn parse(record: &[u8]) -> Option<Index> {
        let mut from = codec::open(codec::Kind::StaleSet, record)?;
        let count = usize::from(u8::read(&mut from)?).min(SLOTS);
        let (uris, _) = from.bytes(count.saturating_mul(URI_BYTES))?.as_chunks();
        let mut items = Vec::with_capacity(count);
        let mut last = Rc::default();
        for uri in uris {
            let item = Item::read(&mut from, u32::from_le_bytes(*uri), &last)?;
            last.clone_from(&item.vary);
            items.push(item);
        }
        from.end(Index(items))
    }

    pub(super) fn write(
        &self,
        records: &mut impl Records,
        set: u32,
        version: Option<Version>,
        buffer: &mut Vec<u8>,
    ) -> bool {
        codec::seal(codec::Kind::StaleSet, buffer, |out| {
            u8::try_from(self.0.len()).unwrap_or(0).write(out);
            self.0.iter().for_each(|item| item.uri.write(out));
            self.0.iter().for_each(|item| item.write(out));
        });
        records.write(Name::StaleSet(set), buffer, version)
    }

    /// Returns the taken slots.
    fn taken(&self) -> impl Iterator<Item = (usize, &Item)> + Clone {
        let items = self.0.iter().enumerate();
        items.filter(|(_, item)| item.bytes > 0)
    }

    /// Returns the slot of a part of a response.
    pub(super) fn find(&self, response: u64, part: u8) -> Option<(usize, &Item)> {
        let mut taken = self.taken();
        taken.find(|(_, it)| (it.response, it.part) == (response, part))
    }

    /// Returns the newest response to a request. `key` computes the key of its response under
    /// a `vary` list.
    pub(super) fn newest(&self, key: impl Fn(&[u8]) -> Key) -> Option<(usize, &Item)> {
        // Neighbours mostly vary by the same names.
        let mut last: Option<(&[u8], Key)> = None;
        let own = self.taken().filter(|(_, item)| {
            let known = last.filter(|(names, _)| **names == *item.vary);
            let (_, key) = *last.insert(known.unwrap_or_else(|| (&item.vary, key(&item.vary))));
            item.part == 0 && item.response == key.response && item.uri == upper_half(key.uri)
        });
        own.max_by_key(|(_, item)| item.stored_at)
    }

    /// Finds room for an item in a set that may hold `share` bytes: in the place of the response
    /// that it replaces, in a vacant slot, or in that of another response. Those that have
    /// expired are emptied first, then those that are asked for the least, and among these
    /// those that were not used for longest. `None` if one of them is asked for as often as the
    /// new one.
    pub(super) fn room(&self, new: &Item, share: usize, sketch: &Sketch) -> Option<Room> {
        let same = self.find(new.response, new.part).map(|(slot, _)| slot);
        let vacant = || self.0.iter().position(|item| item.bytes == 0);
        let next = || (self.0.len() < SLOTS).then_some(self.0.len());
        let mut room = Room {
            slot: same.or_else(vacant).or_else(next).unwrap_or(SLOTS),
            emptied: 0,
        };
        loop {
            let others = self
                .taken()
                .filter(|(slot, _)| Some(*slot) != same && !room.has(*slot));
            let bytes = others
                .clone()
                .fold(new.len(), |sum, (_, item)| sum.saturating_add(item.len()));
            if room.slot < SLOTS && bytes <= share {
                return Some(room);
            }
            let asked = |item: &Item| match new.stored_at.since(item.stored_at) < item.lifetime {
                true => sketch.estimate(item.response).saturating_add(1),
                false => 0,
            };
            let (victim, item) = others.min_by_key(|(_, item)| (asked(item), item.used_at))?;
            if asked(item) >= asked(new) {
                return None;
            }
            room.emptied |= 1 << victim;
            if room.slot >= SLOTS {
                room.slot = victim;
            }
        }
    }

    /// Empties slots, and subtracts them from the index.
    pub(super) fn vacate(
        &mut self,
        records: &mut impl Records,
        set: u32,
        is_emptied: impl Fn(usize, &Item) -> bool,
    ) -> u32 {
        let mut emptied: u32 = 0;
        for (slot, item) in self.0.iter_mut().enumerate() {
            if item.bytes > 0 && is_emptied(slot, item) {
                records.put(slot_name(set, slot), &[]);
                *item = Item::default();
                emptied = emptied.saturating_add(1);
            }
        }
        emptied
    }

    pub(super) fn set(&mut self, slot: usize, item: Item) {
        if slot >= self.0.len() {
            self.0.push(item);
        } else if let Some(there) = self.0.get_mut(slot) {
            *there = item;
        }
    }

    /// Notes a use of a slot, if the last one was noted more than `interval` ago.
    pub(super) fn note_use(&mut self, slot: usize, interval: Span, now: Instant) -> bool {
        let item = self.0.get_mut(slot);
        let item = item.filter(|item| now.since(item.used_at) >= interval);
        item.map(|item| item.used_at = now).is_some()
    }

    /// Whether a slot has this item.
    pub(super) fn has(&self, slot: usize, item: &Item) -> bool {
        self.0.get(slot) == Some(item)
    }

    /// Total of the bytes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(Item::len).sum()
    }
}

impl Room {
    /// Whether no slot is to be emptied.
    pub(super) fn is_vacant(&self) -> bool {
        self.emptied == 0
    }

    /// Whether a slot is to be emptied.
    pub(super) fn has(&self, slot: usize) -> bool {
        (self.emptied >> slot) & 1 == 1
    }
}

impl Item {
    /// Describes a response that may be used for `lifetime`.
    pub(super) fn new(hashes: Hashes, vary: &[u8], validator: u32, lifetime: Span) -> Item {
        Item {
            response: hashes.key().response,
            uri: upper_half(hashes.uri),
            vary: vary.into(),
            validator,
            lifetime,
            ..Item::default()
        }
    }

    /// Returns the item of a part that is stored now.
    pub(super) fn part(&self, (part, parts): (u8, u8), len: usize, now: Instant) -> Item {
        Item {
            part,
            parts,
            bytes: u32::try_from(len).unwrap_or(u32::MAX),
            stored_at: now,
            used_at: now,
            ..self.clone()
        }
    }

    fn len(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// Appends everything but the URI. All numbers are in words, which are read at once.
    fn write(&self, out: &mut Vec<u8>) {
        let sizes = u64::from(self.bytes) | u64::from(self.validator) << u32::BITS;
        let parts = u64::from(self.part) | u64::from(self.parts) << u8::BITS;
        let words = [
            self.response,
            self.stored_at.as_ns(),
            self.used_at.as_ns(),
            self.lifetime.as_ns(),
            sizes,
            parts,
        ];
        words.iter().for_each(|word| word.write(out));
        write_text(&self.vary, out);
    }

    /// Reads everything but the URI. Neighbours that vary by the same names share them.
    fn read(from: &mut Reader<'_>, uri: u32, last: &Rc<[u8]>) -> Option<Item> {
        let (words, _) = from.bytes(ITEM_BYTES)?.as_chunks::<WORD_BYTES>();
        let [response, stored_at, used_at, lifetime, sizes, parts] = words else {
            return None;
        };
        let word = |bytes: &[u8; WORD_BYTES]| u64::from_le_bytes(*bytes);
        let ([part, parts, ..], vary) = (*parts, from.text()?);
        let vary = match *vary == **last {
            true => last.clone(),
            false => vary.into(),
        };
        Some(Item {
            response: word(response),
            uri,
            bytes: lower_half(word(sizes)),
            part,
            parts,
            validator: upper_half(word(sizes)),
            stored_at: Instant::from_ns(word(stored_at)),
            used_at: Instant::from_ns(word(used_at)),
            lifetime: Span::from_ns(word(lifetime)),
            vary,
        })
    }
}

fn lower_half(word: u64) -> u32 {
    upper_half(word << u32::BITS)
}

/// Returns the name of a slot's record.
pub(super) fn slot_name(set: u32, slot: usize) -> Name<'static> {
    Name::StoredResponse(set, u32::try_from(slot).unwrap_or(u32::MAX))
}
