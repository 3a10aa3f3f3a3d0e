// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only the host can do: the card's properties, set over QMP by the journey that listens.
//!
//! A request is a line `host: NAME VALUE [NAME VALUE]...` on standard output, its answer a line on standard
//! input. Neither goes through the card. Who waits for the answer spins: a guest that sleeps lets its time fly.
#![allow(unsafe_code)]

use sgring_suite::tap::{Outcome, Stop};
use std::fmt::Display;
use std::io::{self, Write};

/// Asks for something; [`answered`] has to follow.
pub fn ask(what: impl Display) -> Outcome {
    let mut out = io::stdout().lock();
    writeln!(out, "host: {what}")?;
    Ok(out.flush()?)
}

fn is_there() -> io::Result<bool> {
    let mut fd = libc::pollfd {
        fd: 0,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: One descriptor.
    match unsafe { libc::poll(&raw mut fd, 1, 0) } {
        0.. => Ok(fd.revents & libc::POLLIN != 0),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits until the host has done what was asked.
pub fn answered() -> Outcome {
    while !is_there()? {}
    let mut line = String::new();
    match io::stdin().read_line(&mut line)? {
        0 => Err(Stop::Fail("the host has hung up".into())),
        _ => Ok(()),
    }
}

/// Has the host set properties of the card, and waits until it has.
pub fn set(what: impl Display) -> Outcome {
    ask(what)?;
    answered()
}

/// Faults, by the properties' names without `fault-`, from now until this is ended or dropped.
pub struct Faults(Vec<&'static str>);

impl Faults {
    /// One, or several in one moment of the guest.
    pub fn set(faults: &[(&'static str, &dyn Display)]) -> Result<Self, Stop> {
        let words: Vec<_> = faults
            .iter()
            .map(|(name, value)| format!("fault-{name} {value}"))
            .collect();
        let names = faults.iter().map(|&(name, _)| name).collect();
        set(words.join(" "))?;
        Ok(Self(names))
    }

    /// A single one.
    pub fn one(name: &'static str, value: impl Display) -> Result<Self, Stop> {
        Self::set(&[(name, &value)])
    }

    /// The card is sound again when this returns.
    pub fn end(mut self) -> Outcome {
        Self::clear(std::mem::take(&mut self.0))
    }

    fn clear(names: Vec<&str>) -> Outcome {
        let off = |name: &str| match name {
            "stuck" | "position-frozen" | "reset-hangs" | "vanished" => "false",
            "stream" => "4294967295",
            _ => "0",
        };
        let words: Vec<_> = names
            .iter()
            .map(|name| format!("fault-{name} {}", off(name)))
            .collect();
        match words.is_empty() {
            true => Ok(()),
            false => set(words.join(" ")),
        }
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        // A test that has failed leaves a sound card to the next one.
        let _ = Self::clear(std::mem::take(&mut self.0));
    }
}
