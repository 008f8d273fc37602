//! The contexts of the VM, by the ids that the host has given them.
//!
//! The SDK's dispatcher does the same for every plugin, and traps if a host calls for a context
//! that it does not know, or calls back while another callback runs. Here such a callback does
//! nothing, and the request passes. No table is borrowed while a context handles a callback.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use spillway_core::ById;

use crate::http::Http;
use crate::replay::paused::{CallSizes, PausedStreams};
use crate::root::Root;

thread_local! {
    static CONTEXTS: Contexts = const {
        Contexts {
            roots: RefCell::new(Vec::new()),
            streams: RefCell::new(ById::new()),
            paused: RefCell::new(Vec::new()),
        }
    };
}

/// A context, which its table and its running callback own together.
type Context<T> = Rc<RefCell<T>>;

struct Contexts {
    /// Until the host deletes them. Streams own their configurations.
    roots: RefCell<Vec<(u32, Context<Root>)>>,
    streams: RefCell<ById<Context<Http>>>,
    /// The paused streams of all roots, for the responses to their calls. A call belongs to the
    /// VM, so only one of them waits for it.
    paused: RefCell<Vec<Weak<PausedStreams>>>,
}

/// Creates a context. A root context has no parent, which is 0.
pub(crate) fn create(id: u32, parent: u32) {
    if parent == 0 {
        create_root(id);
    } else if let Some(stream) = in_root(parent, |root| root.stream(id)) {
        let stream = Rc::new(RefCell::new(stream));
        // A stream that had this id has ended. It is dropped after the table is released.
        let _ended = CONTEXTS
            .with(|contexts| Some(contexts.streams.try_borrow_mut().ok()?.insert(id, stream)));
    }
}

fn create_root(id: u32) {
    let root = Root::default();
    CONTEXTS.with(|contexts| {
        if let Ok(mut paused) = contexts.paused.try_borrow_mut() {
            paused.retain(|it| it.strong_count() > 0);
            paused.push(root.paused());
        }
        if let Ok(mut roots) = contexts.roots.try_borrow_mut() {
            roots.push((id, Rc::new(RefCell::new(root))));
        }
    });
}

/// Drops a context. If one of its callbacks is running, it is dropped at the end of it.
pub(crate) fn delete(id: u32) {
    let stream = CONTEXTS.with(|contexts| contexts.streams.try_borrow_mut().ok()?.remove(id));
    if stream.is_none() {
        let _root = CONTEXTS.with(|contexts| {
            let mut roots = contexts.roots.try_borrow_mut().ok()?;
            let at = roots.iter().position(|(other, _)| *other == id)?;
            Some(roots.swap_remove(at))
        });
    }
}

/// Runs `call` on a root context. `None` if no root context has this id, or if one of its
/// callbacks is running.
pub(crate) fn in_root<T>(id: u32, call: impl FnOnce(&mut Root) -> T) -> Option<T> {
    let root = CONTEXTS.with(|contexts| {
        let roots = contexts.roots.try_borrow().ok()?;
        let (_, root) = roots.iter().find(|(other, _)| *other == id)?;
        Some(root.clone())
    });
    let root = root?;
    let mut root = root.try_borrow_mut().ok()?;
    Some(call(&mut root))
}

/// Runs `call` on an HTTP context. `None` if no HTTP context has this id, or if one of its
/// callbacks is running.
#[inline]
pub(crate) fn in_stream<T>(id: u32, call: impl FnOnce(&mut Http) -> T) -> Option<T> {
    let stream = CONTEXTS.with(|contexts| contexts.streams.try_borrow().ok()?.find(id).cloned());
    let stream = stream?;
    let mut stream = stream.try_borrow_mut().ok()?;
    Some(call(&mut stream))
}

/// Delivers the response to a call: to the stream that waits for it, or to the configuration that
/// sent events by it. If there is neither any more, nothing happens.
pub(crate) fn answered(call: u32, sizes: &CallSizes) {
    let paused = CONTEXTS.with(|contexts| Some(contexts.paused.try_borrow().ok()?.clone()));
    for paused in paused.iter().flatten().filter_map(Weak::upgrade) {
        if paused.answered(call, sizes) {
            return;
        }
    }
    let roots = CONTEXTS.with(|contexts| Some(contexts.roots.try_borrow().ok()?.clone()));
    for (_, root) in roots.iter().flatten() {
        if root
            .try_borrow()
            .is_ok_and(|root| root.events_answered(call, sizes))
        {
            return;
        }
    }
}
