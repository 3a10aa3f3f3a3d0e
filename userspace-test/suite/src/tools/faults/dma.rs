// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that the card cannot reach: the ring, its table, the status line.

use crate::host::Faults;
use crate::streams::{
    BURST, How, PERIOD, Stream, answers, exact_while, frame, last, waiting, waits, well,
};
use cpal_alsa_mmap::sys::{State, SwParams};
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::fork::End;
use sgring_suite::kmsg::Watch;
use sgring_suite::tap::{Outcome, expect, note};

const PERIODS: u32 = 8;
const RING: u64 = 8 * PERIOD;

/// What the card's report calls the first stream of a direction.
fn name(how: How) -> &'static str {
    match how.plays() {
        true => "playback 0",
        false => "capture 0",
    }
}

/// A burst that fails, wherever in the ring and in whichever lap, is an xrun at once.
pub fn data() -> Outcome {
    let watch = Watch::new()?;
    for how in How::ALL {
        for target in [0, 1, 1000, RING - BURST, RING, 2 * RING + 700] {
            let stream = Stream::prepared(how, PERIODS)?;
            let armed = match target {
                0 => Some(Faults::one("data-errors", 1)?),
                _ => None,
            };
            stream.pcm.sw_params(&SwParams::free_running(PERIOD))?;
            stream.pcm.start()?;
            last(target / BURST);
            let faults = match armed {
                Some(faults) => faults,
                None => Faults::one("data-errors", 1)?,
            };
            stream.xruns()?;
            let at = frame(name(how))?;
            note(format_args!("{how:?}: frame {at} could not be moved"));
            ensure!(
                at >= target.saturating_sub(BURST) && (target != 0 || at == 0),
                "{how:?}: it was to fail behind {target}"
            );
            stream.touch();
            expect("START", stream.pcm.start(), libc::EBADFD)?;
            answers()?;
            stream.heal()?;
            faults.end()?;
        }
    }
    well(watch)
}

/// One of two linked streams fails: both stop, one PREPARE readies both.
pub fn linked() -> Outcome {
    let watch = Watch::new()?;
    let first = Stream::prepared(How::Mapped, PERIODS)?;
    let second = Stream::prepared(How::Mapped, PERIODS)?;
    let third = Stream::prepared(How::MappedCapture, PERIODS)?;
    let number = second.pcm.info()?.subdevice;
    first.pcm.link(&second.pcm)?;
    first.pcm.link(&third.pcm)?;
    let faults = Faults::set(&[("stream", &number), ("data-errors", &1)])?;
    first.pcm.start()?;
    for stream in [&second, &first, &third] {
        stream.xruns()?;
    }
    faults.end()?;
    first.pcm.prepare()?;
    for stream in [&first, &second, &third] {
        stream.expect_state(State::Prepared)?;
    }
    first.pcm.unlink()?;
    second.pcm.unlink()?;
    for stream in [first, second, third] {
        stream.heal()?;
    }
    well(watch)
}

/// A failure while it drains, and in a pause.
pub fn draining_and_paused() -> Outcome {
    let watch = Watch::new()?;
    for fault in ["data-errors", "status-errors"] {
        // Two seconds of sound: it drains for as long as the host needs.
        let stream = Stream::running(How::Mapped, 200)?;
        // DRAIN itself has no word for it: the state does.
        let drainer = waiting("DRAIN", 0, || stream.pcm.drain())?;
        waits(&drainer)?;
        stream.expect_state(State::Draining)?;
        let faults = Faults::one(fault, 1)?;
        let end = drainer.wait()?;
        ensure!(end == End::Exit(0), "{fault}: DRAIN: {end:?}");
        let now = stream.pcm.status()?;
        let all = stream.config.frames();
        ensure!(
            now.state == State::Xrun && now.hw_ptr < all,
            "{fault}: {:?} at {} of {all}",
            now.state,
            now.hw_ptr
        );
        stream.heal()?;
        faults.end()?;
    }
    for how in How::BOTH {
        let stream = Stream::endless(how, PERIODS)?;
        stream.pcm.pause(true)?;
        // A paused stream moves nothing; it is the first burst after the pause that fails.
        let faults = Faults::one("data-errors", 1)?;
        stream.expect_state(State::Paused)?;
        stream.pcm.pause(false)?;
        stream.xruns()?;
        stream.heal()?;
        faults.end()?;

        // A paused stream writes no line: it is the one of going on that fails.
        let stream = Stream::endless(how, PERIODS)?;
        stream.pcm.pause(true)?;
        let faults = Faults::one("status-errors", u32::MAX)?;
        stream.expect_state(State::Paused)?;
        stream.pcm.pause(false)?;
        stream.xruns()?;
        faults.end()?;
        stream.heal()?;

        // And here PAUSE's own, since a stuck stream writes none by itself. PAUSE cannot say so: whoever goes on is told.
        let stream = Stream::endless(how, PERIODS)?;
        let faults = Faults::set(&[("stuck", &true), ("status-errors", &1)])?;
        stream.expect_state(State::Running)?;
        stream.pcm.pause(true)?;
        expect("on after a pause", stream.pcm.pause(false), libc::EIO)?;
        faults.end()?;
        stream.heal()?;
    }
    well(watch)
}

/// A table that cannot be read: PREPARE says so, as often as it happens; a ring that is to move stays and plays.
pub fn table() -> Outcome {
    let watch = Watch::new()?;
    for how in How::ALL {
        let stream = Stream::prepared(how, PERIODS)?;
        let faults = Faults::one("sgt-errors", 2)?;
        expect("PREPARE", stream.pcm.prepare(), libc::EIO)?;
        // The sound core has it prepared from before.
        expect("START", stream.pcm.start(), libc::EIO)?;
        stream.touch();
        expect("PREPARE again", stream.pcm.prepare(), libc::EIO)?;
        answers()?;
        stream.heal()?;
        faults.end()?;
    }
    // Who tries again and again does not fill the log.
    let stream = Stream::prepared(How::Mapped, PERIODS)?;
    let faults = Faults::one("sgt-errors", u32::MAX)?;
    for _ in 0..100 {
        expect("PREPARE", stream.pcm.prepare(), libc::EIO)?;
    }
    faults.end()?;
    stream.heal()?;
    drop(stream);
    let memory = Control::playback_memory()?;
    exact_while(|playback| {
        let faults = Faults::one("sgt-errors", 1)?;
        expect("a move", memory.set(1), libc::EIO)?;
        ensure!(memory.get()? == 0, "it is said to have moved");
        let state = playback.status()?.state;
        ensure!(state == State::Running, "{state:?}");
        faults.end()
    })?;
    // And what could not be moved moves.
    exact_while(|_| Ok(memory.set(1)?))?;
    memory.set(0)?;
    well(watch)
}

/// A status line that cannot be written: PREPARE says so; a stream that runs ends.
pub fn status_line() -> Outcome {
    let watch = Watch::new()?;
    for how in How::ALL {
        let stream = Stream::prepared(how, PERIODS)?;
        let faults = Faults::one("status-errors", 1)?;
        expect("PREPARE", stream.pcm.prepare(), libc::EIO)?;
        stream.heal()?;
        faults.end()?;

        let stream = Stream::endless(how, PERIODS)?;
        last(30);
        let faults = Faults::one("status-errors", 1)?;
        stream.xruns()?;
        stream.touch();
        stream.heal()?;
        faults.end()?;

        // From the start on, and for ever: nothing can be told by the line at all.
        let stream = Stream::prepared(how, PERIODS)?;
        let faults = Faults::one("status-errors", u32::MAX)?;
        let started = stream.pcm.start();
        note(format_args!("{how:?}: START {started:?}"));
        if started.is_ok() {
            stream.xruns()?;
        }
        expect("PREPARE", stream.pcm.prepare(), libc::EIO)?;
        answers()?;
        faults.end()?;
        stream.heal()?;
    }
    well(watch)
}

/// Data that is sought where nothing is, at several distances.
pub fn nowhere() -> Outcome {
    let watch = Watch::new()?;
    for offset in [1i64 << 40, 1 << 44, 1 << 52, 1 << 62] {
        for how in How::ALL {
            let stream = Stream::endless(how, PERIODS)?;
            let faults = Faults::one("data-offset", offset)?;
            stream.xruns()?;
            stream.touch();
            faults.end()?;
            stream.heal()?;
        }
    }
    well(watch)
}
