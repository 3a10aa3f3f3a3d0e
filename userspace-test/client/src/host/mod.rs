// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cpal host. Nothing outside this folder names cpal. There is `unsafe` outside [`sys`](crate::sys) in two places:
//! where cpal's type for a buffer of any format is made from a pointer ([`samples`]), and where a stream takes its
//! ring (`crate::hw`).

mod device;
mod duplex;
mod errno;
mod errors;
mod samples;
mod stream;

pub use device::RingDevice;
pub use duplex::{DuplexConfig, DuplexInfo};
pub use stream::RingStream;

use crate::cards;
use crate::options::Options;
use crate::sys::Direction;
use cpal::Error;
use cpal::traits::HostTrait;
use errors::from_io;

/// A cpal host with one device for each ALSA device, streaming through its memory-mapped ring.
///
/// Looking for devices opens none: what is in use is found as well, and nobody is disturbed. Whether a
/// device lets its ring be mapped only it can say: ask for its configurations.
///
/// ```no_run
/// use cpal::traits::HostTrait;
/// use cpal_alsa_mmap::RingHost;
///
/// let host = cpal::Host::from(RingHost::default());
/// let device = host.default_output_device().expect("a card");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RingHost {
    options: Options,
}

impl RingHost {
    /// A host whose streams have these options.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    fn first(&self, direction: Direction) -> Option<RingDevice> {
        let found = cards::pcms(direction).ok()?;
        let address = found.into_iter().next()?;
        Some(RingDevice::new(address, self.options))
    }
}

impl From<RingHost> for cpal::Host {
    fn from(host: RingHost) -> Self {
        cpal::platform::CustomHost::from_host(host).into()
    }
}

impl HostTrait for RingHost {
    type Device = RingDevice;
    type Devices = std::vec::IntoIter<RingDevice>;

    fn is_available() -> bool {
        cards::all().is_ok_and(|found| !found.is_empty())
    }

    fn devices(&self) -> Result<Self::Devices, Error> {
        let found = cards::all().map_err(from_io)?;
        let devices: Vec<_> = found
            .into_iter()
            .map(|address| RingDevice::new(address, self.options))
            .collect();
        Ok(devices.into_iter())
    }

    /// The first device that records.
    fn default_input_device(&self) -> Option<RingDevice> {
        self.first(Direction::Capture)
    }

    /// The first device that plays.
    fn default_output_device(&self) -> Option<RingDevice> {
        self.first(Direction::Playback)
    }
}
