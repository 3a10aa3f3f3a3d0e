// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every call in every state: its errno and the state after it, as sound/core/pcm_native.c has them.

use cpal_alsa_mmap::sys::{OpenOptions, Pcm, State, SwParams, SyncRequest};
use sgring_suite::card::{self, Config};
use sgring_suite::tap::{self, Outcome, Stop, Test, expect};
use sgring_suite::{clock, ensure, raw};
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A second of sound: no state ends by itself while a call is tried.
const CONFIG: Config = Config {
    periods: 10,
    ..stereo(4800)
};

const fn stereo(period: u32) -> Config {
    Config {
        access: cpal_alsa_mmap::sys::Access::RwInterleaved,
        rate: 48_000,
        channels: 2,
        period,
        periods: 2,
        flags: 0,
    }
}

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "parameters",
            "states: HW_PARAMS, HW_FREE, SW_PARAMS",
            parameters,
        ),
        Test(
            "prepare_and_reset",
            "states: PREPARE, RESET",
            prepare_and_reset,
        ),
        Test(
            "start_and_drop",
            "states: START, DROP, XRUN",
            start_and_drop,
        ),
        Test(
            "pause_and_resume",
            "states: PAUSE, RESUME",
            pause_and_resume,
        ),
        Test("drain", "states: DRAIN that waits", drain),
        Test(
            "drain_at_once",
            "states: DRAIN that does not wait",
            drain_at_once,
        ),
        Test(
            "positions",
            "states: HWSYNC, DELAY, REWIND, FORWARD, SYNC_PTR, STATUS, CHANNEL_INFO",
            positions,
        ),
        Test("write", "states: WRITEI_FRAMES", write),
        Test("poll", "states: poll()", poll),
        Test(
            "pause_holds_the_position",
            "PAUSE: nothing is played, and then all of it",
            pause_holds_the_position,
        ),
        Test(
            "drain_ends_at_the_last_frame",
            "DRAIN: of a running stream, exactly at its end",
            drain_ends_at_the_last_frame,
        ),
        Test(
            "drain_starts_and_ends",
            "DRAIN: of a stream that was not started, exactly at its end (PERFECT_DRAIN)",
            drain_starts_and_ends,
        ),
        Test(
            "close_in_every_state",
            "close() in any state leaves a card that plays",
            close_in_every_state,
        ),
    ])
}

/// Where a call is made from: the states, PREPARED with nothing to play and with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Open,
    Setup,
    Empty,
    Prepared,
    Running,
    Xrun,
    Draining,
    Paused,
}

use Place::{Draining, Empty, Open, Paused, Prepared, Running, Setup, Xrun};

const ALL: [Place; 8] = [
    Open, Setup, Empty, Prepared, Running, Xrun, Draining, Paused,
];

impl Place {
    /// A PCM in this state, with `frames` frames written where there are any.
    fn enter(self, frames: usize) -> Result<Pcm, Stop> {
        let pcm = card::open_with(OpenOptions {
            nonblock: true,
            ..OpenOptions::default()
        })?;
        if self == Open {
            return Ok(pcm);
        }
        CONFIG.apply(&pcm)?;
        let mut params = SwParams::new(CONFIG.frames(), 1);
        params.start_threshold = i64::MAX as u64;
        pcm.sw_params(&params)?;
        if self == Setup {
            return Ok(pcm);
        }
        pcm.prepare()?;
        if self == Empty {
            return Ok(pcm);
        }
        pcm.writei(&vec![0; frames * CONFIG.frame_bytes()])?;
        if self == Prepared {
            return Ok(pcm);
        }
        pcm.start()?;
        match self {
            Xrun => raw::xrun(&pcm)?,
            Draining => expect("drain", pcm.drain(), libc::EAGAIN)?,
            Paused => pcm.pause(true)?,
            _ => {}
        }
        Ok(pcm)
    }

    fn state(self) -> State {
        match self {
            Open => State::Open,
            Setup => State::Setup,
            Empty | Prepared => State::Prepared,
            Running => State::Running,
            Xrun => State::Xrun,
            Draining => State::Draining,
            Paused => State::Paused,
        }
    }
}

/// The state as it is. STATUS would ask the card first, which may change it.
fn state(pcm: &Pcm) -> io::Result<State> {
    Ok(pcm.sync_ptr(SyncRequest::default())?.status.state)
}

/// Enters each state, makes the call, and compares errno and state with `expected`.
fn table<T>(
    name: &str,
    frames: usize,
    call: impl Fn(&Pcm) -> io::Result<T>,
    expected: impl Fn(Place) -> (i32, State),
) -> Outcome {
    for from in ALL {
        let pcm = from.enter(frames)?;
        let state = state(&pcm)?;
        ensure!(
            state == from.state(),
            "{name}: {from:?} could not be entered, state {state:?}"
        );
        let (errno, after) = expected(from);
        expect(format_args!("{name} in {from:?}"), call(&pcm), errno)?;
        let state = self::state(&pcm)?;
        ensure!(
            state == after,
            "{name} in {from:?}: state {state:?} afterwards, not {after:?}"
        );
    }
    Ok(())
}

const FULL: usize = 48_000;
/// Frames for a call that waits until they have been played: no whole number of periods.
const SOME: usize = 12_001;

fn parameters() -> Outcome {
    table(
        "HW_PARAMS",
        FULL,
        |pcm| CONFIG.apply(pcm),
        |from| match from {
            Open | Setup | Empty | Prepared => (0, State::Setup),
            _ => (libc::EBADFD, from.state()),
        },
    )?;
    table("HW_FREE", FULL, Pcm::hw_free, |from| match from {
        Setup | Empty | Prepared => (0, State::Open),
        _ => (libc::EBADFD, from.state()),
    })?;
    let params = SwParams::new(CONFIG.frames(), 1);
    table(
        "SW_PARAMS",
        FULL,
        |pcm| pcm.sw_params(&params),
        |from| match from {
            Open => (libc::EBADFD, State::Open),
            _ => (0, from.state()),
        },
    )
}

fn prepare_and_reset() -> Outcome {
    table("PREPARE", FULL, Pcm::prepare, |from| match from {
        Open => (libc::EBADFD, State::Open),
        Running | Draining => (libc::EBUSY, from.state()),
        _ => (0, State::Prepared),
    })?;
    // Reset empties the ring: what runs then has an xrun at the next period, not at once.
    table("RESET", FULL, Pcm::reset, |from| match from {
        Empty | Prepared | Running | Paused => (0, from.state()),
        _ => (libc::EBADFD, from.state()),
    })
}

fn start_and_drop() -> Outcome {
    table("START", FULL, Pcm::start, |from| match from {
        Empty => (libc::EPIPE, State::Prepared),
        Prepared => (0, State::Running),
        _ => (libc::EBADFD, from.state()),
    })?;
    table("DROP", FULL, Pcm::drop_frames, |from| match from {
        Open => (libc::EBADFD, State::Open),
        _ => (0, State::Setup),
    })?;
    table("XRUN", FULL, raw::xrun, |from| match from {
        Running | Xrun => (0, State::Xrun),
        _ => (libc::EBADFD, from.state()),
    })
}

fn pause_and_resume() -> Outcome {
    table(
        "PAUSE",
        FULL,
        |pcm| pcm.pause(true),
        |from| match from {
            // What the card can do is known from HW_PARAMS on.
            Open => (libc::ENOSYS, State::Open),
            Running => (0, State::Paused),
            _ => (libc::EBADFD, from.state()),
        },
    )?;
    table(
        "PAUSE off",
        FULL,
        |pcm| pcm.pause(false),
        |from| match from {
            Open => (libc::ENOSYS, State::Open),
            Paused => (0, State::Running),
            _ => (libc::EBADFD, from.state()),
        },
    )?;
    table("RESUME", FULL, raw::resume, |from| {
        (libc::EBADFD, from.state())
    })
}

fn waiting(pcm: &Pcm) -> io::Result<()> {
    pcm.set_nonblock(false)?;
    pcm.drain()
}

fn drain() -> Outcome {
    table("DRAIN", SOME, waiting, |from| match from {
        Open => (libc::EBADFD, State::Open),
        _ => (0, State::Setup),
    })?;
    // A second one finds nothing to do.
    table(
        "DRAIN twice",
        SOME,
        |pcm| waiting(pcm).and_then(|()| waiting(pcm)),
        |from| match from {
            Open => (libc::EBADFD, State::Open),
            _ => (0, State::Setup),
        },
    )
}

fn drain_at_once() -> Outcome {
    table("DRAIN", FULL, Pcm::drain, |from| match from {
        Open => (libc::EBADFD, State::Open),
        Setup | Empty | Xrun => (libc::EAGAIN, State::Setup),
        _ => (libc::EAGAIN, State::Draining),
    })
}

fn positions() -> Outcome {
    let position = |from: Place| match from {
        Open | Setup => libc::EBADFD,
        Xrun => libc::EPIPE,
        _ => 0,
    };
    table("HWSYNC", FULL, Pcm::hwsync, |from| {
        (position(from), from.state())
    })?;
    table("DELAY", FULL, Pcm::delay, |from| {
        (position(from), from.state())
    })?;
    table(
        "REWIND",
        FULL,
        |pcm| raw::rewind(pcm, 1),
        |from| (position(from), from.state()),
    )?;
    table(
        "FORWARD",
        FULL,
        |pcm| raw::forward(pcm, 1),
        |from| (position(from), from.state()),
    )?;
    let with = SyncRequest {
        hwsync: true,
        ..SyncRequest::default()
    };
    table(
        "SYNC_PTR",
        FULL,
        |pcm| pcm.sync_ptr(with),
        |from| (position(from), from.state()),
    )?;
    let without = SyncRequest::default();
    table(
        "SYNC_PTR alone",
        FULL,
        |pcm| pcm.sync_ptr(without),
        |from| (0, from.state()),
    )?;
    table("STATUS", FULL, Pcm::status, |from| (0, from.state()))?;
    table(
        "CHANNEL_INFO",
        FULL,
        |pcm| raw::channel_info(pcm, 0),
        |from| match from {
            Open => (libc::EBADFD, State::Open),
            _ => (0, from.state()),
        },
    )?;
    table(
        "CHANNEL_INFO of none",
        FULL,
        |pcm| raw::channel_info(pcm, 2),
        |from| match from {
            Open => (libc::EBADFD, State::Open),
            _ => (libc::EINVAL, from.state()),
        },
    )
}

fn write() -> Outcome {
    let frame = [0; 4];
    table(
        "WRITEI_FRAMES",
        SOME,
        |pcm| pcm.writei(&frame),
        |from| match from {
            // A client that has set no parameters does not know the size of a frame.
            Open | Setup | Draining => (libc::EBADFD, from.state()),
            Xrun => (libc::EPIPE, State::Xrun),
            _ => (0, from.state()),
        },
    )?;
    let pcm = Prepared.enter(FULL)?;
    expect(
        "WRITEI_FRAMES into a full ring",
        pcm.writei(&frame),
        libc::EAGAIN,
    )
}

fn poll() -> Outcome {
    const READY: i16 = libc::POLLOUT;
    for from in ALL {
        let pcm = from.enter(SOME)?;
        let events = pcm.poll(Some(Duration::ZERO))?;
        let expected = match from {
            Open | Setup | Xrun => READY | libc::POLLERR,
            Draining => 0,
            Empty | Prepared | Running | Paused => READY,
        };
        ensure!(
            events == expected,
            "{from:?}: {events:#x}, not {expected:#x}"
        );
    }
    Ok(())
}

fn pause_holds_the_position() -> Outcome {
    let pcm = Running.enter(SOME)?;
    for _ in 0..3 {
        // Wait for a period, by the card's own clock.
        let start = pcm.status()?.hw_ptr;
        while pcm.status()?.hw_ptr == start {}
        pcm.pause(true)?;
        let held = pcm.status()?;
        ensure!(held.state == State::Paused, "state {:?}", held.state);
        // A card that goes on would move ten times meanwhile.
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(10) {
            let now = pcm.status()?;
            ensure!(
                now.hw_ptr == held.hw_ptr,
                "from {} to {} while paused",
                held.hw_ptr,
                now.hw_ptr
            );
            ensure!(
                now.delay == held.delay,
                "delay from {} to {} while paused",
                held.delay,
                now.delay
            );
        }
        pcm.pause(false)?;
    }
    waiting(&pcm)?;
    let end = pcm.status()?;
    ensure!(
        end.hw_ptr == SOME as u64,
        "ended at {}, not {SOME}",
        end.hw_ptr
    );
    Ok(())
}

/// Nothing, one frame, around a burst, around a period, around the ring.
const AMOUNTS: [usize; 13] = [0, 1, 47, 48, 49, 239, 240, 241, 255, 480, 701, 959, 960];

fn drains_to(frames: usize, start: bool) -> Outcome {
    // Where the host may hold up the guest, at a rate at which it is less likely to matter.
    let rate = if clock::is_counted() { 48_000 } else { 8_000 };
    let config = Config {
        rate,
        periods: 4,
        ..stereo(240)
    };
    let pcm = config.prepare()?;
    pcm.writei(&vec![0; frames * config.frame_bytes()])?;
    if start {
        pcm.start()?;
    }
    pcm.drain()?;
    let end = pcm.status()?;
    ensure!(
        end.state == State::Setup,
        "{frames} frames: state {:?}",
        end.state
    );
    ensure!(
        end.hw_ptr == frames as u64,
        "{frames} frames: ended at {}",
        end.hw_ptr
    );
    ensure!(
        end.appl_ptr == frames as u64,
        "{frames} frames: written to {}",
        end.appl_ptr
    );
    Ok(())
}

fn drain_ends_at_the_last_frame() -> Outcome {
    // Fewer may have been played before DRAIN comes, if the host holds up the guest.
    let least = if clock::is_counted() { 1 } else { 480 };
    AMOUNTS
        .into_iter()
        .filter(|&frames| frames >= least)
        .try_for_each(|frames| drains_to(frames, true))
}

fn drain_starts_and_ends() -> Outcome {
    AMOUNTS
        .into_iter()
        .try_for_each(|frames| drains_to(frames, false))
}

fn close_in_every_state() -> Outcome {
    for from in ALL {
        drop(from.enter(FULL)?);
        card::plays()?;
    }
    Ok(())
}
