//! The numbered slots of a policy, which hold circuits.
//!
//! A key can be in any of the few slots that its hash selects, so a table fills up almost
//! completely before a key finds no slot.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::circuit::Circuit;
use crate::circuit::breaker::StateName;
use crate::codec::{self, Encode, Kind};
use crate::shared::records::{Name, Records, TRIES, Version};
use crate::time::{Instant, Span};

mod seeker;

pub(crate) use seeker::{Placement, Seeker};

/// Number of slots that a key can use. More would fill the last few percent of a table, but a
/// new key has to be searched for in all of them.
pub(crate) const WAYS: u32 = 16;

/// Content of a slot.
#[derive(Debug)]
pub(crate) enum Slot {
    /// No circuit. `None` if the slot was never written.
    Vacant(Option<Version>),
    /// Bytes that are not a valid record of this version.
    Damaged(Version),
    /// The circuit of a key.
    Taken(Box<Taken>),
}

/// A circuit in its slot.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) key: Vec<u8>,
    pub(crate) circuit: Circuit,
    pub(crate) version: Version,
}

impl Slot {
    pub(crate) fn read(records: &mut impl Records, policy: &str, slot: u32) -> Slot {
        let Some((record, version)) = records.read(Name::Slot(policy, slot)) else {
            return Slot::Vacant(None);
        };
        match parse(&record) {
            None => Slot::Damaged(version),
            Some(None) => Slot::Vacant(Some(version)),
            Some(Some((key, circuit))) => Slot::Taken(Box::new(Taken {
                key,
                circuit,
                version,
            })),
        }
    }

    /// Returns the census entry of the slot at `now`, under a policy with this recovery time.
    pub(crate) fn summary(&self, recovery: Span, now: Instant) -> SlotSummary {
        match self {
            Slot::Taken(taken) => SlotSummary::of(&taken.circuit, recovery, now),
            Slot::Vacant(_) | Slot::Damaged(_) => SlotSummary::default(),
        }
    }
}

/// Entry of a slot in the census.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotSummary {
    /// Whether the slot holds a circuit.
    pub(crate) taken: bool,
    /// Whether the circuit is forced or not closed.
    pub(crate) notable: bool,
    /// End of the open time. If that is over, the circuit is half-open. `None` if it is neither
    /// open nor half-open.
    pub(crate) sheds_until: Option<Instant>,
}

impl SlotSummary {
    /// Returns the entry of a slot that holds this circuit.
    pub(crate) fn of(circuit: &Circuit, recovery: Span, now: Instant) -> SlotSummary {
        let standing = circuit.breaker.standing(recovery, now);
        SlotSummary {
            taken: true,
            notable: circuit.force(now).is_some() || standing.state != StateName::Closed,
            sheds_until: circuit.breaker.sheds_until(),
        }
    }
}

/// The slots of one policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots<'a> {
    /// Name of the policy.
    pub(crate) policy: &'a str,
    /// Number of slots.
    pub(crate) capacity: u32,
    /// Recovery time of its circuits.
    pub(crate) recovery: Span,
}

type Content = Option<(Vec<u8>, Circuit)>;

fn parse(record: &[u8]) -> Option<Content> {
    let mut from = codec::open(Kind::Circuit, record)?;
    if !bool::read(&mut from)? {
        return from.end(None);
    }
    let key = from.text()?.into();
    let circuit = Circuit::read(&mut from)?;
    from.end(Some((key, circuit)))
}

/// Replaces `out` with the record of a slot that holds this key and circuit, or nothing.
pub(crate) fn write_slot(content: Option<(&[u8], &Circuit)>, out: &mut Vec<u8>) {
    codec::seal(Kind::Circuit, out, |out| {
        content.is_some().write(out);
        if let Some((key, circuit)) = content {
            codec::write_text(key, out);
            circuit.write(out);
        }
    });
}

/// Returns the slots that a key with this hash can use, in the order in which they are filled.
/// In a small table a key can use every slot.
pub(crate) fn candidates(hash: u64, capacity: u32) -> impl Iterator<Item = u32> + Clone {
    let size = u64::from(capacity.max(1));
    let start = hash.checked_rem(size).unwrap_or(0);
    // A stride that is coprime to the size reaches every slot once.
    let stride = match capacity {
        0..=WAYS => 1,
        _ => coprime((hash >> 32).checked_rem(size).unwrap_or(0), size),
    };
    (0..u64::from(capacity.min(WAYS))).map(move |step| {
        let slot = start
            .saturating_add(step.saturating_mul(stride))
            .checked_rem(size);
        u32::try_from(slot.unwrap_or(0)).unwrap_or(0)
    })
}

/// Returns the first number that is at least `from` and coprime to `size`.
fn coprime(from: u64, size: u64) -> u64 {
    let is_coprime = |number: &u64| {
        let (mut a, mut b) = (size, *number);
        while let Some(rest) = a.checked_rem(b) {
            (a, b) = (b, rest);
        }
        a == 1
    };
    (from..from.saturating_add(size))
        .find(is_coprime)
        .unwrap_or(1)
}

/// Empties a slot; with a `key`, only if the slot holds that key. Returns whether it did.
pub(crate) fn vacate<R: Records>(
    records: &mut R,
    policy: &str,
    slot: u32,
    key: Option<&[u8]>,
    buffer: &mut Vec<u8>,
) -> bool {
    for _ in 0..TRIES {
        let version = match Slot::read(records, policy, slot) {
            Slot::Vacant(_) => return false,
            Slot::Taken(taken) if key.is_some_and(|key| *key != *taken.key) => return false,
            Slot::Taken(taken) => taken.version,
            Slot::Damaged(version) => version,
        };
        write_slot(None, buffer);
        if records.write(Name::Slot(policy, slot), buffer, Some(version)) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
