// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cpal host where something is not as it should be: it finds another way, says what is wrong, or goes on; it
//! never panics.

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{ErrorKind, SampleFormat};
use cpal_alsa_mmap::sys::Direction;
use cpal_alsa_mmap::{DuplexConfig, DuplexInfo, End, Options};
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::filter;
use sgring_suite::host::{self, lock, noise, stereo};
use sgring_suite::inside::Inside;
use sgring_suite::record::expect_played;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Stop, Test, note};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const PERIOD: u32 = 256;
/// A fifth of a second, and no whole number of periods.
const FRAMES: usize = 9_607;
const I16: SampleFormat = SampleFormat::I16;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "no_control_record",
            "a control record that cannot be mapped: SYNC_PTR does instead, to the bit, both ways",
            no_control_record,
        ),
        Test(
            "without_mmap",
            "a card without mmap is refused with a sentence that names the way out, and is left to others",
            without_mmap,
        ),
        Test(
            "scribbled",
            "a control record that another thread scribbles over: no panic, it plays, and ends when told to",
            scribbled,
        ),
        Test(
            "own_xrun",
            "an xrun of the card's own is one Xrun and one more START, playing, recording, and both in one callback",
            own_xrun,
        ),
        Test(
            "cut_off",
            "a stream that is stopped while it drains has not come to its end, and says so",
            cut_off,
        ),
    ])
}

/// Runs `body` in a thread of its own.
fn aside(body: impl FnOnce() -> Outcome + Send) -> Outcome {
    let thread = std::thread::scope(|scope| scope.spawn(body).join());
    thread.unwrap_or_else(|_| Err(Stop::Fail("panic".into())))
}

fn no_control_record() -> Outcome {
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    aside(|| {
        filter::no_control_record()?;
        let card = host::card(Options::default());
        let bytes = noise(&mut Random::new(), I16, 2, FRAMES);
        let frames = FRAMES as u64 + 8_192;
        let (recording, take) = host::record(&card, stereo(PERIOD), I16, frames, |_| {})?;
        let playing = host::play(&card, stereo(PERIOD), I16, &bytes, |_| {})?;
        for stream in [&playing, &recording] {
            let stats = stream.drained()?;
            stream.calm()?;
            ensure!(stats.syncs > 0 && stats.starts == 1, "{stats:?}");
        }
        expect_played(&lock(&take), &bytes)
    })
}

fn without_mmap() -> Outcome {
    let expect = |what: &str, error: Option<cpal::Error>| {
        let error = error.ok_or_else(|| Stop::Fail(format!("{what}: it was built")))?;
        note(format_args!("{what}: {error}"));
        let said = error.to_string();
        ensure!(
            error.kind() == ErrorKind::UnsupportedConfig
                && said.contains("no memory-mapped interleaved ring")
                && said.contains("cpal::default_host"),
            "{what}: {error:?}"
        );
        Ok(())
    };
    let refused = filter::without_mmap(|| {
        let card = host::card(Options::default());
        let config = stereo(PERIOD);
        let built = card.build_output_stream_raw(config, I16, |_, _| {}, |_| {}, None);
        expect("output", built.err())?;
        let built = card.build_input_stream_raw(config, I16, |_, _| {}, |_| {}, None);
        expect("input", built.err())?;
        let both = DuplexConfig {
            input_channels: 2,
            output_channels: 2,
            sample_rate: 48_000,
            buffer_size: cpal::BufferSize::Fixed(PERIOD),
        };
        let echo = |_: &[i16], _: &mut [i16], _: &DuplexInfo| {};
        expect("duplex", card.build_duplex_stream(both, echo, |_| {}).err())?;
        expect("default", card.default_output_config().err())?;
        let configs = card.supported_output_configs()?.count();
        ensure!(configs == 0, "{configs} configurations");
        Ok(())
    })?;
    refused?;
    let bytes = noise(&mut Random::new(), I16, 2, FRAMES);
    let playing = host::play(
        &host::card(Options::default()),
        stereo(PERIOD),
        I16,
        &bytes,
        |_| {},
    )?;
    playing.drained()?;
    playing.calm()
}

fn scribbled() -> Outcome {
    /// A minute, more than is ever played.
    const PLENTY: usize = 60 * 48_000;
    let card = host::card(Options::default());
    let mut random = Random::new();
    let bytes = vec![1; 4 * PLENTY];
    let ring = u64::from(4 * PERIOD);
    for way in [Direction::Playback, Direction::Capture] {
        let config = stereo(PERIOD);
        let stream = match way {
            Direction::Playback => host::play(&card, config, I16, &bytes, |_| {})?,
            Direction::Capture => host::record(&card, config, I16, PLENTY as u64, |_| {})?.0,
        };
        let record = Inside::of(&card, way)?.control()?;
        let start = Instant::now();
        while stream.handle.stats().callbacks < 400 && stream.handle.wait(Duration::ZERO).is_none()
        {
            let (took, stats) = (start.elapsed(), stream.handle.stats());
            ensure!(
                took < Duration::from_secs(60),
                "{way:?}: 400 callbacks did not come in {took:?}: {stats:?}"
            );
            // Around nothing, the ring and the ends of the type, and anything.
            let mut value = || match random.below(4) {
                0 => random.next(),
                1 => random.next() % (4 * ring),
                2 => (1u64 << 63).wrapping_add(random.below(9) as u64),
                _ => (random.below(9) as u64).wrapping_sub(4),
            };
            record.write(value(), value());
        }
        let stats = stream.handle.stats();
        let errors = stream.errors();
        note(format_args!("{way:?}: {stats:?}, {} errors", errors.len()));
        let end = stream.handle.wait(Duration::ZERO);
        // An error that the kernel makes of it is an end; a panic is none.
        ensure!(
            end.is_none() || end == Some(End::Failed) && !errors.is_empty(),
            "{end:?}, {errors:?}"
        );
        ensure!(
            !errors.contains(&ErrorKind::StreamInvalidated),
            "{errors:?}"
        );
        // With whatever was written last.
        let handle = stream.handle.clone();
        drop(stream);
        let ended = handle.wait(Duration::ZERO);
        ensure!(ended == Some(End::Stopped) || ended == end, "{ended:?}");
    }
    // As good as before.
    let bytes = noise(&mut random, I16, 2, FRAMES);
    let playing = host::play(&card, stereo(PERIOD), I16, &bytes, |_| {})?;
    playing.drained()?;
    playing.calm()
}

fn own_xrun() -> Outcome {
    let card = host::card(Options::default());
    let bytes = noise(&mut Random::new(), I16, 2, FRAMES);
    let trouble = |way| {
        let card = card.clone();
        move |call| {
            if call == 10 {
                Inside::of(&card, way)
                    .and_then(Inside::xrun)
                    .expect("an xrun");
            }
        }
    };
    let (config, frames) = (stereo(PERIOD), FRAMES as u64);
    let deed = trouble(Direction::Playback);
    let playing = host::play(&card, config, I16, &bytes, deed)?;
    let deed = trouble(Direction::Capture);
    let (recording, take) = host::record(&card, config, I16, frames, deed)?;
    for stream in [&playing, &recording] {
        let stats = stream.drained()?;
        let errors = stream.errors();
        ensure!(errors == [ErrorKind::Xrun], "{errors:?}");
        ensure!(
            (stats.frames, stats.starts, stats.xruns) == (frames, 2, 1),
            "{stats:?}"
        );
    }
    ensure!(lock(&take).len() == 4 * FRAMES, "{}", lock(&take).len());
    for way in [Direction::Playback, Direction::Capture] {
        let both = DuplexConfig {
            input_channels: 2,
            output_channels: 2,
            sample_rate: 48_000,
            buffer_size: cpal::BufferSize::Fixed(PERIOD),
        };
        let (errors, deed, mut calls) = (host::Errors::default(), trouble(way), 0);
        let echo = move |input: &[i16], output: &mut [i16], _: &DuplexInfo| {
            output.copy_from_slice(input);
            deed(calls);
            calls += 1;
        };
        let stream = card.build_duplex_stream(both, echo, host::keeper(&errors))?;
        let handle = stream.handle();
        handle.finish_at(frames);
        stream.play()?;
        let end = handle.wait(Duration::from_secs(60));
        let (stats, errors) = (handle.stats(), host::kinds(&errors));
        ensure!(end == Some(End::Drained), "{way:?}: {end:?}, {errors:?}");
        ensure!(
            errors == [ErrorKind::Xrun] && stats.starts == 2,
            "{way:?}: {errors:?}, {stats:?}"
        );
    }
    Ok(())
}

fn cut_off() -> Outcome {
    // A ring of 170 ms, which is all there is to play: to drain it takes as long.
    let card = host::card(Options {
        periods: 32,
        ..Options::default()
    });
    let bytes = noise(&mut Random::new(), I16, 2, 31 * PERIOD as usize);
    let playing = host::play(&card, stereo(PERIOD), I16, &bytes, |_| {})?;
    let inside = Inside::of(&card, Direction::Playback)?;
    // DRAIN comes right behind START here.
    host::until(&playing.handle, "DRAIN", |stats| stats.others > 0)?;
    inside.stop()?;
    let end = playing.handle.wait(Duration::from_secs(60));
    let errors = playing.errors();
    ensure!(
        end == Some(End::Failed) && errors == [ErrorKind::StreamInvalidated],
        "{end:?}, {errors:?}"
    );
    Ok(())
}
