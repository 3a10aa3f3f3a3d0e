// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the card did and when, out of a trace, held against the data sheet's clock: whatever the host did, each step
//! of a stream is the one that [D-30], [D-31], [D-35] and [D-45] say for its time.

use std::collections::BTreeMap;

use super::value;

const NS: u128 = 1_000_000_000;

/// The events that this reads.
pub const TRACE: &str = "sgring_*";

/// Frames that a stream has moved in one go.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub stream: u64,
    pub frames: u64,
    /// Frames that were due beyond a ring, and were not moved.
    pub skipped: u64,
}

/// What a stream has moved between a PREPARE and its end.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub stream: u64,
    pub ring: u64,
    pub frames: u64,
}

/// The clock of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stream {
    rate: u64,
    period: u64,
    pub ring: u64,
    burst: u64,
    pub hw_ptr: u64,
    moving: bool,
    t0: u64,
    f0: u64,
    drain_end: Option<u64>,
    skips: Option<u64>,
    /// Bursts of a step that have to be told as late.
    to_tell: Option<u64>,
    irq_due: bool,
    pub irqs: u64,
    pub late: u64,
    pub drops: u64,
    /// Where its status line is.
    pub line: u64,
}

impl Stream {
    fn deadline(&self, frame: u64) -> u64 {
        let after = (u128::from(frame - self.f0) * NS).div_ceil(self.rate.into());
        self.t0 + after as u64
    }

    /// The end of the last burst that is over at `now`.
    fn due(&self, now: u64) -> u64 {
        let frames = u128::from(now.saturating_sub(self.t0)) * u128::from(self.rate) / NS;
        let under_way = self.f0 + frames as u64;
        match self.drain_end {
            Some(end) if under_way >= end => end,
            _ => (under_way - under_way % self.period % self.burst).max(self.hw_ptr),
        }
    }

    /// All that had to be told of the steps so far was told.
    fn owes_nothing(&self) -> Result<(), String> {
        if self.irq_due {
            return Err("no interrupt came at the end of the period before".to_owned());
        }
        match self.to_tell {
            None => Ok(()),
            Some(bursts) => Err(format!("{bursts} bursts before were late, and not told")),
        }
    }

    /// Bursts that end at or before `frame`, or in the middle of which it is.
    fn bursts(&self, frame: u64) -> u64 {
        frame / self.period * self.period.div_ceil(self.burst)
            + (frame % self.period).div_ceil(self.burst)
    }
}

/// All of it.
#[derive(Debug, Default)]
pub struct Timeline {
    pub streams: BTreeMap<u64, Stream>,
    pub steps: Vec<Step>,
    pub runs: Vec<Run>,
    /// Interrupts of all streams.
    pub irqs: u64,
}

impl Timeline {
    /// Reads a trace.
    ///
    /// # Errors
    /// The first line that should not be there, and why.
    pub fn read(log: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for (number, line) in log.lines().enumerate() {
            let Some((_, event)) = line.split_once("sgring_") else {
                continue;
            };
            all.event(event)
                .map_err(|e| format!("line {} of the trace: {line}: {e}", number + 1))?;
        }
        Ok(all)
    }

    fn event(&mut self, event: &str) -> Result<(), String> {
        let name = event.split(' ').next().unwrap_or_default();
        let say = |word: &str| value(event, word).ok_or_else(|| format!("no {word}"));
        match name {
            "reset" => {
                for number in self.streams.keys().copied().collect::<Vec<_>>() {
                    self.ended(number)?;
                }
                self.streams.clear();
                return Ok(());
            }
            "reg_write" => {
                self.written(event);
                return Ok(());
            }
            "prepare" | "start" | "pause" | "drain" | "drained" | "stop" | "rebase" | "burst"
            | "late" | "irq" | "fifo_drop" => {}
            _ => return Ok(()),
        }
        let number = say("stream")?;
        if name == "prepare" {
            self.ended(number)?;
        }
        let st = self.streams.entry(number).or_default();
        match name {
            "prepare" => {
                *st = Stream {
                    rate: say("rate")?,
                    period: say("period")?,
                    ring: say("ring")?,
                    burst: say("burst")?,
                    line: st.line,
                    ..Stream::default()
                }
            }
            "start" => {
                at(st, say("hw_ptr")?)?;
                (st.moving, st.t0, st.f0) = (true, say("t0")?, st.hw_ptr);
            }
            "pause" | "stop" => {
                at(st, say("hw_ptr")?)?;
                (st.moving, st.drain_end) = (false, None);
            }
            "drain" => {
                at(st, say("hw_ptr")?)?;
                st.drain_end = Some(say("end")?);
            }
            "drained" => {
                at(st, st.drain_end.ok_or("it did not drain")?)?;
                (st.moving, st.drain_end, st.irq_due) = (false, None, true);
            }
            "rebase" => st.skips = Some(number_after(event, "by ").ok_or("no frames")?),
            "burst" => {
                // Lateness is not below 0 where the number is one.
                let now = say("due")? + say("lateness")?;
                let step = burst(st, number, say("hw_ptr")?, say("due")?, now)?;
                self.steps.push(step);
            }
            "late" => {
                let bursts = number_after(event, "did ").ok_or("no bursts")?;
                let told = st.to_tell.take();
                if told != Some(bursts) {
                    return Err(format!("{told:?} bursts were"));
                }
                st.late += bursts - 1;
                let so_far = number_after(event, "go, ");
                if so_far != Some(st.late) {
                    return Err(format!("{} so far", st.late));
                }
            }
            "irq" => {
                if !std::mem::take(&mut st.irq_due) {
                    return Err("nothing to interrupt for".to_owned());
                }
                st.irqs += 1;
                self.irqs += 1;
                at(st, say("hw_ptr")?)?;
                if say("interrupt")? != st.irqs {
                    return Err(format!("it is number {}", st.irqs));
                }
            }
            _ => st.drops += number_after(event, "lost ").ok_or("no frames")?,
        }
        Ok(())
    }

    /// A register: S_STATUS_ADDR is one that is looked at.
    fn written(&mut self, event: &str) {
        const STATUS_ADDR: u64 = 0x38;
        let hex = |text: &str| u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok();
        let parts = event
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'))
            .and_then(|(addr, rest)| Some((hex(addr)?, hex(rest.split_once("= ")?.1)?)));
        let Some((addr, value)) = parts.filter(|(addr, _)| *addr >= 0x1000) else {
            return;
        };
        let st = self.streams.entry((addr - 0x1000) / 0x100).or_default();
        match addr % 0x100 {
            STATUS_ADDR => st.line = value,
            addr if addr == STATUS_ADDR + 4 => st.line |= value << 32,
            _ => {}
        }
    }

    /// What `number` has moved since its PREPARE, if anything.
    fn ended(&mut self, number: u64) -> Result<(), String> {
        let Some(st) = self.streams.get(&number) else {
            return Ok(());
        };
        st.owes_nothing()?;
        if st.hw_ptr != 0 {
            self.runs.push(Run {
                stream: number,
                ring: st.ring,
                frames: st.hw_ptr,
            });
        }
        Ok(())
    }

    /// The runs of one stream, the last one with them, at the end of the trace.
    ///
    /// # Errors
    /// An interrupt, or word of late bursts, that never came.
    pub fn runs_of(mut self, number: u64) -> Result<Vec<Run>, String> {
        self.ended(number)?;
        self.runs.retain(|run| run.stream == number);
        Ok(self.runs)
    }
}

fn at(st: &Stream, hw_ptr: u64) -> Result<(), String> {
    if hw_ptr == st.hw_ptr {
        Ok(())
    } else {
        Err(format!("the stream is at {}", st.hw_ptr))
    }
}

/// A step to `hw_ptr`, made at `now`.
fn burst(st: &mut Stream, stream: u64, hw_ptr: u64, due: u64, now: u64) -> Result<Step, String> {
    if !st.moving {
        return Err("the stream does not run".to_owned());
    }
    st.owes_nothing()?;
    let (from, skips) = (st.hw_ptr, st.skips.take());
    let end = st.due(now);
    let (to, time) = match skips {
        None => (end, st.deadline(end)),
        // More than a ring was due: one is moved, and the clock begins anew.
        Some(_) => (from + st.ring, now),
    };
    if (hw_ptr, due) != (to, time) || skips.is_none() && end - from > st.ring {
        return Err(format!("the clock says frame {to}, due {time}"));
    }
    let skipped = skips.unwrap_or(0);
    if skips.is_some() {
        if end - to != skipped || skipped == 0 {
            return Err(format!("{} frames are beyond a ring", end - to));
        }
        (st.t0, st.f0) = (now, to);
    }
    let bursts = st.bursts(to) - st.bursts(from);
    st.to_tell = Some(bursts).filter(|bursts| *bursts > 1);
    st.irq_due = to / st.period != from / st.period;
    st.hw_ptr = to;
    Ok(Step {
        stream,
        frames: to - from,
        skipped,
    })
}

/// The number behind `words`.
fn number_after(line: &str, words: &str) -> Option<u64> {
    let (_, rest) = line.split_once(words)?;
    rest.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "\
        sgring_reg_write S_STATUS_ADDR [0x1038] size 4 = 0x8bfb000\n\
        sgring_reg_write S_STATUS_ADDR [0x103c] size 4 = 0x1\n\
        sgring_prepare stream 0 format 2 rate 48000 channels 1 period 96 ring 480 burst 48 segments 2\n\
        sgring_start stream 0 hw_ptr 0 t0 1000\n\
        sgring_burst stream 0 hw_ptr 48 due 1001000 lateness 0 ns\n";

    fn read(rest: &str) -> Result<Timeline, String> {
        Timeline::read(&format!("{BEGIN}{rest}"))
    }

    #[test]
    fn a_sound_card_is_believed() {
        let all = read(
            "sgring_burst stream 0 hw_ptr 240 due 5001000 lateness 7 ns\n\
             sgring_late stream 0 did 4 bursts in one go, 3 late so far\n\
             sgring_irq stream 0 vector 0 interrupt 1 hw_ptr 240\n\
             sgring_rebase stream 0 clock moved on by 96 frames\n\
             sgring_burst stream 0 hw_ptr 720 due 17001000 lateness 0 ns\n\
             sgring_late stream 0 did 10 bursts in one go, 12 late so far\n\
             sgring_irq stream 0 vector 0 interrupt 2 hw_ptr 720\n\
             sgring_burst stream 0 hw_ptr 768 due 18001000 lateness 0 ns\n\
             sgring_irq stream 0 vector 0 interrupt 3 hw_ptr 768\n",
        )
        .unwrap();
        let st = all.streams[&0];
        assert_eq!((st.hw_ptr, st.irqs, st.late), (768, 3, 12));
        assert_eq!(st.line, 0x1_08bf_b000);
        assert_eq!((all.steps[2].frames, all.steps[2].skipped), (480, 96));
        assert_eq!(all.runs_of(0).unwrap()[0].frames, 768);
    }

    #[test]
    fn what_is_owed_at_the_end_is_seen() {
        let irq = "sgring_burst stream 0 hw_ptr 96 due 2001000 lateness 0 ns\n";
        let said = read(irq).unwrap().runs_of(0).unwrap_err();
        assert!(said.contains("no interrupt"), "{said}");
        let late = "sgring_burst stream 0 hw_ptr 192 due 4001000 lateness 0 ns\n\
                    sgring_irq stream 0 vector 0 interrupt 1 hw_ptr 192\n";
        let said = read(late).unwrap().runs_of(0).unwrap_err();
        assert!(said.contains("3 bursts"), "{said}");
    }

    #[test]
    fn what_is_wrong_is_seen() {
        let late = "sgring_burst stream 0 hw_ptr 240 due 5001000 lateness 0 ns\n\
                    sgring_late stream 0 did 4 bursts in one go, 3 late so far\n";
        let irq = "sgring_irq stream 0 vector 0 interrupt 1 hw_ptr 240\n";
        for (rest, why) in [
            (
                "sgring_burst stream 0 hw_ptr 96 due 2001001 lateness 0 ns",
                "the clock says",
            ),
            (
                "sgring_burst stream 0 hw_ptr 96 due 2001000 lateness 1000000 ns",
                "the clock says",
            ),
            (
                "sgring_burst stream 0 hw_ptr 768 due 16001000 lateness 0 ns",
                "the clock says",
            ),
            (
                "sgring_irq stream 0 vector 0 interrupt 1 hw_ptr 48",
                "nothing to",
            ),
            (&format!("{late}{irq}{irq}"), "nothing to"),
            (
                &format!("{late}sgring_burst stream 0 hw_ptr 288 due 6001000 lateness 0 ns"),
                "no interrupt",
            ),
            (
                "sgring_reset card reset\n\
                 sgring_burst stream 0 hw_ptr 96 due 2001000 lateness 0 ns",
                "does not run",
            ),
            (
                "sgring_stop stream 0 hw_ptr 48\n\
                 sgring_burst stream 0 hw_ptr 96 due 2001000 lateness 0 ns",
                "does not run",
            ),
        ] {
            let said = read(rest).unwrap_err();
            assert!(said.contains(why), "{rest}: {said}");
        }
    }
}
