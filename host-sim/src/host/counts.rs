//! What a plugin cost: hostcalls and callbacks by name, and fuel.

/// Counted since the host started.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    fuel: u64,
}

impl Counts {
    /// Wasm instructions, as wasmtime's fuel counts them.
    pub fn fuel(&self) -> u64 {
        self.fuel
    }

    /// Hostcalls that were made, by name.
    pub fn hostcalls(&self) -> impl Iterator<Item = (Hostcall, u64)> {
        std::iter::empty()
    }

    /// Callbacks that the guests were called for, by name.
    pub fn callbacks(&self) -> impl Iterator<Item = (Callback, u64)> {
        std::iter::empty()
    }
}

/// A function of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hostcall(&'static str);

/// A function of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Callback(&'static str);

impl Hostcall {
    /// Its name in the ABI.
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl Callback {
    /// Its name in the ABI.
    pub fn name(self) -> &'static str {
        self.0
    }
}
