// SPDX-License-Identifier: MIT OR Apache-2.0
//! An underrun: where it is noticed, and that the stream plays on after it.

use cpal_alsa_mmap::sys::{Access, Pcm, State, SwParams, SyncRequest};
use sgring_suite::card::{self, Config};
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Stop, Test, expect, note};
use sgring_suite::{clock, ensure};
use std::process::ExitCode;

const PERIOD: u64 = 240;

/// Frames that the card plays at a time: 1 ms.
const BURST: u64 = 8;

/// 120 ms.
fn config() -> Config {
    Config {
        rate: 8_000,
        ..Config::stereo(PERIOD as u32, 4)
    }
}

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "noticed_at_a_period",
            "xrun: at the first period that ends with nothing left",
            noticed_at_a_period,
        ),
        Test(
            "noticed_by_asking",
            "xrun: at the first look at the position with nothing left",
            noticed_by_asking,
        ),
        Test("mapped", "xrun: of a stream that is mapped", mapped),
        Test(
            "recovers",
            "xrun: PREPARE, and it plays on, again and again",
            recovers,
        ),
        Test(
            "threshold",
            "xrun: none with stop_threshold at the boundary",
            threshold,
        ),
    ])
}

/// A stream whose wakeups are errors alone, with `frames` frames written.
fn filled(config: &Config, frames: u64) -> Result<Pcm, Stop> {
    let pcm = config.open()?;
    let mut params = SwParams::new(config.frames(), i64::MAX as u64);
    params.start_threshold = i64::MAX as u64;
    pcm.sw_params(&params)?;
    pcm.prepare()?;
    if config.access == Access::RwInterleaved {
        pcm.writei(&vec![0; frames as usize * config.frame_bytes()])?;
    } else {
        card::commit(&pcm, frames)?;
    }
    Ok(pcm)
}

/// Starts and waits for the end, which is to come at the end of a period.
fn run_dry(pcm: &Pcm, frames: u64) -> Outcome {
    pcm.start()?;
    let events = pcm.poll(None)?;
    ensure!(
        events & libc::POLLERR != 0,
        "{frames} frames: events {events:#x}"
    );
    let status = pcm.status()?;
    ensure!(
        status.state == State::Xrun,
        "{frames} frames: state {:?}",
        status.state
    );
    let expected = frames.next_multiple_of(PERIOD);
    if clock::is_counted() {
        ensure!(
            status.hw_ptr == expected,
            "{frames} frames: noticed at {}, not {expected}",
            status.hw_ptr
        );
    } else {
        // An interrupt that the host held up finds the card further on, maybe past the end already.
        ensure!(
            status.hw_ptr >= frames,
            "{frames} frames: noticed at {}",
            status.hw_ptr
        );
    }
    expect("WRITEI_FRAMES", pcm.writei(&[0; 4]), libc::EPIPE)?;
    expect("HWSYNC", pcm.hwsync(), libc::EPIPE)?;
    expect("START", pcm.start(), libc::EBADFD)
}

fn noticed_at_a_period() -> Outcome {
    for frames in [1, 239, 240, 241, 479, 480, 481, 700, 959, 960] {
        run_dry(&filled(&config(), frames)?, frames)?;
    }
    Ok(())
}

fn noticed_by_asking() -> Outcome {
    let config = config();
    for frames in [BURST, 96, 250] {
        let pcm = filled(&config, frames)?;
        pcm.start()?;
        while pcm.hwsync().is_ok() {
            let now = pcm.sync_ptr(SyncRequest::default())?.status;
            let (state, hw_ptr) = (now.state, now.hw_ptr);
            ensure!(
                state != State::Running || hw_ptr < frames,
                "runs at {hw_ptr} with {frames} written"
            );
        }
        let status = pcm.status()?;
        ensure!(status.state == State::Xrun, "state {:?}", status.state);
        ensure!(
            status.hw_ptr >= frames,
            "noticed at {} of {frames}",
            status.hw_ptr
        );
        if clock::is_counted() {
            ensure!(
                status.hw_ptr < frames + BURST,
                "noticed at {} of {frames}",
                status.hw_ptr
            );
        }
    }
    Ok(())
}

fn mapped() -> Outcome {
    let config = Config {
        access: Access::MmapInterleaved,
        ..config()
    };
    for frames in [100, 480, 960] {
        let pcm = filled(&config, frames)?;
        let window = config.map(&pcm)?;
        window.touch();
        pcm.start()?;
        let events = pcm.poll(None)?;
        ensure!(events & libc::POLLERR != 0, "events {events:#x}");
        let state = pcm.status()?.state;
        ensure!(state == State::Xrun, "state {state:?}");
        window.touch();
    }
    Ok(())
}

fn recovers() -> Outcome {
    let config = config();
    let mut random = Random::new();
    let pcm = filled(&config, 0)?;
    for round in 0..20 {
        let frames = 1 + random.below(config.frames() as usize) as u64;
        pcm.writei(&vec![0; frames as usize * config.frame_bytes()])?;
        run_dry(&pcm, frames)?;
        pcm.prepare()?;
        let status = pcm.status()?;
        ensure!(
            status.hw_ptr == 0 && status.appl_ptr == 0,
            "round {round}: {status:?}"
        );
    }
    // And to the end of what is written.
    let mut params = SwParams::new(config.frames(), PERIOD);
    params.start_threshold = i64::MAX as u64;
    pcm.sw_params(&params)?;
    pcm.writei(&vec![0; config.bytes()])?;
    pcm.start()?;
    pcm.writei(&vec![0; 2 * config.bytes()])?;
    pcm.drain()?;
    let end = pcm.status()?.hw_ptr;
    ensure!(end == 3 * config.frames(), "ended at {end}");
    Ok(())
}

fn threshold() -> Outcome {
    let config = config();
    let pcm = config.open()?;
    pcm.sw_params(&SwParams::free_running(config.frames()))?;
    pcm.prepare()?;
    pcm.start()?;
    // Several rings with nothing written.
    let status = loop {
        let status = pcm.status()?;
        if status.hw_ptr >= 5 * config.frames() || status.state != State::Running {
            break status;
        }
    };
    ensure!(
        status.state == State::Running,
        "state {:?} at {}",
        status.state,
        status.hw_ptr
    );
    note(format_args!(
        "runs at {} with nothing written",
        status.hw_ptr
    ));
    Ok(())
}
