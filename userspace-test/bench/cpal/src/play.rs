// SPDX-License-Identifier: MIT OR Apache-2.0
//! One stream through cpal's public traits, and a note of each call of its data callback.
//!
//! The signal is made beforehand; the callback copies a period of it and notes the time. What it notes has its place
//! beforehand too, and is handed over when the host drops the callback.

use crate::hosts::Choice;
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, ErrorKind, OutputCallbackInfo, StreamConfig};
use sgring_bench::spinner::Reading;
use sgring_bench::tsc;
use sgring_signal::Generator;
use sgring_suite::priority;
use std::fmt::Display;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Frames per second, samples in a frame.
pub const RATE: u32 = 48_000;
pub const CHANNELS: u16 = 2;
/// Of the signal.
pub const SEED: u64 = 6;
/// Periods of silence behind the signal, more than any ring has, before the stream is dropped with what is in it.
const AFTER: usize = 8;

/// What to play.
#[derive(Clone, Debug)]
pub struct Request {
    pub host: Choice,
    /// Frames.
    pub period: usize,
    /// Periods of the signal.
    pub periods: usize,
    /// One callback that takes a time for itself, and which.
    pub stall: Option<(usize, Duration)>,
    /// The callback makes a system call that is nobody else's, to be seen in a trace.
    pub marked: bool,
    /// Read in each callback.
    pub reading: Option<Reading>,
}

/// A call of the callback, at its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The time stamp counter.
    pub at: u64,
    /// By [`Request::reading`].
    pub others: u64,
}

/// What was played.
#[derive(Debug)]
pub struct Played {
    /// Of the periods of the signal.
    pub calls: Vec<Call>,
    /// Underruns that the error callback was told of.
    pub xruns: u64,
    /// The audio thread's id.
    pub thread: u32,
    /// Where the callback writes: `ring`, in a mapping of the PCM, or `memory`.
    pub buffer: &'static str,
}

/// What other threads see of the callback while it goes on.
#[derive(Debug, Default)]
struct Shared {
    xruns: AtomicU64,
    calls: AtomicUsize,
    thread: AtomicUsize,
    buffer: AtomicUsize,
    /// A callback of another length, 0 for none.
    odd: AtomicUsize,
}

/// The data callback's own.
struct Callback {
    request: Request,
    signal: Vec<i16>,
    calls: Vec<Call>,
    shared: Arc<Shared>,
    waiting: Thread,
    done: Sender<Vec<Call>>,
}

impl Drop for Callback {
    fn drop(&mut self) {
        // Nobody listens to one that could not be built.
        let _ = self.done.send(std::mem::take(&mut self.calls));
    }
}

impl Callback {
    fn first(&self, samples: &[i16]) {
        // Without the right to it, this runs as an ordinary thread in either host.
        let _ = priority::first();
        // /proc/thread-self is PID/task/TID.
        let link = fs::read_link("/proc/thread-self").ok();
        let id = link.and_then(|path| path.file_name()?.to_str()?.parse().ok());
        self.shared.thread.store(id.unwrap_or(0), Relaxed);
        self.shared.buffer.store(samples.as_ptr().addr(), Relaxed);
    }

    fn fill(&mut self, samples: &mut [i16]) {
        let at = tsc::read();
        let number = self.calls.len();
        if number == 0 {
            self.first(samples);
        }
        let period = self.request.period * usize::from(CHANNELS);
        if samples.len() != period {
            self.shared.odd.store(samples.len(), Relaxed);
        }
        if self.request.marked {
            let _ = std::os::unix::process::parent_id();
        }
        if number < self.request.periods + AFTER {
            let others = self.request.reading.as_ref().map_or(0, Reading::others);
            self.calls.push(Call { at, others });
        }
        match self.signal.get(number * period..(number + 1) * period) {
            Some(piece) if samples.len() == period => samples.copy_from_slice(piece),
            _ => samples.fill(0),
        }
        match self.request.stall {
            Some((stalled, time)) if stalled == number => {
                let start = Instant::now();
                while start.elapsed() < time {}
            }
            _ => {}
        }
        self.shared.calls.store(number + 1, Relaxed);
        if number + 1 == self.request.periods + AFTER {
            self.waiting.unpark();
        }
    }
}

/// Whether an address is in a mapping of a PCM.
fn place(address: usize) -> Result<&'static str, String> {
    let maps = fs::read_to_string("/proc/self/maps").map_err(|e| e.to_string())?;
    let inside = |line: &&str| {
        let range = line.split_whitespace().next().and_then(|range| {
            let (from, to) = range.split_once('-')?;
            let hex = |text| usize::from_str_radix(text, 16).ok();
            Some(hex(from)?..hex(to)?)
        });
        range.is_some_and(|range| range.contains(&address))
    };
    match maps.lines().find(inside) {
        Some(line) if line.contains("/dev/snd/pcm") => Ok("ring"),
        Some(_) => Ok("memory"),
        None => Err("the callback's buffer is nowhere".into()),
    }
}

/// Plays it and waits for its end. `live` is called while the stream is still there, after its last callback that
/// matters.
pub fn play<T>(
    request: &Request,
    live: impl FnOnce(&Played) -> Result<T, String>,
) -> Result<(Played, T), String> {
    let wrong = |e: &dyn Display| format!("{}, periods of {}: {e}", request.host, request.period);
    let frames = (request.period * request.periods) as u64;
    let shared = Arc::new(Shared::default());
    let (done, finished) = channel();
    let mut callback = Callback {
        request: request.clone(),
        signal: Generator::new(SEED, usize::from(CHANNELS)).samples(frames),
        calls: Vec::with_capacity(request.periods + AFTER),
        shared: shared.clone(),
        waiting: thread::current(),
        done,
    };
    // Touched now, not by the callback.
    callback
        .calls
        .resize(request.periods + AFTER, Call { at: 0, others: 0 });
    callback.calls.clear();
    let config = StreamConfig {
        channels: CHANNELS,
        sample_rate: RATE,
        buffer_size: BufferSize::Fixed(u32::try_from(request.period).map_err(|e| wrong(&e))?),
    };
    let told = shared.clone();
    let failed = thread::current();
    let (errors, failure) = channel();
    let stream = request
        .host
        .device()?
        .build_output_stream(
            config,
            move |samples: &mut [i16], _: &OutputCallbackInfo| callback.fill(samples),
            move |error: cpal::Error| match error.kind() {
                ErrorKind::Xrun => {
                    told.xruns.fetch_add(1, Relaxed);
                }
                _ => {
                    let _ = errors.send(error.to_string());
                    failed.unpark();
                }
            },
            None,
        )
        .map_err(|e| wrong(&e))?;
    stream.play().map_err(|e| wrong(&e))?;
    // Twice as long as the signal, and a second, is enough for anything that goes on at all.
    let length = Duration::from_secs(frames / u64::from(RATE) * 2 + 1);
    let start = Instant::now();
    while shared.calls.load(Relaxed) < request.periods + AFTER {
        thread::park_timeout(length.saturating_sub(start.elapsed()));
        if let Ok(error) = failure.try_recv() {
            return Err(wrong(&error));
        }
        if start.elapsed() >= length {
            return Err(wrong(&"the stream stands still"));
        }
    }
    if let samples @ 1.. = shared.odd.load(Relaxed) {
        return Err(wrong(&format!("a callback of {samples} samples")));
    }
    let mut played = Played {
        calls: Vec::new(),
        xruns: shared.xruns.load(Relaxed),
        thread: u32::try_from(shared.thread.load(Relaxed)).map_err(|e| wrong(&e))?,
        buffer: place(shared.buffer.load(Relaxed))?,
    };
    let result = live(&played)?;
    drop(stream);
    played.calls = finished.recv().map_err(|e| wrong(&e))?;
    played.calls.truncate(request.periods);
    Ok((played, result))
}
