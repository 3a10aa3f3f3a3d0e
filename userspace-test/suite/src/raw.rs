// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls of a PCM file that no well-behaved client needs.
#![allow(unsafe_code)]

use cpal_alsa_mmap::sys::{Pcm, uapi};
use std::io;

fn bare(pcm: &Pcm, request: libc::c_ulong) -> io::Result<()> {
    // SAFETY: The request carries no argument.
    unsafe { pcm.ioctl::<()>(request, std::ptr::null_mut()) }
}

/// RESUME: goes on after a suspend.
///
/// # Errors
///
/// The errno of the call.
pub fn resume(pcm: &Pcm) -> io::Result<()> {
    bare(pcm, uapi::ioctl::RESUME)
}

/// XRUN: makes a running stream stop as if by an xrun.
///
/// # Errors
///
/// The errno of the call.
pub fn xrun(pcm: &Pcm) -> io::Result<()> {
    bare(pcm, uapi::ioctl::XRUN)
}

/// REWIND: takes back up to `frames` frames. Returns how many.
///
/// # Errors
///
/// The errno of the call.
pub fn rewind(pcm: &Pcm, mut frames: u64) -> io::Result<u64> {
    // SAFETY: The request is made of this argument's size.
    unsafe { pcm.ioctl(uapi::ioctl::REWIND, &raw mut frames) }?;
    Ok(frames)
}

/// FORWARD: gives up to `frames` frames of the ring as they are. Returns how many.
///
/// # Errors
///
/// The errno of the call.
pub fn forward(pcm: &Pcm, mut frames: u64) -> io::Result<u64> {
    // SAFETY: As in `rewind()`.
    unsafe { pcm.ioctl(uapi::ioctl::FORWARD, &raw mut frames) }?;
    Ok(frames)
}

/// CHANNEL_INFO: where the samples of `channel` lie in the ring.
///
/// # Errors
///
/// The errno of the call.
pub fn channel_info(pcm: &Pcm, channel: u32) -> io::Result<uapi::ChannelInfo> {
    let mut info = uapi::ChannelInfo {
        channel,
        ..uapi::ChannelInfo::default()
    };
    // SAFETY: As in `rewind()`.
    unsafe { pcm.ioctl(uapi::ioctl::CHANNEL_INFO, &raw mut info) }?;
    Ok(info)
}

/// Removes a kernel module, at once or not at all: `delete_module(2)`.
///
/// # Errors
///
/// `EWOULDBLOCK`: in use; others as the call.
pub fn delete_module(name: &std::ffi::CStr) -> io::Result<()> {
    // SAFETY: A C string and flags.
    match unsafe { libc::syscall(libc::SYS_delete_module, name.as_ptr(), libc::O_NONBLOCK) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
