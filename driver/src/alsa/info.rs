// SPDX-License-Identifier: GPL-2.0-only

//! A card's own text file in `/proc/asound/cardN`.

use super::{
    card::Card,
    sys, //
};
use kernel::{
    error::to_result,
    prelude::*,
    seq_file::SeqFile,
    str::CStr,
    sync::Arc,
    types::ForeignOwnable, //
};

/// What the file of a card with data `D` says.
pub(crate) trait InfoOps<D> {
    /// Process context; may sleep. The card may be disconnected meanwhile, and is not freed.
    fn show(card: &D, file: &SeqFile);
}

impl<D: Send + Sync + 'static> Card<D> {
    /// Adds a file that everybody may read. It goes when the card is disconnected.
    pub(crate) fn add_info<T: InfoOps<D>>(&self, name: &'static CStr) -> Result {
        // SAFETY: The card is valid and not registered; the file goes before it does, `show` is for its data.
        to_result(unsafe {
            sys::snd_card_rw_proc_new(
                self.as_ptr(),
                name.as_char_ptr(),
                self.as_ptr().cast(),
                Some(show::<D, T>),
                None,
            )
        })
    }
}

/// # Safety
///
/// For the sound core: `entry` was made by [`Card::add_info`] of a card with data `D`; `buffer` is the caller's
/// alone. Neither the card nor its data are freed during the call: `snd_card_disconnect()` comes first, takes the
/// file away and waits for who reads it (`proc_remove()`).
unsafe extern "C" fn show<D: Send + Sync + 'static, T: InfoOps<D>>(
    entry: *mut sys::snd_info_entry,
    buffer: *mut sys::snd_info_buffer,
) {
    // SAFETY: By the safety requirement.
    let card: *mut sys::snd_card = unsafe { (*entry).private_data }.cast();
    // SAFETY: As above.
    let data = unsafe { Arc::<D>::borrow((*card).private_data) };
    // SAFETY: The buffer of a text file is a `seq_file` (`snd_info_seq_show()`, sound/core/info.c).
    let file = unsafe { SeqFile::from_raw((*buffer).buffer.cast()) };
    T::show(&data, file);
}
