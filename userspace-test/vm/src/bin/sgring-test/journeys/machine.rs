// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine that lacks something, for `scripts/vm`'s program to meet.
//!
//! Its `build/` is one of links to the real one, in which a part can be another;
//! what the program sees of the system is changed in a mount namespace of its
//! own. Neither can harm what others use, and the namespace goes with its last
//! process.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::folder;
use crate::Context;

/// One such machine, in a folder of its own.
pub struct Machine {
    dir: PathBuf,
    real: PathBuf,
    program: PathBuf,
    setup: String,
}

impl Machine {
    /// A machine that lacks nothing yet.
    pub fn new(context: &Context, name: &str) -> Result<Self, String> {
        let dir = folder(context, name)?;
        let real = context.layout.build().to_owned();
        let build = dir.join("build");
        std::fs::create_dir_all(build.join("vm")).map_err(|e| e.to_string())?;
        for part in ["kernel", "qemu", "guest", "driver"] {
            symlink(real.join(part), build.join(part)).map_err(|e| format!("{part}: {e}"))?;
        }
        // The sources around it.
        for part in ["userspace-test", "qemu-device", "scripts"] {
            symlink(context.layout.checkout().join(part), dir.join(part))
                .map_err(|e| format!("{part}: {e}"))?;
        }
        Ok(Self {
            dir,
            real,
            program: context.layout.programs().join("sgring-vm"),
            setup: String::new(),
        })
    }

    /// Its own folder, for the files of the test.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its `build/`.
    pub fn build(&self) -> PathBuf {
        self.dir.join("build")
    }

    /// The place of a part of `build/`, empty: its neighbours stay.
    pub fn without(&self, part: &str) -> Result<PathBuf, String> {
        let at = |e: std::io::Error| format!("{part}: {e}");
        let mut here = self.build();
        let mut real = self.real.clone();
        for word in Path::new(part) {
            if here.is_symlink() {
                std::fs::remove_file(&here).map_err(at)?;
                std::fs::create_dir(&here).map_err(at)?;
                for entry in std::fs::read_dir(&real).map_err(at)?.flatten() {
                    symlink(entry.path(), here.join(entry.file_name())).map_err(at)?;
                }
            }
            here.push(word);
            real.push(word);
        }
        if here.is_symlink() {
            std::fs::remove_file(&here).map_err(at)?;
            Ok(here)
        } else {
            Err(format!("{part}: is not there to be taken away"))
        }
    }

    /// Puts a QEMU in front of the real one, `$real` in this shell script.
    pub fn qemu(&self, script: &str) -> Result<(), String> {
        let name = "qemu/bin/qemu-system-x86_64";
        let path = self.without(name)?;
        let real = self.real.join(name);
        let text = format!("#!/bin/bash\nreal='{}'\n{script}\n", real.display());
        std::fs::write(&path, text).map_err(|e| e.to_string())?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .map_err(|e| e.to_string())
    }

    /// Lines of shell that change the machine, in its own mount namespace,
    /// before the program starts. `$here` is its folder.
    pub fn change(&mut self, lines: &str) {
        self.setup.push_str(lines);
        self.setup.push('\n');
    }

    /// Puts a file in the place of one of the system's.
    pub fn instead(&mut self, system: &str, text: &str) -> Result<(), String> {
        let name = system.replace('/', "-");
        std::fs::write(self.dir.join(&name), text).map_err(|e| e.to_string())?;
        self.change(&format!("mount --bind \"$here/{name}\" {system}"));
        Ok(())
    }

    /// `scripts/vm`'s program on this machine.
    pub fn vm(&self, args: &[&str]) -> Command {
        self.program(&self.program, args)
    }

    /// A program on this machine.
    pub fn program(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-ec"])
            .arg(format!("here=$1; shift\n{}exec \"$@\"", self.setup))
            .arg("sh")
            .arg(&self.dir)
            .arg(program)
            .args(args)
            .env("SGRING_BUILD", self.build())
            .env_remove("SGRING_KVM_PATIENCE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `scripts/vm`'s program to its end and looks whether it left
    /// anything running.
    pub fn output(&self, args: &[&str]) -> Result<Output, String> {
        let output = self
            .vm(args)
            .output()
            .map_err(|e| format!("unshare: {e}"))?;
        self.nothing_runs()?;
        Ok(output)
    }

    /// Whether a process names this machine's folder, as QEMU does each time.
    pub fn nothing_runs(&self) -> Result<(), String> {
        let mark = format!("{}/", self.dir.display());
        let processes = std::fs::read_dir("/proc").map_err(|e| e.to_string())?;
        for entry in processes.flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&mark) {
                let pid = entry.file_name();
                return Err(format!("left running: {}: {line}", pid.to_string_lossy()));
            }
        }
        Ok(())
    }
}
