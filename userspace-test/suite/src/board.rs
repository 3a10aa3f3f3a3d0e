// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers that a test and its children share.
#![allow(unsafe_code)]

use crate::window::{Window, memfd, page};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// A page of 64-bit numbers, 0 at first, the same in this process and in the children that it forks later.
#[derive(Debug)]
pub struct Board(Window);

impl Board {
    /// A new one.
    ///
    /// # Errors
    ///
    /// As [`memfd`] and `mmap(2)`.
    pub fn new() -> io::Result<Self> {
        let file = memfd()?;
        file.set_len(page() as u64)?;
        Window::of_file(&file, page()).map(Self)
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < page() / 8, "number {index} of a page");
        let at = (self.0.address() + 8 * index) as *mut u64;
        // SAFETY: Aligned, inside the page, mapped as long as `self`; everybody uses it as an atomic.
        unsafe { AtomicU64::from_ptr(at) }
    }

    /// Number `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::SeqCst)
    }

    /// Sets number `index`.
    pub fn set(&self, index: usize, value: u64) {
        self.word(index).store(value, Ordering::SeqCst);
    }

    /// Counts at number `index`; returns what it was.
    pub fn count(&self, index: usize) -> u64 {
        self.word(index).fetch_add(1, Ordering::SeqCst)
    }
}
