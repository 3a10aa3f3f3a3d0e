// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thread's addresses: where its mappings go, what it may do to each page of them, and its buffer.
//!
//! All of it is one reservation, so that nothing that the kernel reads or writes for a program, however wrong its
//! arguments are, is memory that this process lives from. What is unmapped is reserved again.
#![allow(unsafe_code)]

use super::op::MAPS;
use super::user::call;
use crate::seed::Random;
use crate::window::page;
use std::ops::Range;

/// Pages of a mapping's place: half as many are the largest ring.
pub const PLACE: usize = 1024;
/// Pages of the buffer; the last four hold arguments.
const BUFFER: usize = 32;
const ARGUMENTS: usize = 28;
/// Pages behind it that nobody may touch.
const GUARD: usize = 64;
/// The place that only an audit uses.
pub const AUDITED: usize = MAPS as usize;

/// May be read.
pub const READ: u8 = 1;
/// May be written.
pub const WRITE: u8 = 2;
/// Is mapped.
pub const THERE: u8 = 4;
/// A PCM's ring, natively: there is never a SIGBUS, and it may not grow.
pub const RING: u8 = 8;
/// Nobody knows: any signal may come.
pub const UNKNOWN: u8 = 16;

/// See the module.
#[derive(Debug)]
pub struct Arena {
    base: usize,
    /// For each place, what its pages are.
    pages: Vec<Vec<u8>>,
}

impl Arena {
    /// A new one; `None` without room.
    #[must_use]
    pub fn new() -> Option<Self> {
        let places = AUDITED + 1;
        let bytes = (places * PLACE + BUFFER + GUARD) * page();
        let base = reserve(0, bytes, 0);
        let base = usize::try_from(base).ok()?;
        let arena = Self {
            base,
            pages: vec![vec![0; PLACE]; places],
        };
        let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
        let shown = [arena.buffer(), BUFFER * page(), protection, 0, 0, 0];
        // SAFETY: A part of what was just reserved.
        (unsafe { call(libc::SYS_mprotect, shown) } == 0).then_some(arena)
    }

    /// Where mapping `map` is.
    #[must_use]
    pub fn place(&self, map: usize) -> usize {
        self.base + map * PLACE * page()
    }

    /// The buffer: memory to be read and written, with nothing behind it.
    #[must_use]
    pub fn buffer(&self) -> usize {
        self.place(AUDITED + 1)
    }

    /// Where arguments of ioctls are, 8 kB of them; pointers to the buffer are behind.
    #[must_use]
    pub fn arguments(&self) -> usize {
        self.buffer() + ARGUMENTS * page()
    }

    /// Thirty-two pointers into the buffer.
    #[must_use]
    pub fn vector(&self) -> usize {
        self.arguments() + 2 * page()
    }

    /// Memory that a program names, by number: mostly the buffer.
    #[must_use]
    pub fn named(&self, number: u64) -> usize {
        match number % 32 {
            19 => self.vector(),
            20 => self.buffer() + BUFFER * page() - 20,
            21 => 0,
            22 => 0xffff_8880_0000_1000,
            23 => 0x8000_0000_0000_0000,
            24..30 => self.place((number % 32) as usize - 24),
            30 => self.buffer() + BUFFER * page(),
            // Text: it may be read.
            31 => call as usize,
            small => self.buffer() + 2 * small as usize,
        }
    }

    /// Whether a program has memory there that an argument can be put into.
    #[must_use]
    pub fn is_own(&self, at: usize) -> bool {
        (self.buffer()..self.arguments()).contains(&at)
    }

    /// Pages of a place that something was mapped to, from its start.
    #[must_use]
    pub fn extent(&self, map: usize) -> usize {
        let there = |&page: &u8| page & THERE != 0;
        self.pages[map]
            .iter()
            .rposition(there)
            .map_or(0, |last| last + 1)
    }

    /// What page `index` of a place is.
    #[must_use]
    pub fn state(&self, map: usize, index: usize) -> u8 {
        self.pages[map][index]
    }

    /// Changes what pages of a place are.
    pub fn change(&mut self, map: usize, range: Range<usize>, change: impl Fn(u8) -> u8) {
        for page in &mut self.pages[map][range] {
            *page = change(*page);
        }
    }

    /// Takes away what is in a range of a place, by `munmap()` or by a mapping in its place.
    pub fn clear(&mut self, map: usize, range: Range<usize>, by_munmap: bool) -> isize {
        let at = self.place(map) + range.start * page();
        let bytes = range.len() * page();
        if by_munmap {
            // SAFETY: A part of a place.
            let gone = unsafe { call(libc::SYS_munmap, [at, bytes, 0, 0, 0, 0]) };
            if gone != 0 {
                return gone;
            }
            return self.reserve_again(map, range);
        }
        if reserve(at, bytes, libc::MAP_FIXED) != at as isize {
            return -libc::ENOMEM as isize;
        }
        self.change(map, range, |_| 0);
        0
    }

    /// Reserves a range of a place that the kernel has unmapped.
    pub fn reserve_again(&mut self, map: usize, range: Range<usize>) -> isize {
        let at = self.place(map) + range.start * page();
        // What another thread has put there meanwhile stays its own: the program is then given up.
        if reserve(at, range.len() * page(), libc::MAP_FIXED_NOREPLACE) != at as isize {
            super::user::give_up();
        }
        self.change(map, range, |_| 0);
        0
    }

    /// A page of a place, by choice.
    #[must_use]
    pub fn any_page(&self, map: usize, random: &mut Random) -> usize {
        // Rarely one behind the end.
        let end = self.extent(map) + usize::from(random.below(32) == 0);
        random.below(end.clamp(1, PLACE))
    }
}

/// Reserves addresses: where nothing is, or with `MAP_FIXED` in `flags` those of a place.
fn reserve(at: usize, bytes: usize, flags: libc::c_int) -> isize {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let none = libc::PROT_NONE as usize;
    let args = [at, bytes, none, flags as usize, usize::MAX, 0];
    // SAFETY: What it takes the place of is at most a part of a place: see the callers.
    unsafe { call(libc::SYS_mmap, args) }
}
