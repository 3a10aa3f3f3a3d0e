// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our own terminal, joined to the guest's.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rustix::termios::{self, OptionalActions, Termios};

/// `rows R cols C` for stty, or nothing when we have no terminal.
pub(crate) fn size() -> String {
    termios::tcgetwinsize(rustix::stdio::stdin())
        .ok()
        .filter(|w| w.ws_row > 0 && w.ws_col > 0)
        .map(|w| format!("rows {} cols {}", w.ws_row, w.ws_col))
        .unwrap_or_default()
}

/// Standard input in raw mode until dropped: the guest's terminal does the
/// echoing and the signals.
#[derive(Debug)]
pub(crate) struct Raw(Termios);

impl Raw {
    /// `None` when standard input is no terminal.
    pub(crate) fn enter() -> Option<Self> {
        let old = termios::tcgetattr(rustix::stdio::stdin()).ok()?;
        let mut new = old.clone();
        new.make_raw();
        termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &new).ok()?;
        Some(Self(old))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// Types our standard input into the guest's terminal, and Ctrl-D at its end:
/// a terminal knows no other. A program that is about to change the terminal's
/// mode may lose one, so it is typed until the guest is off.
pub(crate) fn type_into(mut keys: UnixStream) {
    thread::spawn(move || {
        let mut typed = io::copy(&mut io::stdin(), &mut keys).map(drop);
        while typed.is_ok() {
            typed = keys.write_all(b"\x04");
            thread::sleep(Duration::from_secs(1));
        }
    });
}
