// SPDX-License-Identifier: MIT OR Apache-2.0
//! Capture: the callback reads the ring behind the hardware.
//!
//! Who is later than the ring is long has lost frames, which the hardware has overwritten: the stream goes on
//! with what is left, whole periods further on, and says so once.

use super::side::Side;
use super::{Card, Complain, Flow, Moment, Phase, Report, Setup, Stop, tell};
use crate::handle::{End, Shared, count};
use crate::sys::State;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The two callbacks.
pub(crate) trait Sink: Complain {
    /// Reads `window`: a period of the ring itself, or, with [`Setup::linear`], all of it that is ready.
    fn data(&mut self, window: &[u8], moment: Moment);
}

/// See the module.
pub(crate) struct Capture<C, K> {
    side: Side<C>,
    pub(crate) client: K,
}

impl<C: Card, K: Sink> Capture<C, K> {
    pub(crate) fn new(card: C, client: K, shared: Arc<Shared>, setup: Setup) -> Self {
        Self {
            side: Side::new(card, shared, setup),
            client,
        }
    }

    /// Frames until the stream's end.
    fn left(&self) -> u64 {
        let frames = self.side.shared.counters.frames.load(Relaxed);
        self.side.shared.end(frames).saturating_sub(frames)
    }

    /// Moves on from what the hardware has overwritten; `lost` frames more has the kernel not seen. Then reads.
    fn overrun(&mut self, lost: u64) -> Result<Phase, Stop> {
        let skipped = self.side.ring().overrun(self.side.ready());
        if skipped > 0 && !self.side.skip(skipped)? {
            let _ = self.side.card.stop();
            return self.restart();
        }
        if self.side.xrun(skipped + lost) {
            tell(&mut self.client, Report::Xrun)?;
        }
        self.read()
    }

    /// The stream has stopped: starts again from the beginning of the ring. What was in it is lost.
    fn restart(&mut self) -> Result<Phase, Stop> {
        count(&self.side.shared.counters.xruns, 1);
        tell(&mut self.client, Report::Xrun)?;
        self.begin_anew()
    }

    /// Starts a stream that has stopped from the beginning of the ring.
    fn begin_anew(&mut self) -> Result<Phase, Stop> {
        self.side.retry()?;
        self.side.prepare()?;
        self.begin()
    }

    /// Has the periods read that are ready.
    fn read(&mut self) -> Result<Phase, Stop> {
        let period = self.side.ring().period();
        loop {
            let (left, ready) = (self.left(), self.side.ready());
            if left == 0 {
                return Err(Stop::End(End::Drained));
            }
            if ready < left.min(period) {
                return Ok(Phase::Running);
            }
            let most = match self.side.setup.linear {
                true => ready,
                false => period,
            };
            self.period(most.min(left))?;
        }
    }

    /// Has `frames` frames read and gives them back.
    fn period(&mut self, frames: u64) -> Result<(), Stop> {
        let moment = self.side.moment();
        let place = self.side.ring().place(self.side.application);
        let began = self.side.card.now();
        let window = self.side.card.window(place, frames as usize);
        let client = &mut self.client;
        let calm = catch_unwind(AssertUnwindSafe(|| client.data(window, moment))).is_ok();
        self.side.called(began);
        if !calm {
            return Err(Stop::Report(Report::Panicked));
        }
        count(&self.side.shared.counters.frames, frames);
        self.side.advance(frames)?;
        Ok(())
    }
}

impl<C: Card, K: Sink> Complain for Capture<C, K> {
    fn report(&mut self, report: Report) {
        self.client.report(report);
    }
}

impl<C: Card, K: Sink> Flow for Capture<C, K> {
    fn begin(&mut self) -> Result<Phase, Stop> {
        if self.left() == 0 {
            return Err(Stop::End(End::Drained));
        }
        self.side.begin()?;
        while let Err(error) = self.side.start() {
            if !self.side.refused(error)? {
                // Nothing was recorded: no xrun.
                return self.begin_anew();
            }
        }
        Ok(Phase::Running)
    }

    fn wait(&mut self, _: Phase) -> io::Result<()> {
        let ahead = self.side.ring().period().saturating_sub(self.side.ready());
        let deadline = self.side.deadline(ahead);
        self.side.card.wait(deadline)
    }

    fn wait_command(&mut self, begun: bool) -> Result<(), Stop> {
        match begun {
            true => self.side.pause(),
            false => Ok(self.side.card.wait_command(None)?),
        }
    }

    fn wake(&mut self, phase: Phase) -> Result<Phase, Stop> {
        let (snapshot, lost) = self.side.look(false)?;
        match snapshot.state {
            State::Running => {
                self.side.woken_for(self.side.ready());
                self.overrun(lost)
            }
            State::Xrun => self.restart(),
            State::Suspended => match self.side.resume()? {
                true => Ok(phase),
                false => self.restart(),
            },
            State::Disconnected => Err(Stop::Report(Report::Disconnected)),
            _ => Err(Stop::Report(Report::Stopped)),
        }
    }

    /// Goes on with what is recorded from now on.
    fn resume(&mut self) -> Result<Phase, Stop> {
        self.side.forgive();
        let (snapshot, _lost) = self.side.look(true)?;
        if snapshot.state != State::Running {
            return self.wake(Phase::Running);
        }
        self.side.forgive();
        let ready = self.side.ready();
        // What is older than the pause's end, in whole periods.
        if !self.side.skip(ready - ready % self.side.ring().period())? {
            // It was to be forgotten: no xrun.
            let _ = self.side.card.stop();
            return self.begin_anew();
        }
        Ok(Phase::Running)
    }

    fn stop(&mut self) {
        let _ = self.side.card.stop();
    }
}

#[cfg(test)]
mod tests;
