// SPDX-License-Identifier: MIT OR Apache-2.0
//! Channels: every number of them to the bit, and a map of where they belong.

use cpal_alsa_mmap::sys::{Direction, OpenOptions, Pcm};
use sgring_suite::card::{self, Config};
use sgring_suite::control::{Control, Info};
use sgring_suite::ensure;
use sgring_suite::record::expect_frames;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Stop, Test, expect};
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "loopback_is_exact",
            "D-94: of 1 to 32 channels every frame is recorded as it was played",
            loopback_is_exact,
        ),
        Test(
            "maps_there_are",
            "channel maps: those of 1 to 8 channels can be asked for",
            maps_there_are,
        ),
        Test(
            "map_in_force",
            "channel maps: of each number of channels, from hw_params to hw_free",
            map_in_force,
        ),
        Test(
            "maps_are_fixed",
            "channel maps: nobody can set another",
            maps_are_fixed,
        ),
        Test(
            "map_of_a_closing_stream",
            "channel maps: read while the stream comes and goes",
            map_of_a_closing_stream,
        ),
    ])
}

/// The most of our card.
const CHANNELS: u32 = 32;

/// `SNDRV_CHMAP_*`
const MONO: i64 = 2;
const FL: i64 = 3;
const FR: i64 = 4;
const RL: i64 = 5;
const RR: i64 = 6;
const FC: i64 = 7;
const LFE: i64 = 8;
const SL: i64 = 9;
const SR: i64 = 10;

const MAPS: [&[i64]; 8] = [
    &[MONO],
    &[FL, FR],
    &[FL, FR, FC],
    &[FL, FR, RL, RR],
    &[FL, FR, RL, RR, FC],
    &[FL, FR, RL, RR, FC, LFE],
    &[FL, FR, RL, RR, SL, SR, FC],
    &[FL, FR, RL, RR, FC, LFE, SL, SR],
];

/// Both directions and the name of their element.
const DIRECTIONS: [(Direction, &str); 2] = [
    (Direction::Playback, "Playback Channel Map"),
    (Direction::Capture, "Capture Channel Map"),
];

fn of_channels(channels: u32) -> Config {
    Config {
        rate: 8000,
        channels,
        ..Config::stereo(64, 16)
    }
}

fn open(direction: Direction) -> io::Result<Pcm> {
    Pcm::open(card::number()?, 0, direction, OpenOptions::default())
}

/// All values of an element, for as many channels as there can be.
fn map(name: &str) -> io::Result<Vec<i64>> {
    // Not by subdevice: the elements of all substreams are one set, told apart by the index.
    Control::of(name, 0)?.get_all(CHANNELS as usize)
}

/// What it should be with `channels` channels.
fn expected(channels: u32) -> Vec<i64> {
    let known = (channels as usize)
        .checked_sub(1)
        .and_then(|at| MAPS.get(at));
    let mut map = known.map_or_else(Vec::new, |map| map.to_vec());
    map.resize(CHANNELS as usize, 0);
    map
}

fn loopback_is_exact() -> Outcome {
    const FRAMES: usize = 700;
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let mut random = Random::new();
    for channels in 1..=CHANNELS {
        let config = of_channels(channels);
        let frame = config.frame_bytes();
        let mut played = vec![0; FRAMES * frame];
        random.fill(&mut played);
        played[0] |= 1;
        let recorder = config.prepare_on(card::open_capture()?)?;
        let player = config.prepare()?;
        player.writei(&played)?;
        recorder.start()?;
        player.start()?;
        player.drain()?;
        let mut recorded = vec![0xa5; (FRAMES + 200) * frame];
        let mut done = 0;
        while done < recorded.len() {
            done += frame * recorder.readi(&mut recorded[done..])?;
        }
        if let Err(Stop::Fail(why)) = expect_frames(frame, &recorded, &played) {
            return Err(Stop::Fail(format!("{channels} channels: {why}")));
        }
    }
    Ok(())
}

fn maps_there_are() -> Outcome {
    /// `SNDRV_CTL_TLVT_CONTAINER`, `SNDRV_CTL_TLVT_CHMAP_FIXED`
    const CONTAINER: u32 = 0;
    const FIXED: u32 = 0x101;
    let mut items = Vec::new();
    for map in MAPS {
        items.extend([FIXED, 4 * map.len() as u32]);
        items.extend(map.iter().map(|&position| position as u32));
    }
    let expected = [&[CONTAINER, 4 * items.len() as u32][..], &items].concat();
    for (_, name) in DIRECTIONS {
        let said = Control::of(name, 0)?.tlv()?;
        ensure!(said == expected, "{name}: {said:x?}");
    }
    Ok(())
}

fn map_in_force() -> Outcome {
    for (direction, name) in DIRECTIONS {
        let is = |channels: u32, when: &str| -> Outcome {
            let map = map(name)?;
            ensure!(map == expected(channels), "{name}, {when}: {map:?}");
            Ok(())
        };
        is(0, "closed")?;
        for channels in 1..=CHANNELS {
            let pcm = open(direction)?;
            is(0, "opened")?;
            of_channels(channels).apply(&pcm)?;
            is(channels, "with parameters")?;
            pcm.prepare()?;
            is(channels, "prepared")?;
            pcm.hw_free()?;
            is(0, "without parameters again")?;
        }
        is(0, "closed again")?;
    }
    Ok(())
}

fn maps_are_fixed() -> Outcome {
    for (_, name) in DIRECTIONS {
        let control = Control::of(name, 0)?;
        let info = control.info()?;
        let access = Info::READ | Info::VOLATILE | Info::TLV_READ;
        ensure!(info.access & 0xff == access, "{name}: {info:?}");
        ensure!(info.count == CHANNELS, "{name}: {info:?}");
        expect(name, control.set_all(&[FR, FL]), libc::EPERM)?;
    }
    Ok(())
}

fn map_of_a_closing_stream() -> Outcome {
    const TIMES: u32 = 200;
    let (_, name) = DIRECTIONS[0];
    let worker = std::thread::spawn(|| -> io::Result<()> {
        for time in 0..TIMES {
            let pcm = card::open()?;
            of_channels(1 + time % CHANNELS).apply(&pcm)?;
        }
        Ok(())
    });
    let mut reads = 0;
    while !worker.is_finished() {
        let map = map(name)?;
        let legal = (0..=CHANNELS).any(|channels| map == expected(channels));
        ensure!(legal, "{map:?}");
        reads += 1;
    }
    worker.join().expect("the worker")?;
    tap::note(format_args!("{reads} reads"));
    Ok(())
}
