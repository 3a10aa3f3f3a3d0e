// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far from an even grid a client is woken up, at the end of each period.
//!
//! The client has a mapped ring of four periods at 48 kHz, waits in `poll()` and reads the clock when it returns.
//! Wakeup k belongs at k periods from a start that is chosen so that as many are early as are late; a value is by
//! how much one is off, early or late. Beside it a client that has no card at all, and waits for the same times by
//! `clock_nanosleep()`: what the kernel's timers and its scheduler have in it. Both go first (`SCHED_FIFO`).
//!
//! The same times, that is, whole seconds later: what the kernel does every 4 ms or every second holds up a client
//! in each such round whose wakeups happen to fall there, and none whose do not.
//!
//! Each goes by the clock that paces it: the timer's client by `CLOCK_MONOTONIC`, the card's by the raw one, since
//! the kernel steers the other, soon after boot by 60 millionths.
//!
//! Arguments: `periods=FRAMES,…`, `wakeups=N`.

use cpal_alsa_mmap::sys::{Access, ControlPage, SwParams, SyncRequest};
use sgring_bench::series::Series;
use sgring_bench::stopwatch::Stopwatch;
use sgring_bench::timer::{self, SECOND, now};
use sgring_bench::words::Words;
use sgring_suite::card::{self, Config};
use sgring_suite::priority;
use std::io;
use std::thread;
use std::time::Duration;

const RATE: u64 = 48_000;
/// Wakeups before the first that counts.
const WARM_UP: usize = 8;
const WAKEUPS: usize = 1000;
/// Guest time before the first measurement. For about 0.2 s after boot all wakeups, a timer's too, come later than
/// they belong, at first by 13 us and then by less and less.
const SETTLE: Duration = Duration::from_secs(1);

fn main() -> io::Result<()> {
    let words = Words::of_program(&["periods", "wakeups"])?;
    let wakeups = words.numbers("wakeups")?.first().map_or(WAKEUPS, |&n| n);
    let stopwatch = Stopwatch::new();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    priority::first()?;
    for series in stopwatch.series() {
        series
            .label("program", "wake_deviation")
            .label("kernel", release.trim())
            .print()?;
    }
    thread::sleep(SETTLE);
    for period in words.numbers("periods")? {
        eprintln!("periods of {period} frames");
        let (ring, middle) = by_ring(period, wakeups)?;
        let timer = by_timer(period as u64, wakeups, middle)?;
        for (client, times) in [("ring", ring), ("nanosleep", timer)] {
            let mut series = Series::new("wake.deviation", "ns")
                .label("program", "wake_deviation")
                .label("clock", stopwatch.clock())
                .label("kernel", release.trim())
                .label("client", client)
                .label("period", period);
            for value in deviations(period as u64, &times) {
                series.push(value);
            }
            series.print()?;
        }
    }
    Ok(())
}

/// Where `periods` periods of `period` frames end, ns.
fn grid(period: u64, periods: usize) -> u64 {
    // Frames of an hour, in ns, have room in 64 bits.
    period * periods as u64 * SECOND / RATE
}

/// The wakeup in the middle: the two clocks of the grids differ little around it.
fn middle(wakeups: usize) -> usize {
    WARM_UP + wakeups / 2
}

/// Clock readings at the ends of periods, and the timers' time at the [`middle`] one. An xrun is an error.
fn by_ring(period: usize, wakeups: usize) -> io::Result<(Vec<u64>, u64)> {
    let frames = u32::try_from(period).map_err(io::Error::other)?;
    let config = Config {
        access: Access::MmapInterleaved,
        ..Config::stereo(frames, 4)
    };
    let pcm = card::open()?;
    config.apply(&pcm)?;
    let mut params = SwParams::new(config.frames(), u64::from(frames));
    params.start_threshold = i64::MAX as u64;
    pcm.sw_params(&params)?;
    pcm.prepare()?;
    let _window = config.map(&pcm)?;
    let control = ControlPage::new(&pcm)?;
    let mut written = config.frames();
    control.set_appl_ptr(written);
    pcm.sync_ptr(SyncRequest::default())?;
    pcm.start()?;
    let mut times = Vec::with_capacity(wakeups);
    let mut at_middle = 0;
    for wakeup in 1..=WARM_UP + wakeups {
        let events = pcm.poll(None)?;
        let now = now(libc::CLOCK_MONOTONIC_RAW)?;
        if events & libc::POLLERR != 0 {
            return Err(io::Error::other(format!("an xrun in period {wakeup}")));
        }
        written += period as u64;
        control.set_appl_ptr(written);
        if wakeup > WARM_UP {
            times.push(now);
        }
        if wakeup == middle(wakeups) {
            at_middle = timer::now(libc::CLOCK_MONOTONIC)?;
        }
    }
    pcm.drop_frames()?;
    Ok((times, at_middle))
}

/// Clock readings of a client that is woken up by a timer, whole seconds behind one whose [`middle`] wakeup came at
/// `at_middle`.
fn by_timer(period: u64, wakeups: usize, at_middle: u64) -> io::Result<Vec<u64>> {
    let origin = at_middle.saturating_sub(grid(period, middle(wakeups)));
    let seconds = now(libc::CLOCK_MONOTONIC)?.saturating_sub(origin) / SECOND + 1;
    let origin = origin + seconds * SECOND;
    let mut times = Vec::with_capacity(wakeups);
    for wakeup in 1..=WARM_UP + wakeups {
        let until = origin + grid(period, wakeup);
        timer::sleep_until(until)?;
        if wakeup > WARM_UP {
            times.push(now(libc::CLOCK_MONOTONIC)?);
        }
    }
    Ok(times)
}

/// By how much each is off the grid, ns.
fn deviations(period: u64, times: &[u64]) -> Vec<u64> {
    let late: Vec<i128> = times
        .iter()
        .enumerate()
        .map(|(wakeup, &time)| i128::from(time) - i128::from(grid(period, wakeup)))
        .collect();
    let mut sorted = late.clone();
    sorted.sort_unstable();
    let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    late.iter()
        .map(|late| u64::try_from((late - middle).unsigned_abs()).unwrap_or(u64::MAX))
        .collect()
}
