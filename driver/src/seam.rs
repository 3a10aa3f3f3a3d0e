// SPDX-License-Identifier: GPL-2.0

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
