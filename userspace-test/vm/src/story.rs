// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the logs of a run that went wrong tell, in a sentence: what happened,
//! and what to do about it. The lines of the log that say so come after it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::config::Config;
use crate::dmesg;
use crate::error::{Error, Kind};
use crate::rundir::RunDir;

/// Lines of a log that are shown.
const LINES: usize = 15;

/// What only a guest without memory says.
const STARVED: [&str; 4] = [
    "Initramfs unpacking failed",
    "Out of memory",
    "System is deadlocked on memory",
    "not enough memory",
];

/// The last lines of one of the run's logs, indented.
pub(crate) fn tail(dir: &RunDir, name: &str) -> String {
    let text = dir.text(name);
    let lines: Vec<_> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    if lines.is_empty() {
        return format!("  ({name} is empty)");
    }
    indent(&lines[lines.len().saturating_sub(LINES)..])
}

/// The beginning of what the kernel said when it panicked.
fn splat(serial: &str) -> String {
    let lines: Vec<_> = serial
        .lines()
        .skip_while(|line| dmesg::trouble(line).is_empty())
        .take(LINES)
        .collect();
    indent(&lines)
}

fn indent(lines: &[&str]) -> String {
    let lines: Vec<_> = lines
        .iter()
        .map(|l| format!("  {}", l.trim_end()))
        .collect();
    lines.join("\n")
}

/// Whether the guest's kernel panicked.
pub(crate) fn panicked(dir: &RunDir) -> bool {
    dir.text("serial.log").contains("Kernel panic")
}

/// A QEMU that ended by itself.
pub(crate) fn gone(dir: &RunDir, config: &Config, end: Option<ExitStatus>, when: &str) -> Error {
    let serial = dir.text("serial.log");
    if serial.contains("Kernel panic") {
        let mem = config.mem_mib;
        let what = if STARVED.iter().any(|sign| serial.contains(sign)) {
            format!(
                "the guest ran out of its {mem} MiB of memory and panicked {when}: give it more, by --mem"
            )
        } else {
            format!("the guest's kernel panicked {when}")
        };
        return Error::new(Kind::Died, format!("{what}:\n{}", splat(&serial)));
    }
    let log = tail(dir, "qemu.log");
    let what = match end {
        Some(end) if end.success() && serial.trim().is_empty() => {
            return Error::new(
                Kind::Died,
                format!(
                    "the guest went off {when} and its kernel has not said a word: is its image whole? \
                     `rm -r build/kernel && make setup` fetches it again"
                ),
            );
        }
        Some(end) if end.success() => {
            return Error::new(
                Kind::Died,
                format!(
                    "the guest went off {when}; its last words:\n{}",
                    tail(dir, "serial.log")
                ),
            );
        }
        Some(end) => match end.signal() {
            Some(9) => format!(
                "QEMU was killed (SIGKILL) {when}, by somebody or by this machine for lack of memory: \
                 see `dmesg`, then run it again"
            ),
            Some(n @ (4 | 6 | 7 | 8 | 11)) => format!(
                "QEMU crashed (signal {n}) {when}: that is an error in QEMU or in the card; \
                 please report it with the logs"
            ),
            Some(n) => format!("QEMU was ended by signal {n} {when}: run it again"),
            None => refused(
                &dir.text("qemu.log"),
                config,
                end.code().unwrap_or(-1),
                when,
            ),
        },
        None => format!("QEMU hung up {when} and does not end"),
    };
    Error::new(Kind::Died, format!("{what}; its last words:\n{log}"))
}

/// A QEMU that gave up by itself, by what it said.
fn refused(log: &str, config: &Config, code: i32, when: &str) -> String {
    let mem = config.mem_mib;
    if log.contains("cannot set up guest memory") || log.contains("Cannot allocate memory") {
        return format!(
            "QEMU cannot get the guest's {mem} MiB of memory from this machine: \
             end other programs, or ask for less by --mem"
        );
    }
    if ["kernel header", "kernel too old", "load kernel"]
        .iter()
        .any(|sign| log.contains(sign))
    {
        return format!(
            "QEMU takes the guest's kernel for broken (status {code}): \
             `rm -r build/kernel && make setup` fetches it again"
        );
    }
    let last = log.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("");
    format!("QEMU failed with status {code} {when}: {}", last.trim())
}

/// What the guest itself said of why the command could not be started.
pub(crate) fn guest_error(dir: &RunDir, line: &str) -> Error {
    let text = line.strip_prefix("error ").unwrap_or(line).trim();
    let mut message = if let Some(rest) = text.strip_prefix("modprobe ") {
        let (module, why) = rest.split_once(':').unwrap_or((rest, ""));
        let mend = if module.trim_start().starts_with("snd-sgring") {
            "is it of this kernel? `make driver` builds it; a parameter that it refuses is in its log"
        } else {
            "`make guest` packs the kernel's modules"
        };
        format!(
            "the guest does not load the module {}: {}: {mend}",
            module.trim(),
            why.trim()
        )
    } else {
        format!("the guest could not be set up: {text}")
    };
    message.push_str("; the kernel's last words:\n");
    message.push_str(&tail(dir, "serial.log"));
    Error::new(Kind::Guest, message)
}
