// SPDX-License-Identifier: MIT OR Apache-2.0
//! Child processes that share what is mapped.
//!
//! A child runs a closure and ends without returning into the test. Programs that use this have one thread
//! when they do, so that the child finds no lock held by a thread that it does not have.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status; 101 for a panic.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

/// A child process. Killed and waited for when dropped.
#[derive(Debug)]
pub struct Child(libc::pid_t);

impl Child {
    /// Forks. `body` runs in the child alone; what it returns is the exit status.
    ///
    /// # Errors
    ///
    /// The errno of `fork(2)`.
    pub fn spawn(body: impl FnOnce() -> i32) -> io::Result<Self> {
        // SAFETY: See the module: no other thread holds a lock that the child might want.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let status = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
                // SAFETY: Ends the process; nothing is flushed or dropped that the parent has too.
                unsafe { libc::_exit(status) }
            }
            pid => Ok(Self(pid)),
        }
    }

    /// Waits for the child's end.
    ///
    /// # Errors
    ///
    /// The errno of `waitpid(2)`.
    pub fn wait(self) -> io::Result<End> {
        let pid = self.0;
        std::mem::forget(self);
        let mut status = 0;
        loop {
            // SAFETY: `status` is valid for writing.
            if unsafe { libc::waitpid(pid, &raw mut status, 0) } == pid {
                break;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(match libc::WIFSIGNALED(status) {
            true => End::Signal(libc::WTERMSIG(status)),
            false => End::Exit(libc::WEXITSTATUS(status)),
        })
    }

    /// Whether it waits in system call number `call` (`SYS_*`).
    ///
    /// # Errors
    ///
    /// As for reading /proc/PID/syscall.
    pub fn waits_in(&self, call: libc::c_long) -> io::Result<bool> {
        let text = std::fs::read_to_string(format!("/proc/{}/syscall", self.0))?;
        Ok(text.split_whitespace().next() == Some(&call.to_string()))
    }

    /// Whether it ends within `time`. It is still to be waited for.
    ///
    /// # Errors
    ///
    /// The errno of `pidfd_open(2)` or `poll(2)`.
    pub fn ends_within(&self, time: Duration) -> io::Result<bool> {
        // SAFETY: A number and flags.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, self.0, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: A descriptor that was just made and that nobody else has.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) };
        let mut fds = libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let ms = libc::c_int::try_from(time.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: One record.
        match unsafe { libc::poll(&raw mut fds, 1, ms) } {
            -1 => Err(io::Error::last_os_error()),
            ended => Ok(ended == 1),
        }
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> libc::pid_t {
        self.0
    }

    /// `SIGKILL`.
    pub fn kill(&self) {
        // SAFETY: The child is ours and was not waited for.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        // SAFETY: No status is asked for.
        unsafe { libc::waitpid(self.0, std::ptr::null_mut(), 0) };
    }
}

/// Runs `body` in a child and waits for it.
///
/// # Errors
///
/// The errno of `fork(2)` or `waitpid(2)`.
pub fn run(body: impl FnOnce() -> i32) -> io::Result<End> {
    Child::spawn(body)?.wait()
}
