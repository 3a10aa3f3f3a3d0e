// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a guest that boots is alive, however slow it is.
//!
//! Three things tell: its console says something, it touches memory that it had
//! not touched before (unpacking its files it says nothing for long), or it
//! speaks through a port. A guest that hangs after the firmware does none of them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Pages of QEMU's memory that come and go by themselves.
const NOISE: u64 = 64;

/// The signs of life of one guest.
#[derive(Debug)]
pub(crate) struct Pulse {
    console: PathBuf,
    memory: PathBuf,
    said: u64,
    touched: u64,
    last: Instant,
}

impl Pulse {
    /// Of the QEMU with this process id, whose guest's console is this file.
    pub(crate) fn new(pid: u32, console: &Path) -> Self {
        Self {
            console: console.to_owned(),
            memory: PathBuf::from(format!("/proc/{pid}/statm")),
            said: 0,
            touched: 0,
            last: Instant::now(),
        }
    }

    /// A sign that came another way.
    pub(crate) fn beat(&mut self) {
        self.last = Instant::now();
    }

    /// How long there has been no sign.
    pub(crate) fn silence(&mut self) -> Duration {
        let said = self.console.metadata().map_or(0, |m| m.len());
        let touched = std::fs::read_to_string(&self.memory)
            .ok()
            .and_then(|text| resident(&text))
            .unwrap_or(0);
        self.seen(said, touched);
        self.last.elapsed()
    }

    fn seen(&mut self, said: u64, touched: u64) {
        if said > self.said || touched > self.touched + NOISE {
            self.said = said.max(self.said);
            self.touched = touched.max(self.touched);
            self.beat();
        }
    }
}

/// The pages in memory, out of `/proc/PID/statm`.
fn resident(statm: &str) -> Option<u64> {
    statm.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_new_memory_are_signs_and_nothing_else() {
        let mut pulse = Pulse::new(0, Path::new("/nowhere"));
        let mut sign = |said, touched| {
            let before = Instant::now();
            pulse.last = before;
            std::hint::black_box(&pulse);
            pulse.last -= Duration::from_secs(5);
            pulse.seen(said, touched);
            pulse.last >= before
        };
        assert!(sign(1, 0));
        assert!(!sign(1, 0));
        assert!(!sign(1, NOISE));
        assert!(sign(1, NOISE + 1));
        assert!(!sign(1, 2 * NOISE));
        assert!(sign(2, 0));
    }

    #[test]
    fn the_second_number_is_the_resident_one() {
        assert_eq!(resident("292640 2817 1935 1 0 50 0\n"), Some(2817));
        assert_eq!(resident(""), None);
    }
}
