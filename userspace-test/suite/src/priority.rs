// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which thread goes first: the one that measures, or whose ring is small.
#![allow(unsafe_code)]

use std::io;

/// Puts the calling thread before all that were not put so: `SCHED_FIFO`. Threads that it starts are not.
///
/// # Errors
///
/// `EPERM` without the right to it.
pub fn first() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 10 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: The pointer is that of `parameters`; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Puts the calling thread behind all others: `SCHED_IDLE`.
///
/// # Errors
///
/// None are known: everybody may.
pub fn last() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: The pointer is that of `parameters`; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
