// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volumes and switches: what they are, what they take, whom they tell; and that tap and loopback have nothing of
//! them. What is heard of them is judged from the host, by the journey `levels`.

use cpal_alsa_mmap::sys::Pcm;
use sgring_suite::binding::Device;
use sgring_suite::card::{self, Config};
use sgring_suite::control::{Changes, Control, Info, Interface};
use sgring_suite::ensure;
use sgring_suite::record::expect_played;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Test, expect};
use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "what_they_are",
            "D-110: two sides in steps of a quarter of a decibel, unity one of them, and a switch",
            what_they_are,
        ),
        Test(
            "unity_at_first",
            "D-111: after a bind every level is unity, whatever it was before",
            unity_at_first,
        ),
        Test(
            "every_step_is_taken",
            "controls: each step of each side reads back, and who listens is told of changes only",
            every_step_is_taken,
        ),
        Test(
            "others_are_refused",
            "controls: EINVAL for what is no step, and nothing changes",
            others_are_refused,
        ),
        Test(
            "writers_do_not_mix",
            "controls: two writers at a time, and both sides are always those of one",
            writers_do_not_mix,
        ),
        Test(
            "loopback_has_none_of_them",
            "D-113: a loopback is exact whatever the levels are",
            loopback_has_none_of_them,
        ),
    ])
}

/// The step of 0 dB.
const UNITY: i64 = 256;
/// `SNDRV_CTL_ELEM_TYPE_*`
const BOOLEAN: i32 = 1;
const INTEGER: i32 = 2;

/// A volume, its largest step, and the switch beside it.
struct Level {
    volume: &'static str,
    max: i64,
    switch: &'static str,
}

const LEVELS: [Level; 2] = [
    Level {
        volume: "PCM Playback Volume",
        max: UNITY,
        switch: "PCM Playback Switch",
    },
    Level {
        volume: "Capture Volume",
        max: UNITY + 96,
        switch: "Capture Switch",
    },
];

impl Level {
    fn volume(&self) -> io::Result<Control> {
        Control::named(Interface::Mixer, self.volume, 0)
    }

    fn switch(&self) -> io::Result<Control> {
        Control::named(Interface::Mixer, self.switch, 0)
    }
}

/// All of them at unity and on again, when a test ends.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        for level in &LEVELS {
            let _ = level.volume().map(|v| v.set_all(&[UNITY; 2]));
            let _ = level.switch().map(|s| s.set(1));
        }
    }
}

fn what_they_are() -> Outcome {
    for level in &LEVELS {
        let volume = level.volume()?;
        let info = volume.info()?;
        let access = Info::READ | Info::WRITE;
        let expected = Info {
            numid: info.numid,
            kind: INTEGER,
            access: access | Info::TLV_READ,
            count: 2,
            range: (0, level.max),
        };
        ensure!(info == expected, "{}: {info:?}", level.volume);
        // SNDRV_CTL_TLVT_DB_SCALE: from -64.00 dB in steps of 0.25 dB, the lowest not silent.
        let scale = volume.tlv()?;
        let expected = [1, 8, -6400_i32 as u32, 25];
        ensure!(scale == expected, "{}: {scale:?}", level.volume);

        let info = level.switch()?.info()?;
        let expected = Info {
            numid: info.numid,
            kind: BOOLEAN,
            access,
            count: 1,
            range: (0, 1),
        };
        ensure!(info == expected, "{}: {info:?}", level.switch);
        expect(level.switch, level.switch()?.tlv(), libc::ENXIO)?;
    }
    // One of each for each substream.
    let streams = [card::open()?, card::open_capture()?];
    for (level, stream) in LEVELS.iter().zip(&streams) {
        let streams = stream.info()?.subdevices_count;
        for name in [level.volume, level.switch] {
            for index in 0..=streams {
                let missing = if index < streams { 0 } else { libc::ENOENT };
                let control = Control::named(Interface::Mixer, name, index)?;
                expect(format_args!("{name},{index}"), control.info(), missing)?;
            }
        }
    }
    Ok(())
}

fn unity_at_first() -> Outcome {
    let _restored = Restored;
    for level in &LEVELS {
        level.volume()?.set_all(&[3, 5])?;
        level.switch()?.set(0)?;
    }
    let device = Device::of_card()?;
    device.unbind()?;
    device.bind()?;
    for level in &LEVELS {
        let (volume, switch) = (level.volume()?.get_all(2)?, level.switch()?.get()?);
        ensure!(volume == [UNITY; 2], "{}: {volume:?}", level.volume);
        ensure!(switch == 1, "{}: {switch}", level.switch);
    }
    Ok(())
}

/// Sets what may be no news, and looks who is told.
fn set(control: &Control, changes: &Changes, values: &[i64]) -> Outcome {
    let before = control.get_all(values.len())?;
    control.set_all(values)?;
    let now = control.get_all(values.len())?;
    ensure!(now == values, "{now:?} instead of {values:?}");
    let told = changes.next()?;
    let news = (before != values).then_some(control.info()?.numid);
    ensure!(told == news, "{before:?}, {values:?}: told of {told:?}");
    let more = changes.next()?;
    ensure!(more.is_none(), "{values:?}: told of {more:?} as well");
    Ok(())
}

fn every_step_is_taken() -> Outcome {
    let _restored = Restored;
    for level in &LEVELS {
        let (volume, switch) = (level.volume()?, level.switch()?);
        let changes = Changes::new()?;
        for step in 0..=level.max {
            set(&volume, &changes, &[step, UNITY])?;
            set(&volume, &changes, &[level.max - step, step])?;
            set(&volume, &changes, &[level.max - step, step])?;
        }
        for on in [1, 0, 0, 1, 1] {
            set(&switch, &changes, &[on])?;
        }
    }
    Ok(())
}

fn others_are_refused() -> Outcome {
    let _restored = Restored;
    for level in &LEVELS {
        let volume = level.volume()?;
        volume.set_all(&[7, 9])?;
        let changes = Changes::new()?;
        for wrong in [-1, level.max + 1, 1 << 32, i64::MIN, i64::MAX] {
            for values in [[wrong, 9], [7, wrong], [wrong, wrong]] {
                let what = format!("{}: {values:?}", level.volume);
                expect(what, volume.set_all(&values), libc::EINVAL)?;
            }
        }
        let values = volume.get_all(2)?;
        ensure!(values == [7, 9], "{}: {values:?}", level.volume);

        let switch = level.switch()?;
        for wrong in [-1, 2, 1 << 32, i64::MIN, i64::MAX] {
            let what = format!("{}: {wrong}", level.switch);
            expect(what, switch.set_all(&[wrong]), libc::EINVAL)?;
        }
        ensure!(switch.get()? == 1, "{} is off", level.switch);
        let told = changes.next()?;
        ensure!(told.is_none(), "told of {told:?}");
    }
    Ok(())
}

fn writers_do_not_mix() -> Outcome {
    const TIMES: usize = 500;
    let _restored = Restored;
    let volume = LEVELS[0].volume()?;
    volume.set_all(&[0, 0])?;
    let done = AtomicBool::new(false);
    let mixed = thread::scope(|scope| -> io::Result<Option<Vec<i64>>> {
        let writers: Vec<_> = [10, 100]
            .map(|from| {
                scope.spawn(move || -> io::Result<()> {
                    let volume = LEVELS[0].volume()?;
                    for step in (from..from + 20).cycle().take(TIMES) {
                        volume.set_all(&[step, step])?;
                    }
                    Ok(())
                })
            })
            .into();
        let reader = scope.spawn(|| -> io::Result<Option<Vec<i64>>> {
            while !done.load(Ordering::Relaxed) {
                let values = volume.get_all(2)?;
                if values[0] != values[1] {
                    return Ok(Some(values));
                }
            }
            Ok(None)
        });
        let written: Result<Vec<()>, _> = writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer"))
            .collect();
        done.store(true, Ordering::Relaxed);
        let mixed = reader.join().expect("the reader");
        written.and(mixed)
    })?;
    ensure!(mixed.is_none(), "{mixed:?}");
    Ok(())
}

/// Records `frames` frames, once they are there.
fn read(pcm: &Pcm, frames: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0xa5; frames * 4];
    let mut done = 0;
    while done < bytes.len() {
        done += 4 * pcm.readi(&mut bytes[done..])?;
    }
    Ok(bytes)
}

fn loopback_has_none_of_them() -> Outcome {
    let _restored = Restored;
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let config = Config {
        rate: 8000,
        ..Config::stereo(256, 16)
    };
    let mut random = Random::new();
    for (playback, capture, on) in [(0, 0, 1), (UNITY, UNITY + 96, 1), (64, 3, 0)] {
        LEVELS[0].volume()?.set_all(&[playback; 2])?;
        LEVELS[1].volume()?.set_all(&[capture; 2])?;
        for level in &LEVELS {
            level.switch()?.set(on)?;
        }
        let mut played = vec![0; 4 * 2000];
        random.fill(&mut played);
        played[0] |= 1;
        let recorder = config.prepare_on(card::open_capture()?)?;
        let player = config.prepare()?;
        player.writei(&played)?;
        recorder.start()?;
        player.start()?;
        player.drain()?;
        expect_played(&read(&recorder, 3000)?, &played)?;
    }
    Ok(())
}
