// SPDX-License-Identifier: MIT OR Apache-2.0
//! A ring of which every byte is known.

use super::{Thread, blame, simple};
use crate::fuzz::arena::{AUDITED, PLACE};
use crate::fuzz::calls::Node;
use crate::fuzz::touch;
use crate::seed::Random;
use crate::window::page;
use cpal_alsa_mmap::sys::uapi::ioctl;
use std::sync::atomic::Ordering::SeqCst;

impl Thread<'_> {
    /// A ring of which every byte is known, whatever goes on beside it: zero at first, then what is put there, the
    /// same by every way to it.
    pub(super) fn audit(&mut self, choice: u64) -> isize {
        let mut random = Random::from_seed(choice);
        let random = &mut random;
        let node = [Node::Playback, Node::Playback, Node::Capture][random.below(3)];
        let flags = (libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC) as usize;
        let file = simple(libc::SYS_open, &[self.shared.nodes.path(node), flags]);
        if file < 0 {
            return file;
        }
        let file = file as usize;
        let (period, periods) = (16 + random.below(1500) as u32, 2 + random.below(8) as u32);
        let set = self.choose(u64::MAX, file, [0, 2, 1, 48_000, period, periods, 0]);
        let result = match set {
            0 => self.look_through(file, (2 * period * periods) as usize, random),
            error => error,
        };
        self.arena.clear(AUDITED, 0..PLACE, false);
        simple(libc::SYS_close, &[file]);
        result
    }

    pub(super) fn look_through(&self, file: usize, bytes: usize, random: &mut Random) -> isize {
        let pages = bytes.div_ceil(page());
        let at = self.arena.place(AUDITED);
        let own = || self.shared.shares.load(SeqCst) == 0;
        let map = |at: usize, first: usize, pages: usize| {
            let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
            let flags = (libc::MAP_SHARED | libc::MAP_FIXED) as usize;
            let args = [at, pages * page(), protection, flags, file, first * page()];
            simple(libc::SYS_mmap, &args)
        };
        let mapped = map(at, 0, pages);
        if mapped < 0 {
            return mapped;
        }
        // SAFETY: Only asked about what was mapped in the arena.
        let expect = |what: &str, at: usize, wanted: u64| match unsafe { touch::load(at) } {
            Ok(seen) if seen == wanted || !own() => {}
            Ok(seen) => blame(format_args!(
                "audit: {what}: {seen:#x}, not {wanted:#x}, {bytes} bytes, offset {:#x}",
                at & (PLACE * page() - 1)
            )),
            Err(signal) => blame(format_args!("audit: {what}: signal {signal}")),
        };
        for at in (at..at + pages * page()).step_by(8) {
            expect("a new ring", at, 0);
        }
        // In each page a word of its own.
        let salt = random.next() >> 8;
        let stamp = |index: usize| (salt << 8) + index as u64;
        let word = 8 * random.below(page() / 8);
        for index in 0..pages {
            // SAFETY: In what was just mapped.
            let stored = unsafe { touch::store(at + index * page() + word, stamp(index)) };
            if let Err(signal) = stored {
                blame(format_args!("audit: a store: signal {signal}"));
            }
        }
        let first = random.below(pages);
        let again = at + PLACE / 2 * page();
        if map(again, first, pages - first) >= 0 {
            for index in first..pages {
                expect(
                    "mapped again",
                    again + (index - first) * page() + word,
                    stamp(index),
                );
            }
        }
        simple(
            libc::SYS_madvise,
            &[at, pages * page(), libc::MADV_DONTNEED as usize],
        );
        for index in (0..pages).rev() {
            expect("touched again", at + index * page() + word, stamp(index));
        }
        let index = random.below(pages);
        let here = at + index * page() + word;
        let mut seen = 0u64;
        let room = &raw mut seen as usize;
        if simple(libc::SYS_pread64, &[self.memory, room, 8, here]) == 8
            && seen != stamp(index)
            && own()
        {
            blame(format_args!(
                "audit: /proc/self/mem: {seen:#x} in page {index}"
            ));
        }
        let freed = simple(libc::SYS_ioctl, &[file, ioctl::HW_FREE as usize, 0]);
        if freed == 0 && own() {
            blame("audit: HW_FREE of a ring that is mapped");
        }
        0
    }
}
