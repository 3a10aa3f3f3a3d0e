// SPDX-License-Identifier: GPL-2.0-only

//! The sound core's C interface, as bindgen sees it.
//!
//! Not to be named outside this folder: what the driver needs has a safe form beside this file.
//! Everything that the sound headers only mention comes from `kernel::bindings`, so that both speak of
//! the same `struct device`. Static inlines appear here but have no symbol to link against.

#![allow(
    clippy::all,
    clippy::missing_safety_doc,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    clippy::cast_lossless,
    clippy::as_ptr_cast_mut,
    clippy::as_underscore,
    clippy::ignored_unit_patterns,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

use kernel::{
    bindings::*,
    ffi, //
};

include!(concat!(env!("SGRING_BINDINGS"), "/bindings_sound.rs"));
