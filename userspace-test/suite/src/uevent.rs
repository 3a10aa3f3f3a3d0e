// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel tells of devices that come and go: its netlink messages, as udev gets them.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The group of the kernel's own messages (`MONITOR_GROUP_KERNEL` of udev).
const GROUP: u32 = 1;

/// The messages from the moment on that this was made.
#[derive(Debug)]
pub struct Uevents(OwnedFd);

impl Uevents {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// The errno of `socket(2)` or `bind(2)`.
    pub fn new() -> io::Result<Self> {
        // SAFETY: Numbers.
        let fd = unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
                libc::NETLINK_KOBJECT_UEVENT,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: The descriptor is new and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: All zeros are a valid address.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = GROUP;
        // SAFETY: The address is as long as said.
        let bound = unsafe {
            libc::bind(
                fd.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        match bound {
            0 => Ok(Self(fd)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits for the next message: what has happened (`add`, `remove`, `bind`, ...) and to which device, as
    /// a path below /sys.
    ///
    /// # Errors
    ///
    /// The errno of `recv(2)`; `ENOBUFS`: some were lost.
    pub fn next(&self) -> io::Result<(String, String)> {
        let mut message = [0u8; 8192];
        // SAFETY: The buffer is as long as said.
        let length = unsafe {
            libc::recv(
                self.0.as_raw_fd(),
                message.as_mut_ptr().cast(),
                message.len(),
                0,
            )
        };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        // "ACTION@PATH", a zero, then the same as variables.
        let head = message[..length]
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or_default();
        let head = String::from_utf8_lossy(head);
        Ok(head
            .split_once('@')
            .map_or_else(Default::default, |(action, path)| {
                (action.to_owned(), path.to_owned())
            }))
    }

    /// Waits until `action` happens to a device that `is_it` says yes to.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub fn wait_for(&self, action: &str, is_it: impl Fn(&str) -> bool) -> io::Result<()> {
        loop {
            let (what, path) = self.next()?;
            if what == action && is_it(&path) {
                return Ok(());
            }
        }
    }
}
