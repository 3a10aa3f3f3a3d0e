// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a command left behind.

use std::time::Duration;

use crate::accel::Accel;
use crate::rundir::RunDir;

/// What a command left behind. The VM is gone.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command's exit status as a shell has it, 0 to 255.
    pub status: u8,
    /// The kernel's taint bits at the end; 0 when the guest was switched off
    /// by hand.
    pub taint: u64,
    /// How the code was run.
    pub accel: Accel,
    /// Host time from QEMU's start to the command's.
    pub boot: Duration,
    /// Host time that the command took.
    pub command: Duration,
    /// Host time from QEMU's start to the first frame out of the card.
    pub first_audio: Option<Duration>,
    /// The run's folder.
    pub dir: RunDir,
}

impl Outcome {
    /// What the command wrote to its standard output.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.dir.text("stdout")
    }

    /// What the command wrote to its standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.dir.text("stderr")
    }

    /// The kernel's log.
    #[must_use]
    pub fn serial(&self) -> String {
        self.dir.text("serial.log")
    }

    /// What QEMU said, trace events among it.
    #[must_use]
    pub fn qemu_log(&self) -> String {
        self.dir.text("qemu.log")
    }
}
