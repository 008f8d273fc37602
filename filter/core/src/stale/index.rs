//! The index of one shard: what is stored in its slots.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::store::slot_name;
use crate::codec::{self, Encode, Reader, write_text};
use crate::shared::records::{Name, Records, Version};
use crate::time::Instant;

/// Slots of a shard: with the usual response of some kilobytes its bytes are used up first.
pub(super) const SLOTS: usize = 256;

/// Most different lists of names that the responses of a shard vary by.
const VARY_MAX: usize = 16;

/// Length of an item in the record.
const ITEM_BYTES: usize = 41;

/// What is stored in the slots of one shard.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Lists of names that responses vary by. They stand here so that a request can tell which
    /// variant is its own before it reads one.
    vary: Vec<Box<[u8]>>,
    pub(super) items: Vec<Item>,
}

/// What is stored in one slot; nothing if it has no bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) resource: u64,
    pub(super) variant: u64,
    /// Part of the hash of the URI: in another part of it all of a shard agree.
    pub(super) uri: u32,
    pub(super) bytes: u32,
    /// Which list of names its response varies by.
    pub(super) vary: u8,
    pub(super) stored_at: Instant,
    pub(super) used_at: Instant,
}

impl Index {
    /// Reads the index of a shard. If it is damaged, nobody knows what is in the slots, so
    /// they are emptied.
    pub(super) fn read(records: &mut impl Records, shard: u32) -> (Index, Option<Version>) {
        let Some((record, version)) = records.read(Name::Shard(shard)) else {
            return (Index::default(), None);
        };
        let index = Index::parse(&record).unwrap_or_else(|| {
            for slot in 0..SLOTS {
                if records.read(slot_name(shard, slot)).is_some() {
                    records.put(slot_name(shard, slot), &[]);
                }
            }
            Index::default()
        });
        (index, Some(version))
    }

    /// Whether something of a URI may be in a shard. Most changes are of what nobody has
    /// stored: the record's checksum alone would cost each of them ten times this look.
    pub(super) fn mentions(records: &mut impl Records, shard: u32, uri: u32) -> bool {
        let Some((record, _)) = records.read(Name::Shard(shard)) else {
            return false;
        };
        let skip = || {
            let mut from = Reader::new(record.get(codec::HEAD_BYTES..)?);
            for _ in 0..u8::read(&mut from)? {
                from.text()?;
            }
            Some(from.rest())
        };
        let mut items = skip().unwrap_or_default().chunks_exact(ITEM_BYTES);
        items.any(|item| item.starts_with(&uri.to_le_bytes()))
    }

    fn parse(record: &[u8]) -> Option<Index> {
        let mut from = codec::open(codec::Kind::Shard, record)?;
        let mut index = Index::default();
        for _ in 0..u8::read(&mut from)? {
            index.vary.push(from.text()?.into());
        }
        while !from.is_empty() && index.items.len() < SLOTS {
            index.items.push(Item::read(&mut from)?);
        }
        from.end(index)
    }

    pub(super) fn write(
        &self,
        records: &mut impl Records,
        shard: u32,
        version: Option<Version>,
        buffer: &mut Vec<u8>,
    ) -> bool {
        codec::seal(codec::Kind::Shard, buffer, |out| {
            u8::try_from(self.vary.len()).unwrap_or(0).write(out);
            self.vary.iter().for_each(|names| write_text(names, out));
            self.items.iter().for_each(|item| item.write(out));
        });
        records.write(Name::Shard(shard), buffer, version)
    }

    /// The newest response to a request, by the hash of its resource and by that of its variant
    /// under a list of names. Each list is asked about once.
    pub(super) fn newest(&self, resource: u64, variant: impl Fn(&[u8]) -> u64) -> Option<usize> {
        let mut variants = [None; VARY_MAX];
        let mut best: Option<(usize, &Item)> = None;
        for (slot, item) in self.items.iter().enumerate() {
            if item.bytes == 0 || item.resource != resource {
                continue;
            }
            let list = usize::from(item.vary);
            let (Some(names), Some(known)) = (self.vary.get(list), variants.get_mut(list)) else {
                continue;
            };
            if item.variant == *known.get_or_insert_with(|| variant(names))
                && best.is_none_or(|(_, best)| best.stored_at < item.stored_at)
            {
                best = Some((slot, item));
            }
        }
        best.map(|(slot, _)| slot)
    }

    /// The number of a list of names, which is added if there is room for it: in place of one
    /// that nothing varies by any more.
    pub(super) fn vary(&mut self, names: &[u8]) -> Option<u8> {
        let known = self.vary.iter().position(|it| **it == *names);
        let list = known.or_else(|| {
            let unused = |list: usize| {
                let mut taken = self.items.iter().filter(|it| it.bytes > 0);
                taken.all(|it| usize::from(it.vary) != list)
            };
            let len = self.vary.len();
            let place = (0..len).find(|list| unused(*list)).unwrap_or(len);
            match self.vary.get_mut(place) {
                Some(there) => *there = names.into(),
                None if len < VARY_MAX => self.vary.push(names.into()),
                None => return None,
            }
            Some(place)
        });
        list.and_then(|list| u8::try_from(list).ok())
    }

    /// The slot for a response: that of the one which it replaces, one that is vacant, a new
    /// one, or that of the least recently used one.
    pub(super) fn slot_for(&self, item: &Item) -> usize {
        let same = |it: &Item| it.bytes > 0 && it.is_of(item);
        let vacant = |it: &Item| it.bytes == 0;
        let items = &self.items;
        items
            .iter()
            .position(same)
            .or_else(|| items.iter().position(vacant))
            .or_else(|| (items.len() < SLOTS).then_some(items.len()))
            .or_else(|| self.oldest_but(usize::MAX))
            .unwrap_or(0)
    }

    pub(super) fn replaces_another(&self, slot: usize, item: &Item) -> bool {
        let there = self.items.get(slot);
        there.is_some_and(|it| it.bytes > 0 && !it.is_of(item))
    }

    /// The least recently used slot, except for one.
    pub(super) fn oldest_but(&self, slot: usize) -> Option<usize> {
        let taken = self.items.iter().enumerate();
        let taken = taken.filter(|(at, item)| *at != slot && item.bytes > 0);
        taken.min_by_key(|(_, item)| item.used_at).map(|(at, _)| at)
    }

    pub(super) fn bytes_without(&self, slot: usize) -> usize {
        let others = self.items.iter().enumerate().filter(|(at, _)| *at != slot);
        others.fold(0, |sum, (_, item)| {
            sum.saturating_add(usize::try_from(item.bytes).unwrap_or(usize::MAX))
        })
    }

    /// Empties a slot, and subtracts it from the index.
    pub(super) fn vacate(&mut self, records: &mut impl Records, shard: u32, slot: usize) {
        if let Some(item) = self.items.get_mut(slot)
            && item.bytes > 0
        {
            records.put(slot_name(shard, slot), &[]);
            *item = Item::default();
        }
    }

    pub(super) fn set(&mut self, slot: usize, item: Item) {
        if slot >= self.items.len() {
            self.items.push(item);
        } else if let Some(there) = self.items.get_mut(slot) {
            *there = item;
        }
    }
}

impl Item {
    fn is_of(&self, other: &Item) -> bool {
        (self.resource, self.variant, self.vary) == (other.resource, other.variant, other.vary)
    }
}

impl Encode for Item {
    fn write(&self, out: &mut Vec<u8>) {
        self.uri.write(out);
        self.resource.write(out);
        self.variant.write(out);
        self.bytes.write(out);
        self.vary.write(out);
        self.stored_at.write(out);
        self.used_at.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Item> {
        Some(Item {
            uri: u32::read(from)?,
            resource: u64::read(from)?,
            variant: u64::read(from)?,
            bytes: u32::read(from)?,
            vary: u8::read(from)?,
            stored_at: Instant::read(from)?,
            used_at: Instant::read(from)?,
        })
    }
}
