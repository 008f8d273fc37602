//! The last transitions of a proxy, for those who look at it later.
//!
//! One bounded record for all policies and workers. The worker whose compare-and-swap made a
//! transition adds it, so each is there once. The record only serves readers: a transition
//! that loses every try is missing here, but not in the metrics or the log.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::circuit::breaker::{StateName, Transition, Why};
use crate::circuit::window::Counts;
use crate::codec::{self, Encode, Kind, Reader};
use crate::shared::records::{Name, Records, TRIES};
use crate::time::{Instant, Span};

/// How many transitions are remembered: as many as fit on a screen.
pub const HISTORY_MAX: usize = 20;

/// A transition that has happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// When it happened.
    pub at: Instant,
    /// The policy of the circuit.
    pub policy: Box<str>,
    /// The circuit's key.
    pub key: Vec<u8>,
    /// The transition.
    pub transition: Transition,
}

/// Reads the history, oldest transition first. It is empty if there is none, or if the record
/// is damaged.
pub fn read<R: Records>(records: &mut R) -> Vec<Past> {
    let Some((record, _)) = records.read(Name::History) else {
        return Vec::new();
    };
    let entries = entries(&record).into_iter();
    let read = |entry| Past::read(&mut Reader::new(entry));
    entries.filter_map(read).collect()
}

/// Whether the proxy has ever had a transition.
pub fn exists<R: Records>(records: &mut R) -> bool {
    records.read(Name::History).is_some()
}

/// Adds transitions, oldest first.
pub fn add<R: Records>(records: &mut R, new: &[Past], buffer: &mut Vec<u8>) {
    let new = new.get(new.len().saturating_sub(HISTORY_MAX)..);
    let new = new.unwrap_or_default();
    let mut bytes = Vec::new();
    for _ in 0..TRIES {
        let (record, version) = match records.read(Name::History) {
            Some((record, version)) => (record, Some(version)),
            None => (Vec::new(), None),
        };
        let old = entries(&record);
        let excess = (old.len().saturating_add(new.len())).saturating_sub(HISTORY_MAX);
        codec::seal(Kind::History, buffer, |out| {
            for entry in old.iter().skip(excess) {
                codec::write_text(entry, out);
            }
            for past in new {
                bytes.clear();
                past.write(&mut bytes);
                codec::write_text(&bytes, out);
            }
        });
        if records.write(Name::History, buffer, version) {
            return;
        }
    }
}

/// The transitions of a record as bytes.
fn entries(record: &[u8]) -> Vec<&[u8]> {
    let mut entries = Vec::new();
    if let Some(mut from) = codec::open(Kind::History, record) {
        while let Some(entry) = from.text() {
            entries.push(entry);
        }
    }
    entries
}

impl Encode for Past {
    fn write(&self, out: &mut Vec<u8>) {
        let told = &self.transition;
        self.at.write(out);
        codec::write_text(self.policy.as_bytes(), out);
        codec::write_text(&self.key, out);
        out.extend_from_slice(&[told.from as u8, told.to as u8, told.why as u8]);
        told.counts.write(out);
        told.opens.write(out);
        told.lasted.write(out);
        told.open_for.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Past> {
        Some(Past {
            at: Instant::read(from)?,
            policy: core::str::from_utf8(from.text()?).ok()?.into(),
            key: from.text()?.into(),
            transition: Transition {
                from: state(from)?,
                to: state(from)?,
                why: Why::ALL.get(usize::from(u8::read(from)?)).copied()?,
                counts: Counts::read(from)?,
                opens: u32::read(from)?,
                lasted: Span::read(from)?,
                open_for: Span::read(from)?,
            },
        })
    }
}

fn state(from: &mut Reader<'_>) -> Option<StateName> {
    StateName::ALL.get(usize::from(u8::read(from)?)).copied()
}
