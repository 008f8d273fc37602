//! Where kept answers lie: a bounded number of bytes in records that all workers share.
//!
//! Hosts can neither list records nor delete them, so no name comes from a client: answers
//! lie in numbered slots, so many to a shard, and each shard has a record that says what is
//! in its slots. The shard's record is the account: a worker enters what it is about to
//! write, by compare-and-swap, then writes it. Whoever has to make room empties slots first
//! and takes them off the account then. So what lies in a shard is at no time more than its
//! account says, nor that more than its share; a worker that dies on the way leaves the
//! account too high, never too low. Slots themselves are written without comparing: what a
//! reader finds there is compared with its request as a whole, and with the account by who
//! wrote it.
//!
//! What was not asked for the longest goes first. Shards keep a write from having to read
//! the account of all: a byte more or less in each does not matter, and sixteen workers
//! seldom meet in one.

use alloc::vec::Vec;

use super::{Asked, Collection, Kept};
use crate::records::{Name, Records, TRIES, Version};
use crate::snapshot::{self, Layout, Reader};
use crate::time::{Instant, Span};

/// Most shards.
pub const SHARDS_MAX: u32 = 16;

/// Least bytes of a shard, where there are several: answers of this size have room.
const SHARD_BYTES_MIN: u32 = 1_048_576;

/// Slots of a shard: with the usual answer of some kilobytes its bytes are used up first.
const SLOTS: usize = 256;

/// How old the note of an answer's last use may get, so that not every use is a write.
const USE_NOTED_EACH: Span = Span::from_secs(1);

/// How many answers are remembered as kept just now: a power of two.
const RECENT: usize = 64;

/// The shelf as one worker knows it.
#[derive(Debug)]
pub struct Shelf {
    shards: u32,
    shard_bytes: usize,
    /// What all collections of this worker hold, and the most that they may.
    collecting: usize,
    collecting_max: usize,
    /// Answers that this worker has begun to keep, by a hash, and when.
    recent: [(u64, Instant); RECENT],
    /// How soon an answer is kept again.
    interval: Span,
}

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unkept {
    /// There is no room for one of its size.
    TooLarge,
    /// Other workers came first in every try.
    GivenUp,
}

impl Shelf {
    /// A shelf for `stale_bytes`, on which the same answer is laid each `interval` at most.
    pub fn new(stale_bytes: u32, interval: Span) -> Shelf {
        let shards = (stale_bytes / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let size = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        Shelf {
            shards,
            shard_bytes: size(stale_bytes.checked_div(shards).unwrap_or(0)),
            collecting: 0,
            collecting_max: size(stale_bytes),
            recent: [(0, Instant::default()); RECENT],
            interval,
        }
    }

    /// How many shards it has.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// Whether an answer is to be taken down now: not if that was just done.
    ///
    /// # Errors
    ///
    /// Where it has no room.
    pub fn begin(&mut self, collection: &mut Collection, now: Instant) -> Result<bool, Unkept> {
        let (resource, variant) = collection.place;
        let key = resource ^ variant.rotate_left(1);
        let at = key & (RECENT as u64).saturating_sub(1);
        let at = usize::try_from(at).ok();
        let Some(recent) = at.and_then(|at| self.recent.get_mut(at)) else {
            return Ok(false);
        };
        let (known, since) = *recent;
        if known == key && now >= since && now.since(since) < self.interval {
            return Ok(false);
        }
        let frame_len = collection.kept.frame_len();
        let room = self.shard_bytes.checked_sub(frame_len);
        collection.most = room.ok_or(Unkept::TooLarge)?;
        if collection.length.is_some_and(|len| len > collection.most) {
            return Err(Unkept::TooLarge);
        }
        *recent = (key, now);
        Ok(true)
    }

    /// Takes a piece of an answer's body down.
    ///
    /// # Errors
    ///
    /// Where it has no room, or those that are being taken down have none together.
    pub fn push(&mut self, collection: &mut Collection, piece: &[u8]) -> Result<(), Unkept> {
        let all = self.collecting.saturating_add(piece.len());
        if !self.fits(collection, piece.len()) || all > self.collecting_max {
            return Err(Unkept::TooLarge);
        }
        self.collecting = all;
        collection.kept.body.extend_from_slice(piece);
        Ok(())
    }

    /// Whether a piece of this size would have room.
    pub fn fits(&self, collection: &Collection, len: usize) -> bool {
        collection.kept.body.len().saturating_add(len) <= collection.most
    }

    /// Lets go of what was taken down.
    pub fn drop_collection(&mut self, collection: &Collection) {
        let len = collection.kept.body.len();
        self.collecting = self.collecting.saturating_sub(len);
    }

    /// Keeps an answer that has come to its end, and says how many others went for it.
    ///
    /// # Errors
    ///
    /// Where it is not kept.
    pub fn put(
        &mut self,
        records: &mut impl Records,
        collection: &Collection,
        now: Instant,
        buffer: &mut Vec<u8>,
    ) -> Result<u32, Unkept> {
        let (resource, variant) = collection.place;
        let shard = self.shard(resource);
        let mut record = Vec::new();
        collection.kept.seal(&mut record);
        let bytes = u32::try_from(record.len()).map_err(|_| Unkept::TooLarge)?;
        if record.len() > self.shard_bytes {
            return Err(Unkept::TooLarge);
        }
        let item = Item {
            resource,
            variant,
            bytes,
            used_at: now,
        };
        let mut evicted: u32 = 0;
        for _ in 0..TRIES {
            let (mut account, version) = Account::read(records, shard);
            let slot = account.slot_for(&item);
            while account.bytes_without(slot).saturating_add(record.len()) > self.shard_bytes {
                let Some(oldest) = account.oldest_but(slot) else {
                    break;
                };
                account.vacate(records, shard, oldest);
                evicted = evicted.saturating_add(1);
            }
            if account.replaces_another(slot, &item) {
                account.vacate(records, shard, slot);
                evicted = evicted.saturating_add(1);
            }
            account.set(slot, item);
            if !account.write(records, shard, version, buffer) {
                continue;
            }
            let name = slot_name(shard, slot);
            records.put(name, &record);
            // Another worker may have given the slot away before this one wrote there.
            let (after, _) = Account::read(records, shard);
            if after.items.get(slot) != Some(&item) {
                records.put(name, &[]);
            }
            return Ok(evicted);
        }
        Err(Unkept::GivenUp)
    }

    /// The newest answer to a request.
    pub fn find(
        &self,
        records: &mut impl Records,
        asked: &Asked,
        now: Instant,
        buffer: &mut Vec<u8>,
    ) -> Option<Kept> {
        let shard = self.shard(asked.hash);
        let (mut account, version) = Account::read(records, shard);
        let mut best: Option<(usize, Kept)> = None;
        for (slot, item) in account.items.iter().enumerate() {
            if item.bytes == 0 || item.resource != asked.hash {
                continue;
            }
            let record = records.read(slot_name(shard, slot));
            let kept = record.and_then(|(record, _)| Kept::open(&record, asked));
            let newer = |kept: &Kept| best.as_ref().is_none_or(|(_, it)| it.at < kept.at);
            if let Some(kept) = kept.filter(newer) {
                best = Some((slot, kept));
            }
        }
        let (slot, kept) = best?;
        if let Some(item) = account.items.get_mut(slot)
            && now.since(item.used_at) >= USE_NOTED_EACH
        {
            item.used_at = now;
            // Who comes first has noted another use of this shard: one is as good.
            account.write(records, shard, version, buffer);
        }
        Some(kept)
    }

    /// Forgets what is kept of a resource.
    pub fn forget(&mut self, records: &mut impl Records, asked: &Asked, buffer: &mut Vec<u8>) {
        let shard = self.shard(asked.hash);
        self.recent = [(0, Instant::default()); RECENT];
        for _ in 0..TRIES {
            let (mut account, version) = Account::read(records, shard);
            let mut found = false;
            for slot in 0..account.items.len() {
                let item = account.items.get(slot);
                if item.is_some_and(|it| it.bytes > 0 && it.resource == asked.hash) {
                    account.vacate(records, shard, slot);
                    found = true;
                }
            }
            if !found || account.write(records, shard, version, buffer) {
                return;
            }
        }
    }

    fn shard(&self, resource: u64) -> u32 {
        let shard = resource.checked_rem(u64::from(self.shards)).unwrap_or(0);
        u32::try_from(shard).unwrap_or(0)
    }
}

/// Empties all shards from this one on, which no configuration looks into any more.
pub fn clear(records: &mut impl Records, from: u32, buffer: &mut Vec<u8>) {
    for shard in from..SHARDS_MAX {
        for _ in 0..TRIES {
            let (mut account, version) = Account::read(records, shard);
            if account.items.iter().all(|item| item.bytes == 0) {
                break;
            }
            for slot in 0..account.items.len() {
                account.vacate(records, shard, slot);
            }
            if account.write(records, shard, version, buffer) {
                break;
            }
        }
    }
}

fn slot_name(shard: u32, slot: usize) -> Name<'static> {
    Name::Answer(shard, u32::try_from(slot).unwrap_or(u32::MAX))
}

/// What lies in the slots of one shard.
#[derive(Debug, Default)]
struct Account {
    items: Vec<Item>,
}

/// What lies in one slot; nothing where it has no bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Item {
    resource: u64,
    variant: u64,
    bytes: u32,
    used_at: Instant,
}

impl Account {
    /// Reads the account of a shard. Where it is damaged nobody knows what lies in the
    /// slots, so they are emptied.
    fn read(records: &mut impl Records, shard: u32) -> (Account, Option<Version>) {
        let Some((record, version)) = records.read(Name::Shard(shard)) else {
            return (Account::default(), None);
        };
        let account = Account::parse(&record).unwrap_or_else(|| {
            for slot in 0..SLOTS {
                if records.read(slot_name(shard, slot)).is_some() {
                    records.put(slot_name(shard, slot), &[]);
                }
            }
            Account::default()
        });
        (account, Some(version))
    }

    fn parse(record: &[u8]) -> Option<Account> {
        let mut from = snapshot::open(snapshot::Kind::Shard, record)?;
        let mut account = Account::default();
        while !from.is_empty() && account.items.len() < SLOTS {
            account.items.push(Item::read(&mut from)?);
        }
        from.end(account)
    }

    fn write(
        &self,
        records: &mut impl Records,
        shard: u32,
        version: Option<Version>,
        buffer: &mut Vec<u8>,
    ) -> bool {
        snapshot::seal(snapshot::Kind::Shard, buffer, |out| {
            self.items.iter().for_each(|item| item.write(out));
        });
        records.write(Name::Shard(shard), buffer, version)
    }

    /// The slot for an answer: that of the one which it replaces, one that is vacant, a new
    /// one, or that of the one that was not used for the longest time.
    fn slot_for(&self, item: &Item) -> usize {
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

    fn replaces_another(&self, slot: usize, item: &Item) -> bool {
        let there = self.items.get(slot);
        there.is_some_and(|it| it.bytes > 0 && !it.is_of(item))
    }

    fn oldest_but(&self, slot: usize) -> Option<usize> {
        let taken = self.items.iter().enumerate();
        let taken = taken.filter(|(at, item)| *at != slot && item.bytes > 0);
        taken.min_by_key(|(_, item)| item.used_at).map(|(at, _)| at)
    }

    fn bytes_without(&self, slot: usize) -> usize {
        let others = self.items.iter().enumerate().filter(|(at, _)| *at != slot);
        others.fold(0, |sum, (_, item)| {
            sum.saturating_add(usize::try_from(item.bytes).unwrap_or(usize::MAX))
        })
    }

    /// Empties a slot, and takes it off the account.
    fn vacate(&mut self, records: &mut impl Records, shard: u32, slot: usize) {
        if let Some(item) = self.items.get_mut(slot)
            && item.bytes > 0
        {
            records.put(slot_name(shard, slot), &[]);
            *item = Item::default();
        }
    }

    fn set(&mut self, slot: usize, item: Item) {
        if slot >= self.items.len() {
            self.items.push(item);
        } else if let Some(there) = self.items.get_mut(slot) {
            *there = item;
        }
    }
}

impl Item {
    fn is_of(&self, other: &Item) -> bool {
        (self.resource, self.variant) == (other.resource, other.variant)
    }
}

impl Layout for Item {
    fn write(&self, out: &mut Vec<u8>) {
        self.resource.write(out);
        self.variant.write(out);
        self.bytes.write(out);
        self.used_at.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Item> {
        Some(Item {
            resource: u64::read(from)?,
            variant: u64::read(from)?,
            bytes: u32::read(from)?,
            used_at: Instant::read(from)?,
        })
    }
}

#[cfg(test)]
mod tests;
