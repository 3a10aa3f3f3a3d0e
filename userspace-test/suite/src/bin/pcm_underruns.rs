// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card's own count of underruns: it reads by itself, from the sound core's record, how far the client has got.

use cpal_alsa_mmap::sys::{Access, ControlPage, Pcm, SwParams, SyncRequest};
use sgring_suite::card::{self, Config};
use sgring_suite::fate::Fate;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Stop, Test};
use sgring_suite::{clock, ensure};
use std::process::ExitCode;

/// Frames that the card moves at a time: 1 ms.
const BURST: u64 = 8;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "none_in_time",
            "D-131: a client that is ahead of the card has no underrun",
            none_in_time,
        ),
        Test(
            "each_burst",
            "D-131: each burst that was not written counts, to the last one",
            each_burst,
        ),
        Test(
            "without_a_call",
            "D-130: what a mapped record says counts, without a call",
            without_a_call,
        ),
        Test(
            "of_a_recording",
            "D-131: each burst that is written over frames that were not read",
            of_a_recording,
        ),
        Test(
            "forgotten_by_prepare",
            "PREPARE: counted from 0 again, from a position of 0",
            forgotten_by_prepare,
        ),
    ])
}

/// A ring of two seconds.
fn config() -> Config {
    Config {
        rate: 8_000,
        ..Config::stereo(256, 64)
    }
}

/// A stream that runs on whatever happens, in state PREPARED.
fn free_running(config: &Config, pcm: Pcm) -> Result<Pcm, Stop> {
    config.apply(&pcm)?;
    pcm.sw_params(&SwParams::free_running(config.frames()))?;
    pcm.prepare()?;
    Ok(pcm)
}

/// Runs it at least to frame `end` and stops it there.
fn run_to(pcm: &Pcm, end: u64) -> Outcome {
    pcm.start()?;
    while pcm.status()?.hw_ptr < end {
        pcm.hwsync()?;
    }
    pcm.drop_frames()?;
    Ok(())
}

/// Demands as many underruns as bursts have ended behind frame `limit`.
fn expect_behind(stream: &str, limit: u64) -> Outcome {
    let fate = Fate::of(stream)?;
    let (frame, underruns) = (fate.count("frame")?, fate.count("underruns")?);
    let expected = (frame / BURST).saturating_sub(limit / BURST);
    ensure!(
        underruns == expected,
        "{underruns} underruns at frame {frame} with {limit} ready, not {expected}"
    );
    Ok(())
}

fn none_in_time() -> Outcome {
    let config = config();
    let pcm = config.prepare()?;
    pcm.writei(&vec![0; config.bytes()])?;
    pcm.start()?;
    // A clip of no whole number of bursts: its end is nobody's fault.
    pcm.writei(&vec![0; config.frame_bytes() * 1_001])?;
    pcm.drain()?;
    let fate = Fate::of("playback 0")?;
    let (frame, underruns) = (fate.count("frame")?, fate.count("underruns")?);
    ensure!(
        frame == config.frames() + 1_001 && underruns == 0,
        "{underruns} underruns at frame {frame}"
    );
    Ok(())
}

fn each_burst() -> Outcome {
    let config = config();
    let mut random = Random::new();
    for _ in 0..6 {
        let frames = random.below(1_000);
        let pcm = free_running(&config, card::open()?)?;
        pcm.writei(&vec![0; frames * config.frame_bytes()])?;
        run_to(&pcm, (frames + random.below(1_000)) as u64)?;
        expect_behind("playback 0", frames as u64)?;
    }
    Ok(())
}

fn without_a_call() -> Outcome {
    let config = Config {
        access: Access::MmapInterleaved,
        ..config()
    };
    let mut random = Random::new();
    for _ in 0..4 {
        let frames = 1 + random.below(1_000) as u64;
        let pcm = free_running(&config, card::open()?)?;
        let control = ControlPage::new(&pcm)?;
        control.set_appl_ptr(frames);
        run_to(&pcm, frames + random.below(1_000) as u64)?;
        expect_behind("playback 0", frames)?;
    }
    Ok(())
}

fn of_a_recording() -> Outcome {
    let config = Config {
        rate: 8_000,
        ..Config::stereo(64, 8)
    };
    let mut random = Random::new();
    for _ in 0..4 {
        let pcm = free_running(&config, card::open_capture()?)?;
        let read = random.below(config.frames() as usize) as u64;
        pcm.start()?;
        while pcm.status()?.hw_ptr < read {
            pcm.hwsync()?;
        }
        pcm.sync_ptr(SyncRequest {
            appl_ptr: Some(read),
            ..SyncRequest::default()
        })?;
        while pcm.status()?.hw_ptr < 3 * config.frames() {
            pcm.hwsync()?;
        }
        pcm.drop_frames()?;
        let fate = Fate::of("capture 0")?;
        let underruns = fate.count("underruns")?;
        if clock::is_counted() {
            expect_behind("capture 0", read + config.frames())?;
        }
        ensure!(underruns > 0, "{fate:?}");
    }
    Ok(())
}

fn forgotten_by_prepare() -> Outcome {
    let config = config();
    let pcm = free_running(&config, card::open()?)?;
    run_to(&pcm, 500)?;
    expect_behind("playback 0", 0)?;
    ensure!(
        Fate::of("playback 0")?.count("underruns")? > 0,
        "none counted"
    );
    pcm.prepare()?;
    let fate = Fate::of("playback 0")?;
    ensure!(
        fate.count("underruns")? == 0 && fate.count("frame")? == 0,
        "after PREPARE {fate:?}"
    );
    pcm.writei(&vec![0; 4_000 * config.frame_bytes()])?;
    run_to(&pcm, 1_000)?;
    expect_behind("playback 0", 4_000)
}
