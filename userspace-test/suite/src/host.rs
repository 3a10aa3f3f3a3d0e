// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams of the cpal host, in the form that a test wants: what is played is bytes, and so is what is recorded.

use crate::ensure;
use crate::seed::Random;
use crate::tap::{Outcome, Stop};
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, Data, Error, ErrorKind, SampleFormat, StreamConfig};
use cpal_alsa_mmap::{End, Handle, Options, RingDevice, RingStream, Stats};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The card under test.
///
/// # Panics
///
/// If the form of addresses has changed.
#[must_use]
pub fn card(options: Options) -> RingDevice {
    RingDevice::new("hw:sgring,0".parse().expect("the card"), options)
}

/// Stereo at 48 kHz, callbacks of `period` frames.
#[must_use]
pub fn stereo(period: u32) -> StreamConfig {
    StreamConfig {
        channels: 2,
        sample_rate: 48_000,
        buffer_size: BufferSize::Fixed(period),
    }
}

/// `frames` frames of noise, of which the first is not silent.
#[must_use]
pub fn noise(random: &mut Random, format: SampleFormat, channels: u16, frames: usize) -> Vec<u8> {
    let samples = frames * usize::from(channels);
    let mut bytes = vec![0; samples * format.sample_size()];
    random.fill(&mut bytes);
    match format {
        // Four bytes for 24 bits, with their sign.
        SampleFormat::I24 => {
            for sample in bytes.chunks_exact_mut(4) {
                sample[3] = if sample[2] & 0x80 == 0 { 0 } else { 0xff };
            }
        }
        // Numbers, and no others.
        SampleFormat::F32 => {
            for sample in bytes.chunks_exact_mut(4) {
                sample[3] = 0x3e | sample[3] & 0x81;
            }
        }
        _ => {}
    }
    bytes[0] |= 1;
    bytes
}

/// The kinds of errors that a stream has reported, in order.
pub type Errors = Arc<Mutex<Vec<ErrorKind>>>;

/// A stream under way.
#[derive(Debug)]
pub struct Running {
    pub stream: RingStream,
    pub handle: Handle,
    pub errors: Errors,
}

impl Running {
    fn new(stream: RingStream, errors: Errors) -> Result<Self, Error> {
        let handle = stream.handle();
        stream.play()?;
        Ok(Self {
            stream,
            handle,
            errors,
        })
    }

    /// Waits until it has ended, a minute at most.
    ///
    /// # Errors
    ///
    /// If it has not, or not as it was told to.
    pub fn drained(&self) -> Result<Stats, Stop> {
        match self.handle.wait(Duration::from_secs(60)) {
            Some(End::Drained) => Ok(self.handle.stats()),
            end => Err(Stop::Fail(format!(
                "{end:?}, {:?}, {:?}",
                self.errors(),
                self.handle.stats()
            ))),
        }
    }

    /// What it has reported.
    #[must_use]
    pub fn errors(&self) -> Vec<ErrorKind> {
        kinds(&self.errors)
    }

    /// Demands that it has reported nothing.
    ///
    /// # Errors
    ///
    /// A failure that names what it has.
    pub fn calm(&self) -> Outcome {
        let errors = self.errors();
        ensure!(errors.is_empty(), "{errors:?}");
        Ok(())
    }
}

/// Waits until what a stream has done is as `ready` says, a minute at most.
///
/// # Errors
///
/// A failure that names `what` did not come, by then or by the stream's end.
pub fn until(handle: &Handle, what: &str, ready: impl Fn(&Stats) -> bool) -> Outcome {
    let start = Instant::now();
    loop {
        let over = handle.wait(Duration::from_millis(1));
        let stats = handle.stats();
        if ready(&stats) {
            return Ok(());
        }
        let took = start.elapsed();
        ensure!(
            over.is_none() && took < Duration::from_secs(60),
            "{what} did not come: {over:?} after {took:?}, {stats:?}"
        );
    }
}

/// What was reported so far.
#[must_use]
pub fn kinds(errors: &Errors) -> Vec<ErrorKind> {
    let errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
    errors.clone()
}

/// An error callback.
pub fn keeper(errors: &Errors) -> impl FnMut(Error) + Send + 'static {
    let errors = errors.clone();
    move |error| {
        let mut errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.push(error.kind());
    }
}

/// Plays `bytes` and ends after the last. `deed` is done before each callback, with its number.
///
/// # Errors
///
/// As `build_output_stream`.
pub fn play(
    device: &RingDevice,
    config: StreamConfig,
    format: SampleFormat,
    bytes: &[u8],
    mut deed: impl FnMut(u64) + Send + 'static,
) -> Result<Running, Error> {
    let errors = Errors::default();
    let frame = usize::from(config.channels) * format.sample_size();
    let frames = (bytes.len() / frame) as u64;
    let mut left = Vec::from(bytes).into_iter();
    let mut calls = 0;
    let fill = move |data: &mut Data, _: &_| {
        deed(calls);
        calls += 1;
        // What is behind the end stays silence.
        for (to, from) in data.bytes_mut().iter_mut().zip(left.by_ref()) {
            *to = from;
        }
    };
    let stream = device.build_output_stream_raw(config, format, fill, keeper(&errors), None)?;
    stream.handle().finish_at(frames);
    Running::new(stream, errors)
}

/// What is recorded.
pub type Take = Arc<Mutex<Vec<u8>>>;

/// Records `frames` frames. `deed` is done at the end of each callback, with its number.
///
/// # Errors
///
/// As `build_input_stream`.
pub fn record(
    device: &RingDevice,
    config: StreamConfig,
    format: SampleFormat,
    frames: u64,
    mut deed: impl FnMut(u64) + Send + 'static,
) -> Result<(Running, Take), Error> {
    let errors = Errors::default();
    let frame = usize::from(config.channels) * format.sample_size();
    let take = Take::default();
    lock(&take).reserve(frames as usize * frame);
    let (kept, mut calls) = (take.clone(), 0);
    let keep = move |data: &Data, _: &_| {
        lock(&kept).extend_from_slice(data.bytes());
        deed(calls);
        calls += 1;
    };
    let stream = device.build_input_stream_raw(config, format, keep, keeper(&errors), None)?;
    stream.handle().finish_at(frames);
    Ok((Running::new(stream, errors)?, take))
}

/// A take's bytes.
pub fn lock(take: &Take) -> std::sync::MutexGuard<'_, Vec<u8>> {
    take.lock().unwrap_or_else(PoisonError::into_inner)
}
