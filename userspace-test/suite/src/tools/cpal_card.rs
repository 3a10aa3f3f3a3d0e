// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cpal host on a card that is not ours: `cpal-card PLAYBACK CAPTURE [WORD]...`, where the two are addresses
//! as `hw:0,0`. A journey runs it.
//!
//! `exact`: what PLAYBACK plays CAPTURE, another device, records, to the bit. `needs-sync`: the records cannot be mapped, and
//! SYNC_PTR does instead.

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{ErrorKind, SampleFormat};
use cpal_alsa_mmap::sys::Direction;
use cpal_alsa_mmap::{Address, DuplexConfig, DuplexInfo, End, Options, RingDevice, Wakeup};
use sgring_suite::ensure;
use sgring_suite::host::{self, Running, lock, noise, stereo};
use sgring_suite::inside::Inside;
use sgring_suite::record::expect_frames;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Stop, Test, note};
use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const PERIOD: u32 = 1024;
const FRAMES: usize = 30_011;

fn main() -> ExitCode {
    let mut tests = vec![
        Test("play", "every frame is played, and a drain ends", play),
        Test("record", "as many frames come as were asked for", record),
        Test("pause", "a pause is none of the stream's end", pause),
        Test(
            "late",
            "a late callback is one Xrun, and the stream goes on",
            late,
        ),
        Test(
            "timer",
            "a timer does, or the card says that it must wake",
            timer,
        ),
    ];
    tests.push(match has("exact") {
        true => Test("exact", "what is played is recorded, to the bit", exact),
        false => Test("echo", "input and output in one callback", echo),
    });
    tests.extend([
        Test(
            "formats",
            "each format that the card has is played and recorded",
            formats,
        ),
        Test(
            "stopped",
            "a process that is stopped for longer than the ring is one Xrun each way, and its streams go on",
            stopped,
        ),
        Test(
            "own_xrun",
            "an xrun of the card's own is one Xrun and one more START, each way",
            own_xrun,
        ),
        // The card does not come back.
        Test(
            "gone",
            "a card that goes away ends its streams with DeviceNotAvailable",
            gone,
        ),
    ]);
    tap::run(&tests)
}

fn word(number: usize) -> Result<String, Stop> {
    let word = std::env::args().nth(number);
    word.ok_or_else(|| Stop::Fail("usage: cpal-card PLAYBACK CAPTURE [WORD]...".into()))
}

fn has(wanted: &str) -> bool {
    std::env::args().skip(3).any(|word| word == wanted)
}

fn device(number: usize, options: Options) -> Result<RingDevice, Stop> {
    Ok(RingDevice::new(word(number)?.parse()?, options))
}

/// S16 is what all cards have.
fn bytes() -> Vec<u8> {
    noise(&mut Random::new(), SampleFormat::I16, 2, FRAMES)
}

/// Waits until a stream is well under way.
fn called(stream: &Running) -> Outcome {
    host::until(&stream.handle, "the eighth callback", |stats| {
        stats.callbacks >= 8
    })
}

fn play() -> Outcome {
    let card = device(1, Options::default())?;
    let playing = host::play(&card, stereo(PERIOD), SampleFormat::I16, &bytes(), |_| {})?;
    let stats = playing.drained()?;
    note(format_args!("{stats:?}"));
    playing.calm()?;
    ensure!(stats.frames == FRAMES as u64, "{stats:?}");
    ensure!(
        stats.played + u64::from(4 * PERIOD) >= FRAMES as u64,
        "{stats:?}"
    );
    ensure!(has("needs-sync") == (stats.syncs > 0), "{stats:?}");
    Ok(())
}

fn record() -> Outcome {
    let card = device(2, Options::default())?;
    let (config, frames) = (stereo(PERIOD), FRAMES as u64);
    let (recording, take) = host::record(&card, config, SampleFormat::I16, frames, |_| {})?;
    let began = Instant::now();
    recording.drained()?;
    recording.calm()?;
    ensure!(lock(&take).len() == 4 * FRAMES, "{}", lock(&take).len());
    // At its rate, roughly: a card that races through its ring records nothing.
    let least = Duration::from_millis(FRAMES as u64 * 1000 / 48_000 / 2);
    ensure!(began.elapsed() >= least, "{:?}", began.elapsed());
    Ok(())
}

fn exact() -> Outcome {
    let (there, back) = (
        device(1, Options::default())?,
        device(2, Options::default())?,
    );
    for format in [
        SampleFormat::U8,
        SampleFormat::I16,
        SampleFormat::I24,
        SampleFormat::I32,
        SampleFormat::F32,
    ] {
        let config = stereo(PERIOD);
        let can = |c: cpal::SupportedStreamConfigRange| c.sample_format() == format;
        if !there.supported_output_configs()?.any(can) {
            note(format_args!("{format}: not on this card"));
            continue;
        }
        let bytes = noise(&mut Random::new(), format, 2, FRAMES);
        let frame = 2 * format.sample_size();
        let middle = if format == SampleFormat::U8 { 0x80 } else { 0 };
        // Some cards lose the end of a drain: it is silence here.
        let mut padded = bytes.clone();
        padded.resize(bytes.len() + 8 * PERIOD as usize * frame, middle);
        let playing = host::play(&there, config, format, &padded, |_| {})?;
        let frames = FRAMES as u64 + 16 * u64::from(PERIOD);
        let (recording, take) = host::record(&back, config, format, frames, |_| {})?;
        playing.drained()?;
        recording.drained()?;
        playing.calm()?;
        recording.calm()?;
        let signed = |bytes: &[u8]| bytes.iter().map(|b| b ^ middle).collect::<Vec<_>>();
        expect_frames(frame, &signed(&lock(&take)), &signed(&bytes))?;
    }
    Ok(())
}

fn echo() -> Outcome {
    // The fewest.
    let options = Options {
        periods: 3,
        ..Options::default()
    };
    let card = device(1, options)?;
    let config = DuplexConfig {
        input_channels: 2,
        output_channels: 2,
        sample_rate: 48_000,
        buffer_size: cpal::BufferSize::Fixed(PERIOD),
    };
    let echo = |input: &[i16], output: &mut [i16], _: &DuplexInfo| output.copy_from_slice(input);
    let errors = host::Errors::default();
    let stream = card.build_duplex_stream(config, echo, host::keeper(&errors))?;
    let handle = stream.handle();
    handle.finish_at(FRAMES as u64);
    stream.play()?;
    let end = handle.wait(Duration::from_secs(60));
    let stats = handle.stats();
    note(format_args!("{stats:?}"));
    ensure!(end == Some(End::Drained), "{end:?}");
    ensure!(
        (stats.frames, stats.starts) == (FRAMES as u64, 1),
        "{stats:?}"
    );
    // A card that fetches ahead may cost one, at the start.
    let errors = host::kinds(&errors);
    ensure!(
        stats.xruns <= 1 && errors.len() as u64 == stats.xruns,
        "{stats:?}, {errors:?}"
    );
    Ok(())
}

fn pause() -> Outcome {
    let streams = both_ways([Box::new(|_| {}), Box::new(|_| {})], FRAMES)?;
    for running in &streams {
        called(running)?;
    }
    for running in &streams {
        running.stream.pause()?;
    }
    // A ring is 85 ms.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(200) {}
    for running in &streams {
        let ended = running.handle.wait(Duration::ZERO);
        ensure!(ended.is_none(), "it has ended");
        running.stream.play()?;
    }
    // Where the driver has a copy of the ring it skips nothing: a recording starts anew.
    let anew = u64::from(has("needs-sync"));
    for (running, starts) in streams.iter().zip([1, 1 + anew]) {
        let stats = running.drained()?;
        note(format_args!("{stats:?}"));
        running.calm()?;
        ensure!(
            (stats.frames, stats.xruns, stats.starts) == (FRAMES as u64, 0, starts),
            "{stats:?}"
        );
    }
    Ok(())
}

fn late() -> Outcome {
    let card = device(1, Options::default())?;
    let late = Duration::from_millis(200);
    let playing = host::play(
        &card,
        stereo(PERIOD),
        SampleFormat::I16,
        &bytes(),
        move |call| {
            let began = Instant::now();
            while call == 10 && began.elapsed() < late {}
        },
    )?;
    let stats = playing.drained()?;
    note(format_args!("{stats:?}"));
    let errors = playing.errors();
    ensure!(errors == [ErrorKind::Xrun], "{errors:?}");
    ensure!(
        (stats.frames, stats.starts) == (FRAMES as u64, 1),
        "{stats:?}"
    );
    Ok(())
}

/// One stream each way, in the format that all cards have.
fn both_ways(deeds: [Box<dyn FnMut(u64) + Send>; 2], frames: usize) -> Result<[Running; 2], Stop> {
    let options = Options::default();
    let (format, config) = (SampleFormat::I16, stereo(PERIOD));
    let [there, back] = deeds;
    let bytes = noise(&mut Random::new(), format, 2, frames);
    let playing = host::play(&device(1, options)?, config, format, &bytes, there)?;
    let card = device(2, options)?;
    let (recording, _) = host::record(&card, config, format, frames as u64, back)?;
    Ok([playing, recording])
}

fn formats() -> Outcome {
    let frames = 9_607;
    for number in [1, 2] {
        let card = device(number, Options::default())?;
        let configs: Vec<_> = match number {
            1 => card.supported_output_configs()?.collect(),
            _ => card.supported_input_configs()?.collect(),
        };
        let mut formats = Vec::new();
        for config in configs {
            let rates = config.min_sample_rate()..=config.max_sample_rate();
            let format = config.sample_format();
            if config.channels() == 2 && rates.contains(&48_000) && !formats.contains(&format) {
                formats.push(format);
            }
        }
        for &format in &formats {
            let stream = match number {
                1 => {
                    let bytes = noise(&mut Random::new(), format, 2, frames);
                    host::play(&card, stereo(PERIOD), format, &bytes, |_| {})?
                }
                _ => host::record(&card, stereo(PERIOD), format, frames as u64, |_| {})?.0,
            };
            let stats = stream.drained()?;
            stream.calm()?;
            ensure!(stats.frames == frames as u64, "{format}: {stats:?}");
        }
        let way = if number == 1 { "played" } else { "recorded" };
        note(format_args!("{way}: {formats:?}"));
        ensure!(formats.contains(&SampleFormat::I16), "{way}: {formats:?}");
    }
    Ok(())
}

fn stopped() -> Outcome {
    let streams = both_ways([Box::new(|_| {}), Box::new(|_| {})], FRAMES)?;
    for stream in &streams {
        called(stream)?;
    }
    // A ring is 85 ms.
    let process = std::process::id();
    let script = format!("kill -STOP {process}; sleep 0.3; kill -CONT {process}");
    let status = Command::new("sh").args(["-c", &script]).status()?;
    ensure!(status.success(), "{status}");
    // Where the driver has a copy of the ring it skips nothing: a recording starts anew.
    let anew = u64::from(has("needs-sync"));
    for (stream, starts) in streams.iter().zip([1, 1 + anew]) {
        let stats = stream.drained()?;
        note(format_args!("{stats:?}"));
        let errors = stream.errors();
        ensure!(errors == [ErrorKind::Xrun], "{errors:?}");
        ensure!(
            (stats.frames, stats.xruns, stats.starts) == (FRAMES as u64, 1, starts),
            "{stats:?}"
        );
    }
    Ok(())
}

fn own_xrun() -> Outcome {
    let trouble = |number, way| -> Result<Box<dyn FnMut(u64) + Send>, Stop> {
        let card = device(number, Options::default())?;
        Ok(Box::new(move |call| {
            if call == 10 {
                let inside = Inside::of(&card, way);
                inside.and_then(Inside::xrun).expect("an xrun");
            }
        }))
    };
    let deeds = [
        trouble(1, Direction::Playback)?,
        trouble(2, Direction::Capture)?,
    ];
    for stream in both_ways(deeds, FRAMES)? {
        let stats = stream.drained()?;
        note(format_args!("{stats:?}"));
        let errors = stream.errors();
        ensure!(errors == [ErrorKind::Xrun], "{errors:?}");
        ensure!(
            (stats.frames, stats.starts, stats.xruns) == (FRAMES as u64, 2, 1),
            "{stats:?}"
        );
    }
    Ok(())
}

fn gone() -> Outcome {
    let streams = both_ways([Box::new(|_| {}), Box::new(|_| {})], 48_000 * 60)?;
    for stream in &streams {
        called(stream)?;
    }
    let there = device(1, Options::default())?;
    let back = device(2, Options::default())?;
    let card = there.address().card;
    let path = fs::canonicalize(format!("/sys/class/sound/card{card}/device"))?;
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    // The driver waits until nobody has the card open any more: the streams let go of it by themselves.
    fs::write(path.join("driver/unbind"), name)?;
    for stream in &streams {
        let end = stream.handle.wait(Duration::from_secs(10));
        let errors = stream.errors();
        ensure!(
            end == Some(End::Failed) && errors == [ErrorKind::DeviceNotAvailable],
            "{end:?}, {errors:?}"
        );
    }
    for (number, address) in [(1, &there), (2, &back)] {
        let error = address.default_output_config().err();
        let kind = error.as_ref().map(cpal::Error::kind);
        ensure!(
            kind == Some(ErrorKind::DeviceNotAvailable),
            "{number}: {error:?}"
        );
        // What is named by the card's own name has no address any more, what is named by number has.
        let named = word(number)?.parse::<Address>();
        let by_number = word(number)?.starts_with("hw:0");
        ensure!(named.is_ok() == by_number, "{number}: {named:?}");
    }
    Ok(())
}

fn timer() -> Outcome {
    let card = device(
        1,
        Options {
            wakeup: Wakeup::Timer,
            ..Options::default()
        },
    )?;
    match host::play(&card, stereo(PERIOD), SampleFormat::I16, &bytes(), |_| {}) {
        Ok(playing) => {
            let stats = playing.drained()?;
            playing.calm()?;
            ensure!(stats.frames == FRAMES as u64, "{stats:?}");
            note("by a timer");
        }
        Err(error) => {
            let said = error.to_string();
            note(&said);
            ensure!(
                said.contains("cannot do without period interrupts"),
                "{said}"
            );
        }
    }
    Ok(())
}
