// SPDX-License-Identifier: MIT OR Apache-2.0
//! Markers: where in a run something begins or ends, for whoever looks at the guest from outside.
//!
//! A marker is a byte written to I/O port 0x80, where nothing is but QEMU's trace: run the guest with
//! `scripts/vm --trace memory_region_ops_write`, and among the lines of `qemu.log` are those with
//! `name 'ioport80'`, the marker as `value`, in order with all register accesses of the card. A plugin of
//! QEMU's sees the same instruction.
//!
//! It costs a system call; keep it out of what is timed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The port of a PC's power-on checks.
const PORT: u64 = 0x80;

/// Marks the run.
#[derive(Debug)]
pub struct Marker(Option<File>);

impl Marker {
    /// Opens the port. Without the right to it, or outside a PC, no marks are made.
    #[must_use]
    pub fn new() -> Self {
        Self::at(Path::new("/dev/port"))
    }

    fn at(path: &Path) -> Self {
        Self(OpenOptions::new().write(true).open(path).ok())
    }

    /// Whether marks are made.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Makes a mark.
    ///
    /// # Errors
    ///
    /// Those of the port.
    pub fn mark(&self, code: u8) -> io::Result<()> {
        match &self.0 {
            Some(port) => port.write_all_at(&[code], PORT),
            None => Ok(()),
        }
    }
}

impl Default for Marker {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_one_byte_at_the_port() {
        let path = std::env::temp_dir().join(format!("sgring-marker-{}", std::process::id()));
        std::fs::write(&path, []).unwrap();
        let marker = Marker::at(&path);
        assert!(marker.is_open());
        marker.mark(7).unwrap();
        marker.mark(9).unwrap();
        let written = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(written.len() as u64, PORT + 1);
        assert_eq!(written.last(), Some(&9));
        assert!(written[..PORT as usize].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn without_a_port_nothing_happens() {
        let marker = Marker::at(Path::new("/nowhere/port"));
        assert!(!marker.is_open());
        marker.mark(1).unwrap();
    }
}
