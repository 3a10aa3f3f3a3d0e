// SPDX-License-Identifier: GPL-2.0-only

//! Where the bugs of `planted.c` are planted, and those that are Rust's own. In a module built for that alone,
//! never in another.

use super::shim::c;
use core::hint::black_box;
use kernel::{
    alloc::{
        KVec,
        VVec, //
    },
    bindings,
    device::{
        Bound,
        Device, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// A ring was made, with these pages.
pub(super) fn made(dev: &Device<Bound>, pages: &[*mut bindings::page]) {
    if !pages.is_empty() {
        // CAST: `Device` is a transparent wrapper of `struct device`.
        let dev = core::ptr::from_ref(dev).cast_mut().cast();
        // SAFETY: None is claimed: what this does may be a bug, on request.
        unsafe { c::snd_sgring_planted_made(dev, pages.as_ptr(), pages.len()) };
        // No memory for the bug: the test misses it, and says so.
        let _ = access();
    }
}

/// Accesses of compiled Rust, to memory that is no longer its own or never was.
fn access() -> Result {
    const BYTES: usize = 100;

    // SAFETY: As in `made()`.
    if unsafe { c::snd_sgring_planted_rust_freed() } {
        let bytes = KVec::from_elem(1u8, BYTES, GFP_KERNEL)?;
        let at = black_box(bytes.as_ptr());
        drop(bytes);
        // SAFETY: As in `made()`.
        black_box(unsafe { at.read_volatile() });
    }
    // SAFETY: As in `made()`.
    if unsafe { c::snd_sgring_planted_rust_beyond() } {
        let mut bytes = KVec::from_elem(1u8, BYTES, GFP_KERNEL)?;
        let at = black_box(bytes.as_mut_ptr());
        // SAFETY: As in `made()`.
        unsafe { at.add(BYTES).write_volatile(1) };
    }
    // SAFETY: As in `made()`.
    if unsafe { c::snd_sgring_planted_rust_beyond_pages() } {
        let bytes = VVec::from_elem(1u8, PAGE_SIZE + BYTES, GFP_KERNEL)?;
        let at = black_box(bytes.as_ptr());
        // SAFETY: As in `made()`.
        black_box(unsafe { at.add(PAGE_SIZE + BYTES).read_volatile() });
    }
    Ok(())
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

/// What a touch of page `index` of `count` is to show, if not the page.
pub(super) fn behind(index: usize, count: usize) -> Option<*mut bindings::page> {
    if index.checked_add(1) != Some(count) {
        return None;
    }
    // SAFETY: As in `made()`.
    let page = unsafe { c::snd_sgring_planted_behind() };
    (!page.is_null()).then_some(page)
}

/// How long a ring plays is counted in a word that is too short for it.
pub(crate) fn duration(frames: u32, rate: u32) {
    const MICROSECONDS: u32 = 1_000_000;

    // SAFETY: As in `made()`.
    if unsafe { c::snd_sgring_planted_overflow() } {
        black_box((black_box(frames) * MICROSECONDS).checked_div(rate));
    }
}
