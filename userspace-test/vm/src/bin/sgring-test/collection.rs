// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packs guest programs as a kselftest collection: the kernel tree's own runner,
//! a list, our programs. Any farm that can run kselftest can run it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sgring_vm::Layout;

/// Seconds of guest time for one program.
const TIMEOUT: u32 = 300;

/// The runner's files in `tools/testing/selftests`.
const RUNNER: [&str; 4] = [
    "run_kselftest.sh",
    "kselftest/runner.sh",
    "kselftest/ktap_helpers.sh",
    "kselftest/prefix.pl",
];

/// The programs of the suite, by its sources: one that is not built is missed.
pub fn programs(layout: &Layout) -> Vec<String> {
    let sources = layout.checkout().join("userspace-test/suite/src/bin");
    let mut names: Vec<String> = std::fs::read_dir(sources)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .filter_map(|n| n.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// A program for the collection: a built one, or the text of a script.
pub enum Program<'a> {
    /// Of the workspace.
    Built(&'a str),
    /// A name and its text.
    Script(&'a str, &'a str),
    /// A name in the list and nothing behind it.
    Absent(&'a str),
}

/// Makes the folder of a collection named `sgring` at `dir`.
pub fn pack(layout: &Layout, dir: &Path, programs: &[Program<'_>]) -> Result<(), String> {
    let release = layout.release().map_err(|e| e.to_string())?;
    let tree = layout.kernel(&release).join("tree/tools/testing/selftests");
    let _ = std::fs::remove_dir_all(dir);
    for file in RUNNER {
        copy(&tree.join(file), &dir.join(file))?;
    }
    let mut list = String::new();
    for program in programs {
        let name = match program {
            Program::Built(name) => {
                let to = dir.join("sgring").join(name);
                let from = layout.programs().join(name);
                // The runner reports a program that is not there.
                if from.exists() {
                    copy(&from, &to)?;
                    strip(&to);
                }
                name
            }
            Program::Script(name, text) => {
                let to = dir.join("sgring").join(name);
                write(&to, text)?;
                mode(&to, 0o755)?;
                name
            }
            Program::Absent(name) => name,
        };
        list.push_str(&format!("sgring:{name}\n"));
    }
    write(&dir.join("kselftest-list.txt"), &list)?;
    write(
        &dir.join("sgring/settings"),
        &format!("timeout={TIMEOUT}\n"),
    )
}

/// Where the collection of the whole suite is left.
pub fn place(layout: &Layout) -> PathBuf {
    layout.build().join("suite")
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    parent(to)?;
    std::fs::copy(from, to).map_err(|e| format!("{}: {e}", from.display()))?;
    mode(to, 0o755)
}

fn write(to: &Path, text: &str) -> Result<(), String> {
    parent(to)?;
    std::fs::write(to, text).map_err(|e| format!("{}: {e}", to.display()))
}

fn parent(of: &Path) -> Result<(), String> {
    let dir = of.parent().unwrap_or(of);
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))
}

fn mode(path: &Path, mode: u32) -> Result<(), String> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// Debugging information stays on the host; without strip it goes along.
fn strip(path: &Path) {
    let _ = Command::new("strip").arg(path).status();
}
