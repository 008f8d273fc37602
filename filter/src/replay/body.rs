//! Bodies that are kept in this module: copies, and what was moved out of the host's buffer.
//!
//! A host that gathers the body of a paused request gives up at the listener's buffer limit:
//! Envoy answers 413. So what comes of a request that will never go on is moved here. It cannot
//! be moved back: a host whose buffer overflows meanwhile ends the stream inside of the very
//! call, and the module traps.

use spillway_core::retry::Denial;

use crate::host::{self, Buffer};
use crate::replay::copies::{Limits, Share};

/// A body, as far as it is here.
#[derive(Default)]
pub struct Body {
    bytes: Vec<u8>,
    /// Bytes at the front that the host does not have any more.
    moved: usize,
    share: Share,
}

impl Body {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it takes of the total.
    pub fn held_bytes(&self) -> usize {
        self.share.bytes()
    }

    /// Adds a copy of the first `size` bytes of a buffer. What has no room is not even read.
    ///
    /// # Errors
    ///
    /// [`Denial::CopiesFull`] if all copies together take too much, [`Denial::RequestBody`] if
    /// this body alone does.
    pub fn copy(&mut self, from: Buffer, size: usize, limits: Limits) -> Result<(), Denial> {
        let most = usize::try_from(limits.body).unwrap_or(usize::MAX);
        let needed = self.bytes.len().saturating_add(size);
        if needed > most {
            return Err(Denial::RequestBody);
        }
        if size == 0 {
            return Ok(());
        }
        let before = self.bytes.capacity();
        if needed > before {
            // A body that comes in many pieces is reallocated a few times only.
            let capacity = before.saturating_mul(2).min(most).max(needed);
            if !self
                .share
                .grow(capacity.saturating_sub(before), limits.total)
            {
                return Err(Denial::CopiesFull);
            }
            let more = capacity.saturating_sub(self.bytes.len());
            self.bytes.reserve_exact(more);
        }
        match host::buffer(from, size) {
            Ok(piece) if piece.len() == size => self.bytes.extend_from_slice(&piece),
            _ => return Err(Denial::RequestBody),
        }
        Ok(())
    }

    /// The same, and the host has them no more. If it does not let go of them, it gathers the
    /// whole body, and only that is copied, when it `ends`.
    ///
    /// # Errors
    ///
    /// As [`Body::copy`].
    pub fn take(
        &mut self,
        from: Buffer,
        size: usize,
        ends: bool,
        limits: Limits,
    ) -> Result<(), Denial> {
        self.copy(from, size, limits)?;
        if host::set_front(from, size, &[]).is_ok() {
            self.moved = self.bytes.len();
        } else if !ends {
            self.bytes.truncate(self.moved);
        }
        Ok(())
    }

    /// Whether the host does not have all of it any more.
    pub fn is_moved(&self) -> bool {
        self.moved > 0
    }
}
