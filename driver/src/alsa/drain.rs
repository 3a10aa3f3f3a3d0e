// SPDX-License-Identifier: GPL-2.0

//! The drain that starts the stream, which the sound core does not tell the driver about.
//!
//! `snd_pcm_drain()` starts a stream that was only prepared, and then sends `SNDRV_PCM_TRIGGER_DRAIN` to a
//! driver that asked for it (`SNDRV_PCM_INFO_DRAIN_TRIGGER`), but only to the stream's trigger master;
//! and starting has just cleared that (`snd_pcm_trigger_tstamp()`, sound/core/pcm_native.c). Without the
//! trigger the card would play on behind the last frame, to the end of the period.
//!
//! So each start is looked at again in a moment, from a work item: if the stream is draining by then, the
//! trigger is sent after all. A driver gets it twice when the drain came by itself in between.

use super::sys;
use kernel::{
    bindings,
    container_of,
    prelude::*,
    sync::static_lock_class,
    types::Opaque, //
};

/// The second look at a started stream.
///
/// # Invariants
///
/// * `work` is initialised with [`Self::run`].
/// * `substream` is open until [`Self::cancel`] has returned, after which `work` is not queued again.
#[pin_data]
pub(super) struct StartedDrain {
    #[pin]
    work: Opaque<bindings::work_struct>,
    substream: *mut sys::snd_pcm_substream,
}

impl StartedDrain {
    /// # Safety
    ///
    /// `substream` must be open until [`Self::cancel`] has returned, and [`Self::cancel`] be called
    /// before the result is dropped, with no [`Self::look_soon`] after it.
    pub(super) unsafe fn new(substream: *mut sys::snd_pcm_substream) -> impl PinInit<Self> {
        // INVARIANT: As initialised here, and by the safety requirement.
        pin_init!(Self {
            work <- Opaque::ffi_init(|work| {
                // SAFETY: `work` is valid for writes, and pinned from now on.
                unsafe {
                    bindings::init_work_with_key(
                        work,
                        Some(Self::run),
                        false,
                        c"sgring drain".as_char_ptr(),
                        static_lock_class!().as_ptr(),
                    )
                }
            }),
            substream,
        })
    }

    /// Has the stream looked at in a moment. Any context.
    pub(super) fn look_soon(&self) {
        // SAFETY: The queue is the kernel's, made at boot and never changed.
        let queue = unsafe { bindings::system_highpri_wq };
        // SAFETY: By the type invariant the work is initialised, and its data live until it is cancelled.
        unsafe {
            bindings::queue_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                queue,
                self.work.get(),
            )
        };
    }

    /// Waits for a look under way and drops one that is waiting. May sleep.
    pub(super) fn cancel(&self) {
        // SAFETY: By the type invariant the work is initialised.
        unsafe { bindings::cancel_work_sync(self.work.get()) };
    }

    /// # Safety
    ///
    /// For the workqueue: `work` is the field of a `StartedDrain`.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: By the safety requirement.
        let this = unsafe { &*container_of!(Opaque::cast_from(work), Self, work) };
        let substream = this.substream;
        // SAFETY: By the type invariant the substream is open: `cancel()` waits for this function.
        unsafe { sys::snd_pcm_stream_lock_irq(substream) };
        // SAFETY: As above, and the lock that covers the state is held.
        let state = unsafe { (*(*substream).runtime).state };
        if state == sys::SGRING_PCM_STATE_DRAINING as sys::snd_pcm_state_t {
            // SAFETY: As above; the operations are constant.
            if let Some(trigger) = unsafe { (*(*substream).ops).trigger } {
                // SAFETY: With the stream lock held, as the core calls it. An error has no one to go
                // to: the stream then plays to the end of its period, as if nothing had been sent.
                unsafe { trigger(substream, sys::SNDRV_PCM_TRIGGER_DRAIN as c_int) };
            }
        }
        // SAFETY: Locked above.
        unsafe { sys::snd_pcm_stream_unlock_irq(substream) };
    }
}
