// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's PCM interface, without alsa-lib.
//!
//! [`Pcm`] is an open PCM file and its ioctls; [`Mapping`], [`StatusPage`], [`ControlPage`] and
//! [`MappedRing`] are what can be mapped from it. Nothing here has a policy of its own: every
//! call is one system call, and its errno comes back in the [`std::io::Error`].
//!
//! This module is the home of the crate's `unsafe`. What it offers is safe to call in any order
//! and on any card: a wrong call gets an error, or the signal that the kernel documents for a
//! mapping whose pages are gone. What is not says so: to lend out a ring, and ioctls of any kind.
//!
//! ```no_run
//! use cpal_alsa_mmap::sys::{Access, Direction, Format, HwParams, OpenOptions, Param, Pcm};
//!
//! # fn main() -> std::io::Result<()> {
//! let pcm = Pcm::open(0, 0, Direction::Playback, OpenOptions::default())?;
//! let mut params = HwParams::any();
//! params.set_access(&[Access::MmapInterleaved]);
//! params.set_formats(&[Format::S16Le]);
//! params.set(Param::Channels, 2);
//! params.set(Param::Rate, 48_000);
//! params.set(Param::PeriodSize, 240);
//! params.set(Param::Periods, 4);
//! pcm.hw_params(&mut params)?;
//! # Ok(())
//! # }
//! ```
#![allow(unsafe_code)]

mod map;
mod params;
mod pcm;
mod records;
mod ring;
mod status;
#[cfg(feature = "cpal")]
mod thread;
pub mod uapi;

#[cfg(all(test, feature = "cpal"))]
pub(crate) use map::memfd;
pub use map::{MapOptions, Mapping, Protection, Sharing};
pub use params::{Access, Format, HwParams, Param, Range, SwParams, TstampType};
#[cfg(feature = "cpal")]
pub(crate) use pcm::poll;
pub use pcm::{
    Direction, Info, MmapState, OpenMode, OpenOptions, Pcm, State, SyncReply, SyncRequest,
};
pub use records::{ControlPage, StatusPage};
pub use ring::{LinearError, MappedRing};
pub use status::{AudioClock, Status};
#[cfg(feature = "cpal")]
pub(crate) use thread::{Event, monotonic, set_fifo, touch_stack};
