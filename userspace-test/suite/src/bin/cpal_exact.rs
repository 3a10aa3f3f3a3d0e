// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cpal host, both ways: what it plays it records, to the bit, by the card's loopback.

use cpal::{BufferSize, SampleFormat, StreamConfig};
use cpal_alsa_mmap::{DuplexConfig, DuplexInfo, Options, Wakeup};
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::host::{self, Running, lock, noise, stereo};
use sgring_suite::record::{expect_frames, expect_played};
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Test, note};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

/// A fifth of a second, and no whole number of periods.
const FRAMES: usize = 9_607;
/// What is recorded beyond that: the ring that is full before the start, and the end.
const MORE: u64 = 8_192;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "every_format",
            "each sample format is played and recorded, one poll(2) a period, to the bit",
            every_format,
        ),
        Test("packed", "24 bits in three bytes are 24 bits", packed),
        Test(
            "channels",
            "1, 3, 8 and 32 channels are kept apart",
            channels,
        ),
        Test(
            "periods",
            "a period of any length is a callback's, from 32 frames on",
            periods,
        ),
        Test(
            "by_timer",
            "without period interrupts it is the same",
            by_timer,
        ),
        Test(
            "by_sync_ptr",
            "without the mapped records it is the same",
            by_sync_ptr,
        ),
        Test(
            "linear",
            "M10: with the ring mapped twice it is the same, in callbacks of any size",
            linear,
        ),
        Test(
            "duplex",
            "input and output in one callback: what is played comes back, a fixed time later",
            duplex,
        ),
        Test(
            "at_once",
            "an input and an output of their own at once, four of each",
            at_once,
        ),
    ])
}

/// Plays and records at once, and compares.
fn there_and_back(
    options: Options,
    config: StreamConfig,
    format: SampleFormat,
) -> Result<[Running; 2], tap::Stop> {
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let card = host::card(options);
    let bytes = noise(&mut Random::new(), format, config.channels, FRAMES);
    let frames = FRAMES as u64 + MORE;
    let (recording, take) = host::record(&card, config, format, frames, |_| {})?;
    let playing = host::play(&card, config, format, &bytes, |_| {})?;
    playing.drained()?;
    recording.drained()?;
    playing.calm()?;
    recording.calm()?;
    let frame = usize::from(config.channels) * format.sample_size();
    let signed = |bytes: &[u8]| -> Vec<u8> {
        let middle = if format == SampleFormat::U8 { 0x80 } else { 0 };
        bytes.iter().map(|byte| byte ^ middle).collect()
    };
    let recorded = lock(&take);
    ensure!(
        recorded.len() as u64 == frames * frame as u64,
        "{}",
        recorded.len()
    );
    expect_frames(frame, &signed(&recorded), &signed(&bytes))?;
    drop(recorded);
    Ok([playing, recording])
}

/// Demands one sleep a period and nothing else, of both.
fn expect_polls(streams: &[Running; 2], period: u64) -> Outcome {
    for stream in streams {
        let stats = stream.handle.stats();
        note(format_args!("{stats:?}"));
        let periods = stats.played.div_ceil(period);
        ensure!(
            stats.polls <= periods + 4,
            "{} polls for {periods} periods",
            stats.polls
        );
        ensure!(stats.syncs == 0 && stats.starts == 1, "{stats:?}");
    }
    Ok(())
}

fn every_format() -> Outcome {
    for format in [
        SampleFormat::U8,
        SampleFormat::I16,
        SampleFormat::I24,
        SampleFormat::I32,
        SampleFormat::F32,
    ] {
        note(format_args!("{format}"));
        let streams = there_and_back(Options::default(), stereo(256), format)?;
        expect_polls(&streams, 256)?;
    }
    Ok(())
}

fn packed() -> Outcome {
    let options = Options {
        packed: true,
        ..Options::default()
    };
    there_and_back(options, stereo(256), SampleFormat::I24).map(drop)
}

fn channels() -> Outcome {
    for channels in [1, 3, 8, 32] {
        let config = StreamConfig {
            channels,
            ..stereo(256)
        };
        there_and_back(Options::default(), config, SampleFormat::I32)?;
    }
    Ok(())
}

fn periods() -> Outcome {
    for period in [32, 33, 441, 1024] {
        let options = Options {
            // Not less than a burst and what a guest needs to wake up.
            periods: if period < 64 { 16 } else { 4 },
            ..Options::default()
        };
        let [playing, _] = there_and_back(options, stereo(period), SampleFormat::I16)?;
        let frames = playing.handle.ring_frames();
        ensure!(
            frames == u64::from(period * options.periods),
            "a ring of {frames}"
        );
    }
    Ok(())
}

fn by_timer() -> Outcome {
    let options = Options {
        wakeup: Wakeup::Timer,
        ..Options::default()
    };
    for stream in there_and_back(options, stereo(256), SampleFormat::I16)? {
        let stats = stream.handle.stats();
        note(format_args!("{stats:?}"));
        // The position is up to a burst behind the time: at times it takes two.
        let periods = stats.played.div_ceil(256);
        ensure!(
            stats.polls <= 2 * periods + 4,
            "{stats:?} for {periods} periods"
        );
        ensure!(
            stats.polls >= periods / 2,
            "{stats:?} for {periods} periods"
        );
    }
    Ok(())
}

fn by_sync_ptr() -> Outcome {
    let options = Options {
        sync_ptr: true,
        ..Options::default()
    };
    there_and_back(options, stereo(256), SampleFormat::I16).map(drop)
}

fn linear() -> Outcome {
    let options = Options {
        linear: true,
        ..Options::default()
    };
    there_and_back(options, stereo(256), SampleFormat::I16).map(drop)
}

fn duplex() -> Outcome {
    const PERIOD: u32 = 256;
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let card = host::card(Options::default());
    let bytes = noise(&mut Random::new(), SampleFormat::I16, 2, FRAMES);
    let mut samples = bytes
        .chunks_exact(2)
        .map(|b| i16::from_ne_bytes([b[0], b[1]]))
        .collect::<Vec<_>>()
        .into_iter();
    let heard = Arc::new(Mutex::new(Vec::with_capacity(1 << 20)));
    let (kept, errors) = (heard.clone(), Arc::new(Mutex::new(Vec::new())));
    let said = errors.clone();
    let stream = card.build_duplex_stream(
        DuplexConfig {
            input_channels: 2,
            output_channels: 2,
            sample_rate: 48_000,
            buffer_size: BufferSize::Fixed(PERIOD),
        },
        move |input: &[i16], output: &mut [i16], info: &DuplexInfo| {
            assert_eq!(input.len(), output.len());
            assert!(info.capture <= info.callback && info.callback <= info.playback);
            let mut kept = kept.lock().expect("the test alone");
            kept.extend(input.iter().flat_map(|sample| sample.to_ne_bytes()));
            for (to, from) in output.iter_mut().zip(samples.by_ref()) {
                *to = from;
            }
        },
        move |error| said.lock().expect("the test alone").push(error.kind()),
    )?;
    let handle = stream.handle();
    handle.finish_at(FRAMES as u64 + MORE);
    cpal::traits::StreamTrait::play(&stream)?;
    let end = handle.wait(std::time::Duration::from_secs(60));
    let stats = handle.stats();
    note(format_args!("{end:?} {stats:?}"));
    ensure!(end == Some(cpal_alsa_mmap::End::Drained), "{end:?}");
    let errors = errors
        .lock()
        .map_err(|_| tap::Stop::Fail("poisoned".into()))?;
    ensure!(errors.is_empty(), "{errors:?}");
    ensure!(stats.syncs == 0 && stats.starts == 1, "{stats:?}");
    let heard = heard
        .lock()
        .map_err(|_| tap::Stop::Fail("poisoned".into()))?;
    expect_played(&heard, &bytes)
}

fn at_once() -> Outcome {
    let _loopbacks: Vec<_> = (0..4)
        .map(|number| Control::of("Loopback Capture Switch", number)?.changed(1))
        .collect::<Result<_, _>>()?;
    let card = host::card(Options {
        periods: 8,
        ..Options::default()
    });
    let mut random = Random::new();
    let (config, format) = (stereo(256), SampleFormat::I16);
    let frames = FRAMES as u64 + MORE;
    // The kernel gives out substreams in order.
    let mut recordings = Vec::new();
    for _ in 0..4 {
        recordings.push(host::record(&card, config, format, frames, |_| {})?);
    }
    let mut playings = Vec::new();
    for _ in 0..4 {
        let bytes = noise(&mut random, format, 2, FRAMES);
        playings.push((host::play(&card, config, format, &bytes, |_| {})?, bytes));
    }
    for ((recording, take), (playing, bytes)) in recordings.iter().zip(&playings) {
        playing.drained()?;
        recording.drained()?;
        playing.calm()?;
        recording.calm()?;
        expect_played(&lock(take), bytes)?;
    }
    Ok(())
}
