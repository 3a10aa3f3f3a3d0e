// SPDX-License-Identifier: MIT OR Apache-2.0
//! One PCM under the audio thread: both positions, the clock, and what the counters say of them.

use super::{Card, Moment, Report, Setup, Snapshot, Stop};
use crate::clock::{Clock, duration};
use crate::handle::{End, Shared, count, raise};
use crate::ring::Ring;
use crate::sys::State;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// See the module.
pub(crate) struct Side<C> {
    pub(crate) card: C,
    pub(crate) setup: Setup,
    pub(crate) shared: Arc<Shared>,
    clock: Clock,
    /// The positions, frames in `0..boundary`.
    pub(crate) application: u64,
    pub(crate) hardware: u64,
    /// When the hardware was there.
    seen: Duration,
    /// When that was looked at, in timer mode.
    looked: Duration,
    /// The last wakeup was late as well.
    was_late: bool,
    /// Starts in a row after which the card did not move, and how far it was then.
    retries: u32,
    played_before: u64,
}

/// Starts after an xrun of the driver's own that come to nothing, before the stream is given up.
const RETRIES: u32 = 3;

impl<C: Card> Side<C> {
    pub(crate) fn new(card: C, shared: Arc<Shared>, setup: Setup) -> Self {
        Self {
            card,
            clock: Clock::new(setup.rate, setup.ring.buffer()),
            setup,
            shared,
            application: 0,
            hardware: 0,
            seen: Duration::ZERO,
            looked: Duration::ZERO,
            was_late: false,
            retries: 0,
            played_before: u64::MAX,
        }
    }

    pub(crate) fn ring(&self) -> Ring {
        self.setup.ring
    }

    /// Frames that may be written.
    pub(crate) fn room(&self) -> u64 {
        self.ring().room(self.hardware, self.application)
    }

    /// Frames that may be read.
    pub(crate) fn ready(&self) -> u64 {
        self.ring().ready(self.hardware, self.application)
    }

    /// Before the card has a position: what it does first it does about now. A machine that was suspended meanwhile
    /// has it prepared anew.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        self.seen = self.card.now();
        self.looked = self.seen;
        match self.card.snapshot(false)?.state {
            State::Suspended => self.prepare(),
            _ => Ok(()),
        }
    }

    /// A sleep in a pause. Without period wakeups nobody else has the kernel silence what was played.
    pub(crate) fn pause(&mut self) -> Result<(), Stop> {
        let half = self.ring().buffer() / 2;
        let deadline = self.deadline(half);
        self.card.wait_command(deadline)?;
        if self.setup.timer {
            self.look(true)?;
        }
        Ok(())
    }

    /// The stream stopped by itself, and starts or goes on again; not for ever if it comes to nothing.
    pub(crate) fn retry(&mut self) -> Result<(), Stop> {
        let played = self.shared.counters.played.load(Relaxed);
        self.retries = match played == self.played_before {
            true => self.retries + 1,
            false => 0,
        };
        self.played_before = played;
        match self.retries < RETRIES {
            true => Ok(()),
            false => Err(Stop::Report(Report::Stopped)),
        }
    }

    /// START.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        count(&self.shared.counters.starts, 1);
        self.card.start()
    }

    /// DRAIN.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        count(&self.shared.counters.others, 1);
        self.card.drain()
    }

    /// PREPARE: both positions to 0.
    pub(crate) fn prepare(&mut self) -> io::Result<()> {
        count(&self.shared.counters.others, 1);
        self.card.prepare()?;
        (self.application, self.hardware) = (0, 0);
        self.clock.restart();
        Ok(())
    }

    /// RESUME, after the machine was suspended. Whether the card has gone on where it was; if not, the stream must
    /// be prepared anew.
    pub(crate) fn resume(&mut self) -> Result<bool, Stop> {
        count(&self.shared.counters.others, 1);
        self.clock.restart();
        match self.card.resume() {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    /// START or DRAIN was refused with `error`, which a machine that was suspended since the last look does. Whether
    /// the card is where it was, and the command is to be given again; if not, the stream must be prepared anew.
    pub(crate) fn refused(&mut self, error: io::Error) -> Result<bool, Stop> {
        let errno = error.raw_os_error();
        if !matches!(errno, Some(libc::EBADFD | libc::ESTRPIPE)) {
            return Err(error.into());
        }
        match self.look(false)?.0.state {
            State::Suspended => {
                let goes_on = self.resume()?;
                if goes_on {
                    self.retry()?;
                }
                Ok(goes_on)
            }
            State::Disconnected => Err(Stop::Report(Report::Disconnected)),
            _ => Err(error.into()),
        }
    }

    /// Whether there is something left to play.
    pub(crate) fn is_queued(&self) -> bool {
        self.ring().distance(self.hardware, self.application) > 0
    }

    /// The card has stopped by itself, draining: whether it played to the last frame.
    pub(crate) fn drained(&self) -> Stop {
        match self.is_queued() {
            true => Stop::Report(Report::CutOff),
            false => Stop::End(End::Drained),
        }
    }

    /// What of `ahead` frames until the next period is a time to wake up at; `None` where the hardware
    /// wakes by itself.
    pub(crate) fn deadline(&self, ahead: u64) -> Option<Duration> {
        // The position may lag behind its time by a burst: not at once again for a frame or two.
        let least = (self.ring().period() / 8).max(1);
        let frames = ahead.max(least);
        self.setup
            .timer
            .then(|| self.looked + duration(frames, self.setup.rate))
    }

    /// Reads the hardware's position, and asks for it with `ask` or where nobody else does. Returns as well the
    /// frames that went by unseen.
    pub(crate) fn look(&mut self, ask: bool) -> Result<(Snapshot, u64), Stop> {
        let mut snapshot = self.card.snapshot(ask || self.setup.timer)?;
        // Whatever the kernel says.
        snapshot.hardware = self.ring().inside(snapshot.hardware);
        let moved = self.ring().distance(self.hardware, snapshot.hardware);
        let moved = moved.max(0) as u64;
        let lost = self.clock.update(moved, snapshot.tstamp);
        count(&self.shared.counters.played, moved + lost);
        self.hardware = snapshot.hardware;
        // The record holds zero until the first update.
        self.seen = self.seen.max(snapshot.tstamp);
        if self.setup.timer {
            self.looked = self.card.now();
        } else if moved > 0 {
            // From the interrupt to here.
            let slept = self.card.now().saturating_sub(snapshot.tstamp);
            count(&self.shared.counters.wakes, 1);
            count(&self.shared.counters.wake_ns, nanos(slept));
            raise(&self.shared.counters.worst_wake_ns, nanos(slept));
        }
        Ok((snapshot, lost))
    }

    /// A callback that began at `before` has returned.
    pub(crate) fn called(&self, before: Duration) {
        count(&self.shared.counters.callbacks, 1);
        let took = self.card.now().saturating_sub(before);
        raise(&self.shared.counters.worst_callback_ns, nanos(took));
    }

    /// A wakeup found `frames` frames to do.
    pub(crate) fn woken_for(&self, frames: u64) {
        let late = frames >= 2 * self.ring().period();
        count(&self.shared.counters.late, u64::from(late));
    }

    /// When the frame at the application's position passes the converter.
    pub(crate) fn moment(&mut self) -> Moment {
        let ahead = self.ring().distance(self.hardware, self.application);
        Moment {
            seen: self.seen,
            frame: self.clock.at(self.seen, ahead),
        }
    }

    /// The stream goes on after a pause. A card that stood still meanwhile, because nobody fed it, has lost
    /// nothing.
    pub(crate) fn forgive(&mut self) {
        self.clock.restart();
    }

    /// Accounts for `missing` frames that were too late. Whether that is news: one that goes on is the same one.
    pub(crate) fn xrun(&mut self, missing: u64) -> bool {
        let news = missing > 0 && !self.was_late;
        self.was_late = missing > 0;
        count(&self.shared.counters.missed, missing);
        count(&self.shared.counters.xruns, u64::from(news));
        news
    }

    /// Moves the application's position on over `frames` frames that nobody used. Whether the card lets it: some
    /// that have their own copy of a ring, such as virtio-snd, do not have the next frame so far from the last one.
    /// The position is then where it was, and the stream must be stopped and prepared anew.
    pub(crate) fn skip(&mut self, frames: u64) -> io::Result<bool> {
        let before = self.application;
        match self.advance(frames) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                self.application = before;
                Ok(false)
            }
            moved => moved.map(|()| true),
        }
    }

    /// Moves the application's position on and publishes it.
    pub(crate) fn advance(&mut self, frames: u64) -> io::Result<()> {
        self.application = self.ring().add(self.application, frames);
        self.card.publish(self.application)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
