// SPDX-License-Identifier: GPL-2.0-only

//! A sound card, from creation to the last close.
//!
//! Lifetime: the card, its PCMs and the driver's shared data live until the last file that was opened on
//! it is closed, which may be long after the device was unbound. After [`Registration::disconnect`] no new file
//! can be opened and every new call on an open one fails, but calls under way go on, and `hw_free`, `close` and
//! page faults still come.
//!
//! An open file pins the module, up to a gap that only the core can close: `snd_pcm_release()` lets go of the
//! module just before the last `snd_card_file_remove()`, which calls `private_free` here.

use super::{
    jack::Jacks,
    pcm::{
        Access,
        Adapter,
        PcmOps, //
    },
    sys,
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    error::to_result,
    prelude::*,
    str::CStr,
    sync::Arc,
    types::ForeignOwnable,
    ThisModule, //
};

/// How a card is called (sound/core.h).
pub(crate) struct Names {
    /// Identifier, as in `hw:ID`; at most 15 letters, digits or underscores.
    pub(crate) id: &'static CStr,
    /// Driver, at most 15 characters.
    pub(crate) driver: &'static CStr,
    /// Short name for people, at most 31 characters; the long one says where the card is, too.
    pub(crate) short: &'static CStr,
}

/// A card that is not registered yet. Freed when dropped.
///
/// # Invariants
///
/// * `card` is valid and not registered; its `private_data` is an `Arc<D>`.
/// * Who has the addresses of its jacks is in `jacks`, to be emptied before the card goes.
/// * `pcms` are valid and the card's.
pub(crate) struct Card<D: Send + Sync + 'static> {
    card: NonNull<sys::snd_card>,
    pub(super) jacks: Option<Arc<Jacks>>,
    pcms: KVec<NonNull<sys::snd_pcm>>,
    _data: PhantomData<Arc<D>>,
}

/// A registered card. Disconnected, if it is not yet, and given up when dropped.
///
/// # Invariants
///
/// * `card` is valid and was registered.
/// * As for [`Card::jacks`].
pub(crate) struct Registration {
    card: NonNull<sys::snd_card>,
    jacks: Option<Arc<Jacks>>,
}

// SAFETY: The sound core's card functions may be called from any task.
unsafe impl Send for Registration {}

// SAFETY: `snd_card_disconnect()` locks and may be called twice, also at the same time.
unsafe impl Sync for Registration {}

/// # Safety
///
/// The card's `private_data` must be an `Arc<D>` that nobody uses any more.
unsafe extern "C" fn private_free<D: Send + Sync + 'static>(card: *mut sys::snd_card) {
    // SAFETY: The core calls this once, last, with a valid card.
    let data = unsafe { (*card).private_data };
    // SAFETY: By the safety requirement; it came from `into_foreign()`.
    drop(unsafe { Arc::<D>::from_foreign(data) });
}

/// Copies as much of `from`, one behind the other, as leaves room for the terminating zero of `to`, which is zeroed.
fn copy_name(to: &mut [c_char], from: &[&CStr]) {
    let room = to.len().saturating_sub(1);
    let from = from.iter().flat_map(|from| from.to_bytes());
    for (to, from) in to.iter_mut().take(room).zip(from) {
        *to = *from as c_char;
    }
}

impl<D: Send + Sync + 'static> Card<D> {
    /// Creates a card of `parent` that shares `data` with all of its substreams.
    pub(crate) fn new(
        parent: &Device<Bound>,
        module: &'static ThisModule,
        names: &Names,
        data: Arc<D>,
    ) -> Result<Self> {
        let mut card = ptr::null_mut();
        let place = parent.name();
        // CAST: `Device` is a transparent wrapper of `struct device`.
        let parent = ptr::from_ref(parent).cast_mut().cast::<bindings::device>();
        // SAFETY: `parent` is a bound device, the strings are static, `card` is written on success.
        // Index -1: the first free one.
        to_result(unsafe {
            sys::snd_card_new(
                parent,
                -1,
                names.id.as_char_ptr(),
                module.as_ptr(),
                0,
                &mut card,
            )
        })?;
        let card = NonNull::new(card).ok_or(ENOMEM)?;

        // SAFETY: The card is valid and nobody else has seen it yet.
        let fields = unsafe { &mut *card.as_ptr() };
        copy_name(&mut fields.driver, &[names.driver]);
        copy_name(&mut fields.shortname, &[names.short]);
        copy_name(&mut fields.longname, &[names.short, c" at ", place]);
        copy_name(&mut fields.mixername, &[names.short]);
        fields.private_data = data.into_foreign();
        fields.private_free = Some(private_free::<D>);

        // INVARIANT: As just set.
        Ok(Self {
            card,
            jacks: None,
            pcms: KVec::new(),
            _data: PhantomData,
        })
    }

    pub(super) fn as_ptr(&self) -> *mut sys::snd_card {
        self.card.as_ptr()
    }

    /// Adds PCM device `device` with the given numbers of substreams of at most `channels` channels, whose rings
    /// the core accesses as `access` says.
    pub(crate) fn add_pcm<T: PcmOps<Card = D>>(
        &mut self,
        id: &'static CStr,
        device: u32,
        playback: u32,
        capture: u32,
        channels: u32,
        access: Access,
    ) -> Result {
        let mut pcm = ptr::null_mut();
        // SAFETY: The card is valid and not registered; `pcm` is written on success.
        to_result(unsafe {
            sys::snd_pcm_new(
                self.card.as_ptr(),
                id.as_char_ptr(),
                device.try_into()?,
                playback.try_into()?,
                capture.try_into()?,
                &mut pcm,
            )
        })?;
        // INVARIANT: Just made; it lives as long as the card.
        self.pcms
            .push(NonNull::new(pcm).ok_or(ENOMEM)?, GFP_KERNEL)?;
        for (direction, substreams) in [
            (sys::SNDRV_PCM_STREAM_PLAYBACK, playback),
            (sys::SNDRV_PCM_STREAM_CAPTURE, capture),
        ] {
            if substreams != 0 {
                // SAFETY: `pcm` is valid; the operations are static and fit the card's data, which
                // is a `T::Card`.
                unsafe { sys::snd_pcm_set_ops(pcm, direction as c_int, Adapter::<T>::ops(access)) };
                // SAFETY: As just set.
                unsafe { self.add_channel_maps::<T>(pcm, direction, channels)? };
            }
        }
        // SAFETY: `pcm` is valid and nobody else has seen it yet.
        copy_name(unsafe { &mut (*pcm).name }, &[id]);
        Ok(())
    }

    /// Takes the device nodes of PCMs away after the registration of the card has failed.
    ///
    /// A PCM has one for each direction. Where the second cannot be made, `snd_pcm_dev_register()` leaves the
    /// first, and since the PCM does not count as registered the core never comes back to it: user space could
    /// open a PCM that was freed, and no card could have that number again.
    fn unregister_pcms(&self) {
        for pcm in &self.pcms {
            let pcm = pcm.as_ptr();
            // SAFETY: Valid by the type invariant; these two do not change.
            let nodes = unsafe { [(*pcm).streams[0].dev, (*pcm).streams[1].dev] };
            for node in nodes.into_iter().filter(|node| !node.is_null()) {
                // SAFETY: A device that the core has initialized. One that is not registered, or by now not
                // any more, is looked for and not found.
                unsafe { sys::snd_unregister_device(node) };
            }
        }
    }

    /// Makes the card known to user space.
    pub(crate) fn register(mut self) -> Result<Registration> {
        // SAFETY: The card is valid and complete.
        let registered = to_result(unsafe { sys::snd_card_register(self.card.as_ptr()) });
        if registered.is_err() {
            self.unregister_pcms();
        }
        registered?;
        // INVARIANT: Just registered. `self` is not dropped: the registration owns the card now.
        let registration = Registration {
            card: self.card,
            jacks: self.jacks.take(),
        };
        // What is forgotten is not freed.
        self.pcms = KVec::new();
        core::mem::forget(self);
        Ok(registration)
    }
}

impl<D: Send + Sync + 'static> Drop for Card<D> {
    fn drop(&mut self) {
        end_of(&self.jacks);
        // Not `snd_card_free()`, which waits until user space has closed what it has opened of a card that was
        // registered for a moment.
        // SAFETY: Valid by the type invariant. Calls `private_free`, now or when the last file is closed.
        unsafe { sys::snd_card_free_when_closed(self.card.as_ptr()) };
    }
}

fn end_of(jacks: &Option<Arc<Jacks>>) {
    if let Some(jacks) = jacks {
        jacks.end();
    }
}

impl Registration {
    /// Stops all streams and fails every later call of user space. Does not wait for files to be
    /// closed. May sleep.
    pub(crate) fn disconnect(&self) {
        end_of(&self.jacks);
        // SAFETY: Valid by the type invariant. A second call does nothing.
        unsafe { sys::snd_card_disconnect(self.card.as_ptr()) };
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        end_of(&self.jacks);
        // SAFETY: Valid by the type invariant. Disconnects, and frees the card now or, where files are
        // open, with the last of them.
        unsafe { sys::snd_card_free_when_closed(self.card.as_ptr()) };
    }
}
