// SPDX-License-Identifier: GPL-2.0-only

//! The C side of this folder (`shim.c`, `trace.c`), with safe faces.

use super::{
    fault::Mapping,
    mode::MapMode, //
};
use core::ptr::addr_of;
use kernel::{
    bindings,
    prelude::*, //
};

/// `shim.h`, bound by bindgen.
#[allow(
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    unreachable_pub
)]
pub(super) mod c {
    use kernel::{
        bindings::*,
        ffi, //
    };

    include!(concat!(env!("SGRING_BINDINGS"), "/bindings_shim.rs"));
}

/// The module parameter `fault_window`, pages.
pub(super) fn fault_window() -> u32 {
    // SAFETY: A valid static of C's, which sysfs may write at any time: a volatile load of one word.
    unsafe { addr_of!(c::snd_sgring_fault_window).read_volatile() }
}

/// Whether a line about what clients may bring about as often as they like may be logged now: one in five
/// seconds.
pub(crate) fn may_say() -> bool {
    // SAFETY: No arguments; any context.
    unsafe { c::snd_sgring_may_say() }
}

/// Whether a call that the sound core makes under the PCM stream lock or without it is one without.
pub(crate) fn is_unlocked() -> bool {
    // SAFETY: No arguments; any context.
    unsafe { c::snd_sgring_is_unlocked() }
}

/// Takes a reference of a page.
///
/// # Safety
///
/// `page` must be valid and referenced, now.
pub(super) unsafe fn get_page(page: *mut bindings::page) {
    // SAFETY: By the safety requirement.
    unsafe { c::snd_sgring_get_page(page) };
}

/// Whether what is mapped at `address` has to be handed over between CPU and device.
///
/// # Safety
///
/// `dev` must be bound, and `address` of a mapping of its that exists.
pub(super) unsafe fn needs_sync(dev: *mut bindings::device, address: u64) -> bool {
    // SAFETY: By the safety requirement.
    unsafe { c::snd_sgring_needs_sync(dev, address) }
}

/// Maps `bytes` bytes at `memory` for `dev` to read: at which address, or `None` where that fails.
///
/// # Safety
///
/// `dev` must be bound, and the bytes of the kernel's linear map and allocated until they are unmapped again.
pub(super) unsafe fn map_for_device(
    dev: *mut bindings::device,
    memory: *mut u8,
    bytes: usize,
) -> Option<u64> {
    let mut address = 0;
    // SAFETY: By the safety requirement; `address` is ours.
    let mapped = unsafe { c::snd_sgring_map_for_device(dev, memory.cast(), bytes, &mut address) };
    mapped.then_some(address)
}

/// C: the parameter `map_mode` was written.
#[no_mangle]
extern "C" fn snd_sgring_choose_map_mode(mode: c_uint) -> c_int {
    match MapMode::choose(mode.into()) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// C: the parameter `map_mode` is read.
#[no_mangle]
extern "C" fn snd_sgring_map_mode() -> c_uint {
    // CAST: A small number.
    super::mode::current() as c_uint
}

/// A mapping, or the part of one that a fault has mapped, and whose ring it shows: for the trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Number of the card.
    pub(crate) card: i32,
    /// Number of the card's stream.
    pub(crate) stream: u32,
    pub(crate) mapping: Mapping,
}

/// What a fault found behind an address. The numbers are those of `sgring_trace.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// Nothing is there.
    None = 0,
    /// A page of main memory.
    Ram = 1,
    /// A page of the card's memory.
    Sram = 2,
}

pub(crate) fn trace_map(place: Place, mode: MapMode) {
    // SAFETY: Integers.
    unsafe {
        c::snd_sgring_trace_map(
            place.card,
            place.stream as c_int,
            place.mapping.address,
            place.mapping.pgoff,
            place.mapping.pages,
            mode as c_uint,
        )
    };
}

pub(crate) fn trace_unmap(place: Place) {
    // SAFETY: Integers.
    unsafe {
        c::snd_sgring_trace_unmap(
            place.card,
            place.stream as c_int,
            place.mapping.address,
            place.mapping.pgoff,
            place.mapping.pages,
        )
    };
}

/// `place` is what the fault has mapped, `result` is `VM_FAULT_*`.
pub(crate) fn trace_fault(place: Place, backing: Backing, result: bindings::vm_fault_t) {
    // SAFETY: Integers.
    unsafe {
        c::snd_sgring_trace_fault(
            place.card,
            place.stream as c_int,
            place.mapping.address,
            place.mapping.pgoff,
            backing as c_uint,
            place.mapping.pages,
            result,
        )
    };
}

/// User space's mappings of a ring were taken away; `pages` is the ring's length.
pub(crate) fn trace_revoke(stream: u32, pages: usize) {
    // SAFETY: Integers.
    unsafe { c::snd_sgring_trace_revoke(stream as c_int, pages) };
}

/// A ring of `pages` pages has moved to `backing`, or not: then `error` is an errno, else 0.
pub(crate) fn trace_migrate(stream: u32, backing: Backing, pages: usize, error: c_int) {
    // SAFETY: Integers.
    unsafe { c::snd_sgring_trace_migrate(stream as c_int, backing as c_uint, pages, error) };
}
