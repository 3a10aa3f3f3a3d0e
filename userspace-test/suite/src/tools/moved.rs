// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plays the clip that the first argument names (raw, S16, stereo, 48 kHz) again and again, each time another way,
//! until a plug is pulled out of the line output: a guest that is moved from one QEMU to the next meanwhile. It hears
//! itself by the loopback every fourth time.
//!
//! A journey runs this, moves the guest, pulls the plug, and judges what the card has fetched: the clip, so many
//! times as this says, and nothing else.

use cpal_alsa_mmap::sys::{Access, ControlPage, MappedRing, Pcm, State, StatusPage, SyncRequest};
use sgring_suite::card::{self, Config};
use sgring_suite::clip::{self, FRAME_BYTES, clip};
use sgring_suite::control::{Control, Interface};
use sgring_suite::ensure;
use sgring_suite::tap::{self, Outcome, Stop, Test, note};
use std::process::ExitCode;

/// Frames by which the loopback is late: a burst, a millisecond here.
const LATE: usize = 48;

fn main() -> ExitCode {
    if let Err(status) = clip::load() {
        return status;
    }
    tap::run(&[Test(
        "never_noticed",
        "a guest that plays and records does not see that it is moved",
        never_noticed,
    )])
}

fn never_noticed() -> Outcome {
    let plug = Control::named(Interface::Card, "Line Out Jack", 0)?;
    let mut rounds = 0;
    while plug.get()? == 1 {
        // In main memory, and in the card's.
        let memory = Control::of("Ring Memory Playback Enum", 0)?;
        memory.set(u32::from(rounds % 8 >= 4))?;
        let result = match rounds % 4 {
            0 => recorded(),
            2 => written(),
            _ => mapped([32, 240, 441, 1024][rounds / 2 % 4]),
        };
        result.map_err(|stop| match stop {
            Stop::Fail(reason) => Stop::Fail(format!("round {rounds}: {reason}")),
            skip => skip,
        })?;
        rounds += 1;
    }
    note(format_args!("played {rounds} times"));
    Ok(())
}

fn ended(pcm: &Pcm) -> Outcome {
    let (status, frames) = (pcm.status()?, clip().len() / FRAME_BYTES);
    ensure!(
        status.state == State::Setup && status.hw_ptr as usize == frames,
        "{:?} at {} of {frames}",
        status.state,
        status.hw_ptr
    );
    Ok(())
}

fn written() -> Outcome {
    let config = Config::stereo(480, 8);
    let pcm = config.prepare()?;
    let (head, rest) = clip().split_at(config.bytes());
    pcm.writei(head)?;
    pcm.start()?;
    for piece in rest.chunks(config.bytes() / 8) {
        pcm.writei(piece)?;
    }
    pcm.drain()?;
    ended(&pcm)
}

/// Written, and read back by way of the loopback, in lock step.
fn recorded() -> Outcome {
    let config = Config::stereo(480, 8);
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let playback = config.prepare()?;
    let capture = config.prepare_on(card::open_capture()?)?;
    playback.link(&capture)?;
    let period = config.bytes() / 8;
    let (head, rest) = clip().split_at(config.bytes());
    playback.writei(head)?;
    playback.start()?;
    let mut heard = vec![0; clip().len() + LATE * FRAME_BYTES];
    let mut at = 0;
    for piece in rest.chunks(period) {
        at += capture.readi(&mut heard[at..at + period])? * FRAME_BYTES;
        playback.writei(piece)?;
    }
    playback.unlink()?;
    playback.drain()?;
    ended(&playback)?;
    while at < heard.len() {
        let end = heard.len().min(at + period);
        at += capture.readi(&mut heard[at..end])? * FRAME_BYTES;
    }
    let wrong = heard[LATE * FRAME_BYTES..]
        .chunks(FRAME_BYTES)
        .zip(clip().chunks(FRAME_BYTES))
        .position(|(heard, played)| heard != played);
    ensure!(
        wrong.is_none(),
        "heard another frame {}",
        wrong.unwrap_or(0)
    );
    Ok(())
}

/// Through the mapped ring, paused in the middle.
fn mapped(period: u32) -> Outcome {
    let config = Config {
        access: Access::MmapInterleaved,
        ..Config::stereo(period, 4)
    };
    let pcm = config.prepare()?;
    // SAFETY: nothing else here maps it.
    let mut ring = unsafe { MappedRing::new(&pcm, config.frames() as usize, FRAME_BYTES) }?;
    let (control, status) = (ControlPage::new(&pcm)?, StatusPage::new(&pcm)?);
    let size = config.frames() as usize;
    let frames = clip().len() / FRAME_BYTES;
    let period = period as usize;
    let mut at = 0;
    while at < frames {
        let now = period.min(frames - at);
        if at >= size {
            pcm.poll(None)?;
        }
        ring.window(at % size, now)
            .copy_from_slice(&clip()[at * FRAME_BYTES..(at + now) * FRAME_BYTES]);
        at += now;
        control.set_appl_ptr(at as u64);
        if at == size {
            pcm.sync_ptr(SyncRequest::default())?;
            pcm.start()?;
        }
        if (at / period) % 16 == 9 && at > size {
            pcm.pause(true)?;
            let stands = pcm.status()?.hw_ptr;
            for _ in 0..20 {
                let hw_ptr = pcm.status()?.hw_ptr;
                ensure!(hw_ptr == stands, "at {hw_ptr}, paused at {stands}");
            }
            pcm.pause(false)?;
        }
        let state = status.load().state;
        ensure!(
            at < size || state == State::Running,
            "{state:?} at frame {at}"
        );
    }
    pcm.drain()?;
    ended(&pcm)
}
