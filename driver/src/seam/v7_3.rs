// SPDX-License-Identifier: GPL-2.0-only

//! Linux 7.3.

use kernel::{
    bindings,
    dma::Coherent,
    pci,
    prelude::*, //
};

/// What an interrupt handler returns.
pub(crate) type IrqReturn = bindings::irqreturn_t;
pub(crate) const IRQ_HANDLED: IrqReturn = bindings::irqreturn::IRQ_HANDLED;

/// The device's address of coherent memory.
pub(crate) fn coherent_address<T>(memory: &Coherent<[T]>) -> u64 {
    memory.dma_address()
}

/// What is read after this was read later. Between the CPU and a device.
pub(crate) fn dma_rmb() {
    kernel::sync::barrier::dma_mb(kernel::sync::barrier::Read);
}

/// This module, for what must pin it.
pub(crate) fn this_module() -> &'static ThisModule {
    kernel::module::this_module::<crate::LocalModule>()
}

/// A BAR that goes away with the device.
pub(super) type ManagedBar<const SIZE: usize> = pci::DevresBar<SIZE>;

/// The ids that the driver binds to.
macro_rules! pci_ids {
    ($driver:ty, $table:ident, [$(($vendor:expr, $device:expr)),* $(,)?]) => {
        kernel::pci_device_table!(
            $table,
            <$driver as kernel::pci::Driver>::IdInfo,
            [$((kernel::pci::DeviceId::from_id($vendor, $device), ())),*]
        );
    };
}
pub(crate) use pci_ids;

/// The second argument of a probe, unused by this driver.
pub(crate) type ProbeInfo<'bound, T> = Option<&'bound T>;

/// The value of a module parameter.
macro_rules! parameter {
    ($name:ident) => {
        crate::module_parameters::$name.value()
    };
}
pub(crate) use parameter;
