//! Names of streams, calls, threads and VMs.

/// One stream of a run; never used twice.
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

/// One call of a plugin to a cluster; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

impl CallId {
    pub(crate) fn new(number: u64) -> CallId {
        CallId(number)
    }
}

/// A thread of the process: a worker, or the main thread.
pub type Thread = Option<usize>;

/// One life of a virtual machine; a reload begins another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmId {
    pub thread: Thread,
    pub life: u32,
}
