// SPDX-License-Identifier: MIT OR Apache-2.0
//! Input and output in lock step: one thread, one callback for a period of each.
//!
//! Both PCMs start at one instant, and the thread sleeps for the input alone. The output is ahead of it by all of
//! its ring but a period, which is silence at first, and stays so: what is written for a period of input is
//! heard as much later. Of three periods, at least ([`PERIODS_MIN`]): one is being played when one has come in, so that
//! of two there would be none in between. A thread that is late moves on in both by the same whole periods, so that this never
//! changes.
//!
//! In `side` terms: `output.application - input.application` is `lead`, always, on a card of which both go at one pace
//! from the beginning; on others it may grow once.

use super::side::Side;
use super::{Card, Complain, Flow, Moment, Phase, Report, Setup, Stop, silence, tell};
use crate::handle::{End, Shared, count};
use crate::ring::Ring;
use crate::sys::State;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Periods that the rings must have.
pub(crate) const PERIODS_MIN: u32 = 3;

/// The two callbacks.
pub(crate) trait Exchange: Complain {
    /// Reads `input` and fills `output`, which holds silence: as many frames of each.
    fn data(&mut self, input: &[u8], output: &mut [u8], moments: [Moment; 2]);
}

/// See the module. The input's counters are the stream's; the output has some of its own, which nobody reads.
pub(crate) struct Duplex<C, K> {
    input: Side<C>,
    output: Side<C>,
    pub(crate) client: K,
    /// The stream's last frame is in the ring: nothing that is said later changes that.
    last_is_written: bool,
}

/// Frames by which the output is ahead of the input.
pub(crate) fn lead(output: Ring) -> u64 {
    output.buffer() - output.period()
}

impl<C: Card, K: Exchange> Duplex<C, K> {
    /// `input` and `output` have the same period and rate, and START of the one starts the other. `aside` is for
    /// the output's counters.
    pub(crate) fn new(
        input: (C, Setup),
        output: (C, Setup),
        client: K,
        shared: Arc<Shared>,
        aside: Arc<Shared>,
    ) -> Self {
        Self {
            input: Side::new(input.0, shared, input.1),
            output: Side::new(output.0, aside, output.1),
            client,
            last_is_written: false,
        }
    }

    fn left(&self) -> u64 {
        if self.last_is_written {
            return 0;
        }
        let shared = &self.input.shared;
        let frames = shared.counters.frames.load(Relaxed);
        shared.end(frames).saturating_sub(frames)
    }

    /// Moves both on by the whole periods that the later one needs, as far as the input has them. `lost` frames more has
    /// the kernel not seen.
    ///
    /// Some cards fetch a while ahead of what they record: where the input has not come so far, the output was not
    /// late, but is to be further ahead, and is moved on alone. Then exchanges what there is.
    fn late(&mut self, lost: u64) -> Result<Phase, Stop> {
        let (input, output) = (&self.input, &self.output);
        let ready = input.ready();
        let mut both = input.ring().overrun(ready);
        let mut alone = 0;
        if output.ring().late(output.hardware, output.application) > 0 {
            let after = output.ring().take_up(output.hardware, output.application);
            let moved = output.ring().distance(output.application, after).max(0) as u64;
            both = both.max(moved.min(ready - ready % input.ring().period()));
            alone = moved.saturating_sub(both);
        }
        if both > 0 && !self.input.skip(both)?
            || both + alone > 0 && !self.output.skip(both + alone)?
        {
            return self.restart(Phase::Running);
        }
        if self.input.xrun(both + alone + lost) {
            tell(&mut self.client, Report::Xrun)?;
        }
        self.exchange()
    }

    /// One of them has stopped: starts both again. What was in the rings is lost, and if the stream's end was,
    /// there is nothing to start for.
    fn restart(&mut self, phase: Phase) -> Result<Phase, Stop> {
        count(&self.input.shared.counters.xruns, 1);
        tell(&mut self.client, Report::Xrun)?;
        if phase == Phase::Draining {
            return Err(Stop::Report(Report::CutOff));
        }
        let lost = self.is_queued();
        match self.begin_anew() {
            // What was lost turned out to be the end.
            Err(Stop::End(End::Drained)) if lost => Err(Stop::Report(Report::CutOff)),
            begun => begun,
        }
    }

    /// Whether there is something left to play, but for the silence at first.
    fn is_queued(&self) -> bool {
        self.input.shared.counters.frames.load(Relaxed) > 0 && self.output.is_queued()
    }

    /// Starts both from the beginnings of their rings.
    fn begin_anew(&mut self) -> Result<Phase, Stop> {
        self.input.retry()?;
        // One of them may have stopped alone.
        let _ = self.input.card.stop();
        let _ = self.output.card.stop();
        self.input.prepare()?;
        self.output.prepare()?;
        self.begin()
    }

    fn exchange(&mut self) -> Result<Phase, Stop> {
        let period = self.input.ring().period();
        loop {
            let left = self.left();
            if left == 0 {
                return self.drain();
            }
            if self.input.ready() < period {
                return Ok(Phase::Running);
            }
            if self.output.room() < period {
                // Its interrupt is still to come.
                self.output.look(true)?;
                if self.output.room() < period {
                    return Ok(Phase::Running);
                }
            }
            self.period(period, left.min(period))?;
        }
    }

    /// Begins to drain.
    fn drain(&mut self) -> Result<Phase, Stop> {
        loop {
            count(&self.input.shared.counters.others, 1);
            let Err(error) = self.output.card.drain() else {
                return Ok(Phase::Draining);
            };
            // It is no longer linked to the input, which has nothing to do any more.
            if !self.output.refused(error)? {
                return self.restart(Phase::Draining);
            }
        }
    }

    /// Exchanges a period, of which `frames` frames come before the end.
    fn period(&mut self, period: u64, frames: u64) -> Result<(), Stop> {
        let moments = [self.input.moment(), self.output.moment()];
        let place = |side: &Side<C>| side.ring().place(side.application);
        let places = [place(&self.input), place(&self.output)];
        let Setup {
            format,
            frame_bytes,
            perfect_drain,
            ..
        } = self.output.setup;
        let began = self.input.card.now();
        let read = self.input.card.window(places[0], period as usize);
        let window = self.output.card.window(places[1], period as usize);
        silence(format, window);
        let client = &mut self.client;
        let exchange = || client.data(read, window, moments);
        let calm = catch_unwind(AssertUnwindSafe(exchange)).is_ok();
        let kept = if calm { frames } else { 0 };
        silence(format, &mut window[kept as usize * frame_bytes..]);
        self.input.called(began);
        if !calm {
            return Err(Stop::Report(Report::Panicked));
        }
        count(&self.input.shared.counters.frames, frames);
        self.last_is_written = frames < period;
        self.input.advance(period)?;
        self.output.advance(match perfect_drain {
            true => frames,
            false => period,
        })?;
        Ok(())
    }

    /// What to do about `state`, in which nothing moves.
    fn stopped(&mut self, state: State, phase: Phase) -> Result<Phase, Stop> {
        match state {
            State::Setup if phase == Phase::Draining => Err(self.output.drained()),
            State::Xrun => self.restart(phase),
            State::Suspended => {
                // RESUME goes to the group, of which to drain makes two.
                let side = match phase {
                    Phase::Running => &mut self.input,
                    Phase::Draining => &mut self.output,
                };
                match side.resume()? {
                    true => Ok(phase),
                    false => self.restart(phase),
                }
            }
            State::Disconnected => Err(Stop::Report(Report::Disconnected)),
            _ => Err(Stop::Report(Report::Stopped)),
        }
    }
}

impl<C: Card, K: Exchange> Complain for Duplex<C, K> {
    fn report(&mut self, report: Report) {
        self.client.report(report);
    }
}

impl<C: Card, K: Exchange> Flow for Duplex<C, K> {
    fn begin(&mut self) -> Result<Phase, Stop> {
        if self.left() == 0 {
            return Err(Stop::End(End::Drained));
        }
        // PREPARE goes to the group.
        self.input.begin()?;
        self.output.begin()?;
        let frames = lead(self.output.ring());
        let (format, period) = (self.output.setup.format, self.output.ring().period());
        for place in (0..frames).step_by(period as usize) {
            let window = self.output.card.window(place as usize, period as usize);
            silence(format, window);
        }
        self.output.advance(frames)?;
        while let Err(error) = self.input.start() {
            if !self.input.refused(error)? {
                // Nothing was recorded, and what was to be played is silence: no xrun.
                return self.begin_anew();
            }
        }
        Ok(Phase::Running)
    }

    fn wait(&mut self, phase: Phase) -> io::Result<()> {
        let queued = self.output.ring().buffer() - self.output.room();
        match phase {
            // Two clocks, of which the output's is the slower one.
            Phase::Running if self.input.ready() >= self.input.ring().period() => {
                let deadline = self.output.deadline(0);
                self.output.card.wait(deadline)
            }
            Phase::Running => {
                let period = self.input.ring().period();
                let ahead = period.saturating_sub(self.input.ready());
                let deadline = self.input.deadline(ahead);
                self.input.card.wait(deadline)
            }
            Phase::Draining => {
                let deadline = self.output.deadline(queued);
                self.output.card.wait(deadline)
            }
        }
    }

    fn wait_command(&mut self, begun: bool) -> Result<(), Stop> {
        if !begun {
            return Ok(self.input.card.wait_command(None)?);
        }
        self.input.pause()?;
        if self.output.setup.timer {
            self.output.look(true)?;
        }
        Ok(())
    }

    fn wake(&mut self, phase: Phase) -> Result<Phase, Stop> {
        // The output first: its position is then not the newer one.
        let (output, _) = self.output.look(false)?;
        if phase == Phase::Draining {
            return match output.state {
                State::Running | State::Draining => Ok(phase),
                state => self.stopped(state, phase),
            };
        }
        let (input, lost) = self.input.look(false)?;
        match (input.state, output.state) {
            (State::Running, State::Running) => {
                self.input.woken_for(self.input.ready());
                self.late(lost)
            }
            (State::Running, state) | (state, _) => self.stopped(state, phase),
        }
    }

    /// Goes on with what is recorded from now on.
    fn resume(&mut self) -> Result<Phase, Stop> {
        self.input.forgive();
        self.output.forgive();
        let (output, _) = self.output.look(true)?;
        let (input, _) = self.input.look(true)?;
        if (input.state, output.state) != (State::Running, State::Running) {
            return self.wake(Phase::Running);
        }
        self.input.forgive();
        self.output.forgive();
        let ready = self.input.ready();
        let skipped = ready - ready % self.input.ring().period();
        if self.input.skip(skipped)? && self.output.skip(skipped)? {
            return Ok(Phase::Running);
        }
        match self.is_queued() {
            // The output's ring is the longer one.
            true => self.restart(Phase::Running),
            // All has been played, and what was recorded was to be forgotten: no xrun.
            false => self.begin_anew(),
        }
    }

    fn stop(&mut self) {
        let _ = self.input.card.stop();
        let _ = self.output.card.stop();
    }
}

#[cfg(test)]
mod tests;
