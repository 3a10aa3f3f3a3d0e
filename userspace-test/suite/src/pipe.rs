// SPDX-License-Identifier: MIT OR Apache-2.0
//! A pipe that holds pages, not copies of them: `vmsplice(2)`.
#![allow(unsafe_code)]

use crate::window::Window;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};

/// A pipe; what is in it is released when it is dropped.
#[derive(Debug)]
pub struct Pipe {
    reader: File,
    writer: File,
}

impl Pipe {
    /// An empty one, which has room for 16 pages.
    ///
    /// # Errors
    ///
    /// The errno of `pipe2(2)`.
    pub fn new() -> io::Result<Self> {
        let mut fds = [0; 2];
        // SAFETY: Room for two descriptors.
        if unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: The descriptor is new and belongs to nobody else.
        let reader = unsafe { File::from_raw_fd(fds[0]) };
        // SAFETY: As above.
        let writer = unsafe { File::from_raw_fd(fds[1]) };
        Ok(Self { reader, writer })
    }

    /// Makes the pipe hold the pages of `window`.
    ///
    /// # Errors
    ///
    /// The errno of `vmsplice(2)`; `WriteZero` if they do not all fit.
    pub fn hold(&self, window: &Window) -> io::Result<()> {
        let pages = libc::iovec {
            iov_base: window.address() as *mut _,
            iov_len: window.bytes(),
        };
        // SAFETY: One valid record; the pages are only read.
        match unsafe { libc::vmsplice(self.writer.as_raw_fd(), &raw const pages, 1, 0) } {
            taken if taken == window.bytes() as isize => Ok(()),
            0.. => Err(io::ErrorKind::WriteZero.into()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Lets one [`Self::wait`] go on, in whichever process.
    ///
    /// # Errors
    ///
    /// As for writing.
    pub fn tell(&self) -> io::Result<()> {
        (&self.writer).write_all(&[0])
    }

    /// Waits for a [`Self::tell`].
    ///
    /// # Errors
    ///
    /// As for reading.
    pub fn wait(&self) -> io::Result<()> {
        let mut fds = libc::pollfd {
            fd: self.reader.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: One record.
        if unsafe { libc::poll(&raw mut fds, 1, -1) } < 0 {
            return Err(io::Error::last_os_error());
        }
        (&self.reader).read_exact(&mut [0])
    }

    /// Takes `bytes` bytes out.
    ///
    /// # Errors
    ///
    /// As for reading, or when there is less.
    pub fn read(&self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut out = vec![0; bytes];
        (&self.reader).read_exact(&mut out)?;
        Ok(out)
    }
}
