// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine that is held up while streams play, pause, drain and record.
//!
//! By a QMP `stop`, its clock stands still: to the guest nothing has happened. By a host that stalls, its clock
//! goes on: the card makes up for that in one go, with one interrupt, and counts it. The guest's side is
//! `userspace-test/suite/src/tools/held_up.rs`; each step of the card is held against the data sheet's clock.
//!
//! `SGRING_SEED` is which instants.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::json;
use sgring_vm::{Config, Vm};

use super::legs::{Legs, legs, seed};
use super::timeline::{self, Timeline};
use super::{asked, clean, folder, qmp, raw_clip};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const PATIENCE: Duration = Duration::from_secs(300);
/// Host time from the guest's word to the hold, at most, us.
const LEG: u64 = 60_000;
/// Host time of the first hold and of the others: each is longer than the shorter one of the guest's rings, and
/// a stall's more than what the card keeps for the backend.
const STOP: [Duration; 2] = [Duration::from_millis(2_000), Duration::from_millis(250)];
const STALL: [Duration; 2] = [Duration::from_millis(3_000), Duration::from_millis(1_200)];
/// Half a second, and no whole number of any period.
const FRAMES: u64 = 24_007;
const FRAME: usize = 4;
const RATE: u64 = 48_000;
/// D-70: frames that wait for the backend at most.
const FIFO: u64 = RATE / 4 + 2 * 16_384;
/// Frames of a burst.
const BURST: u64 = 48;

const TESTS: [(&str, &str); 6] = [
    ("running", "D-35: a stream that plays goes on"),
    ("paused", "a stream that is paused stays so"),
    ("draining", "a stream that drains goes on draining"),
    ("drained", "D-50: a drain ends at its frame"),
    ("recording", "D-98: a recording has each frame, once"),
    ("around", "a stream that nothing stops runs on"),
];
const XRUN: (&str, &str) = ("xrun", "who has nothing left to play is in an xrun");

/// How the machine is held up.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    icount: bool,
    /// By the host, and not by QMP.
    stalls: bool,
}

const WAYS: [Way; 3] = [
    Way {
        name: "stop-cont",
        icount: false,
        stalls: false,
    },
    Way {
        name: "stop-cont-icount",
        icount: true,
        stalls: false,
    },
    Way {
        name: "stall",
        icount: false,
        stalls: true,
    },
];

pub fn units() -> Vec<Unit> {
    let unit = |way: Way| {
        let name = way.name;
        let tests = TESTS.iter().chain(way.stalls.then_some(&XRUN));
        let mut planned: Vec<_> = tests
            .map(|(test, proves)| Planned::new(format!("{name}-{test}"), *proves))
            .collect();
        planned.push(Planned::new(
            format!("{name}-clock"),
            if way.stalls {
                "D-35: what is overdue is done in one go, with one interrupt, and counted"
            } else {
                "D-30: the clock of a machine that is stopped stands still"
            },
        ));
        planned.push(Planned::new(
            format!("{name}-exact"),
            "D-75: every frame is fetched, once",
        ));
        planned.push(clean(name));
        Unit::new(Shard::Journey, name, planned, move |context, rec| {
            if let Err(e) = journey(context, way, rec) {
                rec.abort(e);
            }
        })
    };
    WAYS.into_iter().map(unit).collect()
}

fn journey(context: &Context, way: Way, rec: &mut Recorder<'_>) -> Result<(), String> {
    let name = way.name;
    let seed = seed()?;
    let dir = folder(context, name)?;
    let (path, clip) = raw_clip(&dir, 23, FRAMES)?;
    let how = if way.stalls { " stalls" } else { "" };
    let config = Config::new([asked::command(&format!(
        "/opt/held-up /clips/clip.raw{how}"
    ))])
    .name(name)
    .icount(way.icount)
    // The streams have one for themselves.
    .device_prop("vectors=2")
    .modparam("max_ring_bytes=16777216")
    .trace(timeline::TRACE)
    .file(path, "/clips/clip.raw")
    .file(context.layout.programs().join("held-up"), "/opt/held-up");
    let mut holder = Holder {
        way,
        legs: legs(seed, LEG),
        plugged: true,
        holds: 0,
        awaited: Vec::new(),
        steps: 0,
        irqs: 0,
    };
    let mut seen = Ok(());
    let outcome = asked::run(context, config, name, PATIENCE, rec, |vm, words| {
        match words {
            None => return Ok(()),
            Some("hold") => holder.hold(vm, true)?,
            Some("hold still") => holder.hold(vm, false)?,
            Some(words) => {
                let numbers = words
                    .strip_prefix("look ")
                    .and_then(|words| words.split_once(' '))
                    .and_then(|(seen, at)| Some((seen.parse().ok()?, at.parse().ok()?)));
                let (interrupts, hw_ptr) = numbers.ok_or("what is that?")?;
                let look = holder.look(vm, interrupts, hw_ptr);
                if seen.is_ok() {
                    seen = look;
                }
            }
        }
        holder.answer(vm)
    })?;
    let run = format!("SGRING_SEED={seed}; run: {}", outcome.dir.path().display());
    let all = Timeline::read(&outcome.qemu_log());
    let late = |all: &Timeline| match all.steps.iter().find(|step| step.frames > BURST) {
        Some(step) if way.icount => Err(format!("{} frames in one go", step.frames)),
        _ => Ok(()),
    };
    let clock = seen.and_then(|()| late(all.as_ref().map_err(Clone::clone)?));
    rec.case(
        &format!("{name}-clock"),
        clock.map_err(|e| format!("{e}; {run}")),
    );
    let fetched = fs::read(outcome.dir.join("tap.raw")).map_err(|e| e.to_string())?;
    let exact = all.and_then(|all| each_once(&fetched, &clip, all));
    rec.case(
        &format!("{name}-exact"),
        exact.map_err(|e| format!("{e}; {run}")),
    );
    Ok(())
}

/// Who holds the machine up.
struct Holder {
    way: Way,
    legs: Legs,
    plugged: bool,
    holds: usize,
    /// How long the machine was stalled with a stream that moves.
    awaited: Vec<Duration>,
    /// Of the trace, seen so far.
    steps: usize,
    irqs: u64,
}

impl Holder {
    fn hold(&mut self, vm: &mut Vm, moving: bool) -> Result<(), String> {
        let mut leg = || self.legs.next().unwrap_or_default();
        thread::sleep(leg());
        let time = if self.way.stalls { STALL } else { STOP }[self.holds.min(1)] + leg();
        self.holds += 1;
        if self.way.stalls {
            if moving {
                self.awaited.push(time);
            }
            return vm.stall(time).map_err(|e| e.to_string());
        }
        qmp(vm, "stop", json!({}))?;
        let before = done(vm);
        thread::sleep(time);
        let after = done(vm);
        qmp(vm, "cont", json!({}))?;
        match before == after {
            true => Ok(()),
            false => Err(format!(
                "the card of a stopped machine goes on: {before:?}, {after:?}"
            )),
        }
    }

    /// What the card says of playback stream 0, which has ended, in its status line, against the trace, and against
    /// what the guest was told: no lap less, nor one more.
    fn look(&mut self, vm: &mut Vm, interrupts: u64, hw_ptr: u64) -> Result<(), String> {
        let log = fs::read(vm.dir().join("qemu.log")).map_err(|e| e.to_string())?;
        let all = Timeline::read(&String::from_utf8_lossy(&log))?;
        let st = all.streams.get(&0).ok_or("no stream in the trace")?;
        let line = words(vm, st.line, 16)?;
        let long = |at: usize| u64::from(line[at]) | u64::from(line[at + 1]) << 32;
        // STATE, HW_PTR, IRQS, ERR, LATE and DROPS.
        let said = (line[1], long(2), line[6], line[7], line[8], line[11]);
        let low = |count: u64| count as u32;
        let done = (0, st.hw_ptr, low(st.irqs), 0, low(st.late), low(st.drops));
        if said != done {
            return Err(format!("the status line says {said:?}, of {done:?}"));
        }
        // It was told for the last time before the stream was stopped.
        if hw_ptr > st.hw_ptr || st.hw_ptr - hw_ptr >= st.ring {
            return Err(format!("the guest was told {hw_ptr}, of {}", st.hw_ptr));
        }
        let irqs = all.irqs - self.irqs;
        self.irqs = all.irqs;
        if interrupts > irqs {
            return Err(format!("{interrupts} interrupts came, of {irqs}"));
        }
        let steps = all.steps[self.steps..].iter().filter(|s| s.stream == 0);
        self.steps = all.steps.len();
        let mut stalls: Vec<_> = steps.collect();
        stalls.sort_by_key(|step| std::cmp::Reverse(step.frames + step.skipped));
        self.awaited.sort_by_key(|time| std::cmp::Reverse(*time));
        let mut drops = 0;
        for (number, time) in self.awaited.drain(..).enumerate() {
            let least = (time.as_nanos() * u128::from(RATE) / 1_000_000_000) as u64 - BURST;
            let step = stalls.get(number).ok_or("no step of the stream")?;
            if step.frames + step.skipped < least {
                return Err(format!("a step of {step:?} for a stall of {time:?}"));
            }
            drops += step.frames.saturating_sub(FIFO);
        }
        match st.drops < drops {
            false => Ok(()),
            true => Err(format!("{} drops, of {drops} at least", st.drops)),
        }
    }

    /// The guest waits for this.
    fn answer(&mut self, vm: &mut Vm) -> Result<(), String> {
        self.plugged = !self.plugged;
        let plug = json!({ "path": "card", "property": "jack0", "value": self.plugged });
        qmp(vm, "qom-set", plug).map(drop)
    }
}

/// How much the card has said and fetched so far.
fn done(vm: &Vm) -> [u64; 2] {
    ["qemu.log", "tap.raw"].map(|name| vm.dir().join(name).metadata().map_or(0, |m| m.len()))
}

/// `count` words of the guest's memory.
fn words(vm: &mut Vm, address: u64, count: usize) -> Result<Vec<u32>, String> {
    let look = format!("xp /{count}wx {address:#x}");
    let said = qmp(vm, "human-monitor-command", json!({ "command-line": look }))?;
    let text = said.as_str().unwrap_or_default();
    let words: Vec<_> = text
        .split_whitespace()
        .filter_map(|word| u32::from_str_radix(word.strip_prefix("0x")?, 16).ok())
        .collect();
    match words.len() == count {
        true => Ok(words),
        false => Err(format!("{look}: {text}")),
    }
}

/// Demands that `fetched` is what each run of stream 0 has moved of its ring, which the clip fills over and over.
fn each_once(fetched: &[u8], clip: &[u8], all: Timeline) -> Result<(), String> {
    let mut frames = fetched.chunks(FRAME);
    let clip: Vec<_> = clip.chunks(FRAME).collect();
    let runs = all.runs_of(0)?;
    if runs.len() < TESTS.len() {
        return Err(format!("{} runs", runs.len()));
    }
    for (number, run) in runs.iter().enumerate() {
        for frame in 0..run.frames {
            let expected = clip.get((frame % run.ring) as usize % clip.len());
            if frames.next().as_ref() != expected {
                let of = run.frames;
                return Err(format!("run {number}: frame {frame} of {of} is wrong"));
            }
        }
    }
    match frames.count() {
        0 => Ok(()),
        more => Err(format!("{more} frames more")),
    }
}
