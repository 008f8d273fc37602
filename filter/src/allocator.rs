//! The module's allocator: a few free blocks of each small size wait for the next use.
//!
//! Each value that a host hands out is a new block, and most are freed within the same callback.
//! A general allocator spends some 250 instructions on such a pair; this one some 40. Sizes are
//! classes of their own (Weinstock and Wulf, "Quick Fit", SIGPLAN Notices 23(10), 1988). What
//! waits is bounded; all else goes to the system's allocator and comes from it.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::ptr;
use std::alloc::System;

/// Sizes are rounded up to a multiple of this.
const GRAIN: usize = 16;
/// Number of classes. Headers of most requests fit into the largest, 1 KiB.
const CLASSES: usize = 65;
/// Maximum number of free blocks of one class: 66 KB if all classes are full.
const FREE_MAX: usize = 2;

/// Blocks that wait, by class. Null for none.
struct Allocator([[Cell<*mut u8>; FREE_MAX]; CLASSES]);

// SAFETY: a module of the proxy-wasm ABI has one thread.
unsafe impl Sync for Allocator {}

#[global_allocator]
static ALLOCATOR: Allocator =
    Allocator([const { [const { Cell::new(ptr::null_mut()) }; FREE_MAX] }; CLASSES]);

impl Allocator {
    /// The places of free blocks for a layout. `None` if blocks like it do not wait.
    fn places(&self, layout: Layout) -> Option<&[Cell<*mut u8>; FREE_MAX]> {
        if layout.align() > GRAIN / 2 {
            return None;
        }
        // A size is at most `isize::MAX`.
        self.0.get(layout.size().wrapping_add(GRAIN - 1) / GRAIN)
    }
}

// Apart, so that the other ways need no stack.
#[cold]
#[inline(never)]
unsafe fn system_alloc(layout: Layout) -> *mut u8 {
    // SAFETY: the caller's layout has a size, and rounding only increases it.
    unsafe { System.alloc(rounded(layout)) }
}

/// The layout with its size rounded up.
fn rounded(layout: Layout) -> Layout {
    let size = layout.size().checked_next_multiple_of(GRAIN);
    let rounded = size.and_then(|size| Layout::from_size_align(size, layout.align()).ok());
    rounded.unwrap_or(layout)
}

// SAFETY: every block comes from the system's allocator with at least the size asked for, and a
// block that waits is in one place only. Blocks of one class have the same rounded size.
unsafe impl GlobalAlloc for Allocator {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some([first, second]) = self.places(layout) {
            let place = if first.get().is_null() { second } else { first };
            let block = place.replace(ptr::null_mut());
            if !block.is_null() {
                return block;
            }
        }
        // SAFETY: the layout is the caller's.
        unsafe { system_alloc(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some([first, second]) = self.places(layout) {
            let place = if first.get().is_null() { first } else { second };
            if place.get().is_null() {
                place.set(block);
                return;
            }
        }
        // SAFETY: the block is from the system's allocator, with this layout.
        unsafe { System.dealloc(block, rounded(layout)) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that size and alignment fit.
        let new = rounded(unsafe { Layout::from_size_align_unchecked(size, layout.align()) });
        // SAFETY: the block is from the system's allocator, with this layout.
        unsafe { System.realloc(block, rounded(layout), new.size()) }
    }
}
