// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cpal host. The only file that names cpal, and the only `unsafe` outside `sys`: cpal's type
//! for a buffer of any format is made from a pointer.

use crate::cards::{self, Address};
use crate::handle::{Command, Handle, Shared};
use crate::hw::Hardware;
use crate::params::{self, Capability, FORMATS, Refusal, Request};
use crate::stream::{Client, Moment, Report, Setup, Worker};
use crate::sys::{Direction, Format, OpenOptions, Pcm, Range, monotonic, set_fifo, uapi};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{
    BufferSize, Data, DeviceDescription, DeviceDescriptionBuilder, DeviceDirection, DeviceId,
    Error, ErrorKind, FrameCount, HostId, InputCallbackInfo, OutputCallbackInfo,
    OutputStreamTimestamp, SampleFormat, StreamConfig, StreamInstant, SupportedBufferSize,
    SupportedStreamConfig, SupportedStreamConfigRange,
};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What all streams of a host have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Periods in the ring, at least 2; a card that cannot gives as near as it can. More of them
    /// forgive a longer delay of the audio thread, and add as much latency.
    pub periods: u32,
    /// `SCHED_FIFO` priority of the audio thread, 1 to 99; `None` leaves it an ordinary thread.
    /// Where it is refused, the error callback gets [`ErrorKind::RealtimeDenied`] once, and the
    /// stream plays on without.
    pub priority: Option<u8>,
    /// Use SYNC_PTR even where the status and control records can be mapped: three system calls a
    /// period instead of one. For comparing the two, and for trying on one machine what others
    /// need.
    pub sync_ptr: bool,
    /// Map the ring twice in a row, and have each callback fill all that is free of it, at least a
    /// period and at most the ring, as one slice, wherever in the ring that begins. Fewer calls for
    /// whoever fills a large ring seldom.
    ///
    /// Refused with [`ErrorKind::UnsupportedConfig`] where the ring is no whole number of pages, which
    /// depends on period, periods and frame: the error's text has the numbers. On any card.
    pub linear: bool,
}

impl Default for Options {
    /// Four periods, priority 50, records mapped, the ring once.
    fn default() -> Self {
        Self {
            periods: 4,
            priority: Some(50),
            sync_ptr: false,
            linear: false,
        }
    }
}

/// A cpal host with one output device for each ALSA playback device, streaming through its
/// memory-mapped ring.
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
        cards::playback().is_ok_and(|found| !found.is_empty())
    }

    fn devices(&self) -> Result<Self::Devices, Error> {
        let found = cards::playback().map_err(from_io)?;
        let devices: Vec<_> = found
            .into_iter()
            .map(|address| RingDevice::new(address, self.options))
            .collect();
        Ok(devices.into_iter())
    }

    fn default_input_device(&self) -> Option<RingDevice> {
        None
    }

    fn default_output_device(&self) -> Option<RingDevice> {
        self.devices().ok()?.next()
    }
}

/// An ALSA playback device, by its numbers. It is opened by each call that needs it and by each
/// stream, and not kept open.
#[derive(Clone)]
pub struct RingDevice {
    address: Address,
    options: Options,
    /// The stream that was built last.
    last: Arc<Mutex<Option<Handle>>>,
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

    fn open(&self) -> Result<Pcm, Error> {
        let Address { card, device } = self.address;
        Pcm::open(card, device, Direction::Playback, OpenOptions::default()).map_err(|error| {
            let (kind, what) = match error.raw_os_error() {
                Some(libc::EBUSY | libc::EAGAIN) => (ErrorKind::DeviceBusy, "is in use"),
                Some(libc::EACCES | libc::EPERM) => {
                    (ErrorKind::PermissionDenied, "may not be opened")
                }
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
                    (ErrorKind::DeviceNotAvailable, "is not there")
                }
                _ => return from_io(error),
            };
            Error::with_message(kind, format!("{} {what}", self.address))
        })
    }

    fn capabilities(&self) -> Result<Vec<Capability>, Error> {
        params::capabilities(&self.open()?).map_err(from_io)
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

/// Kernel format and cpal format; `None` for those that cpal lacks.
fn sample_format(format: Format) -> Option<SampleFormat> {
    const PAIRS: [SampleFormat; FORMATS.len()] = [
        SampleFormat::I16,
        SampleFormat::I32,
        SampleFormat::F32,
        SampleFormat::I24,
        SampleFormat::F64,
        SampleFormat::U8,
        SampleFormat::I8,
    ];
    let at = FORMATS.iter().position(|&f| f == format)?;
    Some(PAIRS[at])
}

fn kernel_format(format: SampleFormat) -> Option<Format> {
    FORMATS
        .into_iter()
        .find(|&f| sample_format(f) == Some(format))
}

fn config_range(capability: &Capability) -> Option<SupportedStreamConfigRange> {
    let Range { min, max } = capability.period;
    Some(SupportedStreamConfigRange::new(
        capability.channels.try_into().ok()?,
        capability.rates.min,
        capability.rates.max,
        SupportedBufferSize::Range { min, max },
        sample_format(capability.format)?,
    ))
}

fn from_io(error: io::Error) -> Error {
    let kind = match error.raw_os_error() {
        // A ring that cannot be linear.
        None if error.kind() == io::ErrorKind::Unsupported => ErrorKind::UnsupportedConfig,
        Some(libc::ENODEV | libc::ENXIO | libc::EBADFD) => ErrorKind::DeviceNotAvailable,
        Some(libc::EACCES | libc::EPERM) => ErrorKind::PermissionDenied,
        Some(libc::EBUSY) => ErrorKind::DeviceBusy,
        Some(libc::ENOMEM | libc::EMFILE | libc::ENFILE) => ErrorKind::ResourceExhausted,
        _ => ErrorKind::BackendError,
    };
    Error::with_message(kind, error.to_string())
}

fn from_refusal(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Io(error) => from_io(error),
        refusal => Error::with_message(ErrorKind::UnsupportedConfig, refusal.to_string()),
    }
}

impl DeviceTrait for RingDevice {
    type SupportedInputConfigs = std::iter::Empty<SupportedStreamConfigRange>;
    type SupportedOutputConfigs = std::vec::IntoIter<SupportedStreamConfigRange>;
    type Stream = RingStream;

    fn description(&self) -> Result<DeviceDescription, Error> {
        let mut builder = DeviceDescriptionBuilder::new(self.to_string())
            .direction(DeviceDirection::Output)
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

    fn supported_input_configs(&self) -> Result<Self::SupportedInputConfigs, Error> {
        Ok(std::iter::empty())
    }

    fn supported_output_configs(&self) -> Result<Self::SupportedOutputConfigs, Error> {
        let found: Vec<_> = self
            .capabilities()?
            .iter()
            .filter_map(config_range)
            .collect();
        Ok(found.into_iter())
    }

    fn default_input_config(&self) -> Result<SupportedStreamConfig, Error> {
        Err(Error::with_message(
            ErrorKind::UnsupportedOperation,
            "this host has no input",
        ))
    }

    /// The preferred format that the card has, in stereo if it can, at 48 kHz, 44.1 kHz or its
    /// highest rate.
    fn default_output_config(&self) -> Result<SupportedStreamConfig, Error> {
        let found = self.capabilities()?;
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
            .ok_or_else(|| {
                let message = "the card offers no memory-mapped interleaved ring";
                Error::with_message(ErrorKind::UnsupportedConfig, message)
            })
    }

    fn build_input_stream_raw<D, E>(
        &self,
        _: StreamConfig,
        _: SampleFormat,
        _: D,
        _: E,
        _: Option<Duration>,
    ) -> Result<RingStream, Error>
    where
        D: FnMut(&Data, &InputCallbackInfo) + Send + 'static,
        E: FnMut(Error) + Send + 'static,
    {
        Err(Error::with_message(
            ErrorKind::UnsupportedOperation,
            "this host has no input",
        ))
    }

    /// Opens the device and sets it up, in this thread; the audio thread waits for `play`. Nothing
    /// here waits for the device, so the timeout is not needed.
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
        let fixed = match config.buffer_size {
            BufferSize::Default => None,
            BufferSize::Fixed(frames) => Some(frames),
        };
        if config.channels == 0 || config.sample_rate == 0 || fixed == Some(0) {
            let message = "channels, rate and buffer size must not be 0";
            return Err(Error::with_message(ErrorKind::InvalidInput, message));
        }
        let kernel = kernel_format(format).ok_or_else(|| from_refusal(Refusal::Format))?;
        let pcm = self.open()?;
        let request = Request {
            format: kernel,
            channels: config.channels.into(),
            rate: config.sample_rate,
            period: fixed,
            periods: self.options.periods,
        };
        let params = params::negotiate(&pcm, &request).map_err(from_refusal)?;
        let shared = Arc::new(Shared::new().map_err(from_io)?);
        let (hardware, ring) =
            Hardware::new(pcm, params, self.options, shared.clone()).map_err(from_io)?;
        shared.ring.store(ring.buffer(), Ordering::Relaxed);
        let setup = Setup {
            ring,
            format: kernel,
            frame_bytes: kernel.bytes() * usize::from(config.channels),
            rate: config.sample_rate,
            perfect_drain: params.info() & uapi::INFO_PERFECT_DRAIN != 0,
            linear: self.options.linear,
        };
        let callbacks = Callbacks {
            data,
            error,
            format,
        };
        let thread = spawn(
            Worker::new(hardware, callbacks, shared.clone(), setup),
            self.options.priority,
        )
        .map_err(from_io)?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Handle(shared.clone()));
        Ok(RingStream {
            shared,
            period: ring.period() as u32,
            thread: Some(thread),
        })
    }
}

/// Starts the audio thread.
fn spawn<D, E>(
    mut worker: Worker<Hardware, Callbacks<D, E>>,
    priority: Option<u8>,
) -> io::Result<std::thread::JoinHandle<()>>
where
    D: FnMut(&mut Data, &OutputCallbackInfo) + Send + 'static,
    E: FnMut(Error) + Send + 'static,
{
    std::thread::Builder::new()
        .name("alsa-mmap-out".into())
        .spawn(move || {
            if priority.is_some_and(|priority| set_fifo(priority).is_err()) {
                worker.deny_realtime();
            }
            worker.run(monotonic);
        })
}

/// cpal's callbacks, as the audio thread calls them.
struct Callbacks<D, E> {
    data: D,
    error: E,
    format: SampleFormat,
}

fn instant(time: Duration) -> StreamInstant {
    StreamInstant::new(time.as_secs(), time.subsec_nanos())
}

impl<D, E> Client for Callbacks<D, E>
where
    D: FnMut(&mut Data, &OutputCallbackInfo),
    E: FnMut(Error),
{
    #[allow(unsafe_code)]
    fn data(&mut self, window: &mut [u8], moment: Moment) {
        let samples = window.len() / self.format.sample_size();
        // SAFETY: the window is as long as that many samples of the format, whose values may have
        // any bits, and nobody else uses it until the callback returns. It is aligned: rings begin
        // on a page, and a frame is a whole number of samples.
        let mut data =
            unsafe { Data::from_parts(window.as_mut_ptr().cast(), samples, self.format) };
        let timestamp = OutputStreamTimestamp {
            callback: instant(moment.seen),
            playback: instant(moment.heard),
        };
        (self.data)(&mut data, &OutputCallbackInfo::new(timestamp));
    }

    fn report(&mut self, report: Report) {
        // What comes while the stream runs must not allocate: kinds and static texts alone.
        let error = match report {
            Report::Xrun => ErrorKind::Xrun.into(),
            Report::RealtimeDenied => ErrorKind::RealtimeDenied.into(),
            Report::Panicked => {
                Error::with_message(ErrorKind::StreamInvalidated, "the data callback panicked")
            }
            Report::Disconnected => ErrorKind::DeviceNotAvailable.into(),
            Report::Stopped => Error::with_message(
                ErrorKind::StreamInvalidated,
                "the card was suspended or stopped",
            ),
            Report::Failed(error) => from_io(error),
        };
        (self.error)(error);
    }
}

/// A playback stream. Dropping it stops the card at once: end it by
/// [`Handle::finish_at`] first if its last frames matter.
///
/// The card is started by the first `play` and runs until the end; `pause` only stops asking
/// for data, so that what is in the ring is played and silence follows.
#[derive(Debug)]
pub struct RingStream {
    shared: Arc<Shared>,
    /// Frames.
    period: u32,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl RingStream {
    /// See [`RingDevice::handle`].
    pub fn handle(&self) -> Handle {
        Handle(self.shared.clone())
    }

    fn command(&self, command: Command) -> Result<(), Error> {
        if self.shared.ended().is_some() {
            let message = "the stream has ended";
            return Err(Error::with_message(ErrorKind::StreamInvalidated, message));
        }
        self.shared.set_command(command);
        Ok(())
    }
}

impl StreamTrait for RingStream {
    fn play(&self) -> Result<(), Error> {
        self.command(Command::Play)
    }

    fn pause(&self) -> Result<(), Error> {
        self.command(Command::Pause)
    }

    /// Frames in a period: each callback fills one, or with [`Options::linear`] at least one.
    fn buffer_size(&self) -> Result<FrameCount, Error> {
        Ok(self.period)
    }

    fn now(&self) -> StreamInstant {
        instant(monotonic())
    }
}

impl Drop for RingStream {
    fn drop(&mut self) {
        self.shared.set_command(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // From within a callback this would wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                // The thread catches panics; there is no result.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Ring;
    use crate::sim::{Bench, Sim, now};
    use assert_no_alloc::assert_no_alloc;
    use std::sync::atomic::AtomicU32;

    /// A device that no machine has.
    fn nowhere() -> RingDevice {
        let address = Address {
            card: 31,
            device: 7,
        };
        RingDevice::new(address, Options::default())
    }

    #[test]
    fn every_format_goes_there_and_back() {
        for format in FORMATS {
            let there = sample_format(format).unwrap();
            assert_eq!(kernel_format(there), Some(format));
            assert_eq!(there.sample_size(), format.bytes());
        }
        assert_eq!(kernel_format(SampleFormat::U16), None);
        assert_eq!(sample_format(Format::S24_3Le), None);
    }

    #[test]
    fn a_device_that_is_not_there_says_so() {
        let device = nowhere();
        assert_eq!(device.to_string(), "hw:31,7");
        let id = device.id().unwrap();
        assert_eq!(id.to_string(), "custom:ring:hw:card31,7");
        assert_eq!(id.to_string().parse::<DeviceId>().unwrap(), id);
        let error = device.default_output_config().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeviceNotAvailable);
        assert!(!device.supports_output());
        assert!(!device.supports_input());
        assert!(device.handle().is_none());
    }

    #[test]
    fn a_stream_of_nothing_is_refused_before_the_device_is_opened() {
        let good = StreamConfig {
            channels: 2,
            sample_rate: 48_000,
            buffer_size: BufferSize::Default,
        };
        let build = |config, format| {
            let stream = nowhere().build_output_stream_raw(config, format, |_, _| {}, |_| {}, None);
            stream.unwrap_err().kind()
        };
        let bad = [
            StreamConfig {
                channels: 0,
                ..good
            },
            StreamConfig {
                sample_rate: 0,
                ..good
            },
            StreamConfig {
                buffer_size: BufferSize::Fixed(0),
                ..good
            },
        ];
        for config in bad {
            assert_eq!(build(config, SampleFormat::I16), ErrorKind::InvalidInput);
        }
        assert_eq!(build(good, SampleFormat::U64), ErrorKind::UnsupportedConfig);
        assert_eq!(
            build(good, SampleFormat::I16),
            ErrorKind::DeviceNotAvailable
        );
    }

    /// cpal's own types between the thread and the callbacks allocate nothing either, underruns
    /// included, and times are those of the card.
    #[test]
    fn the_way_through_cpal_allocates_nothing() {
        let setup = Setup {
            ring: Ring::new(100, 400, 400 << 20).unwrap(),
            format: FORMATS[0],
            frame_bytes: 4,
            rate: 48_000,
            perfect_drain: true,
            linear: false,
        };
        let bench = Arc::new(Bench::default());
        let shared = Arc::new(Shared::new().unwrap());
        let handle = Handle(shared.clone());
        handle.finish_at(10_000);
        let (xruns, stalled) = (Arc::new(AtomicU32::new(0)), bench.clone());
        let counted = xruns.clone();
        let (mut calls, mut last) = (0u64, StreamInstant::new(0, 0));
        let callbacks = Callbacks {
            data: move |data: &mut Data, info: &OutputCallbackInfo| {
                let samples = data.as_slice_mut::<i16>().unwrap();
                assert_eq!(samples.len(), 200);
                assert!(samples.iter().all(|&s| s == 0));
                samples.fill(7);
                let time = info.timestamp();
                assert!(time.playback >= time.callback && time.playback >= last);
                last = time.playback;
                calls += 1;
                if calls == 50 {
                    stalled.stall.store(1000, Ordering::Relaxed);
                }
            },
            error: move |error: Error| {
                assert_eq!(error.kind(), ErrorKind::Xrun);
                counted.fetch_add(1, Ordering::Relaxed);
            },
            format: SampleFormat::I16,
        };
        let card = Sim::new(&setup, bench.clone(), shared.clone());
        let mut worker = Worker::new(card, callbacks, shared.clone(), setup);
        shared.set_command(Command::Play);
        assert_no_alloc(|| worker.run(now));
        assert_eq!(handle.wait(Duration::ZERO), Some(crate::End::Drained));
        assert_eq!(xruns.load(Ordering::Relaxed), 1);
        let played = bench.played.lock().unwrap();
        let heard = played.iter().filter(|&&b| b == 7).count();
        assert_eq!(heard, 2 * 10_000);
    }
}
