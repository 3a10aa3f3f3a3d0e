// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's trace events (Documentation/trace/events.rst), of one subsystem at a time.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::path::Path;

const TRACEFS: &str = "/sys/kernel/tracing";

/// Events being recorded. Dropped, they are not any more.
#[derive(Debug)]
pub struct Trace {
    subsystem: &'static str,
}

fn write(file: &str, text: &str) -> io::Result<()> {
    fs::write(Path::new(TRACEFS).join(file), text)
}

/// Mounts tracefs where it belongs, if it is not there.
fn mount() -> io::Result<()> {
    if Path::new(TRACEFS).join("trace").exists() {
        return Ok(());
    }
    // SAFETY: Static strings.
    let result = unsafe {
        libc::mount(
            c"tracefs".as_ptr(),
            c"/sys/kernel/tracing".as_ptr(),
            c"tracefs".as_ptr(),
            0,
            std::ptr::null(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Trace {
    /// Records all events of `subsystem` from now on, in an empty buffer.
    ///
    /// # Errors
    ///
    /// As for mounting tracefs and for writing its files; `NotFound` where there is no such subsystem.
    pub fn start(subsystem: &'static str) -> io::Result<Self> {
        mount()?;
        write("trace", "")?;
        let trace = Self { subsystem };
        trace.enable(true)?;
        Ok(trace)
    }

    fn enable(&self, on: bool) -> io::Result<()> {
        let value = if on { "1" } else { "0" };
        write(&format!("events/{}/enable", self.subsystem), value)
    }

    /// Stops and returns what this process's first thread has caused: `event: fields` each.
    ///
    /// # Errors
    ///
    /// As for reading or writing tracefs.
    pub fn stop(self) -> io::Result<Vec<String>> {
        self.stop_of(std::process::id())
    }

    /// Stops and returns what thread `tid` has caused.
    ///
    /// # Errors
    ///
    /// As [`Self::stop`].
    pub fn stop_of(self, tid: u32) -> io::Result<Vec<String>> {
        self.enable(false)?;
        let pid = format!("-{tid}");
        let text = fs::read_to_string(Path::new(TRACEFS).join("trace"))?;
        Ok(text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                // TASK-PID [CPU] FLAGS TIME: event: fields
                let (task, rest) = line.split_once(" [")?;
                let (_, event) = rest.split_once(": ")?;
                task.trim_end().ends_with(&pid).then(|| event.to_owned())
            })
            .collect())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // A test that has failed says so itself.
        let _ = self.enable(false);
    }
}
