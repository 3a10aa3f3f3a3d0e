// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audio thread's system calls and what the kernel copies for it, seen from outside: by the kernel's tracing.
//!
//! The callback calls `getppid()`, which nobody else does: between two of those in the trace lies what a period takes,
//! and they do not count. Copies are caught where the sound core has made them, at the return of the function by which
//! all of `write()` and `read()` goes: it says how many frames it has moved between a program's memory and the ring.

use crate::play::{Played, Request, play};
use sgring_suite::trace::Trace;
use std::collections::BTreeMap;
use std::fs;

/// x86-64's numbers.
const IOCTL: u64 = 16;
const MARK: u64 = 110;
const PROBES: &str = "/sys/kernel/tracing/kprobe_events";
const GROUP: &str = "sgring_bench";

/// What one period takes.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// System calls, by name.
    pub calls: BTreeMap<String, u64>,
    /// Frames that the kernel copied.
    pub copied: u64,
}

impl Taken {
    /// System calls of all names.
    pub fn all(&self) -> u64 {
        self.calls.values().sum()
    }
}

/// A probe of the kernel, until dropped.
struct Probe;

impl Probe {
    fn new() -> Result<Self, String> {
        let line = format!("r:{GROUP}/copied snd_pcm:__snd_pcm_lib_xfer frames=$retval:s64");
        fs::write(PROBES, line).map_err(|e| format!("{PROBES}: {e}"))?;
        Ok(Self)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // What cannot be taken away stays until the guest's end.
        let _ = fs::write(PROBES, "");
    }
}

/// A call's name: what of a PCM's it is, or its number.
fn name(number: u64, arguments: &str) -> String {
    let second = arguments.split(", ").nth(1);
    let request = second.and_then(|hex| u32::from_str_radix(hex, 16).ok());
    match (number, request) {
        (7, _) => "poll".into(),
        (271, _) => "ppoll".into(),
        // The type 'A' and the number of an ioctl; what is left are its argument's size and direction.
        (IOCTL, Some(request)) if request >> 8 & 0xff == 0x41 => match request & 0xff {
            0x21 => "delay".into(),
            0x22 => "hwsync".into(),
            0x23 => "sync_ptr".into(),
            0x24 => "status_ext".into(),
            0x40 => "prepare".into(),
            0x42 => "start".into(),
            0x50 => "writei".into(),
            0x51 => "readi".into(),
            other => format!("pcm_ioctl_{other:02x}"),
        },
        _ => format!("syscall_{number}"),
    }
}

/// The periods of a trace; what comes before the first mark and after the last is left out.
fn periods(lines: &[String]) -> Vec<Taken> {
    let mut all: Vec<Taken> = Vec::new();
    for line in lines {
        if let Some((_, frames)) = line
            .strip_prefix("copied: ")
            .and_then(|fields| fields.split_once("frames="))
        {
            // A negative number is an error, and nothing was copied.
            if let (Some(last), Ok(frames)) = (all.last_mut(), frames.trim().parse::<u64>()) {
                last.copied += frames;
            }
            continue;
        }
        // NR 16 (3, 4140, 0, 0, 0, 0)
        let Some((number, arguments)) = line
            .strip_prefix("sys_enter: NR ")
            .and_then(|fields| fields.split_once(" ("))
        else {
            continue;
        };
        match (number.parse(), all.last_mut()) {
            (Ok(MARK), _) => all.push(Taken::default()),
            (Ok(number), Some(last)) => {
                *last.calls.entry(name(number, arguments)).or_default() += 1;
            }
            _ => {}
        }
    }
    all.pop();
    all
}

/// Plays, and says what each period took, from the callback's `skipped`-th call on.
pub fn taken(request: &Request, skipped: usize) -> Result<(Played, Vec<Taken>), String> {
    let broken = |e: std::io::Error| format!("the kernel's tracing: {e}");
    // This makes tracefs be there.
    let calls = Trace::start("raw_syscalls").map_err(broken)?;
    let _probe = Probe::new()?;
    let copies = Trace::start(GROUP).map_err(broken)?;
    let (played, lines) = play(request, |played| {
        drop(calls);
        copies.stop_of(played.thread).map_err(broken)
    })?;
    let all = periods(&lines);
    let rest = all.get(skipped..).unwrap_or_default().to_vec();
    Ok((played, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_cut_at_the_marks() {
        let lines = [
            "sys_enter: NR 7 (1, 1, ffffffff, 0, 0, 0)",
            "sys_enter: NR 110 (0, 0, 0, 0, 0, 0)",
            "sys_exit: NR 110 = 1",
            "sys_enter: NR 16 (5, 40184150, 7ffd, 0, 0, 0)",
            "copied: (pcm_lib_apply+0x10/0x40 <- __snd_pcm_lib_xfer) frames=240",
            "sys_enter: NR 7 (1, 1, ffffffff, 0, 0, 0)",
            "sys_enter: NR 16 (5, 4122, 0, 0, 0, 0)",
            "sys_enter: NR 110 (0, 0, 0, 0, 0, 0)",
            "sys_enter: NR 7 (1, 1, ffffffff, 0, 0, 0)",
        ];
        let all = periods(&lines.map(String::from));
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].copied, 240);
        assert_eq!(all[0].all(), 3);
        for call in ["writei", "poll", "hwsync"] {
            assert_eq!(all[0].calls.get(call), Some(&1), "{call}");
        }
    }
}
