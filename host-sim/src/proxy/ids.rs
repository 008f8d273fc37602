//! Ids of streams, calls, threads and VMs.

/// Id of a stream, unique within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

impl StreamId {
    pub(crate) fn new(slot: u32, uses: u32) -> StreamId {
        StreamId(u64::from(uses) << 32 | u64::from(slot))
    }

    pub(crate) fn slot(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    pub(crate) fn uses(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Id of a plugin's call to a cluster, unique within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

impl CallId {
    pub(crate) fn new(number: u64) -> CallId {
        CallId(number)
    }
}

/// A thread of the process: a worker by its number, or `None` for the main thread.
pub(super) type Thread = Option<usize>;

/// Id of a VM: its thread, and a number that no other VM of the thread has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VmId {
    pub thread: Thread,
    pub life: u32,
}
