// SPDX-License-Identifier: MIT OR Apache-2.0
//! The driver's module parameters, while it is loaded.

use std::fs;
use std::io;
use std::path::PathBuf;

fn file(name: &str) -> PathBuf {
    PathBuf::from("/sys/module/snd_sgring/parameters").join(name)
}

/// The value of parameter `name`.
///
/// # Errors
///
/// As for reading its file.
pub fn get(name: &str) -> io::Result<String> {
    Ok(fs::read_to_string(file(name))?.trim_end().to_owned())
}

/// Sets parameter `name`.
///
/// # Errors
///
/// What the driver answers.
pub fn set(name: &str, value: &str) -> io::Result<()> {
    fs::write(file(name), value)
}

/// A parameter with another value for a while: dropped, it has the old one again.
#[derive(Debug)]
pub struct Changed {
    name: &'static str,
    before: String,
}

impl Changed {
    /// Sets parameter `name` to `value`.
    ///
    /// # Errors
    ///
    /// As [`get`] and [`set`].
    pub fn to(name: &'static str, value: impl ToString) -> io::Result<Self> {
        let before = get(name)?;
        set(name, &value.to_string())?;
        Ok(Self { name, before })
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        if let Err(error) = set(self.name, &self.before) {
            eprintln!("{} is not {} again: {error}", self.name, self.before);
        }
    }
}
