//! Contexts of a guest: whose callback runs, and what a root context waits for.

use std::rc::Rc;

use crate::proxy::ids::StreamId;
use crate::proxy::process::timers::Key;

/// Whose callback runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The machine itself, before there is a root context.
    #[default]
    Vm,
    Root(u32),
    Stream {
        stream: StreamId,
        context: u32,
        root: u32,
    },
}

/// Which functions of the host the guest may call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Restriction {
    #[default]
    None,
    /// While it starts: logging and WASI.
    Starting,
    /// While it allocates for the host: logging and clocks.
    Allocating,
}

/// A root context: one configuration of the plugin in this machine.
#[derive(Debug, Default)]
pub(crate) struct Root {
    /// Streams that began under it and live.
    pub streams: u32,
    pub phase: RootPhase,
    pub tick_ms: u32,
    pub(super) timer: Option<Key>,
    /// How the last call of this context failed; stays until the next failure.
    pub status: u32,
    /// Readable while the failed call's callback runs.
    pub status_message: Rc<str>,
}

/// The end of a root context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RootPhase {
    #[default]
    Serving,
    /// A newer configuration serves; streams of this one go on.
    Draining,
    /// `proxy_on_done` asked to wait for `proxy_done`.
    Finishing,
    /// `proxy_done` was called.
    Finished,
}
