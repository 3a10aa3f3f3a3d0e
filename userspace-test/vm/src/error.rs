// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong around a command, as opposed to in it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The kind of an [`Error`]; each has an exit code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The VM could not be set up: a missing file, a bad option.
    Setup,
    /// The guest did not come up in time.
    Boot,
    /// The guest came up and could not do what comes before the command, such
    /// as to load the card's driver.
    Guest,
    /// QEMU ended by itself, or the guest's kernel panicked.
    Died,
    /// The command ran longer than it was given.
    Timeout,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

impl Kind {
    /// The exit code of a program that ends with such an error.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Setup | Self::Boot | Self::Guest | Self::Died => 125,
            Self::Timeout => 124,
            Self::Interrupted => 130,
        }
    }
}

/// An error of the VM itself. `Display` gives the whole story in a few lines.
#[derive(Clone, Debug)]
pub struct Error {
    /// What kind of trouble.
    pub kind: Kind,
    /// One line, then perhaps the last lines of a log.
    pub message: String,
    /// The folder of the run, when there was one.
    pub dir: Option<PathBuf>,
}

impl Error {
    /// A new error without a run.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            dir: None,
        }
    }

    /// A [`Kind::Setup`] error.
    pub fn setup(message: impl Into<String>) -> Self {
        Self::new(Kind::Setup, message)
    }

    /// A file that could not be read or written.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        Self::setup(match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                format!("{path}: no space left on this disk: free some, then run it again")
            }
            _ => format!("{path}: {error}"),
        })
    }

    /// The same error, of the run that left this folder.
    pub(crate) fn of(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(dir) = &self.dir {
            write!(f, "\nlogs: {}", dir.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
