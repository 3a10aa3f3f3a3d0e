// SPDX-License-Identifier: GPL-2.0-only

//! Where the kernels that this driver supports differ.
//!
//! The Rust interfaces of the PCI, device-resource and interrupt code changed between 7.2 and 7.3. All
//! of it is behind this module, one file a side, with the same names in both; `Kbuild` picks one from
//! the kernel's version. Nothing else in the driver asks which kernel it is.

#[cfg(seam = "7_2")]
#[path = "seam/v7_2.rs"]
mod side;

#[cfg(seam = "7_3")]
#[path = "seam/v7_3.rs"]
mod side;

pub(crate) use side::*;

use kernel::{
    device::Bound,
    io::Io,
    pci,
    prelude::*,
    str::CStr, //
};

/// A register BAR of at least `SIZE` bytes, gone after unbind.
pub(crate) struct Registers<const SIZE: usize>(side::ManagedBar<SIZE>);

impl<const SIZE: usize> Registers<SIZE> {
    pub(crate) fn map(pdev: &pci::Device<Bound>, bar: u32, name: &'static CStr) -> Result<Self> {
        let bar = pdev.iomap_region_sized::<SIZE>(bar, name)?;
        Ok(Self(bar.into_devres()?))
    }

    /// `ENODEV` after unbind, `EINVAL` outside the BAR.
    pub(crate) fn read32(&self, offset: usize) -> Result<u32> {
        self.0.try_access().ok_or(ENODEV)?.try_read32(offset)
    }

    /// As [`Self::read32`].
    pub(crate) fn write32(&self, offset: usize, value: u32) -> Result {
        self.0
            .try_access()
            .ok_or(ENODEV)?
            .try_write32(value, offset)
    }
}
