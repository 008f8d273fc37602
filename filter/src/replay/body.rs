//! Request bodies that are saved in this module.
//!
//! A host that buffers the body of a paused request gives up at the listener's buffer limit:
//! Envoy answers 413. So the body of a request that will never reach its upstream is moved
//! here. It cannot be moved back: a host whose buffer overflows in that hostcall ends the
//! stream inside of it, and the module traps.

use spillway_core::Denial;
use spillway_core::engine::Intake;

use crate::host::{self, Buffer};
use crate::replay::share::{Room, Share};

/// A body, as far as it has come.
#[derive(Default)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    /// Number of bytes at the front that the host does not have any more.
    moved: usize,
    share: Share,
}

impl Body {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of the total that it takes.
    pub(crate) fn share_bytes(&self) -> usize {
        self.share.bytes()
    }

    /// Adds a chunk: a copy of the first bytes of the host's buffer. A chunk without room is
    /// not even read. If the host does not empty its buffer although the chunk `moves`, it
    /// buffers the whole body, and that is copied when it ends.
    ///
    /// # Errors
    ///
    /// [`Denial::CopiesFull`] if all copies together take too much, [`Denial::RequestBody`] if
    /// this body takes more than `most`, or cannot be read.
    pub(crate) fn add(&mut self, chunk: Intake, most: u32, room: Room) -> Result<(), Denial> {
        let size = chunk.size;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let needed = self.bytes.len().saturating_add(size);
        if needed > most {
            return Err(Denial::RequestBody);
        }
        if size > 0 {
            let before = self.bytes.capacity();
            if needed > before {
                // A body of many chunks is reallocated a few times only.
                let capacity = before.saturating_mul(2).min(most).max(needed);
                if !self.share.grow(capacity.saturating_sub(before), room) {
                    return Err(Denial::CopiesFull);
                }
                let more = capacity.saturating_sub(self.bytes.len());
                self.bytes.reserve_exact(more);
            }
            match host::buffer(Buffer::RequestBody, size) {
                Ok(bytes) if bytes.len() == size => self.bytes.extend_from_slice(&bytes),
                _ => return Err(Denial::RequestBody),
            }
        }
        if chunk.moves {
            if host::set_front(Buffer::RequestBody, size, &[]).is_ok() {
                self.moved = self.bytes.len();
            } else if !chunk.ends {
                self.bytes.truncate(self.moved);
            }
        }
        Ok(())
    }

    /// Whether the host has lost a part of it.
    pub(crate) fn is_moved(&self) -> bool {
        self.moved > 0
    }
}
