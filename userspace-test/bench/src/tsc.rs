// SPDX-License-Identifier: MIT OR Apache-2.0
//! The processor's time stamp counter.
//!
//! In a guest under icount it is QEMU's virtual clock, in ns: the one by which the card works and its trace events
//! are dated. The guest's own clocks begin elsewhere, and their pace is what the kernel took the processor's to be.
#![allow(unsafe_code)]

/// Its value.
#[cfg(target_arch = "x86_64")]
#[must_use]
pub fn read() -> u64 {
    // SAFETY: Every x86-64 processor has it, and Linux lets programs read it.
    unsafe { std::arch::x86_64::_rdtsc() }
}
