// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a thread reads and writes in mappings, by itself and by the kernel. A signal that the arena does not allow
//! must not be, nor memory of somebody else.

use super::{Thread, blame, simple};
use crate::fuzz::arena::{READ, RING, THERE, UNKNOWN, WRITE};
use crate::fuzz::bystander::is_mark;
use crate::fuzz::op::{MAPS, THREADS};
use crate::fuzz::{odd, touch};
use crate::seed::Random;
use crate::window::page;
use std::sync::atomic::Ordering::SeqCst;

/// Of `count` things the one that comes as number `step`: every other one, then those between.
fn alternate(step: usize, count: usize) -> usize {
    let even = count.div_ceil(2);
    match step.checked_sub(even) {
        None => 2 * step,
        Some(odd) => 2 * odd + 1,
    }
}

impl Thread<'_> {
    /// Whether a signal was one that may come for an access to a page that is `state`.
    pub(super) fn judge(&self, map: usize, index: usize, write: bool, signal: i32) {
        let state = self.arena.state(map, index);
        let may = state & if write { WRITE } else { READ } != 0;
        let allowed = match signal {
            _ if state & UNKNOWN != 0 => true,
            libc::SIGSEGV => !may,
            _ => state & RING == 0,
        };
        if !allowed {
            blame(format_args!(
                "signal {signal} for page {index} of mapping {map}, state {state:#x}, write {write}"
            ));
        }
    }

    pub(super) fn look(&self, map: usize, index: usize, word: usize) -> isize {
        let at = self.arena.place(map) + index * page() + 8 * word;
        // SAFETY: In the arena.
        match unsafe { touch::load(at) } {
            Ok(word) if is_mark(word) => blame(format_args!(
                "somebody else's memory in page {index} of mapping {map}"
            )),
            Ok(_) => 0,
            Err(signal) => {
                self.judge(map, index, false, signal);
                -1
            }
        }
    }

    pub(super) fn touch(&self, map: usize, order: u64, choice: u64) -> isize {
        let mut random = Random::from_seed(choice);
        let extent = self.arena.extent(map).max(1);
        // All pages of a long one take long.
        let count = extent.min(1 + random.below(48));
        let first = random.below(extent - count + 1);
        let words = page() / 8;
        let mut last = 0;
        for step in 0..count {
            let index = match order / 2 {
                0 => first + step,
                1 => first + count - 1 - step,
                2 => self.arena.any_page(map, &mut random),
                _ => first + alternate(step, count),
            };
            if order % 2 == 0 {
                // All of it now and then.
                let step = if random.below(8) == 0 { 1 } else { 73 };
                for word in (random.below(step)..words).step_by(step) {
                    last = self.look(map, index, word);
                    if last < 0 {
                        break;
                    }
                }
            } else {
                let at = self.arena.place(map) + index * page() + 8 * random.below(words);
                last = 0;
                let word = choice.rotate_left(step as u32) >> 8;
                // SAFETY: As in `look()`.
                if let Err(signal) = unsafe { touch::store(at, word) } {
                    self.judge(map, index, true, signal);
                    last = -1;
                }
            }
        }
        last
    }

    /// Another thread's mapping: it may go at any time, and then there is nothing.
    pub(super) fn reach(&self, thread: u64, map: u64, choice: u64) -> isize {
        let mut random = Random::from_seed(choice);
        let (at, pages) = &self.shared.maps[thread as usize % THREADS][(map % MAPS) as usize];
        let (at, pages) = (at.load(SeqCst), pages.load(SeqCst));
        if pages == 0 {
            return -libc::ENOENT as isize;
        }
        let at = at + random.below(pages) * page() + 8 * random.below(page() / 8);
        let done = match random.below(2) {
            // SAFETY: In that thread's arena, where either it has something mapped or nothing is.
            0 => unsafe { touch::load(at) }.map(drop),
            // SAFETY: As above.
            _ => unsafe { touch::store(at, choice >> 8) },
        };
        done.map_or(-1, |()| 0)
    }

    pub(super) fn carry(&self, map: usize, how: u64, choice: u64) -> isize {
        let mut random = Random::from_seed(choice);
        let extent = self.arena.extent(map).max(1);
        let (first, pages) = odd::range(&mut random, extent);
        // The buffer has no more.
        let bytes = pages.min(8) * page();
        let at = self.arena.place(map) + first * page();
        let buffer = self.arena.buffer();
        let (ours, theirs) = ([buffer, bytes], [at, bytes]);
        let (ours, theirs) = (ours.as_ptr() as usize, theirs.as_ptr() as usize);
        let me = std::process::id() as usize;
        match how {
            0 => {
                let got = simple(libc::SYS_process_vm_readv, &[me, ours, 1, theirs, 1, 0]);
                self.inspect(got);
                got
            }
            1 => simple(libc::SYS_process_vm_writev, &[me, ours, 1, theirs, 1, 0]),
            2 => {
                let got = simple(libc::SYS_pread64, &[self.memory, buffer, bytes, at]);
                self.inspect(got);
                got
            }
            // Not through a protection: that is not what /proc/PID/mem keeps to.
            3 if (first..first + pages).all(|i| self.arena.state(map, i) & THERE != 0) => {
                simple(libc::SYS_pwrite64, &[self.memory, buffer, bytes, at])
            }
            3 => 0,
            4 => {
                let put = simple(libc::SYS_write, &[self.pipe[1] as usize, at, bytes]);
                let got = simple(libc::SYS_read, &[self.pipe[0] as usize, buffer, 8 * page()]);
                self.inspect(got);
                put
            }
            5 => simple(libc::SYS_vmsplice, &[self.pipe[1] as usize, theirs, 1, 0]),
            6 => {
                simple(libc::SYS_write, &[self.pipe[1] as usize, buffer, bytes]);
                simple(libc::SYS_read, &[self.pipe[0] as usize, at, bytes])
            }
            _ => simple(libc::SYS_futex, &[at, libc::FUTEX_WAKE as usize, 1]),
        }
    }

    /// Looks through `bytes` bytes of the buffer.
    pub(super) fn inspect(&self, bytes: isize) {
        let bytes = usize::try_from(bytes).unwrap_or(0);
        let buffer = self.arena.buffer();
        for at in (buffer..buffer + bytes / 8 * 8).step_by(8) {
            // SAFETY: In the arena.
            if unsafe { touch::load(at) }.is_ok_and(is_mark) {
                blame("somebody else's memory, read by the kernel for this process");
            }
        }
    }

    pub(super) fn scribble(&self, map: usize, value: u64, choice: u64) -> isize {
        let mut random = Random::from_seed(value);
        for _ in 0..2 {
            // appl_ptr and avail_min are the record's first words.
            let at = self.arena.place(map) + 8 * random.below(2);
            let word = odd::value(&mut random) ^ (choice & 1);
            // SAFETY: In the arena.
            if let Err(signal) = unsafe { touch::store(at, word) } {
                self.judge(map, 0, true, signal);
                return -1;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::alternate;

    #[test]
    fn every_page_has_its_turn() {
        for count in 1..50 {
            let order: Vec<_> = (0..count).map(|step| alternate(step, count)).collect();
            let (even, odd) = order.split_at(count.div_ceil(2));
            assert!(even.iter().copied().eq((0..count).step_by(2)), "{order:?}");
            assert!(odd.iter().copied().eq((1..count).step_by(2)), "{order:?}");
        }
    }
}
