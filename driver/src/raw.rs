// SPDX-License-Identifier: GPL-2.0-only

//! The C side of what the kernel crate wraps and hands out no pointer to.

use kernel::{
    bindings,
    device::DeviceContext,
    pci, //
};

/// A PCI device; as valid as `pdev`.
pub(crate) fn pci_dev<C: DeviceContext>(pdev: &pci::Device<C>) -> *mut bindings::pci_dev {
    // CAST: `pci::Device` is a transparent wrapper of `struct pci_dev`.
    core::ptr::from_ref(pdev).cast_mut().cast()
}
