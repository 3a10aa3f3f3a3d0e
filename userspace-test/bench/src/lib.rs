// SPDX-License-Identifier: MIT OR Apache-2.0
//! For programs that measure in a guest, these and your own.
//!
//! Such a program measures one thing and prints series ([`series`]), one a line, with every parameter as a
//! label. It says nothing about whether a number is good. Times are of one clock ([`stopwatch`]): in a guest
//! under icount a nanosecond is an instruction. [`spinner`] says what a whole machine executes. [`marker`] tells the host where in the run something begins.
//! `docs/bench.md` shows a program of one's own.
#![deny(unsafe_code)]
#![deny(missing_docs)]

pub mod marker;
pub mod series;
pub mod spinner;
pub mod stopwatch;
pub mod timer;
pub mod tsc;
pub mod words;
