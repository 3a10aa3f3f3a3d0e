// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams of the cpal host on a machine that is put to sleep: they go on with the next frame, and nobody is told
//! anything.
//!
//! A journey runs this, which wakes the machine up each time and judges what the card has fetched: the clip
//! that the first argument names (raw, S16, stereo, 48 kHz), once for each test that plays it.

use cpal::SampleFormat;
use cpal::traits::StreamTrait;
use cpal_alsa_mmap::{DuplexConfig, DuplexInfo, End, Handle, Options};
use sgring_suite::clip::{self, clip};
use sgring_suite::ensure;
use sgring_suite::host::{self, Running, stereo};
use sgring_suite::tap::{self, Outcome, Stop, Test, note};
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

const PERIOD: u32 = 480;
const I16: SampleFormat = SampleFormat::I16;

fn main() -> ExitCode {
    if let Err(status) = clip::load() {
        return status;
    }
    tap::run(&[
        Test(
            "playing",
            "a stream that plays goes on with the next frame, three times over",
            playing,
        ),
        Test(
            "paused",
            "a stream that is paused plays on after the pause",
            paused,
        ),
        Test(
            "not_begun",
            "a stream that was only built starts as if nothing had been",
            not_begun,
        ),
        Test(
            "draining",
            "a stream that drains plays to its last frame",
            draining,
        ),
        Test(
            "recording",
            "a recording goes on, three times over",
            recording,
        ),
        Test(
            "duplex",
            "input and output in one callback go on, three times over",
            duplex,
        ),
    ])
}

/// Puts the machine to sleep, and returns when it was woken up.
fn sleep() -> Result<(), Stop> {
    Ok(fs::write("/sys/power/state", "mem")?)
}

/// Waits until the callback was called `more` times.
fn called(handle: &Handle, more: u64) -> Outcome {
    let before = handle.stats().callbacks;
    host::until(handle, "a callback", |stats| {
        stats.callbacks >= before + more
    })
}

fn calm(stream: &Running) -> Outcome {
    let stats = stream.drained()?;
    note(format_args!("{stats:?}"));
    stream.calm()?;
    ensure!((stats.xruns, stats.starts) == (0, 1), "{stats:?}");
    Ok(())
}

fn play(options: Options) -> Result<Running, Stop> {
    let card = host::card(options);
    Ok(host::play(&card, stereo(PERIOD), I16, clip(), |_| {})?)
}

fn slept_three_times(stream: &Running) -> Outcome {
    for _ in 0..3 {
        called(&stream.handle, 7)?;
        sleep()?;
    }
    calm(stream)
}

fn playing() -> Outcome {
    slept_three_times(&play(Options::default())?)
}

fn paused() -> Outcome {
    let stream = play(Options::default())?;
    called(&stream.handle, 7)?;
    stream.stream.pause()?;
    sleep()?;
    ensure!(stream.handle.wait(Duration::ZERO).is_none(), "it has ended");
    stream.stream.play()?;
    calm(&stream)
}

fn not_begun() -> Outcome {
    use cpal::traits::DeviceTrait;
    let (errors, mut left) = (host::Errors::default(), clip().iter().copied());
    let fill = move |data: &mut cpal::Data, _: &_| {
        for (to, from) in data.bytes_mut().iter_mut().zip(left.by_ref()) {
            *to = from;
        }
    };
    let card = host::card(Options::default());
    let stream =
        card.build_output_stream_raw(stereo(PERIOD), I16, fill, host::keeper(&errors), None)?;
    let handle = stream.handle();
    handle.finish_at((clip().len() / clip::FRAME_BYTES) as u64);
    sleep()?;
    stream.play()?;
    let end = handle.wait(Duration::from_secs(60));
    let errors = host::kinds(&errors);
    ensure!(
        end == Some(End::Drained) && errors.is_empty(),
        "{end:?}, {errors:?}"
    );
    Ok(())
}

fn draining() -> Outcome {
    // A ring of more than the clip, which is drained from its start on.
    let periods = (clip().len() / clip::FRAME_BYTES) as u32 / PERIOD + 2;
    let stream = play(Options {
        periods,
        ..Options::default()
    })?;
    host::until(&stream.handle, "DRAIN", |stats| stats.others > 0)?;
    sleep()?;
    calm(&stream)
}

fn recording() -> Outcome {
    let card = host::card(Options::default());
    let (stream, _) = host::record(&card, stereo(PERIOD), I16, 48_000, |_| {})?;
    slept_three_times(&stream)
}

fn duplex() -> Outcome {
    let both = DuplexConfig {
        input_channels: 2,
        output_channels: 2,
        sample_rate: 48_000,
        buffer_size: cpal::BufferSize::Fixed(PERIOD),
    };
    let errors = host::Errors::default();
    let silence = |_: &[i16], _: &mut [i16], _: &DuplexInfo| {};
    let card = host::card(Options::default());
    let stream = card.build_duplex_stream(both, silence, host::keeper(&errors))?;
    let handle = stream.handle();
    handle.finish_at(48_000);
    stream.play()?;
    for _ in 0..3 {
        called(&handle, 7)?;
        sleep()?;
    }
    let end = handle.wait(Duration::from_secs(60));
    let (stats, errors) = (handle.stats(), host::kinds(&errors));
    note(format_args!("{stats:?}"));
    ensure!(
        end == Some(End::Drained) && errors.is_empty() && stats.starts == 1,
        "{end:?}, {errors:?}, {stats:?}"
    );
    Ok(())
}
