// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory: what the guest's files need of its own, and what this machine has.

use crate::error::Error;

const MIB: u64 = 1 << 20;

/// Refuses a guest of `mem` MiB that cannot hold its file system of `initrd`
/// bytes: the kernel has it twice while it unpacks it, once in a file system
/// that may be half of the memory.
pub(crate) fn guest(mem: u32, initrd: u64) -> Result<(), Error> {
    let needed = 2 * initrd.div_ceil(MIB) + GUEST_KERNEL;
    if u64::from(mem) >= needed {
        return Ok(());
    }
    Err(Error::setup(format!(
        "{mem} MiB of memory are too little for the guest, with its files: give it {needed}, by --mem"
    )))
}

/// MiB for the guest's kernel, its page tables and a small command.
const GUEST_KERNEL: u64 = 128;

/// Refuses a guest of `mem` MiB on a machine that has less to give. Where the
/// machine does not say what it has, QEMU will.
pub(crate) fn host(mem: u32) -> Result<(), Error> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    match available(&meminfo) {
        Some(there) if there < u64::from(mem) => Err(Error::setup(format!(
            "this machine has {there} MiB of memory available, the guest wants {mem}: \
             end other programs, or ask for less by --mem"
        ))),
        _ => Ok(()),
    }
}

/// MiB that can be had without pushing others out, swap among it.
fn available(meminfo: &str) -> Option<u64> {
    let kib = |name: &str| {
        meminfo
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
    };
    Some((kib("MemAvailable")? + kib("SwapFree").unwrap_or(0)) / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_read() {
        let text = "MemTotal: 4096 kB\nMemAvailable:    2048 kB\nSwapFree: 1024 kB\n";
        assert_eq!(available(text), Some(3));
        assert_eq!(available("MemFree: 5 kB\n"), None);
    }

    #[test]
    fn a_guest_holds_its_files_twice() {
        assert!(guest(328, 100 * MIB).is_ok());
        assert!(guest(327, 100 * MIB).is_err());
    }
}
