// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audio thread: what its loop is, whichever way the frames go.
//!
//! The PCM runs free: its thresholds are out of reach, so nothing that the application does or
//! omits stops it. The thread sleeps in one poll(2) a period, or in timer mode until a period's
//! time has come, has the callback use the ring itself, and publishes its position after each period.
//! Where status and control records are mapped, that is all: no other system call. Who is late takes
//! up again whole periods further on, and the stream keeps its clock.
//!
//! From START to the end the loop takes no lock, allocates nothing and logs nothing. A callback
//! that panics ends the stream.
//!
//! [`playback`], [`capture`] and [`duplex`] say what a period is made of; [`side`] keeps the position of
//! one PCM. What happens when, in the life of a stream, is here.

pub(crate) mod capture;
pub(crate) mod duplex;
pub(crate) mod playback;
pub(crate) mod side;

use crate::handle::{Command, End, Shared, count};
use crate::ring::Ring;
use crate::sys::{Format, State};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
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
    /// Waits until a period is free or ready, the state changes to one in which nothing moves, or there
    /// is a command; where the PCM has no period wakeups, until `deadline` instead, on
    /// `CLOCK_MONOTONIC`, or a command. Clears the command's event.
    fn wait(&mut self, deadline: Option<Duration>) -> io::Result<()>;
    /// Waits for a command alone, until `deadline` at most, and clears its event. `ENODEV` when the card goes
    /// away meanwhile.
    fn wait_command(&mut self, deadline: Option<Duration>) -> io::Result<()>;
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
    /// RESUME, after the machine was suspended.
    fn resume(&mut self) -> io::Result<()>;
    /// The time on `CLOCK_MONOTONIC`.
    fn now(&self) -> Duration;
}

/// When the first frame of a callback passes the converter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// When the hardware's position was last seen, on `CLOCK_MONOTONIC`.
    pub(crate) seen: Duration,
    /// When the first frame is heard, or was recorded.
    pub(crate) frame: Duration,
}

/// What the error callback is told.
#[derive(Debug)]
pub(crate) enum Report {
    /// Underrun or overrun.
    Xrun,
    /// The stream has no real-time priority.
    RealtimeDenied,
    /// The data callback panicked; the stream has ended.
    Panicked,
    /// The card is gone; the stream has ended.
    Disconnected,
    /// The stream was stopped from elsewhere; it has ended.
    Stopped,
    /// It stopped before it had played to its end; it has ended.
    CutOff,
    /// A system call failed; the stream has ended.
    Failed(io::Error),
}

/// The error callback.
pub(crate) trait Complain {
    /// Takes a report.
    fn report(&mut self, report: Report);
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
    /// The PCM has no period wakeups.
    pub(crate) timer: bool,
}

/// Where a stream is in its life, once it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Periods come and go.
    Running,
    /// DRAIN is under way.
    Draining,
}

/// Why the loop ends.
#[derive(Debug)]
pub(crate) enum Stop {
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

/// One way for frames to go.
pub(crate) trait Flow: Complain {
    /// Starts the card.
    fn begin(&mut self) -> Result<Phase, Stop>;
    /// Sleeps until there is something to do, or a command.
    fn wait(&mut self, phase: Phase) -> io::Result<()>;
    /// Sleeps until there is a command; of a stream that has `begun` and is paused in timer mode, not longer than
    /// it can be without a look at the card.
    fn wait_command(&mut self, begun: bool) -> Result<(), Stop>;
    /// Does it: the hardware has moved, or there is a command, or the stream has stopped.
    fn wake(&mut self, phase: Phase) -> Result<Phase, Stop>;
    /// Goes on after a pause, in which the hardware has run on.
    fn resume(&mut self) -> Result<Phase, Stop>;
    /// Stops the card. Nothing to be done about an error: it may be gone.
    fn stop(&mut self);
}

/// Tells the client; it may panic.
fn tell(client: &mut impl Complain, report: Report) -> Result<(), Stop> {
    catch_unwind(AssertUnwindSafe(|| client.report(report)))
        .map_err(|_| Stop::Report(Report::Panicked))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Prepared, and not started yet.
    Idle,
    On(Phase),
    Paused,
}

/// The audio thread's state.
pub(crate) struct Worker<F> {
    flow: F,
    shared: Arc<Shared>,
    mode: Mode,
}

impl<F: Flow> Worker<F> {
    pub(crate) fn new(flow: F, shared: Arc<Shared>) -> Self {
        Self {
            flow,
            shared,
            mode: Mode::Idle,
        }
    }

    /// Tells the client that there is no real-time priority; before [`Self::run`].
    pub(crate) fn deny_realtime(&mut self) {
        // A panic of the error callback is not worth the stream.
        let _ = tell(&mut self.flow, Report::RealtimeDenied);
    }

    /// Runs to the end of the stream. The card is closed when it has ended: another stream may have it.
    pub(crate) fn run(mut self) {
        let _last = Last(self.shared.clone());
        let end = self.serve();
        let Self { flow, shared, .. } = self;
        // What the callbacks hold may panic as it goes.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(flow)));
        shared.set_ended(end);
    }

    /// The stream's life: all that must not allocate.
    pub(crate) fn serve(&mut self) -> End {
        let stop = loop {
            if let Err(stop) = self.turn() {
                break stop;
            }
        };
        count(&self.shared.counters.others, 1);
        self.flow.stop();
        match stop {
            Stop::End(end) => end,
            Stop::Report(report) => {
                // A panic here would keep those waiting who wait for the end.
                let _ = tell(&mut self.flow, report);
                End::Failed
            }
        }
    }

    /// One sleep and what comes of it.
    fn turn(&mut self) -> Result<(), Stop> {
        let command = self.shared.command();
        self.mode = match (self.mode, command) {
            (_, Command::Stop) => return Err(Stop::End(End::Stopped)),
            (Mode::Idle, Command::Play) => Mode::On(self.flow.begin()?),
            (mode @ (Mode::Idle | Mode::Paused), Command::Pause) => {
                count(&self.shared.counters.polls, 1);
                self.flow.wait_command(mode == Mode::Paused)?;
                mode
            }
            (Mode::On(Phase::Running), Command::Pause) => Mode::Paused,
            (Mode::Paused, Command::Play) => Mode::On(self.flow.resume()?),
            (Mode::On(phase), _) => {
                count(&self.shared.counters.polls, 1);
                self.flow.wait(phase)?;
                Mode::On(self.flow.wake(phase)?)
            }
        };
        Ok(())
    }
}

/// Says that the stream has ended, whatever happens. The first word counts.
struct Last(Arc<Shared>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.set_ended(End::Failed);
    }
}

/// Writes silence.
fn silence(format: Format, window: &mut [u8]) {
    window.fill(if format == Format::U8 { 0x80 } else { 0 });
}
