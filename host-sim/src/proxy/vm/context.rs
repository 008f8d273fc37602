//! Contexts of a guest.

use std::rc::Rc;

use crate::proxy::ids::StreamId;
use crate::proxy::process::timers::Key;

/// The context whose callback is running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The VM itself, before it has a root context.
    #[default]
    Vm,
    Root(u32),
    Stream {
        stream: StreamId,
        context: u32,
        root: u32,
    },
}

/// Which hostcalls the guest may make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Restriction {
    #[default]
    None,
    /// While it starts: logging and WASI.
    Starting,
    /// While it allocates for the host: logging and clocks.
    Allocating,
}

/// A root context: one configuration of the plugin in this VM.
#[derive(Debug, Default)]
pub(crate) struct Root {
    /// Number of open streams that began with this configuration.
    pub streams: u32,
    pub phase: RootPhase,
    pub tick_ms: u32,
    pub(super) timer: Option<Key>,
    /// Status of the last failed call of this context.
    pub status: u32,
    /// Readable during the callback of the failed call.
    pub status_message: Rc<str>,
}

/// Life cycle of a root context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RootPhase {
    #[default]
    Serving,
    /// A newer configuration serves new streams. Streams of this one are still open.
    Draining,
    /// `proxy_on_done` asked to wait for `proxy_done`.
    Finishing,
    /// `proxy_done` was called.
    Finished,
}
