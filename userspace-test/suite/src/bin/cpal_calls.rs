// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the cpal host's audio thread asks of the kernel, as the kernel counts it: one poll(2) a period, and nothing
//! else.

use cpal::SampleFormat;
use cpal_alsa_mmap::{DuplexConfig, DuplexInfo, Handle, Options};
use sgring_suite::ensure;
use sgring_suite::host::{self, stereo};
use sgring_suite::tap::{self, Outcome, Stop, Test, note};
use sgring_suite::trace::Trace;
use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;

const PERIOD: u32 = 256;
const PERIODS: u64 = 100;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "playback",
            "one poll(2) a period and no other system call, playing",
            playback,
        ),
        Test(
            "capture",
            "one poll(2) a period and no other system call, recording",
            capture,
        ),
        Test(
            "duplex",
            "one poll(2) a period and no other system call, both ways",
            duplex,
        ),
    ])
}

/// The thread of this process with this name.
fn thread(name: &str) -> Result<u32, Stop> {
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        if fs::read_to_string(path.join("comm"))?.trim_end() == name {
            let tid = path.file_name().and_then(|tid| tid.to_str()?.parse().ok());
            return tid.ok_or_else(|| Stop::Fail(format!("{}", path.display())));
        }
    }
    Err(Stop::Fail(format!("no thread {name}")))
}

/// The system calls of the thread `name` while its stream does [`PERIODS`] periods, against those periods.
fn expect_polls(name: &str, handle: &Handle) -> Outcome {
    while handle.stats().callbacks < 20 {}
    let tid = thread(name)?;
    let trace = Trace::start("raw_syscalls")?;
    let before = handle.stats();
    while handle.stats().callbacks < before.callbacks + PERIODS {}
    let after = handle.stats();
    let events = trace.stop_of(tid)?;
    // The stream has come to its next period meanwhile, or to the one after.
    let mut calls = BTreeMap::new();
    for event in &events {
        if let Some(call) = event.strip_prefix("sys_enter: NR ") {
            let number = call.split(' ').next().unwrap_or_default().to_owned();
            *calls.entry(number).or_insert(0u64) += 1;
        }
    }
    let periods = after.callbacks - before.callbacks;
    note(format_args!(
        "calls by number: {calls:?}, of {periods} periods; {after:?}"
    ));
    let ppoll = libc::SYS_ppoll.to_string();
    let polls = calls.remove(&ppoll).unwrap_or(0);
    ensure!(calls.is_empty(), "other calls: {calls:?}");
    ensure!(
        (periods.saturating_sub(1)..=periods + 2).contains(&polls),
        "{polls} polls for {periods} periods"
    );
    ensure!(after.xruns == 0, "{after:?}");
    Ok(())
}

fn playback() -> Outcome {
    let bytes = vec![0; 4 * PERIOD as usize * 4_000];
    let card = host::card(Options::default());
    let playing = host::play(&card, stereo(PERIOD), SampleFormat::I16, &bytes, |_| {})?;
    expect_polls("alsa-mmap-out", &playing.handle)
}

fn capture() -> Outcome {
    let card = host::card(Options::default());
    let frames = u64::from(PERIOD) * 4_000;
    let (recording, _) = host::record(&card, stereo(PERIOD), SampleFormat::I16, frames, |_| {})?;
    expect_polls("alsa-mmap-in", &recording.handle)
}

fn duplex() -> Outcome {
    let config = DuplexConfig {
        input_channels: 2,
        output_channels: 2,
        sample_rate: 48_000,
        buffer_size: cpal::BufferSize::Fixed(PERIOD),
    };
    let echo = |input: &[i16], output: &mut [i16], _: &DuplexInfo| output.copy_from_slice(input);
    let card = host::card(Options::default());
    let stream = card.build_duplex_stream(config, echo, |_| {})?;
    cpal::traits::StreamTrait::play(&stream)?;
    expect_polls("alsa-mmap-io", &stream.handle())
}
