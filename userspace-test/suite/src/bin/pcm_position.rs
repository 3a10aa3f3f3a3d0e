// SPDX-License-Identifier: MIT OR Apache-2.0
//! The position: never back, burst by burst, whatever the period and whether or not periods are announced.

use cpal_alsa_mmap::sys::{State, StatusPage, SwParams, SyncRequest, uapi};
use sgring_suite::card::Config;
use sgring_suite::tap::{self, Outcome, Test, note};
use sgring_suite::{clock, ensure};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "with_period_wakeups",
            "position: steps of min(period, 1 ms) with period wakeups",
            || {
                [16, 48, 64, 240, 441, 1024]
                    .into_iter()
                    .try_for_each(|period| steps(period, 0))
            },
        ),
        Test(
            "without_period_wakeups",
            "position: the same steps without them",
            || {
                [48, 240, 441, 1024]
                    .into_iter()
                    .try_for_each(|period| steps(period, uapi::HW_PARAMS_NO_PERIOD_WAKEUP))
            },
        ),
        Test(
            "status_page",
            "position: the mapped record moves without a call, period by period",
            status_page,
        ),
        Test(
            "many_laps",
            "position: keeps count over many laps of a small ring",
            many_laps,
        ),
    ])
}

/// Runs a stream that nothing is written to and looks at its position as often as it can, until it has seen
/// each place where a burst can end.
fn steps(period: u32, flags: u32) -> Outcome {
    const ROUNDS: u64 = 200;
    let config = Config {
        flags,
        ..Config::stereo(period, 4.max(4096 / period))
    };
    let rate = u64::from(config.rate);
    let period = u64::from(period);
    let burst = period.min(rate / 1000);
    // Positions modulo the period.
    let mut unseen: BTreeSet<_> = (0..period).step_by(burst as usize).collect();

    let pcm = config.open()?;
    pcm.sw_params(&SwParams::free_running(config.frames()))?;
    pcm.prepare()?;
    let look = SyncRequest {
        hwsync: true,
        ..SyncRequest::default()
    };
    let counted = clock::is_counted();
    // START may return late: the first look counts from before it.
    let (mut last, mut since, mut largest) = (0, Instant::now(), 0);
    pcm.start()?;
    while !unseen.is_empty() || last < 2 * period {
        let before = Instant::now();
        let status = pcm.sync_ptr(look)?.status;
        ensure!(
            status.state == State::Running,
            "state {:?} at {last}",
            status.state
        );
        let now = status.hw_ptr;
        ensure!(now >= last, "from {last} back to {now}");
        ensure!(
            now % period % burst == 0,
            "{now} is within a burst of {burst} of a period of {period}"
        );
        let passed = frames_in(since.elapsed(), rate);
        if counted {
            // What is played without a pause, and the burst that was under way.
            ensure!(
                now - last <= burst + passed,
                "{} frames at once, at {last}",
                now - last
            );
        }
        // Looks that nothing came between are microseconds apart: no frame is played meanwhile.
        if passed == 0 {
            largest = largest.max(now - last);
        }
        unseen.remove(&(now % period));
        ensure!(
            now < ROUNDS * period.max(rate / 100),
            "never at {unseen:?} of {period} frames"
        );
        (last, since) = (now, before);
    }
    pcm.drop_frames()?;
    note(format_args!(
        "period {period}: burst {burst}, largest step {largest}, clock counted: {counted}"
    ));
    Ok(())
}

/// Frames in `time` at `rate` frames per second, rounded down.
fn frames_in(time: Duration, rate: u64) -> u64 {
    (time.as_nanos() * u128::from(rate) / 1_000_000_000) as u64
}

fn status_page() -> Outcome {
    let config = Config::stereo(240, 8);
    let pcm = config.open()?;
    pcm.sw_params(&SwParams::free_running(config.frames()))?;
    pcm.prepare()?;
    let page = StatusPage::new(&pcm)?;
    let seen = page.load();
    ensure!(
        seen.hw_ptr == 0 && seen.state == State::Prepared,
        "before the start: {seen:?}"
    );
    pcm.start()?;
    let mut last = page.load();
    for _ in 0..20 {
        let now = loop {
            let now = page.load();
            if now.hw_ptr != last.hw_ptr {
                break now;
            }
        };
        ensure!(now.state == State::Running, "state {:?}", now.state);
        ensure!(
            now.hw_ptr > last.hw_ptr,
            "from {} back to {}",
            last.hw_ptr,
            now.hw_ptr
        );
        // Only the interrupt of a period moves it here.
        ensure!(
            now.hw_ptr / 240 > last.hw_ptr / 240,
            "from {} to {}",
            last.hw_ptr,
            now.hw_ptr
        );
        last = now;
    }
    pcm.drop_frames()?;
    let state = page.load().state;
    ensure!(state == State::Setup, "state {state:?} after DROP");
    Ok(())
}

fn many_laps() -> Outcome {
    let config = Config::stereo(32, 2);
    let pcm = config.open()?;
    pcm.sw_params(&SwParams::free_running(config.frames()))?;
    pcm.prepare()?;
    let look = SyncRequest {
        hwsync: true,
        ..SyncRequest::default()
    };
    let ordered = Instant::now();
    pcm.start()?;
    let started = Instant::now();
    let (mut last, mut least, mut most) = (0, 0, 0);
    while started.elapsed() < Duration::from_millis(100) {
        least = frames_in(started.elapsed(), config.rate.into());
        let now = pcm.sync_ptr(look)?.status.hw_ptr;
        most = frames_in(ordered.elapsed(), config.rate.into());
        ensure!(now >= last, "from {last} back to {now}");
        last = now;
    }
    pcm.drop_frames()?;
    note(format_args!(
        "{} laps, {last} frames, between {least} and {most} in time",
        last / config.frames()
    ));
    if clock::is_counted() {
        ensure!(last <= most, "{last} frames in the time of {most}");
        ensure!(last + 32 >= least, "{last} frames in the time of {least}");
    }
    Ok(())
}
