// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's errors, and the stream's reports, in cpal's words.

use super::errno::sentence;
use crate::params::Refusal;
use crate::stream::Report;
use cpal::{Error, ErrorKind};
use std::io;

fn kind(error: &io::Error) -> ErrorKind {
    match error.raw_os_error() {
        // A ring that cannot be linear.
        None if error.kind() == io::ErrorKind::Unsupported => ErrorKind::UnsupportedConfig,
        Some(libc::ENODEV | libc::ENXIO | libc::ESHUTDOWN | libc::EBADFD) => {
            ErrorKind::DeviceNotAvailable
        }
        Some(libc::EACCES | libc::EPERM) => ErrorKind::PermissionDenied,
        Some(libc::EBUSY) => ErrorKind::DeviceBusy,
        Some(libc::ENOMEM | libc::EMFILE | libc::ENFILE) => ErrorKind::ResourceExhausted,
        _ => ErrorKind::BackendError,
    }
}

pub(super) fn from_io(error: io::Error) -> Error {
    Error::with_message(kind(&error), error.to_string())
}

pub(super) fn from_refusal(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Io(error) => from_io(error),
        refusal => Error::with_message(ErrorKind::UnsupportedConfig, refusal.to_string()),
    }
}

/// What comes while the stream runs must not allocate: kinds and static texts alone.
pub(super) fn from_report(report: Report) -> Error {
    match report {
        Report::Xrun => ErrorKind::Xrun.into(),
        Report::RealtimeDenied => ErrorKind::RealtimeDenied.into(),
        Report::Panicked => {
            Error::with_message(ErrorKind::StreamInvalidated, "the data callback panicked")
        }
        Report::Disconnected => ErrorKind::DeviceNotAvailable.into(),
        Report::Stopped => Error::with_message(
            ErrorKind::StreamInvalidated,
            "the stream was stopped from elsewhere",
        ),
        Report::CutOff => Error::with_message(
            ErrorKind::StreamInvalidated,
            "the card stopped before it had played to the end of the stream",
        ),
        Report::Failed(error) => Error::with_message(kind(&error), sentence(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assert_no_alloc::assert_no_alloc;

    #[test]
    fn what_the_audio_thread_tells_allocates_nothing() {
        for errno in [0, libc::EPIPE, libc::EIO, libc::ENODEV, libc::EDOM] {
            let failed = Report::Failed(io::Error::from_raw_os_error(errno));
            let error = assert_no_alloc(|| from_report(failed));
            assert!(!error.to_string().is_empty(), "{error:?}");
        }
        for report in [Report::Xrun, Report::CutOff, Report::Stopped] {
            let error = assert_no_alloc(|| from_report(report));
            assert!(!error.to_string().is_empty(), "{error:?}");
        }
        let unplugged = Report::Failed(io::Error::from_raw_os_error(libc::EBADFD));
        assert_eq!(from_report(unplugged).kind(), ErrorKind::DeviceNotAvailable);
    }
}
