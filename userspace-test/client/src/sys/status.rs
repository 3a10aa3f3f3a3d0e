// SPDX-License-Identifier: MIT OR Apache-2.0
//! STATUS_EXT: all that the kernel tells of a stream at one moment, and by which clocks.

use super::pcm::{Pcm, State, duration};
use super::uapi::{self, ioctl};
use std::io;
use std::time::Duration;

/// What a stream's own time is made from (Documentation/sound/designs/timestamping.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum AudioClock {
    /// What the driver offers by itself; the kernel does not say which.
    Compat = 0,
    /// The position, in time.
    Position = 1,
    /// The sample clock, as the driver knows it.
    Link = 2,
    /// The sample clock, asked of the card.
    LinkSynchronized = 5,
}

impl AudioClock {
    fn from_raw(raw: u32) -> Option<Self> {
        [
            Self::Compat,
            Self::Position,
            Self::Link,
            Self::LinkSynchronized,
        ]
        .into_iter()
        .find(|&clock| clock as u32 == raw)
    }
}

/// `struct snd_pcm_status` in Rust's types. Positions and sizes are in frames, times on the PCM's
/// timestamp clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: State,
    /// When the stream was last started, stopped or paused.
    pub trigger_tstamp: Duration,
    /// When `hw_ptr` was read.
    pub tstamp: Duration,
    /// The application's position, in `0..boundary`.
    pub appl_ptr: u64,
    /// The hardware's position, in `0..boundary`.
    pub hw_ptr: u64,
    /// Frames from the application's position to the converter.
    pub delay: i64,
    /// Frames that can be written or read.
    pub avail: u64,
    /// The largest `avail` since the last status.
    pub avail_max: u64,
    /// Capture overranges since the last status.
    pub overrange: u64,
    /// For how long the stream had gone at `tstamp`.
    pub audio_tstamp: Duration,
    /// What `audio_tstamp` was made from; `None` is a clock that this crate does not know.
    pub audio_clock: Option<AudioClock>,
    /// By how much `audio_tstamp` may be wrong, either way; `None` is not known.
    pub audio_accuracy: Option<Duration>,
}

impl Pcm {
    /// STATUS_EXT: the whole status, after asking the hardware.
    ///
    /// # Errors
    ///
    /// The errno of the call.
    pub fn status(&self) -> io::Result<Status> {
        self.status_by(AudioClock::Compat, false)
    }

    /// STATUS_EXT, with the stream's time made from `clock`, or the position where the driver cannot.
    ///
    /// `with_delay`: the time of what is at the converter, not of what is at the position.
    ///
    /// # Errors
    ///
    /// The errno of the call.
    pub fn status_by(&self, clock: AudioClock, with_delay: bool) -> io::Result<Status> {
        let zero = uapi::Timespec::default();
        let mut raw = uapi::Status {
            state: 0,
            pad1: [0; 4],
            trigger_tstamp: zero,
            tstamp: zero,
            appl_ptr: 0,
            hw_ptr: 0,
            delay: 0,
            avail: 0,
            avail_max: 0,
            overrange: 0,
            suspended_state: 0,
            // What is wanted is in the lower half, what it became in the upper: valid, then the type,
            // then whether the accuracy is known (snd_pcm_pack_audio_tstamp_report()).
            audio_tstamp_data: clock as u32 | u32::from(with_delay) << 4,
            audio_tstamp: zero,
            driver_tstamp: zero,
            audio_tstamp_accuracy: 0,
            reserved: [0; 20],
        };
        self.call(ioctl::STATUS_EXT, &mut raw)?;
        let report = raw.audio_tstamp_data >> 16;
        Ok(Status {
            state: raw.state.into(),
            trigger_tstamp: duration(raw.trigger_tstamp),
            tstamp: duration(raw.tstamp),
            appl_ptr: raw.appl_ptr,
            hw_ptr: raw.hw_ptr,
            delay: raw.delay,
            avail: raw.avail,
            avail_max: raw.avail_max,
            overrange: raw.overrange,
            audio_tstamp: duration(raw.audio_tstamp),
            audio_clock: match report & 1 {
                0 => Some(AudioClock::Compat),
                _ => AudioClock::from_raw(report >> 1 & 0xf),
            },
            audio_accuracy: (report >> 5 & 1 == 1)
                .then(|| Duration::from_nanos(raw.audio_tstamp_accuracy.into())),
        })
    }
}
