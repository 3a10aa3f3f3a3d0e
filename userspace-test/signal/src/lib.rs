// SPDX-License-Identifier: MIT OR Apache-2.0
//! Seeded test signals, and a judge of what a sound card made of them.
//!
//! [`Generator`] makes signals in which each frame says which one it is. [`judge`] compares a
//! capture with what was played and says what happened to it: nothing (bit-exact), or which frames
//! were lost, repeated, changed or put elsewhere. It works on recordings as well, where frames do
//! repeat, and reports the smallest damage that explains the capture.
//!
//! The library does no input or output and has no dependency; the programs `sgring-signal` and
//! `sgring-judge` bring both to WAV files.
//!
//! ```
//! use sgring_signal::{Audio, Finding, Generator, judge};
//!
//! let sent: Vec<i16> = Generator::new(7, 2).samples(1000);
//! let mut got = sent.clone();
//! got.drain(600..602); // frame 300, both channels
//! let verdict = judge(Audio::new(&sent, 2), Audio::new(&got, 2)).unwrap();
//! assert_eq!(verdict.findings, [Finding::Dropped { at: 300, frames: 1 }]);
//! ```
#![deny(missing_docs, unsafe_code)]

mod audio;
mod generator;
mod judge;
mod search;

pub use audio::{Audio, Sample};
pub use generator::{Generator, Signal};
pub use judge::{Finding, MAX_FINDINGS, Mismatch, Verdict, judge};
