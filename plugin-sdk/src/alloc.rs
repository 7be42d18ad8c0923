//! The allocator of guests: one that keeps books while preparing, and one that only adds while serving.
//!
//! An instance lives for one call, so what a call allocates is given back by dropping the instance: allocating is adding to
//! a pointer, and freeing is nothing. That is not only quicker in the guest. The pages that a call writes to are what the
//! host has to copy before and to reset afterwards; one run of pages costs a fraction of pages strewn over a heap
//! (measured: 690 to 260 us of CPU for a turn of the flow plugin, together with doing without lazy automata).
//!
//! `prepare` is different: it works long and frees a lot, and what it leaves stays in the snapshot. Within
//! [`crate::preparing`] the standard allocator is used; afterwards its blocks are never freed or grown in place.
#![allow(unsafe_code, reason = "a global allocator can't be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

const PAGE: usize = 65_536;

/// Pages set aside for serving when preparing ends: most turns need less, so none calls `memory.grow`.
const SERVING_PAGES: usize = 8;

pub(crate) struct Guest {
    /// Next free byte; 0 before the first allocation.
    next: Cell<usize>,
    /// End of the run of pages that `next` is in.
    end: Cell<usize>,
    preparing: Cell<bool>,
    /// All below was allocated before preparing began: not the standard allocator's.
    before: Cell<usize>,
}

// SAFETY: wasm32 without threads: there is only one.
unsafe impl Sync for Guest {}

unsafe extern "C" {
    /// Where the linker's static data and stack end.
    static __heap_base: u8;
}

impl Guest {
    /// Switches to the standard allocator.
    pub(crate) fn begin_preparing(&self) {
        self.before.set(core::arch::wasm32::memory_size(0) * PAGE);
        self.preparing.set(true);
    }

    /// Switches back, to fresh pages.
    pub(crate) fn end_preparing(&self) {
        self.preparing.set(false);
        let start = core::arch::wasm32::memory_grow(0, SERVING_PAGES);
        if start != usize::MAX {
            self.next.set(start * PAGE);
            self.end.set((start + SERVING_PAGES) * PAGE);
        }
    }

    fn reserve(&self, size: usize, align: usize) -> Option<usize> {
        if self.next.get() == 0 {
            self.next.set(&raw const __heap_base as usize);
            self.end.set(core::arch::wasm32::memory_size(0) * PAGE);
        }
        let start = self.next.get().checked_add(align - 1)? & !(align - 1);
        let stop = start.checked_add(size)?;
        if stop <= self.end.get() {
            self.next.set(stop);
            return Some(start);
        }
        let pages = size.checked_add(align)?.div_ceil(PAGE);
        let grown = core::arch::wasm32::memory_grow(0, pages);
        if grown == usize::MAX {
            return None;
        }
        // Another run of pages, unless nobody has grown the memory since.
        if grown * PAGE != self.end.get() {
            self.next.set(grown * PAGE);
        }
        self.end.set((grown + pages) * PAGE);
        let start = self.next.get().checked_add(align - 1)? & !(align - 1);
        self.next.set(start + size);
        Some(start)
    }

    fn is_last(&self, ptr: *mut u8, size: usize) -> bool {
        ptr as usize + size == self.next.get()
    }
}

// SAFETY: while serving, blocks never overlap, because `next` only moves back over the block that was allocated last; blocks
// of the standard allocator lie in pages that it asked the memory for itself, and are touched by nobody else.
unsafe impl GlobalAlloc for Guest {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.preparing.get() {
            // SAFETY: the caller's promise about `layout` is passed on.
            return unsafe { System.alloc(layout) };
        }
        self.reserve(layout.size(), layout.align()).map_or(std::ptr::null_mut(), |start| start as *mut u8)
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if self.preparing.get() {
            if ptr as usize >= self.before.get() {
                // SAFETY: allocated while preparing, therefore by the standard allocator.
                unsafe { System.dealloc(ptr, layout) };
            }
        } else if self.is_last(ptr, layout.size()) {
            self.next.set(ptr as usize);
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if self.preparing.get() {
            if ptr as usize >= self.before.get() {
                // SAFETY: as in `dealloc`.
                return unsafe { System.realloc(ptr, layout, new_size) };
            }
        } else {
            if new_size <= layout.size() {
                if self.is_last(ptr, layout.size()) {
                    self.next.set(ptr as usize + new_size);
                }
                return ptr;
            }
            let fits = ptr as usize + new_size <= self.end.get();
            if self.is_last(ptr, layout.size()) && fits {
                self.next.set(ptr as usize + new_size);
                return ptr;
            }
        }
        // SAFETY: the layout is valid because the caller's is and `new_size` obeys the same rule.
        let fresh = unsafe { self.alloc(Layout::from_size_align_unchecked(new_size, layout.align())) };
        if !fresh.is_null() {
            // SAFETY: both blocks are ours, at least that long, and distinct.
            unsafe { std::ptr::copy_nonoverlapping(ptr, fresh, layout.size().min(new_size)) };
        }
        fresh
    }
}

#[global_allocator]
pub(crate) static GUEST: Guest =
    Guest { next: Cell::new(0), end: Cell::new(0), preparing: Cell::new(false), before: Cell::new(0) };
