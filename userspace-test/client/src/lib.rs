// SPDX-License-Identifier: MIT OR Apache-2.0
//! A [cpal](https://docs.rs/cpal) host that plays and records through the memory-mapped ring of an ALSA PCM.
//!
//! It is for any card that offers `MMAP_INTERLEAVED`, talks the kernel's PCM interface for `hw:` devices directly,
//! and needs no alsa-lib of its own (cpal 0.18 links one on Linux whatever the host).
//!
//! # Sound in a minute
//!
//! An application that uses cpal changes one line, the one that gets the host:
//!
//! ```no_run
//! use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = cpal::Host::from(cpal_alsa_mmap::RingHost::default());
//! let device = host.default_output_device().ok_or("no card")?;
//! let config = device.default_output_config()?;
//! let (rate, mut at) = (config.sample_rate() as f32, 0.0f32);
//! let stream = device.build_output_stream(
//!     config.config(),
//!     move |samples: &mut [i16], _| {
//!         for frame in samples.chunks_exact_mut(2) {
//!             frame.fill((8_000.0 * (at * 440.0 * std::f32::consts::TAU).sin()) as i16);
//!             at = (at + 1.0 / rate) % 1.0;
//!         }
//!     },
//!     |error| eprintln!("{error}"),
//!     None,
//! )?;
//! stream.play()?;
//! std::thread::sleep(std::time::Duration::from_secs(1));
//! # Ok(())
//! # }
//! ```
//!
//! A device of a library that takes a [`cpal::Device`] is `RingDevice::new("hw:0,0".parse()?,
//! Options::default()).into_device()`. The examples play and record files, echo, and measure how soon the audio thread is awake.
//!
//! # What differs from cpal's own ALSA host
//!
//! | | here | cpal 0.18's ALSA host |
//! |---|---|---|
//! | devices | `hw:` alone: one application has a substream | all of alsa-lib's, plugins and mixers among them |
//! | looking for devices | opens none, and says nothing on stderr | opens each |
//! | data | the callback has the ring itself; 24 bits in three bytes, and recordings of 24 bits in four, are converted | copied by `readi` and `writei` |
//! | system calls a period | one poll(2); where status and control records cannot be mapped, SYNC_PTR as well | five |
//! | ring | [`Options::periods`] periods, four by default | two periods |
//! | `BufferSize::Fixed` | exactly, or refused with the nearest that the card has | as near as can be |
//! | formats | 24 bits in three bytes too, as `I24` | no such cards |
//! | a late callback | silence, or frames lost, in whole periods, and one `Xrun`; the stream keeps its clock | `Xrun`, PREPARE and START: the clock begins anew |
//! | times | position and time of one update of the kernel's | of two system calls |
//! | `pause` | of any card: what is in the ring is played, silence follows | of cards that can, at once |
//! | the end | at an exact frame ([`Handle::finish_at`]), played to the last one | what was in the ring is lost |
//! | input and output in one callback | [`RingDevice::build_duplex_stream`] | no |
//! | devices that come and go | [`Watch`] | no |
//! | counters | [`Handle::stats`], from any thread | no |
//!
//! # What holds
//!
//! * From START to the end the audio thread takes no lock, allocates nothing, logs nothing, and calls the kernel to
//!   sleep alone. All its memory is touched before. `SCHED_FIFO` where it is permitted
//!   ([`Options::priority`]), and `RealtimeDenied` in the error callback where not.
//! * One START in a stream's life, where the card lets a position skip what is lost ([`Stats::starts`] tells). What a
//!   callback writes too late is not heard, and what it reads too late may be newer than it should; that is one
//!   `Xrun`, and the frames that it cost are counted ([`Stats::missed`]).
//! * A turn of the ring that the kernel itself has not seen is noticed by the PCM's timestamps, and is an `Xrun` too.
//! * A callback that panics leaves silence and a `StreamInvalidated` error.
//! * A card that is gone ends its streams with `DeviceNotAvailable`.
//! * After the machine has slept a stream goes on with the next frame, or, on a card that has forgotten it, anew and
//!   with an `Xrun`. Under [`Wakeup::Timer`] it may be an `Xrun` on any card: without period interrupts the sound
//!   core takes time in which the card stood still for turns of the ring.
//! * An end that was not played is none: [`End::Failed`], and `StreamInvalidated` or what else was wrong.
//!
//! What it has not: formats of 20 bits, sample orders of the other endianness, and machines that are not 64-bit.
//! Without the feature `cpal` the crate is [`sys`] alone.
#![deny(missing_docs, unsafe_code)]

#[cfg(feature = "cpal")]
mod cards;
#[cfg(feature = "cpal")]
mod clock;
#[cfg(any(feature = "cpal", loom))]
#[cfg_attr(loom, allow(dead_code))]
mod handle;
#[cfg(feature = "cpal")]
mod host;
#[cfg(feature = "cpal")]
mod hw;
#[cfg(all(test, loom))]
mod model;
#[cfg(feature = "cpal")]
mod options;
#[cfg(feature = "cpal")]
mod params;
#[cfg(feature = "cpal")]
mod ring;
#[cfg(all(test, feature = "cpal"))]
mod sim;
#[cfg(feature = "cpal")]
mod stream;
#[cfg(any(feature = "cpal", loom))]
#[cfg_attr(loom, allow(dead_code, unused_imports))]
mod sync;
pub mod sys;
#[cfg(feature = "cpal")]
mod watch;

#[cfg(feature = "cpal")]
pub use cards::{Address, AddressError, pcms};
#[cfg(any(feature = "cpal", loom))]
pub use handle::{End, Handle, Stats};
#[cfg(feature = "cpal")]
pub use host::{DuplexConfig, DuplexInfo, RingDevice, RingHost, RingStream};
#[cfg(feature = "cpal")]
pub use options::{Options, Wakeup};
#[cfg(feature = "cpal")]
pub use watch::{Change, Watch};
