// SPDX-License-Identifier: GPL-2.0-only

//! Telling the sound core, from an interrupt, that a period has elapsed.
//!
//! An interrupt handler outlives any one open of a substream, and the sound core frees the runtime that
//! `snd_pcm_period_elapsed()` walks when the substream is closed. An [`Elapsed`] joins the two: it holds
//! the substream from open to close, and close waits for the calls that are under way.

use super::{
    substream::Locked,
    sys,
    time, //
};
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

/// What an interrupt was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Nothing,
    /// At least one period has elapsed.
    Period,
    /// The stream has stopped by itself: state XRUN.
    Stopped,
}

/// The most looks at the position of one interrupt, and the part of a period that they may take. What is left after
/// that, the next one tells: a card that lies about laps has a ring silenced for each, and must not have the machine
/// do nothing else.
const LOOKS: u32 = 64;
const PART: u64 = 4;

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

    /// Asks `look` what is new and tells the core, if the substream is open.
    ///
    /// A position that takes the core several looks, as `behind` says under the stream lock after each, is told
    /// in one go: nobody else takes that lock in between. Not more of them than [`LOOKS`], nor for longer than a [`PART`]
    /// of a period, so that a card that lies does not hold the interrupt up.
    ///
    /// `look` is inside of what [`Self::quiesce`] waits for: after a stop was synced, no handler goes by
    /// what it had read before.
    ///
    /// Any context, with no lock held that is taken under the PCM stream lock.
    pub(crate) fn tell(&self, look: impl FnOnce() -> News, behind: impl Fn() -> bool) {
        // Full ordering: the count is visible before anything is read. Pairs with `detach()`.
        self.calls.fetch_add(1, Full);
        let news = look();
        let substream = self.substream.load(Acquire);
        if !substream.is_null() {
            match news {
                News::Nothing => {}
                News::Period => {
                    let _ = self.locked(|substream| {
                        let mut end = None;
                        for _ in 0..LOOKS {
                            // SAFETY: The substream is open and its stream lock held, by `Locked`; this is
                            // not inside of one of its callbacks.
                            unsafe {
                                sys::snd_pcm_period_elapsed_under_stream_lock(substream.as_ptr());
                            };
                            // An xrun ends it, too.
                            if !(behind() && substream.is_running()) {
                                break;
                            }
                            let now = time::now();
                            let most = || now.saturating_add(substream.period_ns() / PART);
                            if now > *end.get_or_insert_with(most) {
                                break;
                            }
                        }
                    });
                }
                News::Stopped => {
                    // SAFETY: As above. The only error is that the stream does not run.
                    unsafe { sys::snd_pcm_stop_xrun(substream) };
                }
            }
        }
        self.calls.fetch_sub(1, Full);
    }

    /// Runs `f` under the PCM stream lock, with interrupts off, if the substream is open.
    ///
    /// Any context, with no lock held that is taken under the PCM stream lock.
    pub(crate) fn locked<R>(&self, f: impl FnOnce(&Locked<'_>) -> R) -> Option<R> {
        // As in `tell()`.
        self.calls.fetch_add(1, Full);
        let substream = self.substream.load(Acquire);
        let result = (!substream.is_null()).then(|| {
            // SAFETY: By the type invariant the substream is open, and `detach()` waits for this call
            // before it can close.
            let flags = unsafe { sys::_snd_pcm_stream_lock_irqsave(substream) };
            // SAFETY: As above, and its stream lock was just taken.
            let result = f(&unsafe { Locked::from_raw(substream) });
            // SAFETY: Locked above.
            unsafe { sys::snd_pcm_stream_unlock_irqrestore(substream, flags) };
            result
        });
        self.calls.fetch_sub(1, Full);
        result
    }

    /// Stops the stream, if it runs and `broken` says that it does so no more: state XRUN. `broken` is asked
    /// under the PCM stream lock, with interrupts off: what it finds is true of the run that is stopped.
    ///
    /// Any context, with no lock held that is taken under the PCM stream lock.
    pub(crate) fn stop_if(&self, broken: impl FnOnce() -> bool) {
        let _ = self.locked(|substream| {
            if substream.is_running() && broken() {
                let xrun = sys::SGRING_PCM_STATE_XRUN as sys::snd_pcm_state_t;
                // SAFETY: The substream is open and its stream lock held, by `Locked`; this is not inside of
                // one of its callbacks. The only error is that it is not open.
                unsafe { sys::snd_pcm_stop(substream.as_ptr(), xrun) };
            }
        });
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
        // Full ordering: null is visible before `calls` is read. Pairs with `tell()`.
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
