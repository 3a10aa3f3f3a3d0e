// SPDX-License-Identifier: GPL-2.0-only

//! Substreams that a client has linked, to start, stop and pause them together (`SNDRV_PCM_IOCTL_LINK`).
//!
//! The core runs an action on each member of a group in turn, with the locks of all of them held, and calls
//! `trigger` for those that are still their own `trigger_master`. A driver whose card can do several at one
//! instant (`SNDRV_PCM_INFO_SYNC_START`) does them all in the first call, and marks the others as done.

use super::{
    pcm::{
        Adapter,
        PcmOps,
        Trigger, //
    },
    substream::{
        runs,
        Locked, //
    },
    sys, //
};
use core::{
    marker::PhantomData,
    pin::Pin,
    ptr, //
};
use kernel::{
    container_of,
    prelude::*, //
};

/// The substreams that one `trigger` is for: one, or several of the same PCM that are linked.
///
/// # Invariants
///
/// `first` is open, of `T`'s, and the caller holds the stream locks of its whole group during `'a`, as it
/// does in a running `trigger`.
pub(crate) struct Linked<'a, T: PcmOps> {
    first: *mut sys::snd_pcm_substream,
    command: Trigger,
    _call: PhantomData<(&'a (), T)>,
}

impl<T: PcmOps> Linked<'_, T> {
    /// # Safety
    ///
    /// `first` must be the argument of a running `trigger` of `T`'s.
    pub(super) unsafe fn from_raw(first: *mut sys::snd_pcm_substream, command: Trigger) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            first,
            command,
            _call: PhantomData,
        }
    }

    /// The one that the core has named. It is one of them.
    pub(crate) fn first(&self) -> (Pin<&T::Stream>, Locked<'_>) {
        // SAFETY: By the type invariant.
        unsafe {
            (
                Adapter::<T>::stream(self.first),
                Locked::from_raw(self.first),
            )
        }
    }

    /// Whether there is more than one.
    pub(crate) fn are_several(&self) -> bool {
        let mut count = 0u32;
        self.walk(|_| count = count.saturating_add(1));
        count > 1
    }

    /// Calls `f` for each, and ends with the first error.
    pub(crate) fn for_each(
        &self,
        mut f: impl FnMut(Pin<&T::Stream>, &Locked<'_>) -> Result,
    ) -> Result {
        let mut result = Ok(());
        self.walk(|member| {
            if result.is_ok() {
                // SAFETY: `walk()` gives members of the group, which by the type invariant are open and
                // locked, and of the same PCM as `first`, so of `T`'s.
                result = unsafe { f(Adapter::<T>::stream(member), &Locked::from_raw(member)) };
            }
        });
        result
    }

    /// Calls `f` for each substream that the core would call `trigger` for.
    pub(super) fn walk(&self, mut f: impl FnMut(*mut sys::snd_pcm_substream)) {
        if !self.at_once() {
            return f(self.first);
        }
        // SAFETY: By the type invariant the group exists and does not change.
        let head = unsafe { ptr::addr_of_mut!((*(*self.first).group).substreams) };
        // SAFETY: As above: a list of substreams, its head not among them.
        let mut node = unsafe { (*head).next };
        while node != head {
            // SAFETY: As above: every other node is the field of a substream.
            let member = unsafe { container_of!(node, sys::snd_pcm_substream, link_list) };
            if self.takes_part(member) {
                f(member);
            }
            // SAFETY: As above.
            node = unsafe { (*node).next };
        }
    }

    /// Whether the card does this command for several at one instant.
    fn at_once(&self) -> bool {
        // SAFETY: By the type invariant.
        let info = unsafe { (*(*self.first).runtime).hw.info };
        info & sys::SNDRV_PCM_INFO_SYNC_START != 0 && self.command != Trigger::Drain
    }

    fn takes_part(&self, member: *mut sys::snd_pcm_substream) -> bool {
        // SAFETY: A member of the group is open; by the type invariant it is locked.
        let (pcm, runtime, stream) =
            unsafe { ((*member).pcm, (*member).runtime, (*member).stream) };
        // SAFETY: By the type invariant.
        if pcm != unsafe { (*self.first).pcm } {
            return false;
        }
        // SAFETY: An open substream has a runtime; these fields are under the stream lock.
        let (master, state, suspended) = unsafe {
            (
                (*runtime).trigger_master,
                (*runtime).state,
                (*runtime).suspended_state,
            )
        };
        master == member
            && match self.command {
                Trigger::Start | Trigger::Pause | Trigger::Resume => true,
                Trigger::Stop | Trigger::Suspend => runs(stream, state),
                Trigger::Wake => runs(stream, suspended),
                Trigger::Drain => false,
            }
    }

    /// The command was carried out for all of them.
    pub(super) fn done(&self) {
        self.walk(|member| {
            // SAFETY: As in `for_each()`.
            let open = unsafe { Adapter::<T>::open_stream(member) };
            // SAFETY: As in `takes_part()`.
            let locked = unsafe { Locked::from_raw(member) };
            match self.command {
                Trigger::Start | Trigger::Wake if locked.wants_drain_trigger() => {
                    open.get_ref().drain.look_soon();
                }
                Trigger::Stop | Trigger::Suspend => {
                    // The core says so of the first alone, and would not wait for the interrupts of the
                    // others (`snd_pcm_do_stop()`).
                    // SAFETY: As in `takes_part()`.
                    unsafe { (*(*member).runtime).stop_operating = true };
                }
                _ => {}
            }
        });
        // Apart from the above: who is marked takes part no longer. The first stays its own master.
        self.walk(|member| {
            if member != self.first {
                // SAFETY: As in `takes_part()`.
                unsafe { (*(*member).runtime).trigger_master = self.first };
            }
        });
    }
}
