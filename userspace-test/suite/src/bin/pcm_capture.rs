// SPDX-License-Identifier: MIT OR Apache-2.0
//! Capture: what the card stores is what `read()` and a mapping show, and with its loopback on that is what
//! was played, to the bit.

use cpal_alsa_mmap::sys::{Access, MapOptions, Pcm, Protection, State};
use sgring_suite::card::{self, Config};
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::record::expect_played;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Test, expect};
use sgring_suite::window::Window;
use std::process::ExitCode;

/// One second at 8 kHz.
const FRAMES: usize = 8000;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "silence_without_a_source",
            "D-93: where the backend hears nothing, silence is recorded, at the right rate",
            silence_without_a_source,
        ),
        Test(
            "loopback_is_exact",
            "D-94: every frame that was played is recorded, once, in order",
            loopback_is_exact,
        ),
        Test(
            "loopback_again_and_again",
            "D-97: each run of the playback stream is recorded, with silence between",
            loopback_again_and_again,
        ),
        Test(
            "mapping_shows_the_same",
            "M1: a read-only mapping shows what was recorded",
            mapping_shows_the_same,
        ),
        Test(
            "overrun",
            "a ring that nobody reads is an overrun: state XRUN, EPIPE",
            overrun,
        ),
    ])
}

/// 8 kHz stereo in a ring of a little more than two seconds.
fn config() -> Config {
    Config {
        rate: 8000,
        ..Config::stereo(256, 64)
    }
}

fn noise(random: &mut Random, frames: usize) -> Vec<u8> {
    let mut bytes = vec![0; frames * 4];
    random.fill(&mut bytes);
    bytes[0] |= 1;
    bytes
}

/// Records `frames` frames, once they are there.
fn read(pcm: &Pcm, frames: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0xa5; frames * 4];
    let mut done = 0;
    while done < bytes.len() {
        done += 4 * pcm.readi(&mut bytes[done..])?;
    }
    Ok(bytes)
}

fn silence_without_a_source() -> Outcome {
    let pcm = config().prepare_on(card::open_capture()?)?;
    pcm.start()?;
    let recorded = read(&pcm, FRAMES)?;
    expect_played(&recorded, &[])
}

fn loopback_is_exact() -> Outcome {
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let played = noise(&mut Random::new(), FRAMES);
    let capture = config().prepare_on(card::open_capture()?)?;
    let playback = config().prepare()?;
    playback.writei(&played)?;
    capture.start()?;
    playback.start()?;
    playback.drain()?;
    let recorded = read(&capture, FRAMES + 1000)?;
    expect_played(&recorded, &played)
}

fn loopback_again_and_again() -> Outcome {
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let mut random = Random::new();
    let capture = config().prepare_on(card::open_capture()?)?;
    capture.start()?;
    for _ in 0..5 {
        let frames = 1 + random.below(3000);
        let played = noise(&mut random, frames);
        let playback = config().prepare()?;
        playback.writei(&played)?;
        playback.drain()?;
        let recorded = read(&capture, played.len() / 4 + 1000)?;
        expect_played(&recorded, &played)?;
    }
    Ok(())
}

fn mapping_shows_the_same() -> Outcome {
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let played = noise(&mut Random::new(), FRAMES);
    let config = Config {
        access: Access::MmapInterleaved,
        ..config()
    };
    let capture = config.prepare_on(card::open_capture()?)?;
    let options = MapOptions {
        protection: Protection::Read,
        ..MapOptions::default()
    };
    let window = Window::with(&capture, 0, config.pages(), options)?;
    let playback = self::config().prepare()?;
    playback.writei(&played)?;
    capture.start()?;
    playback.start()?;
    playback.drain()?;
    let wanted = FRAMES as u64 + 1000;
    while capture.status()?.hw_ptr < wanted {
        capture.hwsync()?;
    }
    expect_played(&window.read(0, 4 * wanted as usize), &played)
}

fn overrun() -> Outcome {
    let pcm = Config::stereo(64, 4).prepare_on(card::open_capture()?)?;
    pcm.start()?;
    pcm.poll(None)?;
    // The ring is 5 ms long.
    while pcm.status()?.state == State::Running {
        pcm.hwsync().ok();
    }
    let state = pcm.status()?.state;
    ensure!(state == State::Xrun, "{state:?}");
    expect("read", pcm.readi(&mut [0; 64]), libc::EPIPE)
}
