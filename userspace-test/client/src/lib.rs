// SPDX-License-Identifier: MIT OR Apache-2.0
//! A [cpal](https://docs.rs/cpal) host that streams through the memory-mapped ring of an ALSA PCM.
#![deny(missing_docs, unsafe_code)]

pub mod sys;
