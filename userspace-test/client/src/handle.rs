// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the audio thread and everybody else share: commands one way, counters the other.
//!
//! The audio thread only loads and stores atomics here, until it has ended; then it takes the one
//! lock to say so.

use crate::sync::{Arc, AtomicBool, AtomicU8, AtomicU64, Condvar, Event, Mutex, wait_while};
use std::io;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

/// What a stream is told to do. The last command counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Command {
    /// Ask for data, and start if that has not happened yet.
    Play,
    /// Ask for none.
    Pause,
    /// End at once.
    Stop,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It played, or recorded, up to the frame given to [`Handle::finish_at`].
    Drained,
    /// It was dropped.
    Stopped,
    /// It cannot go on; the error callback was told why.
    Failed,
}

/// What a stream has done so far. Counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Frames that the data callback filled, or read: silence of xruns and pauses not included.
    pub frames: u64,
    /// Frames of the stream that the card has played or recorded, xruns and pauses included; as of the
    /// last wakeup. Of input and output together it is the input's.
    pub played: u64,
    /// Calls of the data callback.
    pub callbacks: u64,
    /// Wakeups that found two periods or more to do: a period was over before the thread came to the one
    /// before.
    pub late: u64,
    /// Underruns and overruns, each of any number of frames, and machines that were suspended with a card that could
    /// not go on where it was.
    pub xruns: u64,
    /// Frames that xruns cost: of silence in playback, of recording in capture.
    pub missed: u64,
    /// The longest call of the data callback.
    pub worst_callback: Duration,
    /// The longest time from an interrupt, as the kernel stamped it, to the audio thread. Zero in timer
    /// mode.
    pub worst_wake: Duration,
    /// The mean of these times.
    pub mean_wake: Duration,
    /// poll(2) calls of the audio thread.
    pub polls: u64,
    /// SYNC_PTR calls of the audio thread; none on a card whose records can be mapped, but one at
    /// the end of each pause, and one a wakeup in timer mode.
    pub syncs: u64,
    /// START calls: 1 for a stream that has begun, and 1 more each time the driver itself stopped
    /// it for an xrun, or could not go on after the machine was suspended, or where it is after frames that were
    /// lost, or after a pause.
    pub starts: u64,
    /// PREPARE, DRAIN, DROP and RESUME calls of the audio thread.
    pub others: u64,
}

impl Stats {
    /// System calls of the audio thread for the PCM.
    pub fn syscalls(&self) -> u64 {
        self.polls + self.syncs + self.starts + self.others
    }
}

/// The counters behind [`Stats`]. Only the audio thread writes them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames: AtomicU64,
    pub(crate) played: AtomicU64,
    pub(crate) callbacks: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) xruns: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) worst_callback_ns: AtomicU64,
    pub(crate) worst_wake_ns: AtomicU64,
    /// Wakeups that were timed, and the sum of their times.
    pub(crate) wakes: AtomicU64,
    pub(crate) wake_ns: AtomicU64,
    pub(crate) polls: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) starts: AtomicU64,
    pub(crate) others: AtomicU64,
}

/// Adds to a counter that this thread alone writes.
pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

/// Raises a counter that this thread alone writes to `value`, if that is more.
pub(crate) fn raise(counter: &AtomicU64, value: u64) {
    if value > counter.load(Relaxed) {
        counter.store(value, Relaxed);
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) command: AtomicU8,
    /// Set after each command.
    pub(crate) event: Event,
    /// Where the stream ends, frames of data; `u64::MAX` as long as it has no end.
    end: AtomicU64,
    /// Ends where it is, whatever that is.
    end_now: AtomicBool,
    pub(crate) counters: Counters,
    /// Frames in the ring; set once it is known.
    pub(crate) ring: AtomicU64,
    ended: Mutex<Option<End>>,
    changed: Condvar,
}

impl Shared {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            command: AtomicU8::new(Command::Pause as u8),
            event: Event::new()?,
            end: AtomicU64::new(u64::MAX),
            end_now: AtomicBool::new(false),
            counters: Counters::default(),
            ring: AtomicU64::new(0),
            ended: Mutex::new(None),
            changed: Condvar::new(),
        })
    }

    pub(crate) fn command(&self) -> Command {
        // Who sees a command sees what its giver did before, the stream's end above all. The event does
        // not say so: a thread that comes late sees the command without sleeping for it.
        match self.command.load(Acquire) {
            n if n == Command::Play as u8 => Command::Play,
            n if n == Command::Pause as u8 => Command::Pause,
            _ => Command::Stop,
        }
    }

    pub(crate) fn set_command(&self, command: Command) {
        self.command.store(command as u8, Release);
        self.event.set();
    }

    /// Where the stream ends, if `frames` frames of data have been asked for so far.
    pub(crate) fn end(&self, frames: u64) -> u64 {
        if self.end_now.load(Relaxed) {
            frames
        } else {
            self.end.load(Relaxed)
        }
    }

    /// Says that the stream has ended. The first word counts.
    pub(crate) fn set_ended(&self, end: End) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.get_or_insert(end);
        self.changed.notify_all();
    }

    pub(crate) fn ended(&self) -> Option<End> {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> Stats {
        let c = &self.counters;
        Stats {
            frames: c.frames.load(Relaxed),
            played: c.played.load(Relaxed),
            callbacks: c.callbacks.load(Relaxed),
            late: c.late.load(Relaxed),
            xruns: c.xruns.load(Relaxed),
            missed: c.missed.load(Relaxed),
            worst_callback: Duration::from_nanos(c.worst_callback_ns.load(Relaxed)),
            worst_wake: Duration::from_nanos(c.worst_wake_ns.load(Relaxed)),
            mean_wake: Duration::from_nanos(c.wake_ns.load(Relaxed) / c.wakes.load(Relaxed).max(1)),
            polls: c.polls.load(Relaxed),
            syncs: c.syncs.load(Relaxed),
            starts: c.starts.load(Relaxed),
            others: c.others.load(Relaxed),
        }
    }
}

/// A stream seen from outside: where it is, and how to end it without losing a frame.
///
/// cpal's own stream is opaque, so this comes from the device it was built on:
/// [`RingDevice::handle`](crate::RingDevice::handle).
#[derive(Clone, Debug)]
pub struct Handle(pub(crate) Arc<Shared>);

impl Handle {
    /// Ends the stream after its first `frames` frames, counted over all that the data callback was
    /// asked for, or given; a recording gives no more. What the callback writes beyond them is replaced
    /// by silence, the card plays to the last of them, and [`Handle::wait`] returns. A card that cannot
    /// stop at any frame plays its period to the end. If more has been asked for already, the stream
    /// ends there.
    ///
    /// One atomic store, seen at the next period: the data callback may call it. A paused stream
    /// ends after it is played on.
    pub fn finish_at(&self, frames: u64) {
        self.0.end.store(frames, Relaxed);
    }

    /// Ends the stream after what the callback has been asked for until now.
    pub fn finish(&self) {
        self.0.end_now.store(true, Relaxed);
    }

    /// Waits until the stream has ended, at most for `timeout`; `None` if it has not.
    pub fn wait(&self, timeout: Duration) -> Option<End> {
        let ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = wait_while(&self.0.changed, ended, timeout, |ended| ended.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        *ended
    }

    /// Frames in the ring, of input and output together in the output's. In playback they are what the data
    /// callback is asked for before the card starts, and the most that it is ahead of the card later.
    pub fn ring_frames(&self) -> u64 {
        self.0.ring.load(Relaxed)
    }

    /// What the stream has done so far.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }
}
