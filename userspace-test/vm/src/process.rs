// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU as a process of ours.
//!
//! It does not outlive us: dropping a [`Process`] kills it, and the kernel does
//! when the thread that launched it dies.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::{Errno, FdFlags};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

use crate::rundir::RunDir;

/// A QEMU, from its start until it was waited for.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts QEMU with its log in the run's folder. It inherits `theirs` under
    /// their own numbers.
    pub(crate) fn launch(
        qemu: &Path,
        args: &[OsString],
        dir: &RunDir,
        theirs: Vec<OwnedFd>,
    ) -> std::io::Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join("qemu.log"))?;
        let parent = getpid();
        let mut command = Command::new(qemu);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is ours to answer.
            .process_group(0);
        let prepare = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            if getppid() != Some(parent) {
                return Err(Errno::SRCH.into());
            }
            for fd in &theirs {
                rustix::io::fcntl_setfd(fd.as_fd(), FdFlags::empty())?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes three kinds of system
        // calls through rustix and neither allocates nor locks. It owns `theirs`,
        // so the descriptors are open when it runs.
        unsafe { command.pre_exec(prepare) };
        let child = command.spawn()?;
        let ended = None;
        Ok(Self { child, ended })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, once [`reap`](Self::reap) has seen that.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.ended
    }

    /// Waits for its end; false when that does not come.
    pub(crate) fn reap(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while self.ended.is_none() {
            match self.child.try_wait() {
                Ok(Some(end)) => self.ended = Some(end),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                _ => return false,
            }
        }
        true
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self, patience: Duration) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            self.reap(patience);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill(Duration::from_secs(20));
    }
}
