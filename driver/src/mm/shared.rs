// SPDX-License-Identifier: GPL-2.0-only

//! Coherent memory that the device reads or writes, accessed one 64-bit word at a time.
//!
//! A device may change its side at any moment, so there are no references into this memory: each
//! access is one volatile load or store of an aligned word, which neither side can see half done.
//! Words are little endian. After unbind the memory is gone and loads say so.

use crate::seam;
use kernel::{
    device::{
        Bound,
        Device, //
    },
    devres::Devres,
    dma::Coherent,
    prelude::*, //
};

/// An array of 64-bit words shared with a device.
pub(crate) struct SharedWords {
    words: Devres<Coherent<[u64]>>,
    address: u64,
}

impl SharedWords {
    /// Allocates `len` zeroed words, page aligned. Process context.
    pub(crate) fn new(dev: &Device<Bound>, len: usize) -> Result<Self> {
        let words = Coherent::<u64>::zeroed_slice(dev, len, GFP_KERNEL)?;
        let address = seam::coherent_address(&words);
        Ok(Self {
            words: Devres::new(dev, Ok::<_, Error>(words))?,
            address,
        })
    }

    /// The device's address of word `index`.
    pub(crate) fn address_of(&self, index: usize) -> u64 {
        self.address.wrapping_add(8 * index as u64)
    }

    /// Word `index`, or `None` after unbind or behind the end. Any context.
    pub(crate) fn load(&self, index: usize) -> Option<u64> {
        let words = self.words.try_access()?;
        if index >= words.len() {
            return None;
        }
        let word = words.as_ptr().cast::<u64>().wrapping_add(index);
        // SAFETY: `index` is inside the allocation, which lives while `words`, the access guard,
        // does. The device may write it at the same time: an aligned volatile load of one word is
        // the access that hardware keeps whole.
        Some(u64::from_le(unsafe { word.read_volatile() }))
    }

    /// Stores word `index`; does nothing after unbind or behind the end. Any context.
    pub(crate) fn store(&self, index: usize, value: u64) {
        let Some(words) = self.words.try_access() else {
            return;
        };
        if index >= words.len() {
            return;
        }
        let word = words.as_ptr().cast::<u64>().cast_mut().wrapping_add(index);
        // SAFETY: As in `load()`; no reference into the allocation exists.
        unsafe { word.write_volatile(value.to_le()) };
    }
}
