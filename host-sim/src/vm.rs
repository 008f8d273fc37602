//! Modules and their virtual machines.

/// A module, ready to be started any number of times.
#[derive(Clone, Debug)]
pub struct Module {
    _bytes: std::sync::Arc<[u8]>,
}

impl Module {
    /// A module from the bytes of a `.wasm` file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Module, crate::host::StartError> {
        Ok(Module {
            _bytes: bytes.into(),
        })
    }
}
