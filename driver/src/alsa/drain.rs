// SPDX-License-Identifier: GPL-2.0-only

//! The drain that starts the stream, which the sound core does not tell the driver about.
//!
//! `snd_pcm_drain()` starts a stream that was only prepared, and then sends `SNDRV_PCM_TRIGGER_DRAIN` to a
//! driver that asked for it (`SNDRV_PCM_INFO_DRAIN_TRIGGER`), but only to the stream's trigger master;
//! and starting has just cleared that (`snd_pcm_trigger_tstamp()`, sound/core/pcm_native.c). Without the
//! trigger the card would play on behind the last frame, to the end of the period.
//!
//! So each start is looked at again in a moment, from a work item: if the stream is draining by then, the
//! trigger is sent after all. A driver gets it twice when the drain came by itself in between.

use super::{
    deferred::{
        Deferred,
        Task, //
    },
    sys, //
};
use kernel::prelude::*;

/// The second look at a started stream.
///
/// # Invariants
///
/// `substream` is open until the work item that this is the task of was ended.
struct Look {
    substream: *mut sys::snd_pcm_substream,
}

// SAFETY: The sound core's functions may be called from any task.
unsafe impl Send for Look {}

// SAFETY: As above, and what is behind the address is used under the stream lock.
unsafe impl Sync for Look {}

/// Looks at a started stream in a moment.
#[pin_data]
pub(super) struct StartedDrain {
    #[pin]
    look: Deferred<Look>,
}

impl StartedDrain {
    /// # Safety
    ///
    /// `substream` must be open until [`Self::cancel`] has returned, and [`Self::cancel`] be called
    /// before the result is dropped.
    pub(super) unsafe fn new(substream: *mut sys::snd_pcm_substream) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: By the safety requirement.
            look <- Deferred::new(Ok::<_, Error>(Look { substream })),
        })
    }

    /// Has the stream looked at in a moment. Any context.
    pub(super) fn look_soon(&self) {
        self.look.queue();
    }

    /// Waits for a look under way and drops one that is waiting; none follows. May sleep.
    pub(super) fn cancel(&self) {
        self.look.end();
    }
}

impl Task for Look {
    fn run(&self) {
        let substream = self.substream;
        // SAFETY: By the type invariant the substream is open: ending the work item waits for this function.
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
