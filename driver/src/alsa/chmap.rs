// SPDX-License-Identifier: GPL-2.0-only

//! Channel map elements: where the channels of each substream belong.
//!
//! The elements, and the list of maps that user space can ask for, are the sound core's. Reading an element is
//! not: the core's own way takes the runtime of a substream that may be closed at the same time, and fails for
//! a number of channels without a map, where all positions are unknown.
//!
//! The core takes the elements away when the card is disconnected.

use super::{
    card::Card,
    pcm::PcmOps,
    sys, //
};
use crate::chmap::{
    self,
    at, //
};
use core::ptr;
use kernel::{
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    sync::Arc,
    types::ForeignOwnable, //
};

/// All maps as the core wants them, an empty one last.
static MAPS: [sys::snd_pcm_chmap_elem; chmap::MAPS.len() + 1] = {
    let mut maps = [sys::snd_pcm_chmap_elem {
        channels: 0,
        map: [0; 15],
    }; chmap::MAPS.len() + 1];
    let mut i = 0;
    while i < chmap::MAPS.len() {
        let map = chmap::MAPS[i];
        assert!(map.len() == i + 1);
        maps[i].channels = map.len() as u8;
        let mut channel = 0;
        while channel < map.len() {
            maps[i].map[channel] = map[channel];
            channel += 1;
        }
        i += 1;
    }
    maps
};

const _: () = {
    assert!(at::MONO as u32 == sys::SNDRV_CHMAP_MONO);
    assert!(at::FL as u32 == sys::SNDRV_CHMAP_FL);
    assert!(at::FR as u32 == sys::SNDRV_CHMAP_FR);
    assert!(at::RL as u32 == sys::SNDRV_CHMAP_RL);
    assert!(at::RR as u32 == sys::SNDRV_CHMAP_RR);
    assert!(at::FC as u32 == sys::SNDRV_CHMAP_FC);
    assert!(at::LFE as u32 == sys::SNDRV_CHMAP_LFE);
    assert!(at::SL as u32 == sys::SNDRV_CHMAP_SL);
    assert!(at::SR as u32 == sys::SNDRV_CHMAP_SR);
};

impl<D: Send + Sync + 'static> Card<D> {
    /// Adds an element for each substream of one direction of `pcm`, which have at most `channels` channels.
    ///
    /// # Safety
    ///
    /// `pcm` must be valid, of this card, and its operations `T`'s.
    pub(super) unsafe fn add_channel_maps<T: PcmOps<Card = D>>(
        &self,
        pcm: *mut sys::snd_pcm,
        direction: u32,
        channels: u32,
    ) -> Result {
        let mut info = ptr::null_mut();
        // SAFETY: By the safety requirement; the maps are static; `info` is written on success.
        to_result(unsafe {
            sys::snd_pcm_add_chmap_ctls(
                pcm,
                direction as c_int,
                MAPS.as_ptr(),
                channels.try_into()?,
                0,
                &mut info,
            )
        })?;
        // SAFETY: Made by the call, and the card is not registered: nobody reads the element yet.
        let control = unsafe { (*info).kctl };
        // SAFETY: As above.
        unsafe { (*control).get = Some(get::<T>) };
        Ok(())
    }
}

/// # Safety
///
/// For the sound core: both are valid, `control` made by [`Card::add_channel_maps`] for `T`.
unsafe extern "C" fn get<T: PcmOps>(
    control: *mut sys::snd_kcontrol,
    value: *mut sys::snd_ctl_elem_value,
) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirement; the core has looked up the element in `control`.
        let number = unsafe { (*value).id.index.wrapping_sub((*control).id.index) };
        // SAFETY: By the safety requirement.
        let info = unsafe { (*control).private_data }.cast::<sys::snd_pcm_chmap>();
        // SAFETY: The core's, of a PCM that is not freed before its elements are.
        let (pcm, direction, most) = unsafe { ((*info).pcm, (*info).stream, (*info).max_channels) };
        // SAFETY: As above; the card outlives its PCMs.
        let data = unsafe { (*(*pcm).card).private_data };
        // SAFETY: `Card::new()` put an `Arc<T::Card>` there, given back when the card is freed.
        let card = unsafe { Arc::<T::Card>::borrow(data) };

        let playback = direction == sys::SNDRV_PCM_STREAM_PLAYBACK as c_int;
        let channels =
            T::elapsed(&card, playback, number)?.locked(|substream| substream.channels());
        let map = chmap::map(channels.unwrap_or(0));
        // SAFETY: By the safety requirement; the element has integers.
        let to = unsafe { &mut (*value).value.integer.value };
        // Zero is an unknown position.
        to.iter_mut().take(most as usize).for_each(|to| *to = 0);
        for (to, &position) in to.iter_mut().take(most as usize).zip(map) {
            *to = position.into();
        }
        Ok(0)
    })
}
