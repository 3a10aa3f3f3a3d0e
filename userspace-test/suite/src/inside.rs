// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a library's streams, which are this process's own: behind its back, as a program with a mistake in
//! it has them.
#![allow(unsafe_code)]

use cpal_alsa_mmap::sys::uapi::{self, MmapControl, ioctl};
use cpal_alsa_mmap::sys::{Direction, Mapping};
use cpal_alsa_mmap::{Address, RingDevice};
use std::io;
use std::mem::offset_of;
use std::os::fd::RawFd;
use std::ptr::NonNull;

/// An open PCM of this process.
#[derive(Clone, Copy, Debug)]
pub struct Inside(RawFd);

impl Inside {
    /// The first file of `device`'s PCM.
    ///
    /// # Errors
    ///
    /// `NotFound`: none is open.
    pub fn of(device: &RingDevice, direction: Direction) -> io::Result<Self> {
        let Address { card, device } = device.address();
        let letter = match direction {
            Direction::Playback => 'p',
            Direction::Capture => 'c',
        };
        let node = format!("/dev/snd/pcmC{card}D{device}{letter}");
        for entry in std::fs::read_dir("/proc/self/fd")? {
            let path = entry?.path();
            let is_it = std::fs::read_link(&path).is_ok_and(|to| to.as_os_str() == node.as_str());
            let number = path
                .file_name()
                .and_then(|name| name.to_str()?.parse().ok());
            if let Some(fd) = number.filter(|_| is_it) {
                return Ok(Self(fd));
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn call(self, request: libc::c_ulong) -> io::Result<()> {
        // SAFETY: these calls have no argument.
        match unsafe { libc::ioctl(self.0, request) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// XRUN: the stream has one, whatever the card.
    ///
    /// # Errors
    ///
    /// `EBADFD`: it is not running.
    pub fn xrun(self) -> io::Result<()> {
        self.call(ioctl::XRUN)
    }

    /// DROP: the stream stops where it is.
    ///
    /// # Errors
    ///
    /// The errno of the call.
    pub fn stop(self) -> io::Result<()> {
        self.call(ioctl::DROP)
    }

    /// Maps the control record once more.
    ///
    /// # Errors
    ///
    /// The errno of `mmap(2)`.
    pub fn control(self) -> io::Result<Scribble> {
        const LEN: usize = 4096;
        // SAFETY: without MAP_FIXED the kernel places the mapping where nothing is.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                LEN,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                self.0,
                uapi::MMAP_OFFSET_CONTROL as i64,
            )
        };
        match NonNull::new(at.cast()).filter(|_| at != libc::MAP_FAILED) {
            // SAFETY: it is a whole mapping, made above, of nobody else's.
            Some(at) => Ok(Scribble(unsafe { Mapping::from_raw(at, LEN) })),
            None => Err(io::Error::last_os_error()),
        }
    }
}

/// A control record that is somebody else's.
#[derive(Debug)]
pub struct Scribble(Mapping);

impl Scribble {
    /// Writes the application's position and the wakeup threshold, a byte at a time.
    pub fn write(&self, appl_ptr: u64, avail_min: u64) {
        let at = offset_of!(MmapControl, appl_ptr);
        self.0.write(at, &appl_ptr.to_ne_bytes());
        let at = offset_of!(MmapControl, avail_min);
        self.0.write(at, &avail_min.to_ne_bytes());
    }
}
