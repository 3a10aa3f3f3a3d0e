// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a writer is held up while its ring moves between main memory and the card's.
//!
//! One thread stores into the ring as fast as it can, by mmap or by `write()`, and looks at the clock after each
//! store. Another, which goes first (`SCHED_FIFO`), moves the ring. The value is the longest time from the end
//! of one store to the end of the next. On one processor this is the whole call that moves the ring: no writer
//! is held up for longer. Direction `none` sets the control to what it is: the method's own share.
//!
//! Arguments, each a list: `sizes=BYTES`, `rounds=N` (7), `writers=` mmap, write; `streams=` prepared, running.

use cpal_alsa_mmap::sys::{Access, Pcm, SwParams};
use sgring_bench::marker::Marker;
use sgring_bench::series::Series;
use sgring_bench::stopwatch::Stopwatch;
use sgring_bench::words::Words;
use sgring_suite::card::{self, Config};
use sgring_suite::control::{Changed, Control};
use sgring_suite::priority;
use sgring_suite::raw;
use sgring_suite::window::Window;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;
/// Rounds before the first that counts.
const WARM_UP: usize = 2;
/// How long the writer has the processor between two moves.
const PAUSE: Duration = Duration::from_micros(500);
/// Marks around each move.
const BEGIN: u8 = 1;
const END: u8 = 2;
/// Where the ring goes, by the control's values.
const RAM: u32 = 0;
const SRAM: u32 = 1;

fn main() -> io::Result<()> {
    let words = Words::of_program(&["sizes", "rounds", "writers", "streams"])?;
    let rounds = words.numbers("rounds")?.first().map_or(ROUNDS, |&n| n);
    let stopwatch = Stopwatch::new();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    priority::first()?;
    for stream in words.values("streams") {
        for writer in words.values("writers") {
            eprintln!("stream {stream}, writer {writer}");
            for bytes in words.numbers("sizes")? {
                let of = |direction: &str| {
                    Series::new("move.hold_up", stopwatch.unit())
                        .label("program", "move_cost")
                        .label("clock", stopwatch.clock())
                        .label("kernel", release.trim())
                        .label("stream", stream)
                        .label("writer", writer)
                        .label("ring_bytes", bytes)
                        .label("direction", direction)
                };
                let all = moves(bytes, stream == "running", writer == "write", rounds)?;
                for (direction, gaps) in ["none", "ram_to_sram", "sram_to_ram"].iter().zip(all) {
                    let mut series = of(direction);
                    gaps.into_iter().for_each(|gap| series.push(gap));
                    series.print()?;
                }
            }
        }
    }
    Ok(())
}

/// What both threads see.
#[derive(Default)]
struct Shared {
    /// Moves that are over.
    moves: AtomicU32,
    end: AtomicBool,
}

/// Moves a ring of `bytes` bytes to where it is, to the card and back, `rounds` times. Returns the longest gaps.
fn moves(bytes: usize, running: bool, write: bool, rounds: usize) -> io::Result<[Vec<u64>; 3]> {
    let config = ring(bytes, write)?;
    let pcm = card::open()?;
    config.apply(&pcm)?;
    pcm.sw_params(&SwParams::free_running(u64::from(config.period)))?;
    pcm.prepare()?;
    let memory = Control::playback_memory()?.changed(RAM)?;
    let window = if write { None } else { Some(config.map(&pcm)?) };
    if running {
        pcm.start()?;
    }
    let shared = Shared::default();
    let (gaps, longest) = channel();
    thread::scope(|scope| {
        let writer = scope.spawn(|| match &window {
            Some(window) => store(window, &shared, &gaps),
            None => write_frames(&pcm, config.frame_bytes(), &shared, &gaps),
        });
        let measured = measure(&memory, &shared, &longest, rounds);
        shared.end.store(true, Ordering::Release);
        writer
            .join()
            .map_err(|_| io::Error::other("the writer panicked"))??;
        measured
    })
}

/// 48 kHz stereo in four periods.
fn ring(bytes: usize, write: bool) -> io::Result<Config> {
    let access = match write {
        true => Access::RwInterleaved,
        false => Access::MmapInterleaved,
    };
    let period = u32::try_from(bytes / 16).map_err(io::Error::other)?;
    let config = Config {
        access,
        ..Config::stereo(period, 4)
    };
    match config.bytes() == bytes {
        true => Ok(config),
        false => Err(io::Error::other(format!("{bytes} bytes: not four periods"))),
    }
}

fn measure(
    memory: &Changed,
    shared: &Shared,
    longest: &Receiver<u64>,
    rounds: usize,
) -> io::Result<[Vec<u64>; 3]> {
    let marker = Marker::new();
    let mut all = [const { Vec::new() }; 3];
    for round in 0..WARM_UP + rounds {
        for (gaps, place) in all.iter_mut().zip([RAM, SRAM, RAM]) {
            marker.mark(BEGIN)?;
            thread::sleep(PAUSE);
            memory.set(place)?;
            shared.moves.fetch_add(1, Ordering::Release);
            let gap = longest
                .recv()
                .map_err(|_| io::Error::other("the writer is gone"))?;
            marker.mark(END)?;
            if round >= WARM_UP {
                gaps.push(gap);
            }
        }
    }
    Ok(all)
}

/// Calls `one` until the end. After each move sends the longest time between the ends of two calls.
fn hammer(
    shared: &Shared,
    gaps: &Sender<u64>,
    mut one: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let (mut told, mut longest) = (0, Duration::ZERO);
    let mut last = Instant::now();
    while !shared.end.load(Ordering::Acquire) {
        let moves = shared.moves.load(Ordering::Acquire);
        one()?;
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
        if moves != told {
            // The next gap begins before this is sent: nothing of the next move can be missed.
            let _ = gaps.send(u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX));
            (told, longest) = (moves, Duration::ZERO);
        }
    }
    Ok(())
}

fn store(window: &Window, shared: &Shared, gaps: &Sender<u64>) -> io::Result<()> {
    let mut at = 0;
    hammer(shared, gaps, || {
        window.set(at, 1);
        at = (at + 64) % window.bytes();
        Ok(())
    })
}

fn write_frames(pcm: &Pcm, frame: usize, shared: &Shared, gaps: &Sender<u64>) -> io::Result<()> {
    let silence = vec![0; frame];
    hammer(shared, gaps, || {
        pcm.writei(&silence)?;
        // There is always room for another.
        raw::rewind(pcm, 1).map(|_| ())
    })
}
