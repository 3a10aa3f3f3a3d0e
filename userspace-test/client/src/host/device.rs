// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device: what it can do, and how a stream is built on it.

use super::errors::{from_io, from_refusal};
use super::samples::{Way, kernel_formats, sample_format};
use super::stream::{Callbacks, RingStream, spawn};
use crate::cards::{self, Address};
use crate::handle::{Handle, Shared};
use crate::hw::Hardware;
use crate::options::{Options, Wakeup};
use crate::params::{self, Capability, NO_MMAP, Refusal, Request};
use crate::stream::Setup;
use crate::stream::capture::Capture;
use crate::stream::playback::Playback;
use crate::sys::{Direction, OpenOptions, Param, Pcm, Range};
use cpal::traits::DeviceTrait;
use cpal::{
    BufferSize, ChannelCount, Data, DeviceDescription, DeviceDescriptionBuilder, DeviceDirection,
    DeviceId, Error, ErrorKind, HostId, InputCallbackInfo, OutputCallbackInfo, SampleFormat,
    StreamConfig, SupportedBufferSize, SupportedStreamConfig, SupportedStreamConfigRange,
};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// An ALSA device, by its numbers. It is opened by each call that needs it and by each stream, and not
/// kept open.
#[derive(Clone)]
pub struct RingDevice {
    address: Address,
    pub(super) options: Options,
    /// The stream that was built last.
    last: Arc<Mutex<Option<Handle>>>,
}

/// Ticks of the kernel's clock in a second, at least. Without period wakeups the kernel divides by the ticks of a ring.
const TICKS: u64 = 100;

/// What a stream is built from, but for its callbacks.
pub(super) struct Built {
    pub(super) hardware: Hardware,
    pub(super) setup: Setup,
    pub(super) way: Way,
}

fn directed(direction: Direction) -> &'static str {
    match direction {
        Direction::Playback => "output",
        Direction::Capture => "input",
    }
}

impl RingDevice {
    /// The device at `address`, whether it is there or not.
    pub fn new(address: Address, options: Options) -> Self {
        Self {
            address,
            options,
            last: Arc::default(),
        }
    }

    /// As cpal's own type, for a library that takes one. A clone keeps the way to the [`Handle`] of a stream that is
    /// built on it.
    pub fn into_device(self) -> cpal::Device {
        cpal::platform::CustomDevice::from_device(self).into()
    }

    /// Where it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The stream that was built last on this device or a clone of it: its counters, and the way
    /// to end it without losing a frame. `None` before the first.
    pub fn handle(&self) -> Option<Handle> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn remember(&self, shared: &Arc<Shared>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Handle(shared.clone()));
    }

    pub(super) fn open(&self, direction: Direction) -> Result<Pcm, Error> {
        let Address { card, device } = self.address;
        Pcm::open(card, device, direction, OpenOptions::default()).map_err(|error| {
            let (kind, what) = match error.raw_os_error() {
                Some(libc::EBUSY | libc::EAGAIN) => (ErrorKind::DeviceBusy, "is in use"),
                Some(libc::EACCES | libc::EPERM) => {
                    (ErrorKind::PermissionDenied, "may not be opened")
                }
                Some(libc::ENOENT) if cards::directions(self.address).next().is_some() => {
                    let message = format!("{} has no {}", self.address, directed(direction));
                    return Error::with_message(ErrorKind::UnsupportedOperation, message);
                }
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
                    (ErrorKind::DeviceNotAvailable, "is not there")
                }
                _ => return from_io(error),
            };
            Error::with_message(kind, format!("{} {what}", self.address))
        })
    }

    fn capabilities(&self, direction: Direction) -> Result<Vec<Capability>, Error> {
        params::capabilities(&self.open(direction)?).map_err(from_io)
    }

    fn configs(&self, direction: Direction) -> Result<Configs, Error> {
        let mut found: Vec<SupportedStreamConfigRange> = Vec::new();
        for capability in self.capabilities(direction)? {
            // Of 24 bits in four bytes and in three cpal knows one.
            let key = |c: &SupportedStreamConfigRange| {
                (
                    c.sample_format(),
                    c.channels(),
                    c.min_sample_rate(),
                    c.max_sample_rate(),
                )
            };
            match config_range(&capability) {
                Some(range) if found.iter().all(|c| key(c) != key(&range)) => found.push(range),
                _ => {}
            }
        }
        Ok(found.into_iter())
    }

    /// The preferred format that the card has, in stereo if it can, at 48 kHz, 44.1 kHz or its
    /// highest rate.
    fn default_config(&self, direction: Direction) -> Result<SupportedStreamConfig, Error> {
        let found = self.capabilities(direction)?;
        let rate = |c: &Capability| {
            let usual = [48_000, 44_100].into_iter().find(|&r| c.rates.contains(r));
            usual.unwrap_or(c.rates.max)
        };
        let usual = |c: &Capability| match rate(c) {
            48_000 => 2,
            44_100 => 1,
            _ => 0,
        };
        // They are listed by format, the preferred one first.
        let first = found.first().map(|c| c.format);
        found
            .iter()
            .filter(|c| Some(c.format) == first)
            .max_by_key(|c| (c.channels == 2, usual(c), std::cmp::Reverse(c.channels)))
            .and_then(|c| Some(config_range(c)?.with_sample_rate(rate(c))))
            .ok_or_else(|| Error::with_message(ErrorKind::UnsupportedConfig, NO_MMAP))
    }

    /// Opens the device and sets it up as `config` says, with `periods` periods in the ring.
    pub(super) fn build(
        &self,
        direction: Direction,
        config: StreamConfig,
        format: SampleFormat,
        periods: u32,
        shared: &Arc<Shared>,
    ) -> Result<Built, Error> {
        let fixed = match config.buffer_size {
            BufferSize::Default => None,
            BufferSize::Fixed(frames) => Some(frames),
        };
        if config.channels == 0 || config.sample_rate == 0 || fixed == Some(0) {
            let message = "channels, rate and buffer size must not be 0";
            return Err(Error::with_message(ErrorKind::InvalidInput, message));
        }
        if let Some(priority @ (0 | 100..)) = self.options.priority {
            let message = format!(
                "a priority of {priority} is none: SCHED_FIFO has 1 to 99, and None leaves the audio \
                 thread an ordinary one"
            );
            return Err(Error::with_message(ErrorKind::InvalidInput, message));
        }
        let formats = kernel_formats(format, self.options.packed);
        if formats.is_empty() {
            return Err(from_refusal(Refusal::Format));
        }
        let pcm = self.open(direction)?;
        let request = Request {
            formats,
            channels: config.channels.into(),
            rate: config.sample_rate,
            period: fixed,
            periods,
            timer: self.options.wakeup == Wakeup::Timer,
        };
        let (params, kernel) = params::negotiate(&pcm, &request).map_err(from_refusal)?;
        let one = |param| params.range(param).single();
        let ring = one(Param::BufferSize).unwrap_or(0);
        if request.timer && u64::from(ring) * TICKS < request.rate.into() {
            return Err(from_refusal(Refusal::Tick(ring)));
        }
        let (hardware, setup) =
            Hardware::new(pcm, params, kernel, self.options, shared.clone()).map_err(from_io)?;
        shared.ring.store(setup.ring.buffer(), Ordering::Relaxed);
        let most = match setup.linear {
            true => setup.ring.buffer(),
            false => setup.ring.period(),
        };
        let most = most as usize * usize::from(config.channels);
        Ok(Built {
            hardware,
            setup,
            way: Way::new(kernel, format, direction, most),
        })
    }
}

/// Two are equal if they stand for the same device, whatever their options.
impl PartialEq for RingDevice {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl Eq for RingDevice {}

impl Hash for RingDevice {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address.hash(state);
    }
}

impl fmt::Debug for RingDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingDevice")
            .field("address", &self.address)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for RingDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match cards::names(self.address.card) {
            Some((_, name)) => write!(f, "{name} ({})", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

type Configs = std::vec::IntoIter<SupportedStreamConfigRange>;

fn config_range(capability: &Capability) -> Option<SupportedStreamConfigRange> {
    let Range { min, max } = capability.period;
    let channels: ChannelCount = capability.channels.try_into().ok()?;
    Some(SupportedStreamConfigRange::new(
        channels,
        capability.rates.min,
        capability.rates.max,
        SupportedBufferSize::Range { min, max },
        sample_format(capability.format)?,
    ))
}

impl DeviceTrait for RingDevice {
    type SupportedInputConfigs = Configs;
    type SupportedOutputConfigs = Configs;
    type Stream = RingStream;

    fn description(&self) -> Result<DeviceDescription, Error> {
        let found: Vec<_> = cards::directions(self.address).collect();
        let direction = match found[..] {
            [Direction::Playback] => DeviceDirection::Output,
            [Direction::Capture] => DeviceDirection::Input,
            [] => DeviceDirection::Unknown,
            _ => DeviceDirection::Duplex,
        };
        let mut builder = DeviceDescriptionBuilder::new(self.to_string())
            .direction(direction)
            .address(self.address.to_string());
        if let Some((driver, _)) = cards::names(self.address.card) {
            builder = builder.driver(driver);
        }
        Ok(builder.build())
    }

    /// By the card's id, which stays when numbers change: `custom:ring:hw:sgring,0`.
    fn id(&self) -> Result<DeviceId, Error> {
        let Address { card, device } = self.address;
        let id = format!("ring:hw:{},{device}", cards::id(card));
        Ok(DeviceId::new(HostId::Custom, id))
    }

    /// By its node: what is in use does, too, and nobody is disturbed.
    fn supports_input(&self) -> bool {
        cards::directions(self.address).any(|way| way == Direction::Capture)
    }

    /// As [`Self::supports_input`].
    fn supports_output(&self) -> bool {
        cards::directions(self.address).any(|way| way == Direction::Playback)
    }

    fn supported_input_configs(&self) -> Result<Configs, Error> {
        self.configs(Direction::Capture)
    }

    fn supported_output_configs(&self) -> Result<Configs, Error> {
        self.configs(Direction::Playback)
    }

    /// As [`Self::default_output_config`].
    fn default_input_config(&self) -> Result<SupportedStreamConfig, Error> {
        self.default_config(Direction::Capture)
    }

    /// The preferred format that the card has, in stereo if it can, at 48 kHz, 44.1 kHz or its
    /// highest rate.
    fn default_output_config(&self) -> Result<SupportedStreamConfig, Error> {
        self.default_config(Direction::Playback)
    }

    /// Opens the device and sets it up, in this thread; the audio thread waits for `play`. Nothing
    /// here waits for the device, so the timeout is not needed.
    fn build_input_stream_raw<D, E>(
        &self,
        config: StreamConfig,
        format: SampleFormat,
        data: D,
        error: E,
        _timeout: Option<Duration>,
    ) -> Result<RingStream, Error>
    where
        D: FnMut(&Data, &InputCallbackInfo) + Send + 'static,
        E: FnMut(Error) + Send + 'static,
    {
        let shared = Arc::new(Shared::new().map_err(from_io)?);
        let Built {
            hardware,
            setup,
            way,
        } = self.build(
            Direction::Capture,
            config,
            format,
            self.options.periods,
            &shared,
        )?;
        let callbacks = Callbacks { data, error, way };
        let flow = Capture::new(hardware, callbacks, shared.clone(), setup);
        let (priority, period) = (self.options.priority, setup.ring.period());
        let stream = spawn("alsa-mmap-in", flow, shared.clone(), priority, period)?;
        self.remember(&shared);
        Ok(stream)
    }

    /// As [`Self::build_input_stream_raw`].
    fn build_output_stream_raw<D, E>(
        &self,
        config: StreamConfig,
        format: SampleFormat,
        data: D,
        error: E,
        _timeout: Option<Duration>,
    ) -> Result<RingStream, Error>
    where
        D: FnMut(&mut Data, &OutputCallbackInfo) + Send + 'static,
        E: FnMut(Error) + Send + 'static,
    {
        let shared = Arc::new(Shared::new().map_err(from_io)?);
        let Built {
            hardware,
            setup,
            way,
        } = self.build(
            Direction::Playback,
            config,
            format,
            self.options.periods,
            &shared,
        )?;
        let callbacks = Callbacks { data, error, way };
        let flow = Playback::new(hardware, callbacks, shared.clone(), setup);
        let (priority, period) = (self.options.priority, setup.ring.period());
        let stream = spawn("alsa-mmap-out", flow, shared.clone(), priority, period)?;
        self.remember(&shared);
        Ok(stream)
    }
}

#[cfg(test)]
mod tests;
