// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest programs share.
//!
//! Each program in `src/bin` tests one behaviour of the driver and prints TAP ([`tap`]). It finds the card
//! itself ([`card`]), speaks the kernel's PCM interface through `cpal_alsa_mmap::sys`, and looks at its own
//! address space from both sides: as a process does ([`window`]) and as the kernel tells it ([`proc`]).
//!
//! Rules that all of them keep: nothing is waited for by sleeping, no test has a limit on how long
//! something takes other than the one that it is about, random choices come from a printed seed
//! ([`seed`]), and a program leaves the card as it found it.
#![deny(unsafe_code)]

pub mod binding;
pub mod board;
pub mod card;
pub mod clip;
pub mod clock;
pub mod control;
pub mod fail;
pub mod fate;
pub mod filter;
pub mod fork;
#[cfg(target_arch = "x86_64")]
pub mod fuzz;
pub mod gone;
pub mod host;
pub mod inside;
pub mod kmsg;
pub mod node;
pub mod oss;
pub mod param;
pub mod pat;
pub mod pipe;
pub mod priority;
pub mod proc;
pub mod raw;
pub mod record;
pub mod scatter;
pub mod seed;
pub mod slot;
pub mod sram;
pub mod tap;
pub mod trace;
pub mod uevent;
pub mod window;
