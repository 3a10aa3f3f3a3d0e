// SPDX-License-Identifier: GPL-2.0

//! Where the bugs of `planted.c` are planted. In a module built for that alone, never in another.

use super::shim::c;
use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    }, //
};

/// A ring was made, with these pages.
pub(super) fn made(dev: &Device<Bound>, pages: &[*mut bindings::page]) {
    if !pages.is_empty() {
        // CAST: `Device` is a transparent wrapper of `struct device`.
        let dev = core::ptr::from_ref(dev).cast_mut().cast();
        // SAFETY: None is claimed: what this does may be a bug, on request.
        unsafe { c::snd_sgring_planted_made(dev, pages.as_ptr(), pages.len()) };
    }
}

/// The ring of these pages is about to go.
pub(super) fn ends(pages: &[*mut bindings::page]) {
    if let Some(&page) = pages.first() {
        // SAFETY: As in `made()`.
        unsafe { c::snd_sgring_planted_ends(page) };
    }
}

/// In `trigger()`, under the stream lock.
pub(crate) fn trigger() {
    // SAFETY: As in `made()`.
    unsafe { c::snd_sgring_planted_trigger() };
}
