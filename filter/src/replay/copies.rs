//! Copies of requests that are under way, and what all copies of a VM may take together.
//!
//! Each copy has a bound of its own, but clients choose how many requests they send and how
//! slowly. So the total is bounded too, over all configurations in the VM. To make room the
//! oldest copy is dropped, not the new one refused: otherwise one client with enough slow
//! uploads would keep the copies of all others away for as long as it likes. A request without
//! its copy is not sent again, nor to another cluster. Only what is complete and paused stays.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use spillway_core::engine::EchoedFields;
use spillway_core::retry::Denial;

use crate::host::Buffer;
use crate::replay::request::SavedRequest;

/// Most that is saved of one request for placeholders: ordinary headers are far smaller.
const SAVED_BYTES_MAX: usize = 16_384;
/// The part of the total that this may take of all requests.
const SAVED_PARTS: u32 = 4;

thread_local! {
    /// The part of the bytes that can be driven out.
    static KEPT: Cell<usize> = const { Cell::new(0) };
    /// By HTTP contexts, and the bytes of all.
    static SAVED: RefCell<(VecDeque<(u32, Saved)>, usize)> =
        const { RefCell::new((VecDeque::new(), 0)) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
    static COPIES: RefCell<VecDeque<(u32, Box<SavedRequest>)>> = const { RefCell::new(VecDeque::new()) };
}

/// What is saved of a request for placeholders, and its part of the total.
struct Saved {
    echo: Box<EchoedFields>,
    share: Share,
}

/// What copies may take, in bytes.
#[derive(Clone, Copy)]
pub struct Limits {
    /// One body.
    pub body: u32,
    /// All of the VM, with the headers of copies.
    pub total: u32,
}

/// A part of the total, which is given back when dropped.
#[derive(Default)]
pub struct Share(usize);

impl Share {
    /// How large it is.
    pub fn bytes(&self) -> usize {
        self.0
    }

    /// Takes so much more of the total; false if there is no room for it.
    pub fn grow(&mut self, more: usize, total: u32) -> bool {
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        // Nothing is dropped for what has no room even then.
        let fixed = BYTES.get().saturating_sub(KEPT.get());
        if fixed.saturating_add(more) > total {
            return false;
        }
        while BYTES.get().saturating_add(more) > total {
            if oldest().is_none() {
                return false;
            }
        }
        self.0 = self.0.saturating_add(more);
        BYTES.set(BYTES.get().saturating_add(more));
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        BYTES.set(BYTES.get().saturating_sub(self.0));
    }
}

/// Keeps what is saved of a request for the placeholders of fallbacks, by its HTTP context. It
/// has a small part of the total, out of which the oldest are dropped: requests that hang do
/// not keep away what is saved of others. False if there is no room for it.
pub fn save(context: u32, echo: Box<EchoedFields>, total: u32) -> bool {
    let bytes = echo.bytes().saturating_add(size_of::<(u32, Saved)>());
    let most = usize::try_from(total / SAVED_PARTS).unwrap_or(usize::MAX);
    if bytes > SAVED_BYTES_MAX.min(most) {
        return false;
    }
    SAVED.with(|saved| {
        let Ok(mut saved) = saved.try_borrow_mut() else {
            return false;
        };
        let (list, taken) = &mut *saved;
        while taken.saturating_add(bytes) > most {
            let Some((_, oldest)) = list.pop_front() else {
                break;
            };
            *taken = taken.saturating_sub(oldest.share.bytes());
        }
        let mut share = Share::default();
        if !share.grow(bytes, total) {
            return false;
        }
        *taken = taken.saturating_add(bytes);
        let at = list.partition_point(|(other, _)| *other < context);
        list.insert(at, (context, Saved { echo, share }));
        true
    })
}

/// Takes what is saved of a request; `None` if it was dropped.
pub fn take_saved(context: u32) -> Option<Box<EchoedFields>> {
    SAVED.with(|saved| {
        let mut saved = saved.try_borrow_mut().ok()?;
        let (list, taken) = &mut *saved;
        let at = list.binary_search_by_key(&context, |(other, _)| *other);
        let (_, own) = list.remove(at.ok()?)?;
        *taken = taken.saturating_sub(own.share.bytes());
        Some(own.echo)
    })
}

fn oldest() -> Option<Box<SavedRequest>> {
    COPIES.with(|copies| Some(released(copies.try_borrow_mut().ok()?.pop_front()?.1)))
}

/// Keeps the copy of a request by its HTTP context, for as long as there is room for it.
pub fn keep(context: u32, copy: Box<SavedRequest>) {
    COPIES.with(|copies| {
        if let Ok(mut copies) = copies.try_borrow_mut() {
            // Contexts mostly come in the order of their numbers.
            let at = copies.partition_point(|(other, _)| *other < context);
            KEPT.set(KEPT.get().saturating_add(copy.bytes()));
            copies.insert(at, (context, copy));
        }
    });
}

/// Takes the copy of a request; `None` if it was dropped.
pub fn take(context: u32) -> Option<Box<SavedRequest>> {
    COPIES.with(|copies| {
        let mut copies = copies.try_borrow_mut().ok()?;
        let at = copies.binary_search_by_key(&context, |(other, _)| *other);
        Some(released(copies.remove(at.ok()?)?.1))
    })
}

/// A copy that cannot be driven out any more.
fn released(copy: Box<SavedRequest>) -> Box<SavedRequest> {
    KEPT.set(KEPT.get().saturating_sub(copy.bytes()));
    copy
}

/// Adds the next `size` bytes of a request's body to its copy.
///
/// # Errors
///
/// Why there is no copy any more.
pub fn add_body(context: u32, size: usize, limits: Limits) -> Result<(), Denial> {
    let mut copy = take(context).ok_or(Denial::CopiesFull)?;
    copy.body.copy(Buffer::RequestBody, size, limits)?;
    keep(context, copy);
    Ok(())
}
