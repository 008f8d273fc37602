//! Saved parts of requests in progress, by HTTP context: copies, and the fields that responses
//! echo.
//!
//! All of it can be evicted to make room for others (see [`share`]). A request without its copy
//! is not sent again, nor to another cluster. Once a complete request is paused its copy stays.

use std::cell::RefCell;
use std::collections::VecDeque;

use spillway_core::Denial;
use spillway_core::engine::{EchoedFields, Intake};

use crate::replay::request::SavedRequest;
use crate::replay::share::{self, Room, Share};
use crate::runtime::Engine;

/// Maximum bytes of one request's saved fields. Ordinary requests have far fewer.
const FIELDS_BYTES_MAX: usize = 16_384;
/// The fields of all requests take at most this part of the total.
const FIELDS_PART: u32 = 4;

thread_local! {
    /// In the order of contexts, and the bytes of all.
    static FIELDS: RefCell<(VecDeque<(u32, Fields)>, usize)> =
        const { RefCell::new((VecDeque::new(), 0)) };
    /// In the order of contexts.
    static COPIES: RefCell<VecDeque<(u32, Box<SavedRequest>)>> =
        const { RefCell::new(VecDeque::new()) };
}

/// Fields that a response may echo, and their share of the total.
struct Fields {
    echo: Box<EchoedFields>,
    share: Share,
}

/// Maximum bytes that copies may hold.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// One body.
    pub body: u32,
    /// All of the VM.
    pub total: u32,
}

impl Limits {
    /// The limits of a configuration.
    pub(crate) fn of(engine: &Engine) -> Limits {
        Limits {
            body: engine.replay_body_bytes(),
            total: engine.copies_bytes(),
        }
    }

    /// Returns the room in the total, where the oldest copy is evicted if needed.
    pub(crate) fn room(self) -> Room {
        Room {
            total: self.total,
            evict: || evict().is_some(),
        }
    }
}

/// Saves the fields of a request, or returns false if they have no room. To make room, the fields
/// of other requests are evicted, the oldest first, so requests that hang cannot hold all of it.
pub(crate) fn save_fields(context: u32, echo: Box<EchoedFields>, limits: Limits) -> bool {
    let bytes = echo.bytes().saturating_add(size_of::<(u32, Fields)>());
    let most = usize::try_from(limits.total / FIELDS_PART).unwrap_or(usize::MAX);
    if bytes > FIELDS_BYTES_MAX.min(most) {
        return false;
    }
    FIELDS.with(|fields| {
        let Ok(mut fields) = fields.try_borrow_mut() else {
            return false;
        };
        let (list, taken) = &mut *fields;
        while taken.saturating_add(bytes) > most {
            let Some((_, oldest)) = list.pop_front() else {
                break;
            };
            *taken = taken.saturating_sub(oldest.share.bytes());
        }
        let mut share = Share::default();
        if !share.grow(bytes, limits.room()) {
            return false;
        }
        *taken = taken.saturating_add(bytes);
        let at = list.partition_point(|(other, _)| *other < context);
        list.insert(at, (context, Fields { echo, share }));
        true
    })
}

/// Takes the fields of a request, or `None` if they were evicted.
pub(crate) fn take_fields(context: u32) -> Option<Box<EchoedFields>> {
    FIELDS.with(|fields| {
        let mut fields = fields.try_borrow_mut().ok()?;
        let (list, taken) = &mut *fields;
        let at = list.binary_search_by_key(&context, |(other, _)| *other);
        let (_, own) = list.remove(at.ok()?)?;
        *taken = taken.saturating_sub(own.share.bytes());
        Some(own.echo)
    })
}

/// Stores the copy of a request.
pub(crate) fn store(context: u32, copy: Box<SavedRequest>) {
    COPIES.with(|copies| {
        if let Ok(mut copies) = copies.try_borrow_mut() {
            // Contexts mostly come in the order of their numbers.
            let at = copies.partition_point(|(other, _)| *other < context);
            share::add_evictable(copy.bytes());
            copies.insert(at, (context, copy));
        }
    });
}

/// Takes the copy of a request, or `None` if it was evicted.
pub(crate) fn take(context: u32) -> Option<Box<SavedRequest>> {
    COPIES.with(|copies| {
        let mut copies = copies.try_borrow_mut().ok()?;
        let at = position(&copies, context)?;
        Some(fixed(copies.remove(at)?.1))
    })
}

/// Whether the copy of a request is there.
pub(crate) fn has(context: u32) -> bool {
    COPIES.with(|copies| {
        let copies = copies.try_borrow();
        copies.is_ok_and(|copies| position(&copies, context).is_some())
    })
}

/// Adds a chunk of a request's body to its copy, and says whether the host has lost a part of
/// the body.
///
/// # Errors
///
/// Why there is no copy any more.
pub(crate) fn add_body(context: u32, chunk: Intake, limits: Limits) -> (Result<(), Denial>, bool) {
    // Taken out of the store first, so that it is not evicted to make room for itself.
    let Some(mut copy) = take(context) else {
        return (Err(Denial::CopiesFull), false);
    };
    let added = copy.body.add(chunk, limits.body, limits.room());
    let moved = copy.body.is_moved();
    if added.is_ok() {
        store(context, copy);
    }
    (added, moved)
}

/// Adds a copy of the next bytes of a request's body to its copy.
///
/// # Errors
///
/// Why there is no copy any more.
pub(crate) fn copy_body(
    context: u32,
    size: usize,
    ends: bool,
    limits: Limits,
) -> Result<(), Denial> {
    let moves = false;
    add_body(context, Intake { size, ends, moves }, limits).0
}

fn position(copies: &VecDeque<(u32, Box<SavedRequest>)>, context: u32) -> Option<usize> {
    let found = copies.binary_search_by_key(&context, |(other, _)| *other);
    found.ok()
}

fn evict() -> Option<Box<SavedRequest>> {
    COPIES.with(|copies| Some(fixed(copies.try_borrow_mut().ok()?.pop_front()?.1)))
}

/// A copy that cannot be evicted any more.
fn fixed(copy: Box<SavedRequest>) -> Box<SavedRequest> {
    share::remove_evictable(copy.bytes());
    copy
}
