// SPDX-License-Identifier: GPL-2.0

//! Telling the sound core, from an interrupt, that a period has elapsed.
//!
//! An interrupt handler outlives any one open of a substream, and the sound core frees the runtime that
//! `snd_pcm_period_elapsed()` walks when the substream is closed. An [`Elapsed`] joins the two: it holds
//! the substream from open to close, and close waits for the calls that are under way.

use super::sys;
use core::ptr;
use kernel::{
    sync::atomic::{
        Acquire,
        Atomic,
        Full, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// One substream's way into the sound core from an interrupt.
///
/// # Invariants
///
/// * `substream` is null, or a substream that is open: its runtime exists.
/// * It is changed to null before the substream closes, and close goes on only after `calls` was seen
///   to be zero after that.
pub(crate) struct Elapsed {
    substream: Atomic<*mut sys::snd_pcm_substream>,
    calls: Atomic<i32>,
}

impl Elapsed {
    pub(crate) const fn new() -> Self {
        Self {
            substream: Atomic::new(ptr::null_mut()),
            calls: Atomic::new(0),
        }
    }

    /// Tells the core that at least one period has elapsed. Does nothing while the substream is closed.
    ///
    /// Any context, with no lock held that is taken under the PCM stream lock.
    pub(crate) fn period_elapsed(&self) {
        self.with(|substream| {
            // SAFETY: `with()` passes an open substream, which stays open until it returns.
            unsafe { sys::snd_pcm_period_elapsed(substream) };
        });
    }

    /// Tells the core that the stream has stopped by itself: state XRUN. Context as
    /// [`Self::period_elapsed`].
    pub(crate) fn stop_xrun(&self) {
        self.with(|substream| {
            // SAFETY: As in `period_elapsed()`. The only error is that the stream does not run.
            unsafe { sys::snd_pcm_stop_xrun(substream) };
        });
    }

    fn with(&self, f: impl FnOnce(*mut sys::snd_pcm_substream)) {
        // Full ordering: the count is visible before `substream` is read. Pairs with `detach()`.
        self.calls.fetch_add(1, Full);
        let substream = self.substream.load(Acquire);
        if !substream.is_null() {
            f(substream);
        }
        self.calls.fetch_sub(1, Full);
    }

    /// # Safety
    ///
    /// `substream` must be open and stay so until [`Self::detach`] has returned.
    pub(super) unsafe fn attach(&self, substream: *mut sys::snd_pcm_substream) {
        // INVARIANT: By the safety requirement.
        self.substream.xchg(substream, Full);
    }

    /// Forgets the substream and waits for the calls under way. May sleep.
    pub(super) fn detach(&self) {
        // Full ordering: null is visible before `calls` is read. Pairs with `with()`.
        self.substream.xchg(ptr::null_mut(), Full);
        self.quiesce();
    }

    /// Waits for the calls under way. May sleep.
    ///
    /// A call lasts as long as an interrupt handler does. Sleeping rather than spinning: with threaded
    /// handlers the waiter may be the one that keeps the handler from running.
    pub(super) fn quiesce(&self) {
        // A fully ordered read: it comes after whatever stopped the stream.
        while self.calls.fetch_add(0, Full) != 0 {
            fsleep(Delta::from_micros(20));
        }
    }
}
