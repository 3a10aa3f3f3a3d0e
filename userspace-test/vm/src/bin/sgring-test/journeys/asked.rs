// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest program asks of the host: lines `host: WORD` on its standard output.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Passes on what is asked.
pub struct Listener {
    part: Vec<u8>,
    sender: Sender<String>,
}

/// What the guest's output goes to, and the words as they come.
pub fn listener() -> (Listener, Receiver<String>) {
    let (sender, receiver) = channel();
    let part = Vec::new();
    (Listener { part, sender }, receiver)
}

impl Write for Listener {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            if byte != b'\n' {
                self.part.push(byte);
                continue;
            }
            let line = std::mem::take(&mut self.part);
            if let Some(word) = String::from_utf8_lossy(&line).strip_prefix("host: ") {
                // Nobody listens any more: the run is over.
                let _ = self.sender.send(word.to_owned());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
