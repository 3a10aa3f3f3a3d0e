// SPDX-License-Identifier: GPL-2.0-only

//! Memory that a device, the kernel and user space share: what upstream's Rust lacks today.
//!
//! * [`Binding`]: who may still create DMA mappings, and until when.
//! * [`ScatterRing`]: separate pages, mapped for DMA as a scatter-gather table, one linear range to
//!   the kernel. The pages live as long as anybody maps them; the DMA mapping ends with the device.
//! * [`SharedWords`]: coherent memory, accessed a word at a time.
//! * [`Lent`]: somebody else's memory, for the device to read.
//! * [`Sram`]: memory on the device, in a BAR, of which an [`Area`] is a part.
//! * [`Purse`]: how much of it there may be.
//! * [`Mappings`]: who has mapped a ring, to take it away from them.
//! * [`fault`]: the page-fault side, where user space gets a page when it touches it.
//! * [`mode`]: how pages get into mappings, for comparison, and the count of mappings.
//! * [`trace`]: trace events of all this; with the parameters the one part in C.
//!
//! This folder and [`crate::alsa`] hold all of the driver's `unsafe`. What is exported is safe to
//! call from anywhere, in any order, but [`Lent::new`]; nothing here knows what a sound card is.
//!
//! Lock order, outermost first: mmap lock or VMA lock, the caller's ring lock, page table lock.
//! [`Binding`]'s mutex is taken in process context only and never inside any of them.

mod binding;
pub(crate) mod fault;
mod lent;
mod mappings;
pub(crate) mod mode;
#[cfg(planted)]
pub(crate) mod planted;
mod purse;
mod scatter;
mod shared;
mod shim;
mod sram;

/// Trace events (M18).
pub(crate) mod trace {
    pub(crate) use super::shim::{
        trace_fault as fault,
        trace_map as map,
        trace_migrate as migrate,
        trace_revoke as revoke,
        trace_unmap as unmap,
        Backing,
        Place, //
    };
}

pub(crate) use binding::{
    cut_off,
    Binding, //
};
pub(crate) use lent::Lent;
pub(crate) use mappings::Mappings;
pub(crate) use purse::{
    Charge,
    Purse, //
};
pub(crate) use scatter::ScatterRing;
pub(crate) use shared::SharedWords;
pub(crate) use shim::{
    is_unlocked,
    may_say, //
};
pub(crate) use sram::{
    Area,
    Sram, //
};
