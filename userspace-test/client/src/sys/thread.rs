// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the audio thread needs of the kernel beside the PCM: a way to be woken, a clock, a
//! scheduling class.

use super::pcm::check;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// An `eventfd(2)`: another thread sets it, `poll(2)` sees it.
#[derive(Debug)]
pub(crate) struct Event(OwnedFd);

impl Event {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: eventfd touches no memory of this process.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the descriptor is new and belongs to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Sets the event. Once is as good as twice.
    pub(crate) fn set(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the pointer and the length are those of `one`. It can only fail when the counter
        // is full, and then the event is set.
        unsafe { libc::write(self.raw(), one.as_ptr().cast(), one.len()) };
    }

    /// Clears the event.
    pub(crate) fn clear(&self) {
        let mut count = [0u8; 8];
        // SAFETY: the pointer and the length are those of `count`. It can only fail when the event
        // is clear.
        unsafe { libc::read(self.raw(), count.as_mut_ptr().cast(), count.len()) };
    }
}

/// The time on `CLOCK_MONOTONIC`, the clock of the PCM's timestamps.
pub(crate) fn monotonic() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is that of `time`; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Touches the stack below, so that it does not fault in while a callback runs: 64 KiB.
#[inline(never)]
pub(crate) fn touch_stack() {
    let mut bytes = [1u8; 64 << 10];
    std::hint::black_box(&mut bytes);
}

/// Puts the calling thread into `SCHED_FIFO` with `priority`; children start without.
pub(crate) fn set_fifo(priority: u8) -> io::Result<()> {
    let parameters = libc::sched_param {
        sched_priority: priority.into(),
    };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer is that of `parameters`; 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, policy, &parameters) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::pcm::poll;

    #[test]
    fn an_event_is_seen_until_it_is_cleared() {
        let event = Event::new().unwrap();
        let seen = || {
            let mut fds = [libc::pollfd {
                fd: event.raw(),
                events: libc::POLLIN,
                revents: 0,
            }];
            poll(&mut fds, Some(Duration::ZERO)).unwrap()
        };
        assert_eq!(seen(), 0);
        event.set();
        event.set();
        assert_eq!(seen(), 1);
        event.clear();
        event.clear();
        assert_eq!(seen(), 0);
    }
}
