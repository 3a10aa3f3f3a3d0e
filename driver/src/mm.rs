// SPDX-License-Identifier: GPL-2.0

//! Memory that a device, the kernel and user space share: what upstream's Rust lacks today.
//!
//! * [`Binding`]: who may still create DMA mappings, and until when.
//! * [`ScatterRing`]: separate pages, mapped for DMA as a scatter-gather table, one linear range to
//!   the kernel. The pages live as long as anybody maps them; the DMA mapping ends with the device.
//! * [`SharedWords`]: coherent memory, accessed a word at a time.
//! * [`fault`]: the page-fault side, where user space gets a page when it touches it.
//!
//! This folder and [`crate::alsa`] hold all of the driver's `unsafe`. What is exported is safe to
//! call from anywhere, in any order; nothing here knows what a sound card is.
//!
//! Lock order, outermost first: mmap lock or VMA lock, the caller's ring lock, page table lock.
//! [`Binding`]'s mutex is taken in process context only and never inside any of them.

mod binding;
pub(crate) mod fault;
mod scatter;
mod shared;

pub(crate) use binding::Binding;
pub(crate) use scatter::ScatterRing;
pub(crate) use shared::SharedWords;
