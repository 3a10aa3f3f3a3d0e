// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audio thread of a playback stream.
//!
//! The PCM runs free: its thresholds are out of reach, so nothing that the application does or
//! omits stops it, and the kernel overwrites with silence what has been played. The thread sleeps
//! in one poll(2) a period, has the callback write straight into the ring while a whole period is
//! free, and publishes its position after each. Where status and control records are mapped, that
//! is all: no other system call. An underrun is silence already; the thread takes up again whole
//! periods further on, and the stream keeps its clock.
//!
//! From START to the end the loop takes no lock, allocates nothing and logs nothing. A callback
//! that panics has its period silenced, and the stream ends.

use crate::clock::Clock;
use crate::handle::{Command, End, Shared, count};
use crate::ring::Ring;
use crate::sys::{Format, State};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Where the hardware is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) state: State,
    /// Frames in `0..boundary`.
    pub(crate) hardware: u64,
    /// When it was there, on `CLOCK_MONOTONIC`.
    pub(crate) tstamp: Duration,
}

/// A PCM that is set up and prepared, as the audio thread sees it.
pub(crate) trait Card {
    /// Waits until a period is free, the state changes to one in which nothing moves, or there is a
    /// command. Clears the command's event.
    fn wait(&mut self) -> io::Result<()>;
    /// Waits for a command alone, and clears its event.
    fn wait_command(&mut self) -> io::Result<()>;
    /// Where the hardware is; with `ask` it is asked anew.
    fn snapshot(&mut self, ask: bool) -> io::Result<Snapshot>;
    /// Publishes the application's position, frames in `0..boundary`.
    fn publish(&mut self, application: u64) -> io::Result<()>;
    /// The bytes of `frames` frames from a place in the ring: a period, or with [`Setup::linear`] any
    /// number up to the ring.
    fn window(&mut self, place: usize, frames: usize) -> &mut [u8];
    /// PREPARE: both positions to 0.
    fn prepare(&mut self) -> io::Result<()>;
    /// START.
    fn start(&mut self) -> io::Result<()>;
    /// DRAIN, without waiting for its end.
    fn drain(&mut self) -> io::Result<()>;
    /// DROP.
    fn stop(&mut self) -> io::Result<()>;
}

/// When a callback's first frame is heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// When the hardware's position was last seen, on `CLOCK_MONOTONIC`.
    pub(crate) seen: Duration,
    /// When the first frame is heard.
    pub(crate) heard: Duration,
}

/// What the error callback is told.
#[derive(Debug)]
pub(crate) enum Report {
    /// Underrun.
    Xrun,
    /// The stream has no real-time priority.
    RealtimeDenied,
    /// The data callback panicked; the stream has ended.
    Panicked,
    /// The card is gone; the stream has ended.
    Disconnected,
    /// The stream was stopped from elsewhere; it has ended.
    Stopped,
    /// A system call failed; the stream has ended.
    Failed(io::Error),
}

/// The two callbacks.
pub(crate) trait Client {
    /// Fills `window`, which holds silence. `window` is a period of the ring itself, or, with
    /// [`Setup::linear`], all of it that is free.
    fn data(&mut self, window: &mut [u8], moment: Moment);
    /// Takes a report.
    fn report(&mut self, report: Report);
}

/// Writes silence.
fn silence(format: Format, window: &mut [u8]) {
    window.fill(if format == Format::U8 { 0x80 } else { 0 });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Prepared, and not started yet.
    Idle,
    Playing,
    Paused,
    /// DRAIN is under way.
    Draining,
}

/// Why the loop ends.
enum Stop {
    /// As it should.
    End(End),
    /// With an error.
    Report(Report),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENODEV) => Self::Report(Report::Disconnected),
            _ => Self::Report(Report::Failed(error)),
        }
    }
}

/// What is true of a stream from its beginning to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) ring: Ring,
    pub(crate) format: Format,
    /// Bytes in a frame.
    pub(crate) frame_bytes: usize,
    /// Frames per second.
    pub(crate) rate: u32,
    /// The card stops at any frame by itself. One that does not may leave out what is no whole
    /// period.
    pub(crate) perfect_drain: bool,
    /// The ring is mapped twice in a row: all that is free is one window, wherever it begins.
    pub(crate) linear: bool,
}

/// The audio thread's state.
pub(crate) struct Worker<C, K> {
    card: C,
    client: K,
    shared: Arc<Shared>,
    setup: Setup,
    clock: Clock,
    mode: Mode,
    /// The positions, frames in `0..boundary`.
    application: u64,
    hardware: u64,
    /// The last wakeup found an underrun as well.
    was_late: bool,
}

impl<C: Card, K: Client> Worker<C, K> {
    pub(crate) fn new(card: C, client: K, shared: Arc<Shared>, setup: Setup) -> Self {
        Self {
            card,
            client,
            shared,
            clock: Clock::new(setup.rate, setup.ring.buffer()),
            setup,
            mode: Mode::Idle,
            application: 0,
            hardware: 0,
            was_late: false,
        }
    }

    /// Tells the client that there is no real-time priority; before [`Self::run`].
    pub(crate) fn deny_realtime(&mut self) {
        // A panic of the error callback is not worth the stream.
        let _ = self.report(Report::RealtimeDenied);
    }

    /// Runs to the end of the stream. `now` is the time on `CLOCK_MONOTONIC`, for what is written
    /// before the card has a position.
    pub(crate) fn run(&mut self, now: impl Fn() -> Duration) {
        let stop = loop {
            if let Err(stop) = self.turn(&now) {
                break stop;
            }
        };
        count(&self.shared.counters.others, 1);
        // Nothing to be done about an error: the card may be gone.
        let _ = self.card.stop();
        let end = match stop {
            Stop::End(end) => end,
            Stop::Report(report) => {
                // A panic here would keep those waiting who wait for the end.
                let _ = catch_unwind(AssertUnwindSafe(|| self.client.report(report)));
                End::Failed
            }
        };
        self.shared.set_ended(end);
    }

    /// One sleep and what comes of it.
    fn turn(&mut self, now: &impl Fn() -> Duration) -> Result<(), Stop> {
        let command = self.shared.command();
        match (self.mode, command) {
            (_, Command::Stop) => Err(Stop::End(End::Stopped)),
            (Mode::Idle, Command::Play) => self.begin(now()),
            (Mode::Idle | Mode::Paused, Command::Pause) => {
                count(&self.shared.counters.polls, 1);
                Ok(self.card.wait_command()?)
            }
            (Mode::Playing, Command::Pause) => {
                self.mode = Mode::Paused;
                Ok(())
            }
            (Mode::Paused, Command::Play) => self.resume(),
            (Mode::Playing, Command::Play) | (Mode::Draining, _) => {
                count(&self.shared.counters.polls, 1);
                self.card.wait()?;
                self.wake()
            }
        }
    }

    /// Fills the ring and starts the card.
    fn begin(&mut self, now: Duration) -> Result<(), Stop> {
        let ring = self.setup.ring;
        let snapshot = Snapshot {
            state: State::Prepared,
            hardware: 0,
            tstamp: now,
        };
        while ring.room(self.hardware, self.application) >= ring.period() && !self.at_end() {
            self.period(&snapshot)?;
        }
        if self.application == 0 {
            // The end comes before the first frame: nothing to start for.
            return Err(Stop::End(End::Drained));
        }
        count(&self.shared.counters.starts, 1);
        self.card.start()?;
        self.mode = Mode::Playing;
        self.drain_at_end()
    }

    /// After a pause: takes up ahead of the hardware, which has run on in silence.
    fn resume(&mut self) -> Result<(), Stop> {
        // What the kernel may have missed meanwhile is silence as well.
        let (snapshot, _lost) = self.look(true)?;
        if self.setup.ring.late(self.hardware, self.application) > 0 {
            self.take_up()?;
        }
        self.mode = Mode::Playing;
        self.fill(&snapshot)
    }

    /// After a poll: the hardware has moved, or there is a command, or the stream has stopped.
    fn wake(&mut self) -> Result<(), Stop> {
        let (snapshot, lost) = self.look(false)?;
        match snapshot.state {
            State::Running if self.mode == Mode::Draining => Ok(()),
            State::Running => {
                let late = self.setup.ring.late(self.hardware, self.application);
                self.underrun(late, lost)?;
                self.fill(&snapshot)
            }
            State::Draining => Ok(()),
            State::Setup if self.mode == Mode::Draining => Err(Stop::End(End::Drained)),
            State::Xrun => self.recover(),
            State::Disconnected => Err(Stop::Report(Report::Disconnected)),
            _ => Err(Stop::Report(Report::Stopped)),
        }
    }

    /// Reads the hardware's position. Returns as well the frames that went by unseen.
    fn look(&mut self, ask: bool) -> Result<(Snapshot, u64), Stop> {
        let snapshot = self.card.snapshot(ask)?;
        let moved = self.setup.ring.distance(self.hardware, snapshot.hardware);
        let moved = moved.max(0) as u64;
        let lost = self.clock.update(moved, snapshot.tstamp);
        count(&self.shared.counters.played, moved + lost);
        self.hardware = snapshot.hardware;
        Ok((snapshot, lost))
    }

    /// Accounts for `late` frames by which the hardware has overtaken, and `lost` more that the
    /// kernel has not seen.
    fn underrun(&mut self, late: u64, lost: u64) -> Result<(), Stop> {
        if late == 0 && lost == 0 {
            self.was_late = false;
            return Ok(());
        }
        let mut silent = lost;
        if late > 0 {
            silent += self.take_up()?;
        }
        count(&self.shared.counters.silent, silent);
        // One that goes on is the same one.
        if !self.was_late {
            self.was_late = true;
            count(&self.shared.counters.xruns, 1);
            self.report(Report::Xrun)?;
        }
        Ok(())
    }

    /// Moves the application's position on, ahead of the hardware. Returns by how much.
    ///
    /// The new position is published at once, though nothing is written there yet but silence: poll
    /// would find the ring free as long as the old one stands.
    fn take_up(&mut self) -> Result<u64, Stop> {
        let before = self.application;
        self.application = self.setup.ring.take_up(self.hardware, before);
        self.card.publish(self.application)?;
        let moved = self.setup.ring.distance(before, self.application);
        Ok(moved.max(0) as u64)
    }

    /// The driver stopped the stream for an xrun of its own: starts again from the beginning of the
    /// ring.
    fn recover(&mut self) -> Result<(), Stop> {
        count(&self.shared.counters.xruns, 1);
        self.report(Report::Xrun)?;
        if self.mode == Mode::Draining {
            return Err(Stop::End(End::Drained));
        }
        count(&self.shared.counters.others, 1);
        self.card.prepare()?;
        (self.application, self.hardware) = (0, 0);
        self.clock.restart();
        let snapshot = self.card.snapshot(false)?;
        self.begin(snapshot.tstamp)
    }

    /// Tells the client; it may panic.
    fn report(&mut self, report: Report) -> Result<(), Stop> {
        catch_unwind(AssertUnwindSafe(|| self.client.report(report)))
            .map_err(|_| Stop::Report(Report::Panicked))
    }

    /// Fills the periods that are free.
    fn fill(&mut self, snapshot: &Snapshot) -> Result<(), Stop> {
        let ring = self.setup.ring;
        while ring.room(self.hardware, self.application) >= ring.period() && !self.at_end() {
            self.period(snapshot)?;
        }
        self.drain_at_end()
    }

    /// Whether all frames up to the stream's end have been written.
    fn at_end(&self) -> bool {
        let frames = self.shared.counters.frames.load(Relaxed);
        self.shared.end(frames) <= frames
    }

    /// Begins to drain once the end has been written.
    fn drain_at_end(&mut self) -> Result<(), Stop> {
        if self.at_end() {
            count(&self.shared.counters.others, 1);
            self.card.drain()?;
            self.mode = Mode::Draining;
        }
        Ok(())
    }

    /// Has one period written and publishes it, or as much of it as comes before the end. Of a linear ring
    /// all that is free, at least a period.
    fn period(&mut self, snapshot: &Snapshot) -> Result<(), Stop> {
        let Setup {
            ring,
            format,
            frame_bytes,
            perfect_drain,
            linear,
            ..
        } = self.setup;
        let whole = match ring.room(self.hardware, self.application) {
            // A card of periods does not take less than one.
            room if linear && !perfect_drain => room - room % ring.period(),
            room if linear => room,
            _ => ring.period(),
        };
        let ahead = ring.distance(self.hardware, self.application).max(0) as u64;
        let moment = Moment {
            seen: snapshot.tstamp,
            heard: self.clock.heard(snapshot.tstamp, ahead),
        };
        let place = ring.place(self.application);
        let window = self.card.window(place, whole as usize);
        silence(format, window);
        count(&self.shared.counters.callbacks, 1);
        let client = &mut self.client;
        if catch_unwind(AssertUnwindSafe(|| client.data(window, moment))).is_err() {
            silence(format, window);
            return Err(Stop::Report(Report::Panicked));
        }
        let before = self.shared.counters.frames.load(Relaxed);
        let frames = self
            .shared
            .end(before + whole)
            .saturating_sub(before)
            .min(whole);
        silence(format, &mut window[frames as usize * frame_bytes..]);
        count(&self.shared.counters.frames, frames);
        let advance = match perfect_drain {
            true => frames,
            false => frames.next_multiple_of(ring.period()),
        };
        self.application = ring.add(self.application, advance);
        self.card.publish(self.application)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
