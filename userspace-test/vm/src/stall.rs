// SPDX-License-Identifier: MIT OR Apache-2.0
//! A host that does not let QEMU run for a while.

use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Kind};
use crate::vm::Vm;

/// Host time for a process to stop once it was told to.
const PATIENCE: Duration = Duration::from_secs(10);

impl Vm {
    /// Stops QEMU, all of it and without its knowledge, for at least `time`. The guest's time goes on, but under
    /// icount.
    ///
    /// # Errors
    /// A QEMU that is gone.
    pub fn stall(&mut self, time: Duration) -> Result<(), Error> {
        let gone = |why: String| Error::new(Kind::Died, format!("QEMU cannot be stopped: {why}"));
        let id = self.process.id();
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| gone(format!("process {id}")))?;
        kill_process(pid, Signal::STOP).map_err(|e| gone(e.to_string()))?;
        let stopped = all_stopped(id).map(|()| thread::sleep(time));
        // Whatever came of it: nobody else would.
        kill_process(pid, Signal::CONT).map_err(|e| gone(e.to_string()))?;
        stopped.map_err(gone)
    }
}

/// Waits until no thread of a process runs any more.
fn all_stopped(id: u32) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tasks = fs::read_dir(format!("/proc/{id}/task")).map_err(|e| e.to_string())?;
        let stopped = tasks.flatten().all(|task| {
            // A thread that has ended meanwhile does not run either.
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            state(&stat).is_none_or(|state| state == 'T')
        });
        if stopped {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err("it runs on".to_owned());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The state in a line of `/proc/PID/stat`: behind the name, which may have anything in it.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_comes_behind_the_name() {
        assert_eq!(state("12 (a) R b) T 1 12"), Some('T'));
        assert_eq!(state(""), None);
    }
}
