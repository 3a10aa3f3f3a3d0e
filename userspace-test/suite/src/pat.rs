// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cache modes of physical memory, as x86 keeps account of them.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

const LIST: &str = "/sys/kernel/debug/x86/pat_memtype_list";

/// The reservations that overlap `range`, one a line: "PAT: [mem FIRST-END] MODE".
///
/// # Errors
///
/// As for reading the list in debugfs, which is mounted if it is not yet.
pub fn ranges(range: &Range<u64>) -> io::Result<Vec<String>> {
    if !Path::new(LIST).exists() {
        Command::new("mount")
            .args(["-t", "debugfs", "debugfs", "/sys/kernel/debug"])
            .status()?;
    }
    let bounds = |line: &str| -> Option<(u64, u64)> {
        let (_, rest) = line.split_once("[mem ")?;
        let (first, rest) = rest.split_once('-')?;
        let (end, _) = rest.split_once(']')?;
        let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        Some((number(first)?, number(end)?))
    };
    Ok(fs::read_to_string(LIST)?
        .lines()
        .filter(|line| {
            bounds(line).is_some_and(|(first, end)| first < range.end && end > range.start)
        })
        .map(str::to_owned)
        .collect())
}
