// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a client gets from a card that is gone.
#![allow(unsafe_code)]

use crate::card::Config;
use crate::ensure;
use crate::tap::{Outcome, expect};
use crate::window::Window;
use cpal_alsa_mmap::sys::Pcm;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// Demands that every call on `pcm` says at once that the card is gone.
///
/// # Errors
///
/// A failure that names the call.
pub fn expect_gone(pcm: &Pcm) -> Outcome {
    expect("HW_PARAMS", Config::stereo(240, 4).apply(pcm), libc::ENODEV)?;
    expect("HW_FREE", pcm.hw_free(), libc::ENODEV)?;
    expect("PREPARE", pcm.prepare(), libc::ENODEV)?;
    expect("START", pcm.start(), libc::ENODEV)?;
    expect("DROP", pcm.drop_frames(), libc::ENODEV)?;
    expect("DRAIN", pcm.drain(), libc::ENODEV)?;
    expect("PAUSE", pcm.pause(true), libc::ENODEV)?;
    expect("HWSYNC", pcm.hwsync(), libc::ENODEV)?;
    expect("STATUS", pcm.status(), libc::ENODEV)?;
    expect("SYNC_PTR", pcm.sync_ptr(Default::default()), libc::ENODEV)?;
    expect("mmap", Window::new(pcm, 0, 1), libc::ENODEV)?;
    // poll() passes POLLNVAL on to nobody who did not ask for it.
    let events = pcm.poll(Some(Duration::ZERO))?;
    ensure!(events == libc::POLLERR, "poll(): {events:#x}");
    let events = poll(pcm.as_raw_fd(), 0)?;
    ensure!(
        events == libc::POLLERR | libc::POLLNVAL,
        "poll() for POLLNVAL too: {events:#x}"
    );
    Ok(())
}

/// `poll(2)` on `fd` alone, for nothing but an error or the end, `timeout` milliseconds at most; -1 is for ever.
///
/// # Errors
///
/// Its errno.
pub fn poll(fd: RawFd, timeout: i32) -> io::Result<i16> {
    let mut fds = libc::pollfd {
        fd,
        events: libc::POLLNVAL,
        revents: 0,
    };
    // SAFETY: One record.
    match unsafe { libc::poll(&raw mut fds, 1, timeout) } {
        0.. => Ok(fds.revents),
        _ => Err(io::Error::last_os_error()),
    }
}
