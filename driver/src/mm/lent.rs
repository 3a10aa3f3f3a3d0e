// SPDX-License-Identifier: GPL-2.0-only

//! Memory that is somebody else's in the kernel, lent to a device to read.
//!
//! The mapping is device managed: it ends with the [`Lent`] or with the device, whichever comes first. The
//! memory itself has to outlast it, which nobody here can see to: the one function of [`crate::mm`] that is
//! unsafe to call.

use super::{
    scatter::needs_sync,
    shim, //
};
use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    devres::Devres,
    dma::DataDirection,
    prelude::*,
    sync::aref::ARef, //
};

/// A DMA mapping for the device to read.
///
/// # Invariants
///
/// `bytes` bytes are mapped at `address` for `dev`, once, and `dev` is bound.
struct Mapped {
    dev: ARef<Device>,
    address: u64,
    bytes: usize,
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // CAST: `Device` is a transparent wrapper of `struct device`.
        let dev = core::ptr::from_ref(&*self.dev).cast_mut().cast();
        // SAFETY: By the type invariant; `Devres` drops this at the latest while the device is unbound.
        unsafe {
            bindings::dma_unmap_page_attrs(
                dev,
                self.address,
                self.bytes,
                DataDirection::ToDevice.into(),
                0,
            )
        };
    }
}

/// Memory that a device may read.
pub(crate) struct Lent {
    address: u64,
    _mapped: Devres<Mapped>,
}

impl Lent {
    /// Lends `bytes` bytes at `memory` to `dev`. Process context.
    ///
    /// `None` where the device would not see what the CPU writes later (M14).
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and where the DMA layer cannot map it.
    ///
    /// # Safety
    ///
    /// These bytes must be of the kernel's linear map and stay allocated as long as the returned value lives.
    pub(crate) unsafe fn new(
        dev: &Device<Bound>,
        memory: *mut u8,
        bytes: usize,
    ) -> Result<Option<Self>> {
        // CAST: As above.
        let raw = core::ptr::from_ref(dev).cast_mut().cast();
        // SAFETY: `dev` is bound; the rest by the safety requirement.
        let address = unsafe { shim::map_for_device(raw, memory, bytes) }.ok_or(ENOMEM)?;
        // INVARIANT: Just mapped.
        let mapped = Mapped {
            dev: ARef::from(&**dev),
            address,
            bytes,
        };
        if needs_sync(dev, address) {
            return Ok(None);
        }
        Ok(Some(Self {
            address,
            _mapped: Devres::new(dev, Ok::<_, Error>(mapped))?,
        }))
    }

    /// The device's address of it. Meaningless after the device was unbound.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }
}
