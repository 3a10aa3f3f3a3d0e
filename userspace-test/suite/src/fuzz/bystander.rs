// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that is none of the user's business: full of a mark that nobody else knows.
//!
//! It is held while a program runs, looked through, and given back: nobody may have written to it, and where its
//! pages turn up next, the mark must not be seen. It is not inherited, and no memory of a program's has the mark,
//! only what it is the complement of.

use crate::tap::{Outcome, Stop};
use crate::window::Window;
use std::hint::black_box;
use std::io;

const COMPLEMENT: u64 = 0x96f1_3ad8_05c7_4b2e;

/// Whether `word` is the mark.
#[must_use]
pub fn is_mark(word: u64) -> bool {
    word ^ black_box(COMPLEMENT) == u64::MAX
}

/// See the module.
#[derive(Debug)]
pub struct Bystander(Window);

impl Bystander {
    /// `bytes` bytes of it, whole pages.
    ///
    /// # Errors
    ///
    /// The errno of `mmap(2)` or `madvise(2)`.
    pub fn new(bytes: usize) -> io::Result<Self> {
        let memory = Window::anonymous(bytes)?;
        memory.advise(libc::MADV_DONTFORK)?;
        for at in (0..bytes).step_by(8) {
            memory.set_word(at, !black_box(COMPLEMENT));
        }
        Ok(Self(memory))
    }

    /// Demands that nobody has written to it.
    ///
    /// # Errors
    ///
    /// A failure that names the first word that has changed.
    pub fn is_untouched(&self) -> Outcome {
        for at in (0..self.0.bytes()).step_by(8) {
            let word = self.0.word(at);
            if !is_mark(word) {
                let what = format!("{word:#x} at {at:#x} of memory that is not the user's");
                return Err(Stop::Fail(what));
            }
        }
        Ok(())
    }
}
