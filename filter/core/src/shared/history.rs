//! The last transitions of a proxy, for the operator's page.
//!
//! One bounded record serves all policies and workers. The worker whose compare-and-swap made a
//! transition adds it, so it is in the history once. If its write loses every compare-and-swap
//! the history lacks the transition, but metrics and log still have it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::circuit::breaker::{StateName, Transition, Why};
use crate::circuit::window::Counts;
use crate::codec::{self, Encode, Kind, Reader};
use crate::shared::records::{Name, Records, TRIES};
use crate::time::{Instant, Span};

/// Most transitions in the history: as many as fit on a screen.
pub(crate) const HISTORY_MAX: usize = 20;

/// A transition in the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// Time of the transition.
    pub at: Instant,
    /// Name of the circuit's policy.
    pub policy: Box<str>,
    /// Key of the circuit, as bytes.
    pub key: Vec<u8>,
    /// The change of state.
    pub transition: Transition,
}

/// Reads the history, oldest transition first. It is empty if the record is missing or damaged.
pub(crate) fn read<R: Records>(records: &mut R) -> Vec<Past> {
    let Some((record, _)) = records.read(Name::History) else {
        return Vec::new();
    };
    let entries = entries(&record).into_iter();
    let read = |entry| Past::read(&mut Reader::new(entry));
    entries.filter_map(read).collect()
}

/// Whether the proxy has ever had a transition.
pub(crate) fn exists<R: Records>(records: &mut R) -> bool {
    records.read(Name::History).is_some()
}

/// Adds transitions, oldest first.
pub(crate) fn add<R: Records>(records: &mut R, new: &[Past], buffer: &mut Vec<u8>) {
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

/// Returns the bytes of each transition in a record.
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
        let change = &self.transition;
        self.at.write(out);
        codec::write_text(self.policy.as_bytes(), out);
        codec::write_text(&self.key, out);
        out.extend_from_slice(&[change.from as u8, change.to as u8, change.why as u8]);
        change.counts.write(out);
        change.opens.write(out);
        change.lasted.write(out);
        change.open_for.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Option<Past> {
        Some(Past {
            at: Instant::read(from)?,
            policy: core::str::from_utf8(from.text()?).ok()?.into(),
            key: from.text()?.into(),
            transition: Transition {
                from: state(from)?,
                to: state(from)?,
                why: Why::at(u8::read(from)?)?,
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
