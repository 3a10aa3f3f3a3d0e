// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls of a PCM file that no well-behaved client needs.
#![allow(unsafe_code)]

use crate::window::Window;
use cpal_alsa_mmap::sys::{Pcm, uapi};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

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

/// WRITEI_FRAMES without a buffer: `frames` frames of silence. Returns how many went in.
///
/// # Errors
///
/// The errno of the call.
pub fn write_nothing(pcm: &Pcm, frames: u64) -> io::Result<i64> {
    let mut xfer = uapi::Xferi {
        result: 0,
        buf: std::ptr::null_mut(),
        frames,
    };
    // SAFETY: The request's structure; without a buffer the kernel reads none.
    unsafe { pcm.ioctl(uapi::ioctl::WRITEI_FRAMES, &raw mut xfer) }?;
    Ok(xfer.result)
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

/// Registers `window` with a new userfaultfd for pages that are missing: `UFFDIO_REGISTER`.
///
/// # Errors
///
/// The errno of `userfaultfd(2)` or of the request.
pub fn userfault(window: &Window) -> io::Result<()> {
    const API: libc::Ioctl = 0xc018_aa3f_u32 as _;
    const REGISTER: libc::Ioctl = 0xc020_aa00_u32 as _;
    // SAFETY: Flags only.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: A descriptor that was just made and that nobody else has.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) };
    // UFFD_API, no features; what the kernel can.
    let mut api = [0xaa_u64, 0, 0];
    // SAFETY: The request's three words.
    if unsafe { libc::ioctl(fd.as_raw_fd(), API, api.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // Start, length, UFFDIO_REGISTER_MODE_MISSING, what can be done then.
    let mut range = [window.address() as u64, window.bytes() as u64, 1, 0];
    // SAFETY: The request's four words. It changes nothing but who answers faults, and ends with `fd`.
    match unsafe { libc::ioctl(fd.as_raw_fd(), REGISTER, range.as_mut_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
