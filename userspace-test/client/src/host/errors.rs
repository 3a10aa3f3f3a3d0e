// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's errors, and the stream's reports, in cpal's words.

use crate::params::Refusal;
use crate::stream::Report;
use cpal::{Error, ErrorKind};
use std::io;

pub(super) fn from_io(error: io::Error) -> Error {
    let kind = match error.raw_os_error() {
        // A ring that cannot be linear.
        None if error.kind() == io::ErrorKind::Unsupported => ErrorKind::UnsupportedConfig,
        Some(libc::ENODEV | libc::ENXIO | libc::EBADFD) => ErrorKind::DeviceNotAvailable,
        Some(libc::EACCES | libc::EPERM) => ErrorKind::PermissionDenied,
        Some(libc::EBUSY) => ErrorKind::DeviceBusy,
        Some(libc::ENOMEM | libc::EMFILE | libc::ENFILE) => ErrorKind::ResourceExhausted,
        _ => ErrorKind::BackendError,
    };
    Error::with_message(kind, error.to_string())
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
        Report::Failed(error) => from_io(error),
    }
}
