//! What this worker knows of the shared store: which responses are there, how old, and by which
//! validator. So the response to a busy URL costs no look into shared memory, and its headers
//! are read once per interval at most.
//!
//! The table has a fixed size and is set-associative. A response whose entry was replaced costs
//! a look into the shared index, never a fallback. All entries of a URI are in [`SPREAD`] rows,
//! so that a change finds them.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::request::{Hashes, Key, SPREAD, upper_half};
use crate::time::{Instant, Span};

/// Entries of a row, which are those that a key may have.
const WAYS: usize = 4;

/// Most lists of names that responses vary by. Upstreams have a few. Responses under further
/// lists cost a look into the shared index each.
const LISTS_MAX: usize = 16;

/// The table.
#[derive(Debug)]
pub(super) struct Recent {
    entries: Vec<Entry>,
    lists: Vec<Box<[u8]>>,
    pub(super) interval: Span,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// A part of the key, which is not 0. It is 0 if the entry is vacant.
    tag: u32,
    uri: u32,
    validator: u32,
    checked: Stamp,
    stored: Stamp,
    /// Number of the list that the last response to the resource varied by; 0 if by none.
    list: u8,
    again: Again,
    /// Whether the shared store should have the response.
    is_stored: bool,
}

/// A time in milliseconds. It begins anew after 49 days, so that an entry stays small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stamp(u32);

/// Whether a change allows to look at a response again within the interval. It does so once:
/// otherwise a client that changes and reads in turn would store with each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Again {
    #[default]
    NotYet,
    Now,
    Done,
}

/// Distinguishes the key of a refresh by a 304 from that of a response.
const REFRESH: u64 = 0x8000_0000_0000_0000;

impl Stamp {
    fn at(time: Instant) -> Stamp {
        let ms = time.since(Instant::from_ns(0)).as_ms();
        Stamp(u32::try_from(ms & u64::from(u32::MAX)).unwrap_or(0))
    }

    /// Returns the time since then. After a step back of the clock it is very long.
    fn age(self, now: Instant) -> Span {
        Span::from_ms(u64::from(Stamp::at(now).0.wrapping_sub(self.0)))
    }
}

impl Recent {
    /// Creates an empty table of so many entries, a power of two. A response is looked at again
    /// after `interval`.
    pub(super) fn new(entries: usize, interval: Span) -> Recent {
        Recent {
            entries: vec![Entry::default(); entries],
            lists: Vec::new(),
            interval,
        }
    }

    /// Returns the names that the last response to a resource varied by, or none if unknown.
    #[inline]
    pub(super) fn vary(&self, resource: Key) -> &[u8] {
        let list = self.entry(resource).map_or(0, |entry| entry.list);
        let at = usize::from(list).checked_sub(1);
        at.and_then(|at| self.lists.get(at)).map_or(&[], |it| it)
    }

    /// Whether to look at a response: `false` if that was done recently.
    #[inline]
    pub(super) fn is_due(&self, key: Key, now: Instant) -> bool {
        let entry = self.entry(key);
        entry.is_none_or(|it| it.again == Again::Now || it.checked.age(now) >= self.interval)
    }

    /// Whether a response with this validator was stored less than `renewal` ago. If so, notes
    /// that it was looked at.
    pub(super) fn is_fresh(
        &mut self,
        key: Key,
        (validator, renewal): (u32, Span),
        now: Instant,
    ) -> bool {
        let fresh = self.entry(key).is_some_and(|it| {
            it.is_stored && it.validator == validator && it.stored.age(now) < renewal
        });
        if fresh {
            self.look(key, now);
        }
        fresh
    }

    /// Adds a response that is looked at now and was stored at `stored`.
    pub(super) fn add(
        &mut self,
        hashes: Hashes,
        vary: &[u8],
        (validator, stored): (u32, Instant),
        now: Instant,
    ) {
        self.set_vary(hashes, vary, now);
        self.add_key(hashes.key(), (validator, stored), now);
    }

    fn add_key(&mut self, key: Key, (validator, stored): (u32, Instant), now: Instant) {
        if let Some(entry) = self.look(key, now) {
            entry.validator = validator;
            entry.stored = Stamp::at(stored);
            entry.is_stored = true;
        }
    }

    /// Notes that a response was looked at, and is not stored.
    pub(super) fn pass(&mut self, hashes: Hashes, vary: &[u8], now: Instant) {
        self.set_vary(hashes, vary, now);
        if let Some(entry) = self.look(hashes.key(), now) {
            entry.is_stored = false;
        }
    }

    /// Notes what the responses to a resource vary by.
    fn set_vary(&mut self, hashes: Hashes, names: &[u8], now: Instant) {
        let list = self.list(names);
        if let Some(entry) = self.entry_mut(hashes.plain().key(), now) {
            entry.list = list;
            if list > 0 {
                entry.checked = Stamp::at(now);
            }
        }
    }

    /// Returns the number of a list of names, which is added if it is new; 0 if there is no room.
    fn list(&mut self, names: &[u8]) -> u8 {
        if names.is_empty() {
            return 0;
        }
        let known = self.lists.iter().position(|list| **list == *names);
        let at = known.unwrap_or(self.lists.len());
        if at >= LISTS_MAX {
            return 0;
        }
        if known.is_none() {
            self.lists.push(names.into());
        }
        u8::try_from(at.saturating_add(1)).unwrap_or(0)
    }

    /// Whether to refresh a stored response by a 304. If so, notes that. So a 304 causes no more
    /// work than a 200, and does not keep a 200 from being stored.
    pub(super) fn begin_refresh(&mut self, key: Key, renewal: Span, now: Instant) -> bool {
        let key = Key {
            response: key.response ^ REFRESH,
            ..key
        };
        let due = !self.is_fresh(key, (0, renewal), now);
        if due {
            self.add_key(key, (0, now), now);
        }
        due
    }

    /// Notes a change of a URI: its responses are no longer stored.
    pub(super) fn invalidate(&mut self, uri: u64) {
        for response in 0..SPREAD {
            let row = self.row(Key { response, uri });
            let ways = self.entries.get_mut(row..).unwrap_or_default();
            let ways = ways.iter_mut().take(WAYS);
            for entry in ways.filter(|it| it.uri == upper_half(uri)) {
                entry.is_stored = false;
                if entry.again == Again::NotYet {
                    entry.again = Again::Now;
                }
            }
        }
    }

    /// Notes a look at a response, and returns its entry.
    fn look(&mut self, key: Key, now: Instant) -> Option<&mut Entry> {
        let interval = self.interval;
        let entry = self.entry_mut(key, now)?;
        if entry.again == Again::Now && entry.checked.age(now) < interval {
            entry.again = Again::Done;
        } else {
            entry.again = Again::NotYet;
            entry.checked = Stamp::at(now);
        }
        Some(entry)
    }

    /// Returns the position of the first entry that a key may have.
    #[inline]
    fn row(&self, key: Key) -> usize {
        let place = usize::try_from(key.place() & u64::from(u32::MAX)).unwrap_or(0);
        place.wrapping_mul(WAYS) & self.entries.len().saturating_sub(WAYS)
    }

    #[inline]
    fn entry(&self, key: Key) -> Option<&Entry> {
        let ways = self.entries.get(self.row(key)..)?;
        ways.iter().take(WAYS).find(|it| it.is_of(key))
    }

    /// Returns the entry of a key. Without one, replaces the entry that was not looked at for
    /// longest among those that the key may have.
    fn entry_mut(&mut self, key: Key, now: Instant) -> Option<&mut Entry> {
        let row = self.row(key);
        let ways = self.entries.get_mut(row..)?.iter_mut().take(WAYS);
        let entry = ways.max_by_key(|it| match it.tag {
            _ if it.is_of(key) => u64::MAX,
            0 => u64::MAX.saturating_sub(1),
            _ => it.checked.age(now).as_ns(),
        })?;
        if !entry.is_of(key) {
            *entry = Entry {
                tag: tag(key),
                uri: upper_half(key.uri),
                ..Entry::default()
            };
        }
        Some(entry)
    }
}

impl Entry {
    #[inline]
    fn is_of(&self, key: Key) -> bool {
        self.tag == tag(key) && self.uri == upper_half(key.uri)
    }
}

#[inline]
fn tag(key: Key) -> u32 {
    upper_half(key.response) | 1
}
