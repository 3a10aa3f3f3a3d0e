// SPDX-License-Identifier: MIT OR Apache-2.0
//! Input and output in one callback, for which cpal 0.18 has no type.

use super::device::RingDevice;
use super::errors::{from_io, from_report};
use super::samples::Way;
use super::stream::{RingStream, instant, spawn};
use crate::handle::Shared;
use crate::stream::duplex::{Duplex, Exchange, PERIODS_MIN};
use crate::stream::{Complain, Moment, Report};
use crate::sys::Direction;
use cpal::{BufferSize, ChannelCount, Error, SampleRate, SizedSample, StreamConfig, StreamInstant};
use std::sync::Arc;

/// What a full-duplex stream is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplexConfig {
    /// Channels of the input.
    pub input_channels: ChannelCount,
    /// Channels of the output.
    pub output_channels: ChannelCount,
    /// Frames per second, of both.
    pub sample_rate: SampleRate,
    /// Frames in a callback, of both.
    pub buffer_size: BufferSize,
}

/// When the frames of a full-duplex callback pass the converters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplexInfo {
    /// When the input's position was last seen.
    pub callback: StreamInstant,
    /// When the first frame of the input was recorded.
    pub capture: StreamInstant,
    /// When the first frame of the output is heard.
    pub playback: StreamInstant,
}

impl RingDevice {
    /// Builds a stream of input and output in lock step: one thread, and one callback with a period of each.
    ///
    /// `data` reads its first argument, and fills the second one, which holds silence. What it writes is heard a
    /// fixed time after what it reads was recorded: a ring of [`Options::periods`](crate::Options::periods) periods, of
    /// which there are three at least, and a burst of each side, at most. A callback that
    /// is late moves both on by the same frames, which are silence and lost, so that this time never
    /// changes; the error callback gets one `Xrun`.
    ///
    /// A card that fetches a while ahead of what it records, such as intel-hda, has its output moved further ahead once,
    /// at the start, which is an `Xrun` as well.
    ///
    /// # Errors
    ///
    /// As `build_output_stream`, for either direction; `UnsupportedOperation` where the card has but one.
    pub fn build_duplex_stream<T, D, E>(
        &self,
        config: DuplexConfig,
        data: D,
        error: E,
    ) -> Result<RingStream, Error>
    where
        T: SizedSample + Send + 'static,
        D: FnMut(&[T], &mut [T], &DuplexInfo) + Send + 'static,
        E: FnMut(Error) + Send + 'static,
    {
        let one = |channels, buffer_size| StreamConfig {
            channels,
            sample_rate: config.sample_rate,
            buffer_size,
        };
        let shared = Arc::new(Shared::new().map_err(from_io)?);
        let periods = self.options.periods.max(PERIODS_MIN);
        let input = one(config.input_channels, config.buffer_size);
        let mut input = self.build(Direction::Capture, input, T::FORMAT, periods, &shared)?;
        let period = input.setup.ring.period();
        // It came out of 32 bits.
        let output = one(config.output_channels, BufferSize::Fixed(period as u32));
        let mut output = self.build(Direction::Playback, output, T::FORMAT, periods, &shared)?;
        input.hardware.link(&mut output.hardware).map_err(from_io)?;
        let callbacks = Both {
            data,
            error,
            ways: [input.way, output.way],
            sample: std::marker::PhantomData::<fn(T)>,
        };
        let (input, output) = (
            (input.hardware, input.setup),
            (output.hardware, output.setup),
        );
        // The output's own counts are nobody's.
        let aside = Arc::new(Shared::new().map_err(from_io)?);
        let flow = Duplex::new(input, output, callbacks, shared.clone(), aside);
        let priority = self.options.priority;
        let stream = spawn("alsa-mmap-io", flow, shared.clone(), priority, period)?;
        self.remember(&shared);
        Ok(stream)
    }
}

struct Both<T, D, E> {
    data: D,
    error: E,
    /// Input and output.
    ways: [Way; 2],
    sample: std::marker::PhantomData<fn(T)>,
}

impl<T, D, E: FnMut(Error)> Complain for Both<T, D, E> {
    fn report(&mut self, report: Report) {
        (self.error)(from_report(report));
    }
}

impl<T, D, E> Exchange for Both<T, D, E>
where
    T: SizedSample,
    D: FnMut(&[T], &mut [T], &DuplexInfo),
    E: FnMut(Error),
{
    fn data(&mut self, input: &[u8], output: &mut [u8], moments: [Moment; 2]) {
        let [recorded, heard] = moments;
        let info = DuplexInfo {
            callback: instant(recorded.seen),
            capture: instant(recorded.frame),
            playback: instant(heard.frame),
        };
        let Self { data, ways, .. } = self;
        let [read, write] = ways;
        read.read(input, |input| {
            write.write(output, |output| {
                // Both were made for samples of `T`.
                if let (Some(input), Some(output)) = (input.as_slice(), output.as_slice_mut()) {
                    data(input, output, &info);
                }
            });
        });
    }
}
