// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest's measuring programs share.
//!
//! Each program in `src/bin` measures one thing and prints series ([`series`]), one a line, with every
//! parameter as a label. It says nothing about whether a number is good. Times are of one clock
//! ([`stopwatch`]): in a guest under icount a nanosecond is an instruction.
#![deny(unsafe_code)]

pub mod series;
pub mod stopwatch;
