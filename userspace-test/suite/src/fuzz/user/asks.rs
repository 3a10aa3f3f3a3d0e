// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a thread asks of a node: to be opened, set up, read, written, waited for; with arguments that are right,
//! wrong or random.

use super::{F_SETSIG, Thread, simple};
use crate::fuzz::calls::{CALLS, Node};
use crate::fuzz::{calls, odd, touch};
use crate::seed::Random;
use crate::window::page;
use cpal_alsa_mmap::sys::uapi::{self, ioctl};
use std::sync::atomic::Ordering::SeqCst;

impl Thread<'_> {
    pub(super) fn open(&self, slot: u64, node: u64, flags: u64) -> isize {
        let node = Node::number(node);
        let mode = match flags & 3 {
            2 => libc::O_RDONLY,
            3 => libc::O_WRONLY,
            _ => libc::O_RDWR,
        };
        let mut how = mode | libc::O_CLOEXEC;
        // Mostly: who waits in open() for what this process has itself waits in vain.
        if flags & 12 != 12 {
            how |= libc::O_NONBLOCK;
        }
        if flags & 16 != 0 {
            how |= libc::O_APPEND;
            self.shared.shares.store(1, SeqCst);
        }
        let new = simple(
            libc::SYS_open,
            &[self.shared.nodes.path(node), how as usize],
        );
        self.shared.put(slot, new)
    }

    pub(super) fn fcntl(&self, file: usize, command: u64, value: u64) -> isize {
        let kept = (libc::O_NONBLOCK | libc::O_ASYNC | libc::O_APPEND) as u64;
        let signals = [0, libc::SIGIO, libc::SIGUSR1];
        let (command, value) = match command {
            0 => (libc::F_GETFL, 0),
            1 => (libc::F_SETFL, (value & kept) as usize),
            2 => (libc::F_SETOWN, std::process::id() as usize),
            3 => (F_SETSIG, signals[value as usize % 3] as usize),
            4 => (libc::F_SETLEASE, value as usize % 3),
            _ => (libc::F_GET_SEALS, 0),
        };
        simple(libc::SYS_fcntl, &[file, command as usize, value])
    }

    pub(super) fn ioctl(&self, file: usize, number: u64, fill: u64, place: u64) -> isize {
        let call = &CALLS[number as usize % CALLS.len()];
        let mut random = Random::from_seed(fill);
        let mut argument = [0; 2048];
        call.fill(
            &mut random,
            &mut argument,
            |slot| self.shared.file(slot) as u64,
            |random| self.arena.named(random.next()) as u64,
        );
        let mut at = self.arena.named(place);
        if call.by_value {
            let mut value = [0; 8];
            value.copy_from_slice(&argument[..8]);
            at = u64::from_le_bytes(value) as usize;
        } else if self.arena.is_own(at) {
            at = self.arena.arguments();
            self.put_argument(&argument[..(call.bytes() + 1024).min(2048)]);
        }
        simple(libc::SYS_ioctl, &[file, call.request as usize, at])
    }

    /// Puts `bytes`, whole words of them, 8 kB at most, where the arena has its arguments.
    fn put_argument(&self, bytes: &[u8]) {
        let at = self.arena.arguments();
        for (at, word) in (at..).step_by(8).zip(bytes.chunks_exact(8)) {
            let mut value = [0; 8];
            value.copy_from_slice(word);
            // SAFETY: In the arena. A signal: the program has unmapped it.
            let _ = unsafe { touch::store(at, u64::from_le_bytes(value)) };
        }
    }

    /// An ioctl with an argument in the arena, which is then in `argument`.
    pub(super) fn ask<const N: usize>(
        &self,
        file: usize,
        request: u64,
        argument: &mut [u32; N],
    ) -> isize {
        let at = argument.as_mut_ptr() as usize;
        simple(libc::SYS_ioctl, &[file, request as usize, at])
    }

    pub(super) fn setup(&self, slot: u64, choice: u64) -> isize {
        let file = self.shared.file(slot);
        let mut random = Random::from_seed(choice);
        let random = &mut random;
        if Node::of_slot(slot) == Node::Oss {
            let request = |name| CALLS[calls::number(name) as usize].request;
            let fragments = (1 + random.below(32)) as u32;
            let size = 8 + random.below(7) as u32;
            self.ask(file, request("SETFRAGMENT"), &mut [fragments << 16 | size]);
            self.ask(file, request("SETFMT"), &mut [0x10]);
            self.ask(file, request("CHANNELS"), &mut [1 + random.below(2) as u32]);
            self.ask(file, request("SPEED"), &mut [48_000]);
            let mut space = [0; 4];
            let got = self.ask(file, request("GETOSPACE"), &mut space);
            self.remember(slot, space[1] as usize * space[2] as usize);
            return got;
        }
        let access = [0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 4, 1, 2][random.below(14)];
        let format = [2, 2, 2, 2, 2, 1, 10, 14, 6][random.below(9)];
        let channels = [1, 1, 1, 2, 2, 3, 8][random.below(7)];
        let rate = [48_000, 8_000, 44_100, 192_000][random.below(4)];
        let period = 16 + random.below(2000) as u32;
        let periods = 2 + random.below(14) as u32;
        let flags = if random.below(8) == 0 {
            uapi::HW_PARAMS_NO_PERIOD_WAKEUP
        } else {
            0
        };
        self.choose(
            slot,
            file,
            [access, format, channels, rate, period, periods, flags],
        )
    }

    /// HW_PARAMS: access, format, channels, rate, period, periods, flags.
    pub(super) fn choose(&self, slot: u64, file: usize, wanted: [u32; 7]) -> isize {
        let [access, format, channels, rate, period, periods, flags] = wanted;
        let mut params = calls::any_params();
        params.flags = flags;
        for (mask, bit) in [(0, access), (1, format)] {
            params.masks[mask].bits = [0; 8];
            params.masks[mask].bits[bit as usize / 32] = 1 << (bit % 32);
        }
        for (interval, value) in [(2, channels), (3, rate), (5, period), (7, periods)] {
            params.intervals[interval].min = value;
            params.intervals[interval].max = value;
        }
        let at = &raw mut params as usize;
        let done = simple(libc::SYS_ioctl, &[file, ioctl::HW_PARAMS as usize, at]);
        if done == 0 {
            self.remember(slot, params.intervals[10].min as usize);
        }
        done
    }

    pub(super) fn remember(&self, slot: u64, bytes: usize) {
        if let Some(ring) = self.shared.rings.get(slot as usize) {
            ring.store(bytes.div_ceil(page()), SeqCst);
        }
    }

    pub(super) fn bytes(&self, file: usize, which: u64, bytes: u64, place: u64) -> isize {
        let (at, bytes) = (self.arena.named(place), bytes as usize);
        let number = match which {
            0 => libc::SYS_read,
            1 => libc::SYS_write,
            2 => libc::SYS_readv,
            _ => libc::SYS_writev,
        };
        if which < 2 {
            return simple(number, &[file, at, bytes]);
        }
        // As many parts as the bytes say, each elsewhere.
        let part = |i: usize| [self.arena.named(place + i as u64), bytes / (1 + i)];
        let parts: [[usize; 2]; 8] = std::array::from_fn(part);
        simple(number, &[file, parts.as_ptr() as usize, bytes % 9])
    }

    pub(super) fn frames(&self, file: usize, which: u64, frames: u64, place: u64) -> isize {
        let request = [
            ioctl::WRITEI_FRAMES as usize,
            ioctl::READI_FRAMES as usize,
            0x4018_4152,
            0x8018_4153,
        ][which as usize % 4];
        let at = match which {
            2 | 3 if place < 16 => self.arena.vector(),
            _ => self.arena.named(place),
        };
        let frames = match frames {
            0..4096 => frames,
            seed => odd::frames(&mut Random::from_seed(seed)),
        };
        let mut xfer = [0, at as u64, frames];
        simple(
            libc::SYS_ioctl,
            &[file, request, xfer.as_mut_ptr() as usize],
        )
    }
}

pub(super) fn soften(file: usize, choice: u64) -> isize {
    let mut random = Random::from_seed(choice);
    let random = &mut random;
    let far = i64::MAX as u64;
    let size = odd::frames(random);
    let mut params = uapi::SwParams {
        tstamp_mode: random.below(2) as i32,
        period_step: 1,
        sleep_min: 0,
        avail_min: 1 + random.below(1000) as u64,
        xfer_align: 1,
        start_threshold: [1, far, size][random.below(3)],
        stop_threshold: [far, far, size][random.below(3)],
        silence_threshold: 0,
        silence_size: [0, u64::MAX, far, size][random.below(4)],
        boundary: 0,
        proto: uapi::PROTOCOL,
        tstamp_type: random.below(3) as u32,
        reserved: [0; 56],
    };
    let at = &raw mut params as usize;
    simple(libc::SYS_ioctl, &[file, ioctl::SW_PARAMS as usize, at])
}

pub(super) fn poll(file: usize, milliseconds: u64, how: u64) -> isize {
    let events = libc::POLLIN | libc::POLLOUT | libc::POLLERR;
    if how == 0 {
        let mut fd = libc::pollfd {
            fd: file as i32,
            events,
            revents: 0,
        };
        let at = &raw mut fd as usize;
        return simple(libc::SYS_poll, &[at, 1, milliseconds as usize]);
    }
    let set = simple(libc::SYS_epoll_create1, &[libc::O_CLOEXEC as usize]);
    if set < 0 {
        return set;
    }
    let mut event = libc::epoll_event {
        events: events as u32,
        u64: 0,
    };
    let at = &raw mut event as usize;
    let added = simple(libc::SYS_epoll_ctl, &[set as usize, 1, file, at]);
    let got = match added {
        0 => simple(
            libc::SYS_epoll_wait,
            &[set as usize, at, 1, milliseconds as usize],
        ),
        error => error,
    };
    simple(libc::SYS_close, &[set as usize]);
    got
}
