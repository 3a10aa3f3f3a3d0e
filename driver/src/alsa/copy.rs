// SPDX-License-Identifier: GPL-2.0-only

//! `read()`, `write()` and silence, for rings that the core cannot reach by an address.
//!
//! User space is copied from and to with no lock held, by way of a page of the kernel's: the user's buffer
//! may be a mapping of the very ring, whose fault takes the driver's locks.

use super::{
    pcm::{
        Adapter,
        PcmOps, //
    },
    substream,
    sys, //
};
use crate::mm::is_unlocked;
use kernel::{
    bindings,
    error::from_result,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// Bytes of silence written at a time; whole samples of 1, 2, 3 and 4 bytes.
const SILENCE: usize = 192;

/// # Safety
///
/// For the sound core: `substream` is open, with parameters; `iter` is a source of `bytes` bytes for
/// playback, a destination for capture.
pub(super) unsafe extern "C" fn copy<T: PcmOps>(
    substream: *mut sys::snd_pcm_substream,
    _channel: c_int,
    pos: c_ulong,
    iter: *mut bindings::iov_iter,
    bytes: c_ulong,
) -> c_int {
    from_result(|| {
        // SAFETY: By the safety requirement, and the core keeps it open during the call.
        let stream = unsafe { Adapter::<T>::stream(substream) };
        // SAFETY: By the safety requirement. The direction does not change.
        let playback = unsafe { (*substream).stream } == sys::SNDRV_PCM_STREAM_PLAYBACK as c_int;
        let mut page = KVec::from_elem(0u8, bytes.min(PAGE_SIZE), GFP_KERNEL)?;
        let end = pos.checked_add(bytes).ok_or(EINVAL)?;
        for at in (pos..end).step_by(PAGE_SIZE) {
            let piece = page.get_mut(..(end - at).min(PAGE_SIZE)).ok_or(EINVAL)?;
            let done = if playback {
                // SAFETY: By the safety requirement.
                let from = unsafe { IovIterSource::from_raw(iter) };
                let done = from.copy_from_iter(piece);
                T::write(stream, at, piece.get(..done).ok_or(EINVAL)?)?;
                done
            } else {
                T::read(stream, at, piece)?;
                // SAFETY: By the safety requirement.
                unsafe { IovIterDest::from_raw(iter) }.copy_to_iter(piece)
            };
            if done != piece.len() {
                return Err(EFAULT);
            }
        }
        Ok(0)
    })
}

/// Silence of the sound core's own, under the stream lock; or instead of the data of a `write()` whose buffer is
/// null, which comes without it and with interrupts on, and gets it here.
///
/// # Safety
///
/// For the sound core: `substream` is open, with parameters, its stream lock held, or no lock.
pub(super) unsafe extern "C" fn fill_silence<T: PcmOps>(
    substream: *mut sys::snd_pcm_substream,
    _channel: c_int,
    pos: c_ulong,
    bytes: c_ulong,
) -> c_int {
    from_result(|| {
        let is_unlocked = is_unlocked();
        let end = pos.checked_add(bytes).ok_or(EINVAL)?;
        for at in (pos..end).step_by(SILENCE) {
            let flags = if is_unlocked {
                // SAFETY: By the safety requirement.
                Some(unsafe { sys::_snd_pcm_stream_lock_irqsave(substream) })
            } else {
                None
            };
            // SAFETY: By the safety requirement.
            let done = unsafe { silence_piece::<T>(substream, at, (end - at).min(SILENCE)) };
            if let Some(flags) = flags {
                // SAFETY: Locked above.
                unsafe { sys::snd_pcm_stream_unlock_irqrestore(substream, flags) };
            }
            done?;
        }
        Ok(0)
    })
}

/// Writes `bytes` bytes of silence, `SILENCE` at most, from byte `at` on.
///
/// # Safety
///
/// `substream` must be open, with parameters that do not change meanwhile: a `write()` and the stream lock see to that.
unsafe fn silence_piece<T: PcmOps>(
    substream: *mut sys::snd_pcm_substream,
    at: usize,
    bytes: usize,
) -> Result {
    // SAFETY: By the safety requirement.
    let stream = unsafe { Adapter::<T>::stream(substream) };
    let mut silence = [0u8; SILENCE];
    // SAFETY: By the safety requirement.
    unsafe { substream::fill_silence(substream, &mut silence) }?;
    T::silence(stream, at, silence.get(..bytes).ok_or(EINVAL)?)
}
