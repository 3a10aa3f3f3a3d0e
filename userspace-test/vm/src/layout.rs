// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the parts of a VM lie: the `build/` folder that `make` fills.

use std::path::{Path, PathBuf};

use crate::config::Kernel;
use crate::error::Error;

/// The `build/` folder and what is found in it.
#[derive(Clone, Debug)]
pub struct Layout {
    build: PathBuf,
    programs: PathBuf,
}

impl Layout {
    /// The layout of the checkout this program was started in.
    ///
    /// `SGRING_BUILD` names the folder; without it, it is `build/` of the
    /// nearest folder upwards that has one. The guest's own programs are taken
    /// from beside the running program, so that debug builds test debug builds.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn find() -> Result<Self, Error> {
        let build = match std::env::var_os("SGRING_BUILD") {
            Some(dir) => PathBuf::from(dir),
            None => std::env::current_dir()
                .ok()
                .and_then(|cwd| {
                    cwd.ancestors()
                        .map(|dir| dir.join("build"))
                        .find(|dir| dir.join("kernel").is_dir())
                })
                .ok_or_else(|| {
                    Error::setup("no build/ folder here or above: run `make` in the checkout first")
                })?,
        };
        let build = build
            .canonicalize()
            .map_err(|e| Error::setup(format!("{}: {e}", build.display())))?;
        let exe = std::env::current_exe().map_err(|e| Error::setup(format!("own path: {e}")))?;
        let mut programs = exe.parent().unwrap_or(Path::new("/")).to_path_buf();
        if programs.ends_with("deps") {
            programs.pop();
        }
        Ok(Self { build, programs })
    }

    /// The `build/` folder itself.
    #[must_use]
    pub fn build(&self) -> &Path {
        &self.build
    }

    /// The checkout around it.
    #[must_use]
    pub fn checkout(&self) -> &Path {
        self.build.parent().unwrap_or(Path::new("/"))
    }

    /// Where cargo put the programs, the guest's among them.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// Where runs are kept.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.build.join("vm")
    }

    /// Where results are kept: those of runs on a debug kernel in a folder below.
    #[must_use]
    pub fn results(&self) -> PathBuf {
        let results = self.build.join("results");
        match self.kind() {
            Kernel::Debug => results.join("debug"),
            Kernel::Kasan => results.join("kasan"),
            Kernel::Stock | Kernel::Rt => results,
        }
    }

    /// Of which kind this run's kernel is.
    #[must_use]
    pub fn kind(&self) -> Kernel {
        self.release().map_or(Kernel::Stock, |r| Kernel::of(&r))
    }

    /// Whether this run's kernel is a debug kernel.
    #[must_use]
    pub fn on_debug(&self) -> bool {
        self.kind().looks()
    }

    /// The driver with bugs on request, made for one kernel.
    #[must_use]
    pub fn planted(&self, release: &str) -> PathBuf {
        self.build
            .join("planted")
            .join(release)
            .join("snd-sgring.ko")
    }

    /// The release of the chosen kernel, such as `7.2.12+deb13-amd64`:
    /// `SGRING_KERNEL`, where one is pinned for this run, or else the newest
    /// that is set up.
    ///
    /// # Errors
    /// When no kernel was chosen yet.
    pub fn release(&self) -> Result<String, Error> {
        if let Some(release) = std::env::var("SGRING_KERNEL")
            .ok()
            .filter(|r| !r.is_empty())
        {
            return Ok(release);
        }
        let path = self.build.join("kernel/current/release");
        std::fs::read_to_string(&path)
            .map(|text| text.trim().to_owned())
            .map_err(|_| Self::missing(&path, "kernel", "make kernel"))
    }

    /// A part of the layout that is not there, and the command that makes it.
    pub(crate) fn missing(path: &Path, what: &str, make: &str) -> Error {
        Error::setup(format!(
            "{}: the {what} is not set up: run `{make}`",
            path.display()
        ))
    }

    /// The folder of one kernel.
    #[must_use]
    pub fn kernel(&self, release: &str) -> PathBuf {
        self.build.join("kernel").join(release)
    }

    /// The driver made for one kernel.
    #[must_use]
    pub fn driver(&self, release: &str) -> PathBuf {
        self.build
            .join("driver")
            .join(release)
            .join("snd-sgring.ko")
    }

    /// QEMU with the card.
    #[must_use]
    pub fn qemu(&self) -> PathBuf {
        self.build.join("qemu/bin/qemu-system-x86_64")
    }

    /// The guest's userland.
    #[must_use]
    pub fn base(&self) -> PathBuf {
        self.build.join("guest/base.cpio")
    }

    /// A sound server for the guest.
    #[must_use]
    pub fn sound(&self) -> PathBuf {
        self.build.join("guest/sound.cpio")
    }

    /// The guest's modules for one kernel.
    #[must_use]
    pub fn modules(&self, release: &str) -> PathBuf {
        self.build.join("guest").join(release).join("modules.cpio")
    }
}
