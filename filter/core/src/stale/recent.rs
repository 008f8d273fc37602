//! What this VM has stored just now, so that a busy URL is not stored with each response.
//!
//! A table of fixed size: two entries that share a place cost a write more, never a missing
//! response.

use alloc::vec::Vec;

use crate::time::{Instant, Span};

/// Entries: a power of two.
const PLACES: usize = 64;

/// What was stored just now.
#[derive(Debug)]
pub(super) struct Recent {
    entries: [Entry; PLACES],
    /// Names that responses of a resource vary by, as they did last time.
    vary: [(u64, Vec<u8>); PLACES],
    interval: Span,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: u64,
    uri: u64,
    at: Instant,
    again: Again,
}

/// Whether a change lets a response be stored before the interval is over: once, so that a
/// client which changes and reads in turn does not store with each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Again {
    #[default]
    NotYet,
    Now,
    Done,
}

/// Tells the key of a look for what a 304 is about from that of a response. It differs in
/// the low bits, so that the two do not share a place.
const LOOK: u64 = 0x8000_0000_0000_0021;

impl Recent {
    /// Nothing yet.
    pub(super) fn new(interval: Span) -> Recent {
        Recent {
            entries: [Entry::default(); PLACES],
            vary: core::array::from_fn(|_| (0, Vec::new())),
            interval,
        }
    }

    /// The names that responses of a resource vary by, as far as is known.
    #[inline]
    pub(super) fn vary(&self, resource: u64) -> &[u8] {
        let place = self.vary.get(place(resource));
        place
            .filter(|(known, _)| *known == resource)
            .map_or(&[], |(_, names)| names)
    }

    /// Whether a response may be stored: not if that was just done.
    #[inline]
    pub(super) fn is_due(&self, resource: u64, variant: u64, now: Instant) -> bool {
        self.key_is_due(key(resource, variant), now)
    }

    #[inline]
    fn key_is_due(&self, key: u64, now: Instant) -> bool {
        self.entries.get(place(key)).is_none_or(|entry| {
            entry.key != key
                || now < entry.at
                || now.since(entry.at) >= self.interval
                || entry.again == Again::Now
        })
    }

    /// Notes that a response is stored.
    pub(super) fn note(
        &mut self,
        (resource, variant, uri): (u64, u64, u64),
        vary: &[u8],
        now: Instant,
    ) {
        if let Some((known, names)) = self.vary.get_mut(place(resource)) {
            *known = resource;
            names.clear();
            names.extend_from_slice(vary);
        }
        self.note_key(key(resource, variant), uri, now);
    }

    fn note_key(&mut self, key: u64, uri: u64, now: Instant) {
        let interval = self.interval;
        if let Some(entry) = self.entries.get_mut(place(key)) {
            if entry.key == key && now >= entry.at && now.since(entry.at) < interval {
                entry.again = Again::Done;
            } else {
                *entry = Entry {
                    key,
                    uri,
                    at: now,
                    again: Again::NotYet,
                };
            }
        }
    }

    /// Whether to look for what a 304 is about, and notes that: a 304 costs no more reads
    /// than a 200 costs writes, and does not keep one from being stored.
    pub(super) fn looks(&mut self, resource: u64, variant: u64, now: Instant) -> bool {
        let key = key(resource, variant) ^ LOOK;
        let due = self.key_is_due(key, now);
        if due {
            self.note_key(key, 0, now);
        }
        due
    }

    /// Notes that what was stored of a URI is not true any more.
    pub(super) fn forget(&mut self, uri: u64) {
        let of_it = self.entries.iter_mut().filter(|entry| entry.uri == uri);
        of_it
            .filter(|entry| entry.again == Again::NotYet)
            .for_each(|entry| entry.again = Again::Now);
    }
}

#[inline]
fn key(resource: u64, variant: u64) -> u64 {
    resource ^ variant.rotate_left(1)
}

#[inline]
fn place(key: u64) -> usize {
    let place = key & (PLACES as u64).saturating_sub(1);
    usize::try_from(place).unwrap_or(0)
}
