// SPDX-License-Identifier: MIT OR Apache-2.0
//! Playback: the callback fills the ring ahead of the hardware.
//!
//! The kernel overwrites with silence what has been played, so an underrun is silence already. What the
//! callback gets holds silence as well. A callback that panics has its period silenced.

use super::side::Side;
use super::{Card, Complain, Flow, Moment, Phase, Report, Setup, Stop, silence, tell};
use crate::handle::{End, Shared, count};
use crate::sys::State;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The two callbacks.
pub(crate) trait Source: Complain {
    /// Fills `window`, which holds silence. `window` is a period of the ring itself, or, with
    /// [`Setup::linear`], all of it that is free.
    fn data(&mut self, window: &mut [u8], moment: Moment);
}

/// See the module.
pub(crate) struct Playback<C, K> {
    side: Side<C>,
    pub(crate) client: K,
    /// The stream's last frame is in the ring: nothing that is said later changes that.
    last_is_written: bool,
}

impl<C: Card, K: Source> Playback<C, K> {
    pub(crate) fn new(card: C, client: K, shared: Arc<Shared>, setup: Setup) -> Self {
        Self {
            side: Side::new(card, shared, setup),
            client,
            last_is_written: false,
        }
    }

    /// Moves on from where the hardware has overtaken; `lost` frames more has the kernel not seen. Then fills.
    fn underrun(&mut self, lost: u64) -> Result<Phase, Stop> {
        let Some(moved) = self.take_up()? else {
            let _ = self.side.card.stop();
            return self.restart(Phase::Running);
        };
        if self.side.xrun(moved + lost) {
            tell(&mut self.client, Report::Xrun)?;
        }
        self.fill()
    }

    /// Moves the application's position on, ahead of a hardware that has overtaken it. Returns by how much;
    /// `None` where the card does not let it.
    ///
    /// The new position is published at once, though nothing is written there yet but silence: poll
    /// would find the ring free as long as the old one stands.
    fn take_up(&mut self) -> Result<Option<u64>, Stop> {
        let (ring, before) = (self.side.ring(), self.side.application);
        if ring.late(self.side.hardware, before) == 0 {
            return Ok(Some(0));
        }
        let after = ring.take_up(self.side.hardware, before);
        let moved = ring.distance(before, after).max(0) as u64;
        Ok(self.side.skip(moved)?.then_some(moved))
    }

    /// The driver stopped the stream for an xrun of its own, or the card has forgotten it while the machine was
    /// suspended, or cannot take up so far ahead: starts again from the beginning of the ring. What was in it is
    /// lost, and if that was the stream's end, there is nothing to start for.
    fn restart(&mut self, phase: Phase) -> Result<Phase, Stop> {
        count(&self.side.shared.counters.xruns, 1);
        tell(&mut self.client, Report::Xrun)?;
        if phase == Phase::Draining {
            return Err(Stop::Report(Report::CutOff));
        }
        let lost = self.side.is_queued();
        match self.begin_anew() {
            // What was lost turned out to be the end.
            Err(Stop::End(End::Drained)) if lost => Err(Stop::Report(Report::CutOff)),
            begun => begun,
        }
    }

    /// Starts a stream that has stopped from the beginning of the ring.
    fn begin_anew(&mut self) -> Result<Phase, Stop> {
        self.side.retry()?;
        self.side.prepare()?;
        self.begin()
    }

    /// Fills the periods that are free.
    fn fill(&mut self) -> Result<Phase, Stop> {
        while self.side.room() >= self.side.ring().period() && !self.at_end() {
            self.period()?;
        }
        self.drain_at_end()
    }

    /// Whether all frames up to the stream's end have been written.
    fn at_end(&self) -> bool {
        let frames = self.side.shared.counters.frames.load(Relaxed);
        self.last_is_written || self.side.shared.end(frames) <= frames
    }

    /// Begins to drain once the end has been written.
    fn drain_at_end(&mut self) -> Result<Phase, Stop> {
        if !self.at_end() {
            return Ok(Phase::Running);
        }
        while let Err(error) = self.side.drain() {
            if !self.side.refused(error)? {
                return self.restart(Phase::Draining);
            }
        }
        Ok(Phase::Draining)
    }

    /// Has one period written and publishes it, or as much of it as comes before the end. Of a linear ring
    /// all that is free, at least a period.
    fn period(&mut self) -> Result<(), Stop> {
        let Setup {
            ring,
            format,
            frame_bytes,
            perfect_drain,
            linear,
            ..
        } = self.side.setup;
        let whole = match self.side.room() {
            // A card of periods does not take less than one.
            room if linear && !perfect_drain => room - room % ring.period(),
            room if linear => room,
            _ => ring.period(),
        };
        let moment = self.side.moment();
        let place = ring.place(self.side.application);
        let began = self.side.card.now();
        let window = self.side.card.window(place, whole as usize);
        silence(format, window);
        let client = &mut self.client;
        let calm = catch_unwind(AssertUnwindSafe(|| client.data(window, moment))).is_ok();
        let counters = &self.side.shared.counters;
        let before = counters.frames.load(Relaxed);
        let frames = match self.side.shared.end(before + whole) {
            _ if !calm => 0,
            end => end.saturating_sub(before).min(whole),
        };
        silence(format, &mut window[frames as usize * frame_bytes..]);
        count(&counters.frames, frames);
        self.last_is_written = frames < whole;
        self.side.called(began);
        if !calm {
            return Err(Stop::Report(Report::Panicked));
        }
        self.side.advance(match perfect_drain {
            true => frames,
            false => frames.next_multiple_of(ring.period()),
        })?;
        Ok(())
    }
}

impl<C: Card, K: Source> Complain for Playback<C, K> {
    fn report(&mut self, report: Report) {
        self.client.report(report);
    }
}

impl<C: Card, K: Source> Flow for Playback<C, K> {
    /// Fills the ring and starts the card.
    fn begin(&mut self) -> Result<Phase, Stop> {
        self.side.begin()?;
        while self.side.room() >= self.side.ring().period() && !self.at_end() {
            self.period()?;
        }
        if self.side.application == 0 {
            // The end comes before the first frame: nothing to start for.
            return Err(Stop::End(End::Drained));
        }
        while let Err(error) = self.side.start() {
            if !self.side.refused(error)? {
                return self.restart(Phase::Running);
            }
        }
        self.drain_at_end()
    }

    fn wait(&mut self, phase: Phase) -> io::Result<()> {
        let (room, ring) = (self.side.room(), self.side.ring());
        let ahead = match phase {
            Phase::Running => ring.period().saturating_sub(room),
            Phase::Draining => ring.buffer() - room,
        };
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
        match (snapshot.state, phase) {
            (State::Running, Phase::Running) => {
                self.side.woken_for(self.side.room());
                self.underrun(lost)
            }
            (State::Running | State::Draining, _) => Ok(phase),
            (State::Setup, Phase::Draining) => Err(self.side.drained()),
            (State::Xrun, _) => self.restart(phase),
            (State::Suspended, _) => match self.side.resume()? {
                true => Ok(phase),
                false => self.restart(phase),
            },
            (State::Disconnected, _) => Err(Stop::Report(Report::Disconnected)),
            _ => Err(Stop::Report(Report::Stopped)),
        }
    }

    /// Takes up ahead of the hardware, which has run on in silence.
    fn resume(&mut self) -> Result<Phase, Stop> {
        self.side.forgive();
        let (snapshot, _lost) = self.side.look(true)?;
        if snapshot.state != State::Running {
            return self.wake(Phase::Running);
        }
        self.side.forgive();
        if self.take_up()?.is_none() {
            // All that was queued has been played: no xrun.
            let _ = self.side.card.stop();
            return self.begin_anew();
        }
        self.fill()
    }

    fn stop(&mut self) {
        let _ = self.side.card.stop();
    }
}

#[cfg(test)]
mod tests;
