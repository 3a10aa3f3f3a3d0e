// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that goes down while it plays and records, and what it finds when it is up again.
//!
//! It plays the clip that the first argument names once, to its end. Then it plays it from a mapped ring, over and
//! over, and hears itself by the loopback all the while, until the machine goes down in the middle of that:
//! `reboot PERIODS` reboots it after so many periods, `crash PERIODS` has the kernel panic, `reset` leaves it to
//! the host, and `last` does not begin with it. A journey judges what the card has fetched.
#![allow(unsafe_code)]

use cpal_alsa_mmap::sys::{Access, MappedRing, Pcm, State, SyncRequest};
use sgring_suite::card::{self, Config};
use sgring_suite::clip::{self, FRAME_BYTES, clip};
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::tap::{self, Outcome, Test};
use std::fs;
use std::io;
use std::process::ExitCode;

/// Frames by which the loopback is late: a burst, a millisecond here.
const LATE: usize = 48;
const PERIOD: usize = 240;
const PERIODS: usize = 8;

fn main() -> ExitCode {
    if let Err(status) = clip::load() {
        return status;
    }
    tap::run(&[Test(
        "goes_down",
        "a guest plays and records until it goes down",
        goes_down,
    )])
}

fn goes_down() -> Outcome {
    plays()?;
    let mut words = std::env::args().skip(2);
    let how = words.next().unwrap_or_default();
    let periods = words.next().and_then(|n| n.parse().ok());
    match how.as_str() {
        "last" => Ok(()),
        _ => going(periods.unwrap_or(usize::MAX)),
    }
}

/// The clip, once.
fn plays() -> Outcome {
    let pcm = Config::stereo(480, 8).prepare()?;
    let (head, rest) = clip().split_at(Config::stereo(480, 8).bytes());
    pcm.writei(head)?;
    pcm.start()?;
    pcm.writei(rest)?;
    pcm.drain()?;
    let (end, frames) = (pcm.status()?, clip().len() / FRAME_BYTES);
    ensure!(
        end.state == State::Setup && end.hw_ptr as usize == frames,
        "{:?} at {} of {frames}",
        end.state,
        end.hw_ptr
    );
    Ok(())
}

/// The frames of the clip, over and over.
fn frames(from: usize, count: usize) -> Vec<u8> {
    let frames = clip().chunks(FRAME_BYTES).cycle();
    let from = from % (clip().len() / FRAME_BYTES);
    frames.skip(from).take(count).flatten().copied().collect()
}

/// Plays and listens in lock step, and goes down in the middle of a period.
fn going(down_after: usize) -> Outcome {
    let config = Config {
        access: Access::MmapInterleaved,
        ..Config::stereo(PERIOD as u32, PERIODS as u32)
    };
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let playback = config.prepare()?;
    let capture = Config::stereo(PERIOD as u32, PERIODS as u32).prepare_on(card::open_capture()?)?;
    // SAFETY: nothing else here maps it.
    let mut ring = unsafe { MappedRing::new(&playback, PERIOD * PERIODS, FRAME_BYTES) }?;
    playback.link(&capture)?;
    let mut written = 0;
    let mut write = |playback: &Pcm| -> Outcome {
        ring.window(written % (PERIOD * PERIODS), PERIOD)
            .copy_from_slice(&frames(written, PERIOD));
        written += PERIOD;
        playback.sync_ptr(SyncRequest {
            appl_ptr: Some(written as u64),
            ..SyncRequest::default()
        })?;
        Ok(())
    };
    for _ in 0..PERIODS {
        write(&playback)?;
    }
    playback.start()?;
    let mut heard = vec![0; PERIOD * FRAME_BYTES];
    for period in 0..down_after {
        capture.readi(&mut heard)?;
        write(&playback)?;
        let from = period * PERIOD;
        let skip = LATE.saturating_sub(from);
        let expected = frames((from + skip) - LATE, PERIOD - skip);
        ensure!(
            heard[skip * FRAME_BYTES..] == expected,
            "another sound in period {period}"
        );
    }
    let state = playback.status()?.state;
    ensure!(state == State::Running, "{state:?}");
    if std::env::args().nth(2).as_deref() == Some("crash") {
        return Ok(fs::write("/proc/sysrq-trigger", "c")?);
    }
    // With no goodbye to the streams, but one of the kernel to its devices.
    // SAFETY: A number; nothing of this program is left when it succeeds.
    unsafe { libc::reboot(libc::RB_AUTOBOOT) };
    Err(io::Error::last_os_error().into())
}
