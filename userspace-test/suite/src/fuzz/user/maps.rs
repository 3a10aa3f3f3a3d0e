// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a thread does to its mappings. The arena keeps what must come of it: which pages are there, and whether they
//! may be read and written.

use super::{Thread, blame, simple};
use crate::fuzz::arena::{PLACE, READ, RING, THERE, UNKNOWN, WRITE};
use crate::fuzz::calls::Node;
use crate::fuzz::odd;
use crate::fuzz::op::FILES;
use crate::seed::Random;
use crate::window::page;
use cpal_alsa_mmap::sys::uapi::{self, ioctl};
use std::sync::atomic::Ordering::SeqCst;

impl Thread<'_> {
    pub(super) fn map(&mut self, slot: u64, map: usize, choice: u64, how: u64) -> isize {
        let file = self.shared.file(slot);
        let mut random = Random::from_seed(choice ^ how.rotate_left(7));
        let ring = self.shared.rings[(slot % FILES) as usize].load(SeqCst);
        let known = if ring == 0 { 8 } else { ring.min(PLACE) };
        let (offset, pages) = match choice % 8 {
            0 | 1 => (0, known),
            2 => (uapi::MMAP_OFFSET_CONTROL, 1),
            3 => (uapi::MMAP_OFFSET_STATUS, 1),
            6 => (
                odd::value(&mut random) & !(page() as u64 - 1),
                1 + random.below(known),
            ),
            7 => ((random.below(4) * page()) as u64, 1 + random.below(PLACE)),
            _ => {
                let (first, pages) = odd::range(&mut random, known);
                ((first * page()) as u64, pages)
            }
        };
        let bits = (how >> 8) as i32;
        let mut protection = libc::PROT_READ | libc::PROT_WRITE;
        match how % 16 {
            1 | 2 => protection = libc::PROT_READ,
            3 => protection = libc::PROT_WRITE,
            4 => protection = libc::PROT_READ | libc::PROT_EXEC,
            5 => protection = libc::PROT_NONE,
            _ => {}
        }
        let private = how % 32 == 31;
        let mut flags = if private {
            libc::MAP_PRIVATE
        } else {
            libc::MAP_SHARED
        };
        for flag in [libc::MAP_POPULATE, libc::MAP_LOCKED, libc::MAP_NORESERVE] {
            if random.below(4) == 0 && bits & 1 != 0 {
                flags |= flag;
            }
        }
        self.publish(map, 0);
        self.arena.clear(map, 0..PLACE, false);
        let at = self.arena.place(map);
        let (protection, flags) = (protection as usize, (flags | libc::MAP_FIXED) as usize);
        let bytes = pages * page();
        let got = simple(
            libc::SYS_mmap,
            &[at, bytes, protection, flags, file, offset as usize],
        );
        if got != at as isize {
            self.arena.clear(map, 0..PLACE, false);
            return if got < 0 {
                got
            } else {
                blame("mmap() elsewhere")
            };
        }
        // The slot's file may be any, and a thread may have put another there.
        let node = Node::of_slot(slot);
        let is_pcm = self.is_pcm(file);
        let is_data = is_pcm && offset < 0x8000_0000;
        if is_data && private {
            blame(format_args!("a private mapping of a ring ({node:?})"));
        }
        // The core takes the right to write away from whoever maps the status.
        let is_status = is_pcm && matches!(offset, 0x8000_0000 | uapi::MMAP_OFFSET_STATUS);
        let can_write = protection as i32 & libc::PROT_WRITE != 0 && !is_status;
        let can_read = protection != 0;
        let state = THERE
            | if can_read { READ } else { 0 }
            | if can_write { WRITE } else { 0 }
            | match (is_data, is_pcm) {
                (true, _) => RING,
                (false, true) => 0,
                // OSS: a ring that has become shorter has an end.
                (false, false) => UNKNOWN,
            };
        self.arena.change(map, 0..pages, |_| state);
        self.publish(map, pages);
        0
    }

    /// Whether `file` is a native PCM's: it answers to no other.
    pub(super) fn is_pcm(&self, file: usize) -> bool {
        self.ask(file, ioctl::PVERSION, &mut [0]) == 0
    }

    pub(super) fn publish(&self, map: usize, pages: usize) {
        if let Some((at, count)) = self.shared.maps[self.number].get(map) {
            at.store(self.arena.place(map), SeqCst);
            count.store(pages, SeqCst);
        }
    }

    pub(super) fn remap(&mut self, map: usize, other: usize, choice: u64) -> isize {
        let mut random = Random::from_seed(choice);
        let extent = self.arena.extent(map).max(1);
        let at = self.arena.place(map);
        let bytes = extent * page();
        let is_ring = (0..extent).all(|index| {
            let state = self.arena.state(map, index);
            state & (RING | UNKNOWN) == RING
        });
        match random.below(4) {
            // To another place.
            0 if map != other => {
                self.publish(other, 0);
                self.publish(map, 0);
                self.arena.clear(other, 0..PLACE, false);
                let to = self.arena.place(other);
                let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
                let got = simple(libc::SYS_mremap, &[at, bytes, bytes, flags, to]);
                if got != to as isize {
                    // Some of it may have gone.
                    self.arena.clear(other, 0..PLACE, false);
                    self.arena.change(map, 0..extent, |state| state | UNKNOWN);
                    return got;
                }
                for index in 0..extent {
                    let state = self.arena.state(map, index);
                    self.arena.change(other, index..index + 1, |_| state);
                }
                self.publish(other, extent);
                self.arena.reserve_again(map, 0..extent)
            }
            // To grow, to leave the old one, or to have it twice: all of them must fail for a ring.
            1 | 0 => {
                let (old, new, flags) = match random.below(3) {
                    0 => (
                        bytes,
                        bytes + page() * (1 + random.below(40)),
                        libc::MREMAP_MAYMOVE,
                    ),
                    1 => (bytes, bytes, libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP),
                    _ => (0, bytes, libc::MREMAP_MAYMOVE),
                };
                if !is_ring {
                    return 0;
                }
                let got = simple(libc::SYS_mremap, &[at, old, new, flags as usize]);
                if got >= 0 {
                    blame(format_args!(
                        "mremap({old}, {new}, {flags:#x}) of a ring: {got:#x}"
                    ));
                }
                got
            }
            // To shrink.
            _ => {
                let pages = 1 + random.below(extent);
                let got = simple(libc::SYS_mremap, &[at, bytes, pages * page(), 0]);
                if got == at as isize && pages < extent {
                    self.publish(map, 0);
                    self.arena.reserve_again(map, pages..extent);
                }
                got.min(0)
            }
        }
    }

    pub(super) fn protect(&mut self, map: usize, protection: u64, choice: u64) -> isize {
        let mut random = Random::from_seed(choice);
        let (first, pages) = odd::range(&mut random, self.arena.extent(map));
        let (protection, allowed) = match protection {
            0 => (libc::PROT_NONE, 0),
            1 => (libc::PROT_READ, READ),
            2 => (libc::PROT_READ | libc::PROT_EXEC, READ),
            _ => (libc::PROT_READ | libc::PROT_WRITE, READ | WRITE),
        };
        let at = self.arena.place(map) + first * page();
        let there = |&index: &usize| self.arena.state(map, index) & THERE != 0;
        // What is only reserved stays unreachable.
        if !(first..first + pages).all(|index| there(&index)) {
            return -libc::ENOMEM as isize;
        }
        let done = simple(
            libc::SYS_mprotect,
            &[at, pages * page(), protection as usize],
        );
        if done == 0 {
            let keep = !(READ | WRITE);
            self.arena
                .change(map, first..first + pages, |state| state & keep | allowed);
        } else {
            // Some of several mappings may have changed.
            self.arena
                .change(map, first..first + pages, |state| state | UNKNOWN);
        }
        done
    }

    pub(super) fn advise(&mut self, map: usize, advice: u64, choice: u64) -> isize {
        let mut random = Random::from_seed(choice);
        let (first, pages) = odd::range(&mut random, self.arena.extent(map));
        let at = self.arena.place(map) + first * page();
        // 100 and 101 hurt memory and are root's, 102 and 103 are guards.
        let advice = match advice {
            25 => 102,
            24 => 101,
            23 => 100,
            advice => advice as usize,
        };
        let done = simple(libc::SYS_madvise, &[at, pages * page(), advice]);
        if done == 0 && advice == 102 {
            self.arena
                .change(map, first..first + pages, |state| state | UNKNOWN);
        }
        done
    }

    pub(super) fn lock(&self, map: usize, how: u64) -> isize {
        let (at, bytes) = (
            self.arena.place(map),
            self.arena.extent(map).max(1) * page(),
        );
        match how {
            0 => simple(libc::SYS_mlock, &[at, bytes]),
            1 => simple(libc::SYS_mlock2, &[at, bytes, 1]),
            2 => simple(libc::SYS_munlock, &[at, bytes]),
            3 => simple(libc::SYS_msync, &[at, bytes, libc::MS_SYNC as usize]),
            _ => {
                let mut there = [0u8; PLACE];
                simple(libc::SYS_mincore, &[at, bytes, there.as_mut_ptr() as usize])
            }
        }
    }
}
