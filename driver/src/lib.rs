// SPDX-License-Identifier: GPL-2.0-only

//! The part of the driver that needs no kernel, under `cargo test` on the host.
//!
//! The module itself is rooted in `snd_sgring.rs`; this root exists so that the same files are also
//! tested without one. Nothing here may name `kernel::`.

#![allow(dead_code)] // Reached from the module's own root.

mod ahead;
mod bounds;
mod budget;
mod chmap;
mod descriptor;
mod event;
mod extent;
mod format;
mod level;
mod link;
mod position;
mod vector;
