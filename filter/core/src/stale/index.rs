//! The index of one shard: the content of its slots.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::codec::{self, Encode, Reader, write_text};
use crate::shared::records::{Name, Records, Version};
use crate::time::Instant;

/// Slots of a shard. Usual responses have some kilobytes and use up its bytes first.
pub(super) const SLOTS: usize = 256;

/// Most different `vary` lists of a shard.
const VARY_MAX: usize = 16;

/// Length of an item in the record.
const ITEM_BYTES: usize = 41;

/// The content of the slots of one shard.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The `vary` lists. With them a request finds its variant before it reads a response.
    vary: Vec<Box<[u8]>>,
    pub(super) items: Vec<Item>,
}

/// The content of one slot, which is vacant if it has no bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) resource: u64,
    pub(super) variant: u64,
    /// Upper half of the hash of the URI. The lower half selects the shard.
    pub(super) uri: u32,
    pub(super) bytes: u32,
    /// Number of the `vary` list.
    pub(super) vary: u8,
    pub(super) stored_at: Instant,
    pub(super) used_at: Instant,
}

impl Index {
    /// Reads the index of a shard. If it is damaged the content of the slots is unknown, so they
    /// are emptied.
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

    /// Whether a shard may hold a response of a URI. Most changes affect URIs that are not
    /// stored, and computing the checksum alone would cost ten times this search.
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

    /// Returns the slot of the newest response to a request. `variant` computes the hash of its
    /// variant under a `vary` list; it is called once per list.
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

    /// Returns the number of a `vary` list and adds it if necessary, preferably in place of an
    /// unused one. `None` if there is no room.
    pub(super) fn vary(&mut self, names: &[u8]) -> Option<u8> {
        let known = self.vary.iter().position(|it| **it == *names);
        let list = known.or_else(|| {
            let unused = |list: usize| {
                let mut taken = self.items.iter().filter(|it| it.bytes > 0);
                taken.all(|it| usize::from(it.vary) != list)
            };
            let len = self.vary.len();
            let at = (0..len).find(|list| unused(*list)).unwrap_or(len);
            match self.vary.get_mut(at) {
                Some(there) => *there = names.into(),
                None if len < VARY_MAX => self.vary.push(names.into()),
                None => return None,
            }
            Some(at)
        });
        list.and_then(|list| u8::try_from(list).ok())
    }

    /// Returns the slot for a response: that of the response it replaces, else a vacant one, a
    /// new one, or that of the least recently used response.
    pub(super) fn slot_for(&self, item: &Item) -> usize {
        let same = |it: &Item| it.bytes > 0 && it.replaces(item);
        let vacant = |it: &Item| it.bytes == 0;
        let items = &self.items;
        items
            .iter()
            .position(same)
            .or_else(|| items.iter().position(vacant))
            .or_else(|| (items.len() < SLOTS).then_some(items.len()))
            .or_else(|| self.oldest_except(usize::MAX))
            .unwrap_or(0)
    }

    /// Whether a slot holds another response than the one that `item` replaces.
    pub(super) fn replaces_another(&self, slot: usize, item: &Item) -> bool {
        let there = self.items.get(slot);
        there.is_some_and(|it| it.bytes > 0 && !it.replaces(item))
    }

    /// Returns the least recently used slot, except for `slot`.
    pub(super) fn oldest_except(&self, slot: usize) -> Option<usize> {
        let taken = self.items.iter().enumerate();
        let taken = taken.filter(|(at, item)| *at != slot && item.bytes > 0);
        taken.min_by_key(|(_, item)| item.used_at).map(|(at, _)| at)
    }

    /// Total of the bytes, except for those of `slot`.
    pub(super) fn bytes_without(&self, slot: usize) -> usize {
        let others = self.items.iter().enumerate().filter(|(at, _)| *at != slot);
        others.fold(0, |sum, (_, item)| {
            sum.saturating_add(usize::try_from(item.bytes).unwrap_or(usize::MAX))
        })
    }

    /// Empties a slot, then subtracts it from the index.
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
    fn replaces(&self, other: &Item) -> bool {
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

/// Returns the name of a slot's record.
pub(super) fn slot_name(shard: u32, slot: usize) -> Name<'static> {
    Name::StoredResponse(shard, u32::try_from(slot).unwrap_or(u32::MAX))
}
