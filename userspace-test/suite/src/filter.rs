// SPDX-License-Identifier: MIT OR Apache-2.0
//! System calls that fail, or are answered by this process itself, by seccomp (`seccomp(2)`,
//! `seccomp_unotify(2)`): what a card is not like can be had of one that is.
//!
//! A filter is for the thread that asks for it and all that it starts, to their end.
#![allow(unsafe_code)]

use cpal_alsa_mmap::sys::uapi::{self, ioctl};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc::channel;

/// The system call's number, and the lower halves of its arguments, in `struct seccomp_data`.
const NUMBER: u32 = 0;
const fn argument(number: u32) -> u32 {
    16 + 8 * number
}

fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        // The codes have 16 bits.
        code: code as u16,
        jt,
        jf,
        k,
    }
}

/// Filters `call` with one of `values` in an argument: `verdict`, and all others pass.
fn install(call: i64, at: u32, values: [u32; 2], verdict: u32, flags: u64) -> io::Result<i64> {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
    let load = |at| step(BPF_LD | BPF_W | BPF_ABS, 0, 0, at);
    let equals = |value, jt, jf| step(BPF_JMP | BPF_JEQ | BPF_K, jt, jf, value);
    let ret = |verdict| step(BPF_RET | BPF_K, 0, 0, verdict);
    let mut program = [
        load(NUMBER),
        equals(call as u32, 0, 3),
        load(argument(at)),
        equals(values[0], 2, 0),
        equals(values[1], 1, 0),
        ret(libc::SECCOMP_RET_ALLOW),
        ret(verdict),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: a flag of this thread's.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the program lives to the end of the call, which copies it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    match result {
        0.. => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// From now on the control record of a PCM cannot be mapped, as on some cards.
///
/// # Errors
///
/// As `seccomp(2)`.
pub fn no_control_record() -> io::Result<()> {
    let verdict = libc::SECCOMP_RET_ERRNO | libc::ENXIO as u32;
    let at = uapi::MMAP_OFFSET_CONTROL as u32;
    install(libc::SYS_mmap, 5, [at; 2], verdict, 0).map(drop)
}

/// Runs `body` in a thread of its own, for which all cards are such as only `read` and `write` go to: the kernel
/// is asked for no other ways of access than these.
///
/// # Errors
///
/// As `seccomp(2)`.
pub fn without_mmap<R: Send>(body: impl FnOnce() -> R + Send) -> io::Result<R> {
    std::thread::scope(|scope| {
        let (give, take) = channel();
        let thread = scope.spawn(move || {
            let asks = [ioctl::HW_REFINE as u32, ioctl::HW_PARAMS as u32];
            let verdict = libc::SECCOMP_RET_USER_NOTIF;
            let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
            let fd = install(libc::SYS_ioctl, 1, asks, verdict, flags)?;
            // SAFETY: the descriptor is new and belongs to nobody else.
            let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
            let _ = give.send(fd);
            Ok(body())
        });
        if let Ok(fd) = take.recv() {
            answer(&fd)?;
        }
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Answers what the filtered threads ask until there are none.
fn answer(listener: &OwnedFd) -> io::Result<()> {
    const RECEIVE: u64 = 0xc050_2100;
    const SEND: u64 = 0xc018_2101;
    const _: () = assert!(size_of::<libc::seccomp_notif>() == 0x50);
    const _: () = assert!(size_of::<libc::seccomp_notif_resp>() == 0x18);
    let fd = listener.as_raw_fd();
    loop {
        let mut events = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one record.
        if unsafe { libc::poll(&raw mut events, 1, -1) } < 0 {
            return Err(io::Error::last_os_error());
        }
        if events.revents & libc::POLLIN == 0 {
            return Ok(());
        }
        // SAFETY: plain numbers, of which zero is one.
        let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes the record, and no more.
        if unsafe { libc::ioctl(fd, RECEIVE, &raw mut asked) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let [file, request, at, ..] = asked.data.args;
        let params = std::ptr::with_exposed_provenance_mut::<uapi::HwParams>(at as usize);
        const READ_AND_WRITE: u32 = 1 << 3 | 1 << 4;
        // SAFETY: the thread that asks is of this process, and waits in the call with the record in its hands.
        unsafe { (*params).masks[0].bits[0] &= READ_AND_WRITE };
        // SAFETY: it is the call that was asked for, on a file of this process.
        let result = unsafe { libc::ioctl(file as i32, request, params) };
        let mut said = libc::seccomp_notif_resp {
            id: asked.id,
            val: 0,
            error: match result {
                0 => 0,
                _ => -io::Error::last_os_error()
                    .raw_os_error()
                    .unwrap_or(libc::EIO),
            },
            flags: 0,
        };
        // SAFETY: the kernel reads the record.
        if unsafe { libc::ioctl(fd, SEND, &raw mut said) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
}
