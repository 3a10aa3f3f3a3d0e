// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel logs while a test runs.

use crate::tap::{Outcome, Stop};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// Words of the kernel's own alarms.
const ALARMS: [&str; 8] = [
    "BUG",
    "WARNING:",
    "Oops",
    "Bad page",
    "Bad rss",
    "bad pte",
    "KFENCE",
    "refcount_t",
];

/// The log from the moment on that this was made.
#[derive(Debug)]
pub struct Watch(File);

impl Watch {
    /// Starts to watch.
    ///
    /// # Errors
    ///
    /// As for opening /dev/kmsg.
    pub fn new() -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// The lines logged since the last call.
    ///
    /// # Errors
    ///
    /// As for reading /dev/kmsg.
    pub fn lines(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(0) => return Ok(lines),
                Ok(length) => {
                    let record = String::from_utf8_lossy(&record[..length]).into_owned();
                    // "level,sequence,time,flags;text", then continuation lines.
                    let text = record
                        .split_once(';')
                        .map_or(record.as_str(), |parts| parts.1);
                    lines.extend(text.lines().next().map(str::to_owned));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(lines),
                // Records were overwritten before they were read.
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Those of `lines` that are alarms.
    #[must_use]
    pub fn alarms(lines: &[String]) -> Vec<String> {
        let alarm = |line: &&String| ALARMS.iter().any(|word| line.contains(word));
        lines.iter().filter(alarm).cloned().collect()
    }

    /// Fails if the kernel has logged an alarm since the last call.
    ///
    /// # Errors
    ///
    /// A failure with the lines.
    pub fn quiet(&mut self) -> Outcome {
        let alarms = Self::alarms(&self.lines()?);
        match alarms.is_empty() {
            true => Ok(()),
            false => Err(Stop::Fail(format!(
                "the kernel says: {}",
                alarms.join("\n")
            ))),
        }
    }
}
