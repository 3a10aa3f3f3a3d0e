// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stream in the application's hands, and its callbacks in the audio thread's.

use super::errors::{from_io, from_report};
use super::samples::Way;
use crate::handle::{Command, Handle, Shared};
use crate::stream::capture::Sink;
use crate::stream::playback::Source;
use crate::stream::{Complain, Flow, Moment, Report, Worker};
use crate::sys::{monotonic, set_fifo, touch_stack};
use cpal::traits::StreamTrait;
use cpal::{
    Data, Error, ErrorKind, FrameCount, InputCallbackInfo, InputStreamTimestamp,
    OutputCallbackInfo, OutputStreamTimestamp, StreamInstant,
};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn instant(time: Duration) -> StreamInstant {
    StreamInstant::new(time.as_secs(), time.subsec_nanos())
}

/// cpal's callbacks, as the audio thread calls them.
pub(super) struct Callbacks<D, E> {
    pub(super) data: D,
    pub(super) error: E,
    pub(super) way: Way,
}

impl<D, E: FnMut(Error)> Complain for Callbacks<D, E> {
    fn report(&mut self, report: Report) {
        (self.error)(from_report(report));
    }
}

impl<D, E> Source for Callbacks<D, E>
where
    D: FnMut(&mut Data, &OutputCallbackInfo),
    E: FnMut(Error),
{
    fn data(&mut self, window: &mut [u8], moment: Moment) {
        let info = OutputCallbackInfo::new(OutputStreamTimestamp {
            callback: instant(moment.seen),
            playback: instant(moment.frame),
        });
        let data = &mut self.data;
        self.way.write(window, |samples| data(samples, &info));
    }
}

impl<D, E> Sink for Callbacks<D, E>
where
    D: FnMut(&Data, &InputCallbackInfo),
    E: FnMut(Error),
{
    fn data(&mut self, window: &[u8], moment: Moment) {
        let info = InputCallbackInfo::new(InputStreamTimestamp {
            callback: instant(moment.seen),
            capture: instant(moment.frame),
        });
        let data = &mut self.data;
        self.way.read(window, |samples| data(samples, &info));
    }
}

/// Starts the audio thread of a stream with periods of `period` frames.
pub(super) fn spawn<F: Flow + Send + 'static>(
    name: &str,
    flow: F,
    shared: Arc<Shared>,
    priority: Option<u8>,
    period: u64,
) -> Result<RingStream, Error> {
    let mut worker = Worker::new(flow, shared.clone());
    let thread = std::thread::Builder::new()
        .name(name.into())
        .spawn(move || {
            touch_stack();
            if priority.is_some_and(|priority| set_fifo(priority).is_err()) {
                worker.deny_realtime();
            }
            worker.run();
        })
        .map_err(from_io)?;
    Ok(RingStream {
        shared,
        // It came out of 32 bits.
        period: period as u32,
        thread: Some(thread),
    })
}

/// A stream of input, of output, or of both. Dropping it stops the card at once: end it by
/// [`Handle::finish_at`] first if its last frames matter.
///
/// The card is started by the first `play` and runs until the end; `pause` only stops calling the
/// callback. What is in the ring is played then and silence follows; what is recorded is forgotten.
#[derive(Debug)]
pub struct RingStream {
    shared: Arc<Shared>,
    /// Frames.
    period: u32,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl RingStream {
    /// See [`RingDevice::handle`](crate::RingDevice::handle).
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

    /// Frames in a period: each callback has one, or with
    /// [`Options::linear`](crate::Options::linear) at least one.
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
mod tests;
