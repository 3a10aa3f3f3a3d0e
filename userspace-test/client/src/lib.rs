// SPDX-License-Identifier: MIT OR Apache-2.0
//! A [cpal](https://docs.rs/cpal) host that streams through the memory-mapped ring of an ALSA PCM.
//!
//! It talks the kernel's PCM interface for `hw:` devices directly, works on any card that offers
//! `MMAP_INTERLEAVED`, and needs no alsa-lib of its own (cpal 0.18 links one on Linux whatever the
//! host).
//!
//! * The data callback writes straight into the ring: no copy.
//! * One poll(2) a period, and no other system call, where the kernel lets status and control
//!   records be mapped (x86, drivers without explicit sync); elsewhere SYNC_PTR as well.
//! * One START in a stream's life. An underrun is silence, an `ErrorKind::Xrun` in the error
//!   callback, and no more: the stream keeps its clock.
//! * A stream can end at an exact frame (`Handle::finish_at`), for which cpal 0.18 has no call.
//!
//! ```no_run
//! use cpal::traits::{DeviceTrait, StreamTrait};
//! use cpal_alsa_mmap::{Options, RingDevice};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ring = RingDevice::new("hw:0,0".parse()?, Options::default());
//! let device = cpal::Device::from(cpal::platform::CustomDevice::from_device(ring.clone()));
//! let config = device.default_output_config()?;
//! let stream = device.build_output_stream(
//!     config.config(),
//!     |samples: &mut [i16], _| samples.fill(0),
//!     |error| eprintln!("{error}"),
//!     None,
//! )?;
//! let handle = ring.handle().ok_or("no stream")?;
//! handle.finish_at(48_000);
//! stream.play()?;
//! while handle.wait(std::time::Duration::from_secs(1)).is_none() {}
//! println!("{:?}", handle.stats());
//! # Ok(())
//! # }
//! ```
//!
//! It needs a kernel clock in the PCM's timestamps to notice when the kernel itself loses a whole
//! turn of the ring; that counts as an underrun too.
//!
//! What it has not: input, duplex, formats of 20 bits or of 24 bits in three bytes, and machines
//! that are not 64-bit. Without the feature `cpal` the crate is [`sys`] alone.
#![deny(missing_docs, unsafe_code)]

#[cfg(feature = "cpal")]
mod cards;
#[cfg(feature = "cpal")]
mod clock;
#[cfg(feature = "cpal")]
mod handle;
#[cfg(feature = "cpal")]
mod host;
#[cfg(feature = "cpal")]
mod hw;
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
pub mod sys;
#[cfg(feature = "cpal")]
mod watch;

#[cfg(feature = "cpal")]
pub use cards::{Address, AddressError, pcms};
#[cfg(feature = "cpal")]
pub use handle::{End, Handle, Stats};
#[cfg(feature = "cpal")]
pub use host::{DuplexConfig, DuplexInfo, RingDevice, RingHost, RingStream};
#[cfg(feature = "cpal")]
pub use options::{Options, Wakeup};
#[cfg(feature = "cpal")]
pub use watch::{Change, Watch};
