// SPDX-License-Identifier: MIT OR Apache-2.0
//! A status line that lies about the position, or is written in part.

use crate::host::Faults;
use crate::streams::{BURST, How, PERIOD, Stream, answers, last, well};
use cpal_alsa_mmap::sys::{AudioClock, State, SwParams};
use sgring_suite::ensure;
use sgring_suite::kmsg::Watch;
use sgring_suite::tap::{Outcome, Stop, expect, note};
use std::time::{Duration, Instant};

/// Periods of the ring.
const PERIODS: u32 = 20;
/// Frames of it.
const RING: i64 = 20 * 480;

/// Ahead by a ring and more: nothing of what was there can be trusted, an xrun.
const FAR: [i64; 6] = [
    RING,
    RING + 5000,
    1 << 32,
    (1 << 32) + 7,
    1 << 62,
    i64::MAX - RING,
];

/// Back: it stands until the card has come so far again.
const BACK: [i64; 5] = [-1, -100, -RING, -(1 << 32), i64::MIN];

/// From the first line on.
pub fn jumps_ahead() -> Outcome {
    let watch = Watch::new()?;
    for offset in FAR {
        for how in [How::Written, How::Read] {
            if offset == RING {
                // Told in steps of less, to a client that is as quick: it could be true.
                continue;
            }
            let stream = Stream::prepared(how, PERIODS)?;
            let faults = Faults::one("position-offset", offset)?;
            stream.pcm.start()?;
            stream.fails(libc::EPIPE)?;
            stream.expect_state(State::Xrun)?;
            faults.end()?;
            stream.heal()?;
        }
        let stream = Stream::prepared(How::Mapped, PERIODS)?;
        let faults = Faults::one("position-offset", offset)?;
        stream.pcm.start()?;
        stream.xruns()?;
        stream.touch();
        faults.end()?;
        stream.heal()?;
    }
    answers()?;
    well(watch)
}

/// Where the card is by the clock: at least, at most.
fn truth(started: [Instant; 2], asked: [Instant; 2]) -> [u64; 2] {
    let frames = |time: Duration| time.as_micros() as u64 * BURST / 1000;
    let least = frames(asked[0] - started[1]).saturating_sub(2 * BURST);
    [least, frames(asked[1] - started[0])]
}

/// A little ahead is believed, and no more than that: it stands when it is told the truth, until that has come so
/// far. However late the host is: what is true is told by the clock.
pub fn jumps_a_little() -> Outcome {
    /// Half a second.
    const AHEAD: u64 = 500 * BURST;
    let watch = Watch::new()?;
    for how in How::ALL {
        // A second.
        let stream = Stream::prepared(how, 100)?;
        stream.pcm.sw_params(&SwParams::free_running(PERIOD))?;
        let before = Instant::now();
        stream.pcm.start()?;
        let started = [before, Instant::now()];
        let look = || -> Result<(u64, [u64; 2]), Stop> {
            let before = Instant::now();
            let at = stream.position()?;
            Ok((at, truth(started, [before, Instant::now()])))
        };
        let faults = Faults::one("position-offset", AHEAD)?;
        last(5);
        let (ahead, [least, most]) = look()?;
        ensure!(
            (least + AHEAD..=most + AHEAD).contains(&ahead),
            "{how:?}: at {ahead}, {AHEAD} ahead of {least} to {most}"
        );
        faults.end()?;
        let (stands, [_, most]) = look()?;
        note(format_args!("{how:?}: at {stands}, told that it is {most}"));
        ensure!(
            stands >= ahead && stands > most,
            "{how:?}: from {ahead} to {stands}, truly at most {most}"
        );
        loop {
            stream.touch();
            let (now, [least, most]) = look()?;
            if most >= stands {
                ensure!(
                    (stands..=most.max(stands)).contains(&now),
                    "{how:?}: from {stands} to {now}, truly {least} to {most}"
                );
                break;
            }
            ensure!(
                now == stands,
                "{how:?}: from {stands} to {now}, truly at most {most}"
            );
            last(7);
        }
        last(25);
        let (now, [least, most]) = look()?;
        ensure!(
            (least..=most).contains(&now),
            "{how:?}: at {now}, truly {least} to {most}"
        );
        stream.expect_state(State::Running)?;
        stream.heal()?;
    }
    well(watch)
}

/// Endless streams have no xrun that would end it: the position goes on, never back, and PREPARE heals.
pub fn goes_on() -> Outcome {
    let watch = Watch::new()?;
    for offset in [RING + 5000, 1 << 32, FAR[5], -100, i64::MIN] {
        for how in How::BOTH {
            // A ring that is silenced in no time, however often.
            let stream = Stream::endless(how, 4)?;
            last(30);
            let faults = Faults::one("position-offset", offset)?;
            let mut before = stream.position()?;
            for _ in 0..20 {
                last(3);
                stream.touch();
                let now = stream.position()?;
                ensure!(now >= before, "{how:?}, {offset}: from {before} to {now}");
                before = now;
            }
            stream.expect_state(State::Running)?;
            faults.end()?;
            let now = stream.position()?;
            ensure!(now >= before, "{how:?}, {offset}: from {before} to {now}");
            stream.heal()?;
        }
    }
    well(watch)
}

/// From the first line on, where a position that goes back is one below 0.
pub fn goes_back() -> Outcome {
    let watch = Watch::new()?;
    for offset in BACK {
        for how in [How::Mapped, How::Written, How::Read] {
            let stream = Stream::prepared(how, PERIODS)?;
            let faults = Faults::one("position-offset", offset)?;
            stream.pcm.start()?;
            last(20);
            let now = stream.pcm.status()?;
            let expected = (20 * BURST).saturating_add_signed(offset);
            ensure!(
                now.state == State::Running && now.hw_ptr.abs_diff(expected) <= 4 * BURST,
                "{how:?}, {offset}: {:?} at {}",
                now.state,
                now.hw_ptr
            );
            stream.touch();
            // One that goes far back stands for longer than anybody waits.
            if offset < -RING && how != How::Mapped {
                stream.fails(libc::EIO)?;
            }
            faults.end()?;
            stream.heal()?;
        }
    }
    answers()?;
    well(watch)
}

/// Interrupts and no progress: who waits is given up.
pub fn frozen() -> Outcome {
    let watch = Watch::new()?;
    for how in How::ALL {
        let stream = Stream::endless(how, PERIODS)?;
        last(25);
        let faults = Faults::one("position-frozen", true)?;
        let stands = stream.position()?;
        for _ in 0..20 {
            last(7);
            stream.touch();
            let now = stream.position()?;
            ensure!(now == stands, "{how:?}: from {stands} to {now}");
        }
        stream.expect_state(State::Running)?;
        answers()?;
        faults.end()?;
        last(2);
        ensure!(stream.position()? > stands, "{how:?}: it stands");
        stream.heal()?;
    }
    for how in [How::Written, How::Read] {
        let stream = Stream::running(how, 100)?;
        let faults = Faults::one("position-frozen", true)?;
        stream.fails(libc::EIO)?;
        faults.end()?;
        stream.heal()?;
    }
    let drained = Stream::running(How::Mapped, 100)?;
    let faults = Faults::one("position-frozen", true)?;
    expect("DRAIN", drained.pcm.drain(), libc::EIO)?;
    drained.expect_state(State::Setup)?;
    faults.end()?;
    drained.heal()?;
    drop(drained);
    well(watch)
}

/// Some lines that are written in part: the next good one makes up for them.
pub fn torn() -> Outcome {
    let watch = Watch::new()?;
    for how in How::ALL {
        let stream = Stream::endless(how, PERIODS)?;
        last(15);
        let before = stream.position()?;
        let faults = Faults::one("status-torn", 3)?;
        last(10);
        let now = stream.position()?;
        ensure!(now >= before + 9 * BURST, "{how:?}: from {before} to {now}");
        faults.end()?;
        stream.heal()?;
    }
    well(watch)
}

/// All of them: the position stands, its time is told by the next best clock, who waits is given up.
pub fn torn_ever() -> Outcome {
    let watch = Watch::new()?;
    for how in How::ALL {
        let stream = Stream::endless(how, PERIODS)?;
        last(15);
        let faults = Faults::one("status-torn", u32::MAX)?;
        let stands = stream.position()?;
        last(50);
        stream.touch();
        let now = stream.pcm.status_by(AudioClock::Link, false)?;
        ensure!(
            now.hw_ptr == stands && now.state == State::Running,
            "{how:?}: {:?}, from {stands} to {}",
            now.state,
            now.hw_ptr
        );
        ensure!(
            now.audio_clock != Some(AudioClock::Link),
            "{how:?}: a torn line tells the time"
        );
        answers()?;
        faults.end()?;
        stream.heal()?;
    }
    for how in [How::Written, How::Read] {
        let stream = Stream::running(how, 100)?;
        let faults = Faults::one("status-torn", u32::MAX)?;
        stream.fails(libc::EIO)?;
        faults.end()?;
        stream.heal()?;
    }
    let faults = Faults::one("status-torn", u32::MAX)?;
    // PREPARE itself cannot tell where the stream is then: it is where it was told to be.
    let stream = Stream::running(How::Mapped, PERIODS)?;
    last(20);
    let now = stream.pcm.status()?;
    ensure!(
        now.state == State::Running && now.hw_ptr == 0,
        "{:?} at {}",
        now.state,
        now.hw_ptr
    );
    expect("DRAIN", stream.pcm.drain(), libc::EIO)?;
    faults.end()?;
    stream.heal()?;
    drop(stream);
    well(watch)
}
