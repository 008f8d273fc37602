//! The memory that all workers of a proxy share, as far as the core knows it.
//!
//! A host can hand out a value with the number of its last write, and write a value
//! if that number still is the last. It can neither list names nor delete one, so
//! no name may come from a client: every policy has a fixed number of numbered
//! slots, a key stands in one of a few that its hash names, and what is forgotten
//! is written over.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::circuit::Circuit;
use crate::circuit::breaker::StateName;
use crate::codec::{self, Encode, Kind};
use crate::policy::BreakerConfig;
use crate::time::{Instant, Span};

/// How often a write is tried again that another worker came before. Each loss means
/// that somebody else got on, so eight in a row are a host in trouble.
pub const TRIES: u32 = 8;

/// In how many slots a key can stand. More would let the last few percent of a table
/// be used, but a new key has to be looked for in all of them.
pub const WAYS: u32 = 16;

/// The number of a record's last write.
pub type Version = u32;

/// Which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name<'a> {
    /// The one that lists the policies.
    Directory,
    /// The one that says which slots of this policy are taken.
    Census(&'a str),
    /// A slot of this policy, by its number.
    Slot(&'a str, u32),
    /// The one with the last transitions.
    History,
    /// The account of a shard of kept answers.
    Shard(u32),
    /// A slot of a shard, by its number.
    Answer(u32, u32),
}

/// Where records are kept.
pub trait Records {
    /// A record, and the number of its last write; absent if it was never written.
    fn read(&mut self, name: Name<'_>) -> Option<(Vec<u8>, Version)>;

    /// Writes a record, if its last write has this number still, or where there is no
    /// number if it was never written. Says whether it did.
    fn write(&mut self, name: Name<'_>, record: &[u8], version: Option<Version>) -> bool;

    /// Writes a record over whatever stands there: for what its readers compare with more
    /// than a number.
    fn put(&mut self, name: Name<'_>, record: &[u8]);
}

/// What a slot holds.
#[derive(Debug)]
pub enum Slot {
    /// Nothing, or not any more.
    Vacant(Option<Version>),
    /// Something that is no record of this version.
    Damaged(Version),
    /// The circuit of a key.
    Taken(Box<Taken>),
}

/// A circuit in its slot.
#[derive(Debug)]
pub struct Taken {
    /// The key.
    pub key: Vec<u8>,
    /// Its circuit.
    pub circuit: Circuit,
    /// The number of the slot's last write.
    pub version: Version,
}

impl Slot {
    /// Reads a slot.
    pub fn read(records: &mut impl Records, policy: &str, place: u32) -> Slot {
        let Some((record, version)) = records.read(Name::Slot(policy, place)) else {
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
}

impl Slot {
    /// What the census notes of it at `now`. Circuits recover for this long.
    pub fn outline(&self, recovery: Span, now: Instant) -> Outline {
        match self {
            Slot::Taken(taken) => Outline::of(&taken.circuit, recovery, now),
            Slot::Vacant(_) | Slot::Damaged(_) => Outline::default(),
        }
    }
}

/// What the census notes of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Whether it holds a circuit.
    pub taken: bool,
    /// Whether that is anything but plainly closed.
    pub notable: bool,
    /// When it stops being open. `None` if it is not open.
    pub open_until: Option<Instant>,
}

impl Outline {
    /// The outline of a slot with this circuit in it.
    pub fn of(circuit: &Circuit, recovery: Span, now: Instant) -> Outline {
        let standing = circuit.breaker.standing(recovery, now);
        Outline {
            taken: true,
            notable: circuit.force(now).is_some() || standing.state != StateName::Closed,
            open_until: circuit.breaker.open_until().filter(|until| now < *until),
        }
    }
}

/// The slots of one policy.
#[derive(Clone, Copy, Debug)]
pub struct Slots<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// How many there are.
    pub capacity: u32,
    /// How long circuits recover.
    pub recovery: Span,
}

type Held = Option<(Vec<u8>, Circuit)>;

fn parse(record: &[u8]) -> Option<Held> {
    let mut from = codec::open(Kind::Circuit, record)?;
    if !bool::read(&mut from)? {
        return from.end(None);
    }
    let key = from.text()?.into();
    let circuit = Circuit::read(&mut from)?;
    from.end(Some((key, circuit)))
}

/// The bytes of a slot with this in it, into `out`.
pub fn write_slot(held: Option<(&[u8], &Circuit)>, out: &mut Vec<u8>) {
    codec::seal(Kind::Circuit, out, |out| {
        held.is_some().write(out);
        if let Some((key, circuit)) = held {
            codec::write_text(key, out);
            circuit.write(out);
        }
    });
}

/// The slots in which a key of this hash can stand, in the order in which they are
/// filled. Those of a small table are all of them.
pub fn places(hash: u64, capacity: u32) -> impl Iterator<Item = u32> + Clone {
    let size = u64::from(capacity.max(1));
    let start = hash.checked_rem(size).unwrap_or(0);
    // A stride that shares no factor with the size comes to every slot once.
    let stride = match capacity {
        0..=WAYS => 1,
        _ => coprime((hash >> 32).checked_rem(size).unwrap_or(0), size),
    };
    (0..u64::from(capacity.min(WAYS))).map(move |step| {
        let place = start
            .saturating_add(step.saturating_mul(stride))
            .checked_rem(size);
        u32::try_from(place.unwrap_or(0)).unwrap_or(0)
    })
}

/// The first number from `from` on that shares no factor with `size`.
fn coprime(from: u64, size: u64) -> u64 {
    let apart = |number: &u64| {
        let (mut a, mut b) = (size, *number);
        while let Some(rest) = a.checked_rem(b) {
            (a, b) = (b, rest);
        }
        a == 1
    };
    (from..from.saturating_add(size)).find(apart).unwrap_or(1)
}

/// A key that looks for its slot.
pub struct Seeker<'a> {
    /// Its policy.
    pub policy: &'a str,
    /// How many slots the policy has.
    pub capacity: u32,
    /// The numbers by which circuits are forgotten.
    pub config: &'a BreakerConfig,
    /// The key.
    pub key: &'a [u8],
    /// Its hash.
    pub hash: u64,
    /// The time.
    pub now: Instant,
    /// Whether a key is in use, so that its slot must not be taken.
    pub in_use: &'a dyn Fn(&[u8]) -> bool,
}

/// Where a key was found, or put.
#[derive(Debug)]
pub enum Place {
    /// In this slot, with this circuit. Another one that was made for it first is vacant
    /// again.
    Found {
        /// The slot.
        place: u32,
        /// What it holds.
        taken: Box<Taken>,
        /// The one that is vacant again.
        vacated: Option<u32>,
    },
    /// In this slot, which is new or was another key's.
    Made(u32),
    /// Nowhere: every slot that it could have is in use.
    None,
}

impl Seeker<'_> {
    /// Finds the slot of the key, or makes `fresh` its circuit in one that is vacant or
    /// that can be forgotten: the one that was not used for the longest time.
    ///
    /// Adds to `discarded` what stood in slots and was no record.
    pub fn place<R: Records>(
        &self,
        records: &mut R,
        fresh: &Circuit,
        buffer: &mut Vec<u8>,
        discarded: &mut u32,
    ) -> Place {
        for _ in 0..TRIES {
            let (place, version) = match self.search(records, discarded) {
                Search::Found(place, taken) => {
                    let vacated = None;
                    return Place::Found {
                        place,
                        taken,
                        vacated,
                    };
                }
                Search::Room(place, version) => (place, version),
                Search::None => return Place::None,
            };
            write_slot(Some((self.key, fresh)), buffer);
            if records.write(Name::Slot(self.policy, place), buffer, version) {
                return self.yields(records, place, buffer);
            }
        }
        Place::None
    }

    /// The circuit of the key, if it has one.
    pub fn find<R: Records>(&self, records: &mut R, discarded: &mut u32) -> Option<Box<Taken>> {
        match self.search(records, discarded) {
            Search::Found(_, taken) => Some(taken),
            Search::Room(..) | Search::None => None,
        }
    }

    fn search<R: Records>(&self, records: &mut R, discarded: &mut u32) -> Search {
        let (mut vacant, mut oldest) = (None, None);
        for place in places(self.hash, self.capacity) {
            match Slot::read(records, self.policy, place) {
                Slot::Taken(taken) if taken.key == self.key => return Search::Found(place, taken),
                Slot::Taken(taken) => {
                    let used_at = taken.circuit.used_at;
                    let older = oldest.is_none_or(|(_, _, at)| used_at < at);
                    if older
                        && taken.circuit.is_forgettable(self.config, self.now)
                        && !(self.in_use)(&taken.key)
                    {
                        oldest = Some((place, taken.version, used_at));
                    }
                }
                Slot::Damaged(version) => {
                    *discarded = discarded.saturating_add(1);
                    vacant = vacant.or(Some((place, Some(version))));
                }
                Slot::Vacant(version) => {
                    vacant = vacant.or(Some((place, version)));
                    // Slots are filled in this order: behind one that never held
                    // anything none does.
                    if version.is_none() {
                        break;
                    }
                }
            }
        }
        match (vacant, oldest) {
            (Some((place, version)), _) => Search::Room(place, version),
            (None, Some((place, version, _))) => Search::Room(place, Some(version)),
            (None, None) => Search::None,
        }
    }

    /// Two workers may have put one key into two slots at the same time, each into the
    /// one that it found best: who comes second sees the other, and gives way.
    fn yields<R: Records>(&self, records: &mut R, mine: u32, buffer: &mut Vec<u8>) -> Place {
        for place in places(self.hash, self.capacity).filter(|place| *place != mine) {
            match Slot::read(records, self.policy, place) {
                Slot::Taken(taken) if taken.key == self.key => {
                    vacate(records, self.policy, mine, Some(self.key), buffer);
                    let vacated = Some(mine);
                    return Place::Found {
                        place,
                        taken,
                        vacated,
                    };
                }
                Slot::Vacant(None) => break,
                _ => {}
            }
        }
        Place::Made(mine)
    }
}

enum Search {
    Found(u32, Box<Taken>),
    Room(u32, Option<Version>),
    None,
}

/// Empties a slot, or does so only while it holds `key`. True if it did.
pub fn vacate<R: Records>(
    records: &mut R,
    policy: &str,
    place: u32,
    key: Option<&[u8]>,
    buffer: &mut Vec<u8>,
) -> bool {
    for _ in 0..TRIES {
        let version = match Slot::read(records, policy, place) {
            Slot::Vacant(_) => return false,
            Slot::Taken(taken) if key.is_some_and(|key| *key != *taken.key) => return false,
            Slot::Taken(taken) => taken.version,
            Slot::Damaged(version) => version,
        };
        write_slot(None, buffer);
        if records.write(Name::Slot(policy, place), buffer, Some(version)) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
