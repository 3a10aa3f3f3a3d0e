// SPDX-License-Identifier: MIT OR Apache-2.0
//! The register map, bound from `sgring_regs.h`, without its common prefix's noise:
//! offsets and values are `u32`.

#![allow(missing_docs, clippy::all)]
include!(concat!(env!("OUT_DIR"), "/regs.rs"));
