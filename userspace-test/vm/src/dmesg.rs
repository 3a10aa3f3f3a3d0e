// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel's log must not hold, and what its taint must be.

use crate::outcome::Outcome;

/// An out-of-tree module was loaded (`Documentation/admin-guide/tainted-kernels.rst`).
pub const TAINT_O: u64 = 1 << 12;
/// An unsigned module was loaded.
pub const TAINT_E: u64 = 1 << 13;

/// Parts of lines that only trouble prints.
const TROUBLE: [&str; 25] = [
    "WARNING:",
    "BUG:",
    "kernel BUG",
    "Oops",
    "Call Trace",
    "general protection fault",
    "Kernel panic",
    "KASAN",
    "KFENCE:",
    "KCSAN",
    "UBSAN",
    "rust_kernel: panicked",
    "possible circular locking",
    "possible recursive locking",
    "inconsistent lock state",
    "suspicious RCU usage",
    "INFO: task ",
    "rcu_sched self-detected stall",
    "rcu_preempt self-detected stall",
    "rcu: INFO:",
    "sleeping function called",
    "scheduling while atomic",
    "Bad page",
    "refcount_t:",
    "DMA-API:",
];

/// The lines of a kernel's log that tell of trouble.
#[must_use]
pub fn trouble(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| TROUBLE.iter().any(|sign| line.contains(sign)))
        .filter(|line| !harmless(line))
        .map(str::trim_end)
        .collect()
}

/// Checks the log and the taint of a run: no trouble, and exactly O and E with
/// our module loaded, nothing without. Our own kernels check no signatures: no E.
///
/// # Errors
/// What is wrong, in lines.
pub fn check(outcome: &Outcome, our_module: bool) -> Result<(), String> {
    let log = outcome.serial();
    let mut wrong: Vec<String> = trouble(&log).into_iter().map(str::to_owned).collect();
    if !log.contains("Linux version") {
        wrong.push("the kernel's log is missing".to_owned());
    }
    let signs = !["+debug (", "+kasan ("].iter().any(|own| log.contains(own));
    let expected = match (our_module, signs) {
        (true, true) => TAINT_O | TAINT_E,
        (true, false) => TAINT_O,
        (false, _) => 0,
    };
    if outcome.taint != expected {
        wrong.push(format!("taint is {:#x}, not {expected:#x}", outcome.taint));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// Lines of a healthy boot that look like trouble.
fn harmless(line: &str) -> bool {
    [
        // The kernel lists its options and its boot line may name them.
        "Command line:",
        "Kernel command line:",
        // A debug kernel says that it looks.
        "DMA-API: preallocated",
        "DMA-API: debugging enabled by kernel config",
    ]
    .iter()
    .any(|words| line.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_seen_and_peace_is_not() {
        let log = "[0.0] Linux version 7\n[0.1] Kernel command line: oops=panic BUG: no\n\
                   [1.0] sgring 0000:01:00.0: 1 playback stream\n";
        assert!(trouble(log).is_empty());
        for line in [
            "[1.0] WARNING: CPU: 0 PID: 1 at mm/memory.c:2334",
            "[1.0] BUG: kernel NULL pointer dereference, address: 0",
            "[1.0] Oops: 0000 [#1] PREEMPT SMP",
            "[1.0] ======================================================\n[1.0] WARNING: possible circular locking dependency detected",
            "[1.0] UBSAN: array-index-out-of-bounds in x.c:1",
            "[1.0] rust_kernel: panicked at lib.rs",
            "[1.0] BUG: Bad page state in process x",
        ] {
            assert!(!trouble(&format!("{log}{line}\n")).is_empty(), "{line}");
        }
    }
}
