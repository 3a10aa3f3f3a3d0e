// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams of a machine that is put to sleep: they go on where they were, whatever state they were in.
//!
//! A journey runs this, which wakes the machine up each time and judges what the card has fetched: the clip
//! that the first argument names (raw, S16, stereo, 48 kHz), once for each test that plays it.

use cpal_alsa_mmap::sys::{Pcm, State};
use sgring_suite::card::{self, Config};
use sgring_suite::clip::{self, clip};
use sgring_suite::ensure;
use sgring_suite::tap::{self, Outcome, Stop, Test, expect};
use std::fs;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(status) = clip::load() {
        return status;
    }
    tap::run(&[
        Test(
            "running",
            "G-9: a stream that plays goes on with the next frame, three times over",
            running,
        ),
        Test(
            "prepared",
            "a stream that was only prepared starts as if nothing had been",
            prepared,
        ),
        Test("paused", "a stream that is paused stays so", paused),
        Test(
            "draining",
            "a stream that drains plays to its last frame",
            draining,
        ),
        Test(
            "linked",
            "RESUME of one linked stream resumes all, at one position",
            linked,
        ),
        Test(
            "recording",
            "a recording goes on with the next frame",
            recording,
        ),
        Test(
            "prepared_anew",
            "who does not resume prepares, and plays from the start",
            prepared_anew,
        ),
    ])
}

/// Rings of a fifth of a second.
fn config() -> Config {
    Config::stereo(480, 20)
}

/// Puts the machine to sleep, and returns when it was woken up.
fn sleep() -> Result<(), Stop> {
    Ok(fs::write("/sys/power/state", "mem")?)
}

fn expect_state(pcm: &Pcm, expected: State) -> Outcome {
    let state = pcm.status()?.state;
    ensure!(state == expected, "{state:?}, not {expected:?}");
    Ok(())
}

/// Writes as much as fits.
fn fill<'a>(pcm: &Pcm, mut rest: &'a [u8]) -> Result<&'a [u8], Stop> {
    let room = pcm.status()?.avail as usize * config().frame_bytes();
    let now = room.min(rest.len());
    if now != 0 {
        pcm.writei(&rest[..now])?;
        rest = &rest[now..];
    }
    Ok(rest)
}

/// Plays the rest and ends.
fn finish(pcm: &Pcm, rest: &[u8]) -> Outcome {
    if !rest.is_empty() {
        pcm.writei(rest)?;
    }
    pcm.drain()?;
    expect_state(pcm, State::Setup)?;
    let (played, frames) = (pcm.status()?.hw_ptr, clip().len() / config().frame_bytes());
    ensure!(played as usize == frames, "{played} frames of {frames}");
    Ok(())
}

fn running() -> Outcome {
    let config = config();
    let pcm = config.prepare()?;
    let mut rest = fill(&pcm, clip())?;
    pcm.start()?;
    for _ in 0..3 {
        // A burst or two into the next period.
        let piece = config.bytes() / 3 / 4 * 4;
        pcm.writei(&rest[..piece])?;
        rest = &rest[piece..];
        let before = pcm.status()?.hw_ptr;
        sleep()?;
        expect_state(&pcm, State::Suspended)?;
        expect("write", pcm.writei(&rest[..4]), libc::ESTRPIPE)?;
        pcm.resume()?;
        expect_state(&pcm, State::Running)?;
        let after = pcm.status()?.hw_ptr;
        ensure!(
            after >= before && after - before < config.frames(),
            "from {before} to {after}"
        );
    }
    finish(&pcm, rest)
}

fn prepared() -> Outcome {
    let pcm = config().prepare()?;
    let rest = fill(&pcm, clip())?;
    sleep()?;
    expect_state(&pcm, State::Suspended)?;
    pcm.resume()?;
    expect_state(&pcm, State::Prepared)?;
    pcm.start()?;
    finish(&pcm, rest)
}

fn paused() -> Outcome {
    let pcm = config().prepare()?;
    let rest = fill(&pcm, clip())?;
    pcm.start()?;
    pcm.poll(None)?;
    pcm.pause(true)?;
    sleep()?;
    expect_state(&pcm, State::Suspended)?;
    pcm.resume()?;
    expect_state(&pcm, State::Paused)?;
    pcm.pause(false)?;
    finish(&pcm, rest)
}

fn draining() -> Outcome {
    let config = config();
    let pcm = config.prepare()?;
    // The end of the clip is what is left to play when the machine goes to sleep.
    let rest = fill(&pcm, clip())?;
    pcm.start()?;
    pcm.writei(rest)?;
    pcm.set_nonblock(true)?;
    expect("DRAIN", pcm.drain(), libc::EAGAIN)?;
    sleep()?;
    expect_state(&pcm, State::Suspended)?;
    pcm.resume()?;
    expect_state(&pcm, State::Draining)?;
    pcm.set_nonblock(false)?;
    pcm.drain()?;
    finish(&pcm, &[])
}

fn linked() -> Outcome {
    let config = config();
    let pcm = config.prepare()?;
    let other = config.prepare_on(card::open_capture()?)?;
    pcm.link(&other)?;
    let rest = fill(&pcm, clip())?;
    pcm.start()?;
    sleep()?;
    for one in [&pcm, &other] {
        expect_state(one, State::Suspended)?;
    }
    other.resume()?;
    for one in [&pcm, &other] {
        expect_state(one, State::Running)?;
    }
    pcm.unlink()?;
    finish(&pcm, rest)?;
    other.hwsync().ok();
    Ok(())
}

fn recording() -> Outcome {
    let config = config();
    let pcm = config.prepare_on(card::open_capture()?)?;
    pcm.start()?;
    let mut buffer = vec![0; config.bytes() / 4];
    let mut frames = 0;
    for round in 0..6 {
        frames += pcm.readi(&mut buffer)? as u64;
        if round % 2 == 0 {
            sleep()?;
            expect("read", pcm.readi(&mut buffer), libc::ESTRPIPE)?;
            pcm.resume()?;
            expect_state(&pcm, State::Running)?;
        }
    }
    let status = pcm.status()?;
    ensure!(
        status.appl_ptr == frames && status.hw_ptr >= frames,
        "{frames} frames read, at {} of {}",
        status.appl_ptr,
        status.hw_ptr
    );
    Ok(())
}

fn prepared_anew() -> Outcome {
    let pcm = config().prepare()?;
    // Silence, so that what is played does not depend on when the machine fell asleep.
    pcm.writei(&vec![0; config().bytes()])?;
    pcm.start()?;
    sleep()?;
    expect_state(&pcm, State::Suspended)?;
    pcm.prepare()?;
    expect_state(&pcm, State::Prepared)?;
    let rest = fill(&pcm, clip())?;
    pcm.start()?;
    finish(&pcm, rest)
}
