// SPDX-License-Identifier: MIT OR Apache-2.0
//! The driver and its device, as sysfs and the module loader have them.

use crate::card;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

/// The module's name.
pub const MODULE: &std::ffi::CStr = c"snd_sgring";

/// The card's PCI device and the driver that it is bound to, and that it is bound to again when this is
/// dropped.
#[derive(Debug)]
pub struct Device {
    path: PathBuf,
    driver: PathBuf,
}

impl Device {
    /// The device of the card, which is there.
    ///
    /// # Errors
    ///
    /// As [`card::pci_device`], or when it has no driver.
    pub fn of_card() -> io::Result<Self> {
        let path = card::pci_device()?;
        let driver = fs::canonicalize(path.join("driver"))?;
        Ok(Self { path, driver })
    }

    /// Whether a driver is bound to it.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.path.join("driver").exists()
    }

    fn command(&self, file: &str) -> io::Result<()> {
        let address = self
            .path
            .file_name()
            .map_or_else(OsString::new, OsString::from);
        fs::write(self.driver.join(file), address.as_encoded_bytes())
    }

    /// Takes the driver away.
    ///
    /// # Errors
    ///
    /// `ENODEV`: it is not bound.
    pub fn unbind(&self) -> io::Result<()> {
        self.command("unbind")
    }

    /// Brings the driver back. The card is there when this returns.
    ///
    /// # Errors
    ///
    /// What the driver's probe says.
    pub fn bind(&self) -> io::Result<()> {
        self.command("bind")
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // A test that stopped half way leaves the card to the next one.
        if !self.is_bound() {
            let _ = self.bind();
        }
    }
}

/// Sees to it that the module is loaded when a test ends, wherever it ends.
#[derive(Debug)]
pub struct Loaded;

impl Drop for Loaded {
    fn drop(&mut self) {
        if !is_loaded() {
            let _ = load(&[]);
        }
    }
}

/// Whether the module is loaded.
#[must_use]
pub fn is_loaded() -> bool {
    fs::exists("/sys/module/snd_sgring").unwrap_or(false)
}

/// Loads the module as the system does, with `parameters` (`NAME=VALUE`). The card is there when this
/// returns.
///
/// # Errors
///
/// When modprobe cannot be run or fails.
pub fn load(parameters: &[&str]) -> io::Result<()> {
    let output = Command::new("modprobe")
        .arg("snd_sgring")
        .args(parameters)
        .output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )),
    }
}
