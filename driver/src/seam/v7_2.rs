// SPDX-License-Identifier: GPL-2.0

//! Linux 7.2.

use kernel::{
    bindings,
    device::Bound,
    devres::Devres,
    dma::Coherent,
    io::Io,
    pci,
    prelude::*,
    str::CStr, //
};

/// What an interrupt handler returns.
pub(crate) type IrqReturn = c_uint;
pub(crate) const IRQ_HANDLED: IrqReturn = bindings::irqreturn_IRQ_HANDLED;

/// The device's address of coherent memory.
pub(crate) fn coherent_address<T>(memory: &Coherent<[T]>) -> u64 {
    memory.dma_handle()
}

/// This module, for what must pin it.
pub(crate) fn this_module() -> &'static ThisModule {
    &crate::THIS_MODULE
}

/// A register BAR of at least `SIZE` bytes, gone after unbind.
pub(crate) struct Registers<const SIZE: usize>(Devres<pci::Bar<'static, SIZE>>);

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

/// The ids that the driver binds to.
macro_rules! pci_ids {
    ($driver:ty, $table:ident, [$(($vendor:expr, $device:expr)),* $(,)?]) => {
        kernel::pci_device_table!(
            $table,
            MODULE_PCI_TABLE,
            <$driver as kernel::pci::Driver>::IdInfo,
            [$((kernel::pci::DeviceId::from_id($vendor, $device), ())),*]
        );
    };
}
pub(crate) use pci_ids;

/// The second argument of a probe, unused by this driver.
pub(crate) type ProbeInfo<'bound, T> = &'bound T;

/// The value of a module parameter.
macro_rules! parameter {
    ($name:ident) => {
        *crate::module_parameters::$name.value()
    };
}
pub(crate) use parameter;
