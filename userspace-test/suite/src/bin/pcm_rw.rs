// SPDX-License-Identifier: MIT OR Apache-2.0
//! `write()` and the mapped ring are two ways to the same place.
//!
//! Mono, which the kernel lets be written in any access mode: so one stream can be fed both ways at once, and
//! the mapping shows where the kernel puts what is written.

use cpal_alsa_mmap::sys::{Access, Pcm, State, SwParams};
use sgring_suite::card::{self, Config};
use sgring_suite::ensure;
use sgring_suite::kmsg::Watch;
use sgring_suite::raw;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Test, note};
use sgring_suite::window::Window;
use std::process::ExitCode;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "written_is_mapped",
            "write(): lands in the ring, frame by frame, over many laps",
            written_is_mapped,
        ),
        Test(
            "mapped_is_played",
            "mmap: what is committed is played, to the last frame",
            mapped_is_played,
        ),
        Test(
            "both_in_one_stream",
            "write() and mmap in turns: one ring, one position",
            both_in_one_stream,
        ),
        Test(
            "small_writes",
            "write(): any number of frames at a time",
            small_writes,
        ),
        Test(
            "stereo",
            "write(): stereo, at every rate of a player",
            stereo,
        ),
        Test(
            "without_a_buffer",
            "write() of no buffer is silence, also while the sound core writes silence of its own",
            without_a_buffer,
        ),
    ])
}

/// Both ways to write silence take the same lock: one of them from an interrupt.
fn without_a_buffer() -> Outcome {
    const FRAMES: u64 = 480;
    let config = Config {
        access: Access::MmapInterleaved,
        channels: 1,
        ..Config::stereo(240, 8)
    };
    let mut watch = Watch::new()?;
    let pcm = config.prepare()?;
    let mut params = SwParams::new(config.frames(), u64::from(config.period));
    params.start_threshold = i64::MAX as u64;
    params.stop_threshold = i64::MAX as u64;
    params.silence_size = pcm.sw_params(&params)?;
    pcm.sw_params(&params)?;
    pcm.prepare()?;
    let window = config.map(&pcm)?;
    pcm.writei(&vec![0x11; config.bytes()])?;
    pcm.start()?;
    make_room(&pcm, FRAMES)?;
    let bytes = FRAMES as usize * config.frame_bytes();
    // What was played is silent already; in the rest of a lap the sound core does not come here again.
    window.write(0, &vec![0x11; bytes]);
    let written = raw::write_nothing(&pcm, FRAMES)?;
    ensure!(written == FRAMES as i64, "{written} of {FRAMES} frames");
    let silent = window.read(0, bytes).iter().all(|&byte| byte == 0);
    ensure!(silent, "what was there before");
    pcm.drop_frames()?;
    watch.quiet()
}

/// Waits until `frames` frames fit, starting the stream when it has to.
fn make_room(pcm: &Pcm, frames: u64) -> Outcome {
    loop {
        let status = pcm.status()?;
        if status.avail >= frames {
            return Ok(());
        }
        if status.state == State::Prepared {
            pcm.start()?;
        }
        let events = pcm.poll(None)?;
        ensure!(
            events & libc::POLLERR == 0,
            "events {events:#x}, state {:?}",
            pcm.status()?.state
        );
    }
}

/// Puts `sound` into the ring at the application's position, through the mapping.
fn put(window: &Window, ring: usize, appl_ptr: usize, sound: &[u8]) {
    let at = appl_ptr % ring;
    let first = sound.len().min(ring - at);
    window.write(at, &sound[..first]);
    window.write(0, &sound[first..]);
}

/// What lies there.
fn get(window: &Window, ring: usize, appl_ptr: usize, bytes: usize) -> Vec<u8> {
    let at = appl_ptr % ring;
    let first = bytes.min(ring - at);
    let mut sound = window.read(at, first);
    sound.extend(window.read(0, bytes - first));
    sound
}

/// Feeds several laps to one stream in chunks of any size, each through `write()` or through the mapping as
/// `written` decides, and looks at the ring after each.
fn feed(written: impl Fn(&mut Random) -> bool) -> Outcome {
    // A ring of half a second: no hold-up of the host makes it run dry.
    let config = Config {
        rate: 8_000,
        period: 240,
        periods: 16,
        ..Config::of_pages(2)
    };
    let pcm = config.prepare()?;
    let window = config.map(&pcm)?;
    let mut random = Random::new();
    let ring = config.bytes();
    let (total, mut done) = (ring * 5 / 2, 0);
    while done < total {
        let frames = (1 + random.below(900)).min((total - done) / 2);
        let mut sound = vec![0; frames * 2];
        random.fill(&mut sound);
        make_room(&pcm, frames as u64)?;
        if written(&mut random) {
            let count = pcm.writei(&sound)?;
            ensure!(count == frames, "{count} frames of {frames} written");
        } else {
            put(&window, ring, done, &sound);
            card::commit(&pcm, ((done + sound.len()) / 2) as u64)?;
        }
        ensure!(
            get(&window, ring, done, sound.len()) == sound,
            "{frames} frames at {}",
            done / 2
        );
        done += sound.len();
        let appl_ptr = pcm.status()?.appl_ptr;
        ensure!(
            appl_ptr == (done / 2) as u64,
            "position {appl_ptr} after {} frames",
            done / 2
        );
    }
    pcm.drain()?;
    let end = pcm.status()?;
    note(format_args!("{total} bytes through a ring of {ring}"));
    ensure!(end.state == State::Setup, "state {:?}", end.state);
    ensure!(
        end.hw_ptr == (total / 2) as u64,
        "ended at {} of {}",
        end.hw_ptr,
        total / 2
    );
    Ok(())
}

fn written_is_mapped() -> Outcome {
    feed(|_| true)
}

fn mapped_is_played() -> Outcome {
    feed(|_| false)
}

fn both_in_one_stream() -> Outcome {
    feed(|random| random.below(2) == 0)
}

fn small_writes() -> Outcome {
    let config = Config {
        rate: 8_000,
        period: 64,
        periods: 32,
        ..Config::of_pages(2)
    };
    let pcm = config.open()?;
    let mut params = SwParams::new(config.frames(), 1);
    params.start_threshold = config.frames();
    pcm.sw_params(&params)?;
    pcm.prepare()?;
    let mut total = 0;
    for frames in (1..64).chain([64, 65, 127, 128, 129, 255, 256, 257, 1000]) {
        let count = pcm.writei(&vec![0; frames * 2])?;
        ensure!(count == frames, "{count} of {frames}");
        total += frames;
    }
    pcm.drain()?;
    let end = pcm.status()?.hw_ptr;
    ensure!(end == total as u64, "ended at {end} of {total}");
    Ok(())
}

fn stereo() -> Outcome {
    for rate in [8_000, 44_100, 48_000, 96_000, 192_000, 384_000] {
        for access in [Access::RwInterleaved, Access::MmapInterleaved] {
            let config = Config {
                rate,
                access,
                ..Config::stereo(441, 4)
            };
            let pcm = config.prepare()?;
            let mut random = Random::new();
            let mut sound = vec![0; config.bytes()];
            random.fill(&mut sound);
            if access == Access::RwInterleaved {
                pcm.writei(&sound)?;
            } else {
                config.map(&pcm)?.write(0, &sound);
                card::commit(&pcm, config.frames())?;
            }
            pcm.start()?;
            pcm.drain()?;
            let end = pcm.status()?.hw_ptr;
            ensure!(
                end == config.frames(),
                "{rate} Hz {access:?}: ended at {end}"
            );
        }
    }
    Ok(())
}
