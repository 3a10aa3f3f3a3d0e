// SPDX-License-Identifier: MIT OR Apache-2.0
//! What it takes to play through cpal: by our host, and by cpal's own ALSA host.
//!
//! The same signal, format, rate, period and ring of two periods on the same card, through cpal's public traits: the
//! host is the only difference. The audio thread is `SCHED_FIFO` in both, made so by the callback.
//!
//! Arguments: `hosts=` ring, alsa; `periods=FRAMES,…`; `rounds=N`, periods that are measured; `measure=`
//!
//! * `instructions`: what the whole machine executes from one callback to the next, and beside it what it takes to be
//!   woken up by a timer as often, without a card or sound;
//! * `calls`: the audio thread's system calls, and what the kernel copies for it;
//! * `times`: when each callback began, for whoever sees from outside when its frames were fetched;
//! * `stall`: the same, where one callback takes `stall_ms=N` for itself;
//! * `endurance`: `seconds=N` of it, and how many underruns were told.

mod calls;
mod hosts;
mod play;

use hosts::{Choice, PERIODS};
use play::{CHANNELS, Call, Played, RATE, Request, SEED, play};
use sgring_bench::series::Series;
use sgring_bench::spinner::Spinner;
use sgring_bench::stopwatch::Stopwatch;
use sgring_bench::timer::{self, SECOND};
use sgring_bench::words::Words;
use sgring_suite::priority;
use std::collections::BTreeSet;
use std::io;
use std::thread;
use std::time::Duration;

/// Periods before the first that counts.
const WARM_UP: usize = 16;
const ROUNDS: usize = 1000;
/// Guest time before the first measurement, in which the kernel's clock settles.
const SETTLE: Duration = Duration::from_secs(1);

/// What all series of a program have in common.
struct Common<'a> {
    measure: &'a str,
    clock: &'static str,
    unit: &'static str,
    release: &'a str,
}

impl Common<'_> {
    fn series(&self, name: &str, unit: &str, period: usize) -> Series {
        Series::new(name, unit)
            .label("program", "cpal_cost")
            .label("measure", self.measure)
            .label("clock", self.clock)
            .label("kernel", self.release.trim())
            .label("period", period)
    }

    /// Of a stream.
    fn of(&self, name: &str, unit: &str, request: &Request) -> Series {
        let stall = request.stall.map_or(0, |(_, time)| time.as_millis());
        self.series(name, unit, request.period)
            .label("host", request.host)
            .label("direction", "playback")
            .label("periods", PERIODS)
            .label("rate", RATE)
            .label("channels", CHANNELS)
            .label("format", "s16")
            .label("signal", SEED)
            .label("stall_ms", stall)
            .label(
                "seconds",
                (request.period * request.periods).div_ceil(RATE as usize),
            )
    }
}

fn print(mut series: Series, values: impl IntoIterator<Item = u64>) -> io::Result<()> {
    values.into_iter().for_each(|value| series.push(value));
    series.print()
}

/// The differences of neighbours.
fn steps(readings: &[u64]) -> Vec<u64> {
    let step = |pair: &[u64]| pair[1].wrapping_sub(pair[0]);
    readings.windows(2).map(step).collect()
}

fn instructions(common: &Common<'_>, request: &Request, rounds: usize) -> Result<(), io::Error> {
    let spinner = Spinner::start()?;
    let request = Request {
        periods: WARM_UP + rounds + 1,
        reading: Some(spinner.reading()),
        ..request.clone()
    };
    let (played, ()) = play(&request, |_| Ok(())).map_err(io::Error::other)?;
    let readings: Vec<_> = played.calls.iter().map(|call| call.others).collect();
    let series = common.of("cpal.instructions", common.unit, &request);
    print(series, steps(&readings[WARM_UP..]))
}

/// The same of a thread that only sleeps until the next period.
fn timer_alone(common: &Common<'_>, period: usize, rounds: usize) -> io::Result<()> {
    let spinner = Spinner::start()?;
    let reading = spinner.reading();
    let thread = thread::spawn(move || {
        priority::first()?;
        let origin = timer::now(timer::MONOTONIC)?;
        (1..=(WARM_UP + rounds + 1) as u64)
            .map(|number| {
                timer::sleep_until(origin + number * period as u64 * SECOND / u64::from(RATE))?;
                Ok(reading.others())
            })
            .collect::<io::Result<Vec<_>>>()
    });
    let readings = thread
        .join()
        .map_err(|_| io::Error::other("the timer's thread panicked"))??;
    let series = common.series("timer.instructions", common.unit, period);
    print(series, steps(&readings[WARM_UP..]))
}

fn calls(common: &Common<'_>, request: &Request, rounds: usize) -> io::Result<()> {
    let request = Request {
        periods: WARM_UP + rounds + 1,
        marked: true,
        ..request.clone()
    };
    let (played, mut taken) = calls::taken(&request, WARM_UP).map_err(io::Error::other)?;
    if taken.len() < rounds {
        let seen = taken.len();
        return Err(io::Error::other(format!(
            "only {seen} periods in the trace"
        )));
    }
    taken.truncate(rounds);
    let of = |call: &str| {
        common
            .of("cpal.calls", "calls", &request)
            .label("call", call)
    };
    print(of("all"), taken.iter().map(calls::Taken::all))?;
    let names: BTreeSet<_> = taken.iter().flat_map(|one| one.calls.keys()).collect();
    for name in names {
        let times = |one: &calls::Taken| one.calls.get(name).copied().unwrap_or(0);
        print(of(name), taken.iter().map(times))?;
    }
    let copied = common.of("cpal.copied", "frames", &request);
    let copied = copied.label("callback_writes_to", played.buffer);
    print(copied, taken.iter().map(|one| one.copied))
}

/// When the callbacks began, and the underruns.
fn times(common: &Common<'_>, request: &Request) -> io::Result<()> {
    let (Played { calls, xruns, .. }, ()) = play(request, |_| Ok(())).map_err(io::Error::other)?;
    let at = |call: &Call| call.at;
    print(
        common.of("cpal.callback_at", "ns", request),
        calls.iter().map(at),
    )?;
    print(common.of("cpal.xruns", "underruns", request), [xruns])
}

fn main() -> io::Result<()> {
    let words = Words::of_program(&[
        "hosts", "periods", "rounds", "measure", "stall_ms", "seconds",
    ])?;
    let first = |name| -> io::Result<Option<usize>> { Ok(words.numbers(name)?.first().copied()) };
    let rounds = first("rounds")?.unwrap_or(ROUNDS);
    let stall = Duration::from_millis(first("stall_ms")?.unwrap_or(50) as u64);
    let seconds = first("seconds")?.unwrap_or(20);
    let hosts: Vec<_> = words
        .values("hosts")
        .into_iter()
        .map(Choice::of)
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)?;
    let stopwatch = Stopwatch::new();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    thread::sleep(SETTLE);
    for what in words.values("measure") {
        let common = Common {
            measure: what,
            clock: stopwatch.clock(),
            unit: stopwatch.unit(),
            release: &release,
        };
        for period in words.numbers("periods")? {
            if what == "instructions" {
                timer_alone(&common, period, rounds)?;
            }
            for &host in &hosts {
                eprintln!("{what}: {host}, periods of {period} frames");
                let request = Request {
                    host,
                    period,
                    periods: WARM_UP + rounds,
                    stall: None,
                    marked: false,
                    reading: None,
                };
                match what {
                    "instructions" => instructions(&common, &request, rounds)?,
                    "calls" => calls(&common, &request, rounds)?,
                    "times" => times(&common, &request)?,
                    "stall" => {
                        let stall = Some((WARM_UP + rounds / 2, stall));
                        times(&common, &Request { stall, ..request })?;
                    }
                    "endurance" => {
                        let periods = (seconds * RATE as usize).div_ceil(period);
                        times(&common, &Request { periods, ..request })?;
                    }
                    _ => {
                        let text = format!("measure={what}: there is no such measurement");
                        return Err(io::Error::other(text));
                    }
                }
            }
        }
    }
    Ok(())
}
