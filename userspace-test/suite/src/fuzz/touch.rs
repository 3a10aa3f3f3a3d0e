// SPDX-License-Identifier: MIT OR Apache-2.0
//! An access to memory that may be a signal.
//!
//! Each access is one known instruction. The handler of SIGSEGV and SIGBUS steps out of it with the signal's number;
//! for a fault anywhere else it gives way to the default, which ends the process.
#![allow(unsafe_code)]

use std::io;

std::arch::global_asm!(
    ".pushsection .text.sgring_touch, \"ax\", @progbits",
    // (address, room for what is there) -> 0, or the signal
    ".globl sgring_touch_load",
    "sgring_touch_load:",
    "mov rax, [rdi]",
    "mov [rsi], rax",
    "xor eax, eax",
    "ret",
    // (address, value) -> 0, or the signal
    ".globl sgring_touch_store",
    "sgring_touch_store:",
    "mov [rdi], rsi",
    "xor eax, eax",
    "ret",
    ".globl sgring_touch_out",
    "sgring_touch_out:",
    "ret",
    ".popsection",
);

unsafe extern "C" {
    fn sgring_touch_load(at: usize, to: *mut u64) -> i32;
    fn sgring_touch_store(at: usize, value: u64) -> i32;
    fn sgring_touch_out();
}

extern "C" fn on_fault(signal: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: The kernel's context of the thread that was interrupted, for the time of this call.
    let registers = unsafe { &mut (*context).uc_mcontext.gregs };
    // Each begins with the instruction that may fault.
    let may_fault = [sgring_touch_load as usize, sgring_touch_store as usize];
    if may_fault.contains(&(registers[libc::REG_RIP as usize] as usize)) {
        registers[libc::REG_RIP as usize] = sgring_touch_out as usize as i64;
        registers[libc::REG_RAX as usize] = signal.into();
    } else {
        // SAFETY: The default; the instruction faults again and ends the process.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Lets accesses of this process be stepped out of.
///
/// # Errors
///
/// The errno of `sigaction(2)`.
pub fn catch() -> io::Result<()> {
    // SAFETY: All zeros is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: A handler of the kind that the flags say.
        if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The word at `at`, or the signal.
///
/// # Errors
///
/// The number of the signal that it was.
///
/// # Safety
///
/// `at` is in an arena, where no object of this program's lives; whatever is there now, or nothing.
pub(super) unsafe fn load(at: usize) -> Result<u64, i32> {
    let mut word = 0;
    // SAFETY: As the caller has promised; `word` is a word.
    match unsafe { sgring_touch_load(at, &raw mut word) } {
        0 => Ok(word),
        signal => Err(signal),
    }
}

/// Puts `word` at `at`.
///
/// # Errors
///
/// As [`load`].
///
/// # Safety
///
/// As [`load`].
pub(super) unsafe fn store(at: usize, word: u64) -> Result<(), i32> {
    // SAFETY: As in `load()`.
    match unsafe { sgring_touch_store(at, word) } {
        0 => Ok(()),
        signal => Err(signal),
    }
}
