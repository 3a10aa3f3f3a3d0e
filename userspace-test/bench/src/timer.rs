// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clocks by their number, and waiting for an instant of one: what has no card in it.
#![allow(unsafe_code)]

use std::io;

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// Of [`now`]: the clock of [`sleep_until`].
pub const MONOTONIC: libc::clockid_t = libc::CLOCK_MONOTONIC;

/// A clock's reading, ns.
///
/// # Errors
///
/// `EINVAL`: no such clock.
pub fn now(clock: libc::clockid_t) -> io::Result<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: The record is ours.
    match unsafe { libc::clock_gettime(clock, &raw mut time) } {
        0 => Ok(time.tv_sec as u64 * SECOND + time.tv_nsec as u64),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sleeps until `CLOCK_MONOTONIC` reads `until` ns.
///
/// # Errors
///
/// `EINTR`: a signal came first.
pub fn sleep_until(until: u64) -> io::Result<()> {
    let until = libc::timespec {
        tv_sec: (until / SECOND) as libc::time_t,
        tv_nsec: (until % SECOND) as libc::c_long,
    };
    // SAFETY: The record is ours, and what is left of the time is not asked for.
    let error = unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &raw const until,
            std::ptr::null_mut(),
        )
    };
    match error {
        0 => Ok(()),
        _ => Err(io::Error::from_raw_os_error(error)),
    }
}
