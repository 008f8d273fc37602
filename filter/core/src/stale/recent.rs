//! Responses that this VM has stored recently, so that a busy URL is not stored again with each
//! response.
//!
//! The table has a fixed size. Two entries that collide cost an extra write, never a missing
//! response.

use alloc::vec::Vec;

use super::request::Hashes;
use crate::time::{Instant, Span};

/// Number of entries, a power of two.
const ENTRIES: usize = 64;

/// The table.
#[derive(Debug)]
pub(super) struct Recent {
    entries: [Entry; ENTRIES],
    /// For each resource the names that its last response varied by.
    vary: [(u64, Vec<u8>); ENTRIES],
    interval: Span,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: u64,
    uri: u64,
    at: Instant,
    again: Again,
}

/// Whether a change allows to store a response again within the interval. It does so once:
/// otherwise a client that changes and reads in turn would store with each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Again {
    #[default]
    NotYet,
    Now,
    Done,
}

/// Distinguishes the key of a refresh by a 304 from that of a response. It has low bits, so that
/// the two use different entries.
const REFRESH: u64 = 0x8000_0000_0000_0021;

impl Recent {
    /// Creates an empty table. A response is stored again after `interval`.
    pub(super) fn new(interval: Span) -> Recent {
        Recent {
            entries: [Entry::default(); ENTRIES],
            vary: core::array::from_fn(|_| (0, Vec::new())),
            interval,
        }
    }

    /// Returns the names that the last response of a resource varied by, or none if unknown.
    #[inline]
    pub(super) fn vary(&self, resource: u64) -> &[u8] {
        let entry = self.vary.get(position(resource));
        entry
            .filter(|(known, _)| *known == resource)
            .map_or(&[], |(_, names)| names)
    }

    /// Whether a response is to be stored: `false` if that was done recently.
    #[inline]
    pub(super) fn is_due(&self, resource: u64, variant: u64, now: Instant) -> bool {
        self.key_is_due(key(resource, variant), now)
    }

    #[inline]
    fn key_is_due(&self, key: u64, now: Instant) -> bool {
        self.entries.get(position(key)).is_none_or(|entry| {
            entry.key != key
                || now < entry.at
                || now.since(entry.at) >= self.interval
                || entry.again == Again::Now
        })
    }

    /// Adds a response that is stored now.
    pub(super) fn add(&mut self, hashes: Hashes, vary: &[u8], now: Instant) {
        let Hashes {
            resource,
            variant,
            uri,
        } = hashes;
        if let Some((known, names)) = self.vary.get_mut(position(resource)) {
            *known = resource;
            names.clear();
            names.extend_from_slice(vary);
        }
        self.add_key(key(resource, variant), uri, now);
    }

    fn add_key(&mut self, key: u64, uri: u64, now: Instant) {
        let interval = self.interval;
        if let Some(entry) = self.entries.get_mut(position(key)) {
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

    /// Whether to refresh a stored response by a 304, and adds that. So a 304 causes no more reads
    /// than a 200 causes writes, and does not keep a 200 from being stored.
    pub(super) fn begin_refresh(&mut self, resource: u64, variant: u64, now: Instant) -> bool {
        let key = key(resource, variant) ^ REFRESH;
        let due = self.key_is_due(key, now);
        if due {
            self.add_key(key, 0, now);
        }
        due
    }

    /// Notes a change of a URI: its responses may be stored again.
    pub(super) fn invalidate(&mut self, uri: u64) {
        let matching = self.entries.iter_mut().filter(|entry| entry.uri == uri);
        matching
            .filter(|entry| entry.again == Again::NotYet)
            .for_each(|entry| entry.again = Again::Now);
    }
}

#[inline]
fn key(resource: u64, variant: u64) -> u64 {
    resource ^ variant.rotate_left(1)
}

#[inline]
fn position(key: u64) -> usize {
    let position = key & (ENTRIES as u64).saturating_sub(1);
    usize::try_from(position).unwrap_or(0)
}
