// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that a thread makes. They have its mappings, and may do no more than bare system calls.

use super::{ALARM, BLAMED, Thread, blame, end, simple};
use crate::fuzz::bystander::is_mark;
use crate::fuzz::calls::Node;
use crate::fuzz::op::{FILES, MAPS};
use crate::fuzz::{calls, touch};
use crate::seed::Random;
use crate::window::page;

impl Thread<'_> {
    pub(super) fn fork(&self, what: u64, choice: u64) -> isize {
        let child = simple(libc::SYS_fork, &[]);
        if child == 0 {
            self.child(what, choice);
        }
        if child < 0 || what == 4 {
            // One that stays is the guard's to end.
            return child.min(0);
        }
        if what == 2 {
            let time = libc::timespec {
                tv_sec: 0,
                tv_nsec: choice as i64 & 0xf_ffff,
            };
            simple(libc::SYS_nanosleep, &[&raw const time as usize, 0]);
            simple(libc::SYS_kill, &[child as usize, libc::SIGKILL as usize]);
        }
        let mut status = 0;
        loop {
            let at = &raw mut status as usize;
            let got = simple(libc::SYS_wait4, &[child as usize, at, 0, 0]);
            if got != -libc::EINTR as isize {
                break;
            }
        }
        if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) != libc::SIGKILL {
            blame(format_args!(
                "a child died by signal {}",
                libc::WTERMSIG(status)
            ));
        }
        if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == BLAMED {
            end(BLAMED);
        }
        0
    }

    /// A child's life. It may have less than its parent, where that has said MADV_DONTFORK: any signal is right.
    pub(super) fn child(&self, what: u64, choice: u64) -> ! {
        // A child has no timer of its parent's, and what it asks may wait for ever.
        alarm_all(ALARM);
        let touch_all = |step: usize| {
            for map in 0..MAPS as usize {
                for index in (0..self.arena.extent(map)).step_by(step) {
                    let at = self.arena.place(map) + index * page();
                    // SAFETY: In the arena.
                    if unsafe { touch::load(at) }.is_ok_and(is_mark) {
                        end(BLAMED);
                    }
                }
            }
        };
        match what {
            0 => touch_all(1),
            2 => loop {
                touch_all(3);
            },
            3 => {
                let mut random = Random::from_seed(choice);
                for _ in 0..6 {
                    let slot = random.next() % FILES;
                    let number = calls::of(Node::of_slot(slot), random.next());
                    self.ioctl(self.shared.file(slot), number, random.next(), 0);
                    let map = random.below(MAPS as usize);
                    let (at, pages) = (self.arena.place(map), 1 + random.below(8));
                    simple(libc::SYS_munmap, &[at, pages * page()]);
                }
            }
            4 => loop {
                simple(libc::SYS_pause, &[]);
            },
            _ => {}
        }
        end(0)
    }
}

/// Interrupts what this process, of a single thread, waits for after so many ns, and again after as many.
fn alarm_all(ns: i64) {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: ns / 1000,
    };
    let spec = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    let clock = libc::ITIMER_REAL as usize;
    simple(libc::SYS_setitimer, &[clock, &raw const spec as usize, 0]);
}
