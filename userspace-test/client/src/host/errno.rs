// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel says to the audio thread, in sentences that are there beforehand: nothing is allocated.
//!
//! The calls are ppoll(2) and the ioctls SYNC_PTR, PREPARE, START, DRAIN, UNLINK and RESUME. What the sound core answers
//! to them is known; what a card's driver answers to a command goes through it, so each errno has its name here.

use std::io;

/// A `match` of errnos, of which each has its name behind the sentence of its group.
macro_rules! sentences {
    ($errno:expr, $($sentence:literal: $($name:ident)+;)+ _: $other:literal) => {
        match $errno {
            $($(Some(libc::$name) => concat!($sentence, ": ", stringify!($name)),)+)+
            _ => $other,
        }
    };
}

/// The kernel's own, which libc does not name; some drivers let it out.
const ENOTSUPP: i32 = 524;

/// What `error` of a system call means to a stream.
pub(super) fn sentence(error: &io::Error) -> &'static str {
    let errno = error.raw_os_error();
    if errno == Some(ENOTSUPP) {
        return "neither the kernel nor the card's driver can do that: ENOTSUPP";
    }
    sentences! { errno,
        "the card would not start, or go on": EPIPE;
        "the stream is not in a state for that": EBADFD;
        "the machine has slept, and the stream was not resumed": ESTRPIPE;
        "the card is gone": ENODEV ENXIO ESHUTDOWN;
        "the card does not answer": EIO;
        "the card did not answer in time": ETIMEDOUT ETIME;
        "the card's answer is wrong": EPROTO EILSEQ EREMOTEIO;
        "the card is not ready for that": EAGAIN EBUSY;
        "the kernel refused a position or a command of the stream": EINVAL;
        "the kernel has no memory for the stream": ENOMEM;
        "the card, or its bus, has no room for the stream": ENOSPC;
        "the audio thread's memory is not mapped": EFAULT;
        "the audio thread is not permitted to do that, by a sandbox maybe": EPERM EACCES;
        "neither the kernel nor the card's driver can do that": ENOSYS ENOTTY EOPNOTSUPP;
        "somebody else has closed the stream's file": EBADF;
        "input and output were not linked any more": EALREADY;
        "a signal came first": EINTR;
        "a system call of the audio thread failed":
            ENOENT ESRCH E2BIG ENOEXEC ECHILD ENOTBLK EEXIST EXDEV ENOTDIR EISDIR ENFILE EMFILE ETXTBSY EFBIG
            ESPIPE EROFS EMLINK EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOTEMPTY ELOOP ENOMSG EIDRM ECHRNG
            EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT EBFONT
            ENOSTR ENODATA ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EMULTIHOP EDOTDOT EBADMSG
            EOVERFLOW ENOTUNIQ EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC ERESTART EUSERS ENOTSOCK
            EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EPFNOSUPPORT
            EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS
            EISCONN ENOTCONN ETOOMANYREFS ECONNREFUSED EHOSTDOWN EHOSTUNREACH EINPROGRESS ESTALE EUCLEAN ENOTNAM
            ENAVAIL EISNAM EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED
            EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON;
        _: "a system call of the audio thread failed, with an errno that has no name"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assert_no_alloc::assert_no_alloc;
    use std::collections::BTreeSet;

    #[test]
    fn each_errno_is_told_by_its_name_without_an_allocation() {
        // The last one is EHWPOISON; two were never given out.
        let errnos: Vec<_> = (1..=133).filter(|n| ![41, 58].contains(n)).collect();
        let mut names = BTreeSet::new();
        for &errno in errnos.iter().chain([&ENOTSUPP]) {
            let error = io::Error::from_raw_os_error(errno);
            let told = assert_no_alloc(|| sentence(&error));
            let (_, name) = told
                .split_once(": ")
                .unwrap_or_else(|| panic!("{errno}: {told}"));
            assert!(name.starts_with('E'), "{told}");
            assert!(names.insert(name), "{name} twice");
        }
        for nameless in [0, 41, 134, 4095, -1] {
            let error = io::Error::from_raw_os_error(nameless);
            assert!(sentence(&error).ends_with("no name"), "{nameless}");
        }
    }

    #[test]
    fn what_the_sound_core_answers_is_told_in_sentences_of_its_own() {
        for errno in [
            libc::EPERM,
            libc::EIO,
            libc::EAGAIN,
            libc::ENOMEM,
            libc::EFAULT,
            libc::EBUSY,
            libc::ENODEV,
            libc::EINVAL,
            libc::EPIPE,
            libc::ENOSYS,
            libc::EBADFD,
            libc::ESTRPIPE,
            libc::ETIMEDOUT,
            libc::EALREADY,
        ] {
            let error = io::Error::from_raw_os_error(errno);
            let told = sentence(&error);
            assert!(!told.starts_with("a system call"), "{errno}: {told}");
        }
    }
}
