// SPDX-License-Identifier: MIT OR Apache-2.0
//! Migration of a run: another QEMU takes the guest over, between two of its instructions.
//!
//! The new QEMU has all that the old one had: kernel, initramfs, and the same ends of the same socket pairs. So
//! neither the guest nor who talks with it notices, and what the card's tap and the serial port have put in files
//! is gone on with. The state goes through a file: the old QEMU has ended before the new one starts, and never
//! do two of them write at a time.
//!
//! As long as a VM has its luggage, its streams do not end with QEMU: the machine protocol tells when that is gone.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::argv::{self, Fds, Files, HOP_STATE};
use crate::error::{Error, Kind};
use crate::layout::Layout;
use crate::process::Process;
use crate::pulse::Pulse;
use crate::vm::{PARTING, Vm};

/// Host time for the state of a guest to be written, or read.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often QEMU is asked whether it is done.
const GLANCE: Duration = Duration::from_millis(2);

/// What the next QEMU needs.
#[derive(Debug)]
pub(crate) struct Luggage {
    qemu: PathBuf,
    kernel: PathBuf,
    release: String,
    /// The initramfs, and QEMU's ends of what it talks over, the machine protocol's left out.
    theirs: Vec<OwnedFd>,
    hops: u32,
}

impl Luggage {
    /// Of a QEMU that is given `theirs`: the initramfs, and the ends in the order of [`Fds`].
    pub(crate) fn pack(theirs: &[OwnedFd], layout: &Layout, release: &str) -> io::Result<Self> {
        let theirs = theirs
            .iter()
            .enumerate()
            .filter(|(number, _)| *number != 1)
            .map(|(_, fd)| fd.try_clone())
            .collect::<io::Result<_>>()?;
        Ok(Self {
            qemu: layout.qemu(),
            kernel: layout.kernel(release).join("vmlinuz"),
            release: release.to_owned(),
            theirs,
            hops: 0,
        })
    }
}

impl Vm {
    /// Moves the guest to another QEMU. It goes on there at once if it ran.
    ///
    /// # Errors
    /// A VM that was not made [`movable`](crate::Config::movable), and a QEMU that cannot write the guest's state
    /// or cannot read it: the guest is lost then.
    pub fn hop(&mut self) -> Result<(), Error> {
        let Some(mut luggage) = self.luggage.take() else {
            return Err(Error::setup("this VM was not started to be moved"));
        };
        let state = self.dir.join(HOP_STATE);
        let broken = |e: io::Error| Error::new(Kind::Died, format!("migration: {e}"));
        let qmp = self.qmp()?;
        // The guest runs on while its memory is written, and stops when what is left takes no longer than this.
        let limits = json!({ "max-bandwidth": 1_u64 << 40, "downtime-limit": 60_000 });
        qmp.execute("migrate-set-parameters", limits)
            .map_err(broken)?;
        qmp.execute(
            "migrate",
            json!({ "uri": format!("file:{}", state.display()) }),
        )
        .map_err(broken)?;
        self.moved()?;
        self.left.store(true, Ordering::Release);
        // It may be gone before it has answered.
        let _ = self.qmp()?.execute("quit", json!({}));
        if !self.process.reap(PARTING) {
            return Err(Error::new(Kind::Died, "migration: the old QEMU stays"));
        }
        luggage.hops += 1;
        self.unpack(&luggage)?;
        self.luggage = Some(luggage);
        self.moved()?;
        std::fs::remove_file(&state).map_err(|e| Error::file(&state, &e))
    }

    /// Starts the next QEMU.
    fn unpack(&mut self, luggage: &Luggage) -> Result<(), Error> {
        let broken = |e: io::Error| Error::setup(format!("migration: {e}"));
        let (qmp, qmp_theirs) = UnixStream::pair().map_err(broken)?;
        let mut theirs = luggage
            .theirs
            .iter()
            .map(OwnedFd::try_clone)
            .collect::<io::Result<Vec<_>>>()
            .map_err(broken)?;
        let [initrd, control, stdin, stdout, stderr, ..] = theirs.as_slice() else {
            return Err(Error::setup("migration: something was left behind"));
        };
        let fds = Fds {
            initrd: initrd.as_raw_fd(),
            qmp: qmp_theirs.as_raw_fd(),
            control: control.as_raw_fd(),
            stdin: stdin.as_raw_fd(),
            stdout: stdout.as_raw_fd(),
            stderr: stderr.as_raw_fd(),
            tty: theirs.last().map_or(-1, AsRawFd::as_raw_fd),
        };
        theirs.push(qmp_theirs.into());
        let files = Files {
            kernel: &luggage.kernel,
            release: &luggage.release,
            dir: self.dir.path(),
            hops: luggage.hops,
        };
        let args = argv::build(&self.config, self.accel, files, fds)?;
        self.process = Process::launch(&luggage.qemu, &args, &self.dir, theirs)
            .map_err(|e| Error::file(&luggage.qemu, &e))?;
        self.left = Arc::new(AtomicBool::new(false));
        self.qmp_stream = Some(qmp);
        let mut pulse = Pulse::new(self.process.id(), &self.dir.join("serial.log"));
        self.greet(&mut pulse)
    }

    /// Waits until QEMU has written the guest's state, or read it.
    fn moved(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ok(info) = self.qmp()?.execute("query-migrate", json!({})) else {
                return Err(self.gone("in the middle of a migration"));
            };
            let trouble = match info["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => info["error-desc"].to_string(),
                _ if Instant::now() >= deadline => "no end of it".to_owned(),
                _ => {
                    thread::sleep(GLANCE);
                    continue;
                }
            };
            return Err(Error::new(Kind::Died, format!("migration: {trouble}")));
        }
    }
}
