// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams of a machine that is held up in the middle of them: by whoever stops the machine, whose clock stands
//! still then, or, with a second argument `stalls`, by a host that does not let it run while the clock goes on.
//!
//! The host is asked by lines `host: WORD` on standard output, and answers by a plug in the line output: pulled
//! out, or put in again. The clip that the first argument names fills each ring, over and over, so nothing has to
//! be written in time; a journey judges what the card has fetched.

use cpal_alsa_mmap::sys::{Direction, Pcm, State, SwParams};
use sgring_suite::card::{self, Config};
use sgring_suite::clip::{self, FRAME_BYTES, clip};
use sgring_suite::control::{Control, Interface};
use sgring_suite::ensure;
use sgring_suite::record::expect_played;
use sgring_suite::tap::{self, Outcome, Stop, Test, expect, note};
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Half a minute: no host is held up for so long.
const LONG: Config = ring(3_000);
/// A tenth of a second: each stall is longer.
const SHORT: Config = ring(10);

const fn ring(periods: u32) -> Config {
    Config {
        access: cpal_alsa_mmap::sys::Access::RwInterleaved,
        rate: 48_000,
        channels: 2,
        period: 480,
        periods,
        flags: 0,
    }
}

/// Each is one for the journey, too.
const TESTS: [Test; 6] = [
    Test("running", "a stream that plays goes on", running),
    Test("paused", "a stream that is paused stays so", paused),
    Test(
        "draining",
        "a stream that drains goes on draining",
        draining,
    ),
    Test("drained", "a drain ends at its frame", drained),
    Test(
        "recording",
        "D-98: a recording has each frame, once",
        recording,
    ),
    Test("around", "a stream that nothing stops runs on", around),
];

const STALLS: Test = Test(
    "xrun",
    "a stream that has played all that it had is in an xrun, and PREPARE makes it good",
    xrun,
);

/// Whether the clock goes on meanwhile.
fn stalls() -> bool {
    std::env::args().nth(2).as_deref() == Some("stalls")
}

fn main() -> ExitCode {
    if let Err(status) = clip::load() {
        return status;
    }
    let mut tests = TESTS.to_vec();
    if stalls() {
        tests.push(STALLS);
    }
    tap::run(&tests)
}

/// Has the host do something, and waits until it has.
fn host(word: &str) -> Outcome {
    let plug = Control::named(Interface::Card, "Line Out Jack", 0)?;
    let before = plug.get()?;
    println!("host: {word}");
    io::stdout().flush()?;
    while plug.get()? == before {}
    Ok(())
}

/// A stream that begins to play, and nothing stops it. The ring is full of the clip.
fn prepared(config: Config, pcm: Pcm) -> Result<Pcm, Stop> {
    config.apply(&pcm)?;
    let mut params = SwParams::new(config.frames(), u64::from(config.period));
    params.start_threshold = i64::MAX as u64;
    params.stop_threshold = i64::MAX as u64;
    pcm.sw_params(&params)?;
    pcm.prepare()?;
    if pcm.direction() == Direction::Playback {
        pcm.writei(&content(config.bytes()))?;
    }
    Ok(pcm)
}

/// The clip, again and again.
fn content(bytes: usize) -> Vec<u8> {
    clip().iter().copied().cycle().take(bytes).collect()
}

/// A stream that plays, and what it is to be compared with.
struct Playing {
    pcm: Pcm,
    began: Instant,
    interrupts: u64,
}

impl Playing {
    fn new(config: Config) -> Result<Self, Stop> {
        let pcm = prepared(config, card::open()?)?;
        let (began, interrupts) = (Instant::now(), interrupts()?);
        pcm.start()?;
        Ok(Self {
            pcm,
            began,
            interrupts,
        })
    }

    /// As far as it has played by the guest's clock, and no further. That clock was set against another one, on a
    /// host that may have been busy: a twentieth, and a period.
    fn expect_state(&self, expected: State) -> Outcome {
        let status = self.pcm.status()?;
        let played = self.began.elapsed();
        let most = (played + played / 20 + Duration::from_millis(10)).as_nanos() * 48 / 1_000_000;
        ensure!(
            u128::from(status.hw_ptr) <= most,
            "at {}, ahead of the clock, which says {most}",
            status.hw_ptr
        );
        ensure!(status.state == expected, "{:?}", status.state);
        Ok(())
    }

    /// Ends it, and has the host look at what the card says of it.
    fn end(self) -> Outcome {
        self.pcm.drop_frames()?;
        self.look()
    }

    fn look(&self) -> Outcome {
        let seen = interrupts()? - self.interrupts;
        let at = self.pcm.status()?.hw_ptr;
        host(&format!("look {seen} {at}"))
    }
}

/// Of the streams, which have a vector of their own: the second one of the card.
fn interrupts() -> io::Result<u64> {
    let table = fs::read_to_string("/proc/interrupts")?;
    let mut lines = table.lines();
    let processors = lines.next().unwrap_or_default().split_whitespace().count();
    let line = lines.filter(|line| line.ends_with("snd-sgring")).nth(1);
    let counts = line.ok_or(io::ErrorKind::NotFound)?.split_whitespace();
    Ok(counts
        .skip(1)
        .take(processors)
        .filter_map(|count| count.parse::<u64>().ok())
        .sum())
}

fn running() -> Outcome {
    let playing = Playing::new(LONG)?;
    for _ in 0..2 {
        host("hold")?;
        playing.expect_state(State::Running)?;
    }
    let before = playing.pcm.status()?.hw_ptr;
    while playing.pcm.status()?.hw_ptr == before {}
    playing.end()
}

fn paused() -> Outcome {
    let playing = Playing::new(LONG)?;
    playing.pcm.poll(Some(Duration::ZERO))?;
    while playing.pcm.status()?.hw_ptr == 0 {}
    playing.pcm.pause(true)?;
    let before = playing.pcm.status()?.hw_ptr;
    host("hold still")?;
    playing.expect_state(State::Paused)?;
    let after = playing.pcm.status()?.hw_ptr;
    ensure!(after == before, "paused at {before}, now at {after}");
    playing.pcm.pause(false)?;
    while playing.pcm.status()?.hw_ptr == before {}
    playing.end()
}

fn draining() -> Outcome {
    let playing = Playing::new(LONG)?;
    playing.pcm.set_nonblock(true)?;
    expect("DRAIN", playing.pcm.drain(), libc::EAGAIN)?;
    host("hold")?;
    playing.expect_state(State::Draining)?;
    playing.end()
}

fn drained() -> Outcome {
    let frames = clip().len() / FRAME_BYTES;
    let pcm = LONG.prepare()?;
    pcm.writei(clip())?;
    let (began, interrupts) = (Instant::now(), interrupts()?);
    pcm.set_nonblock(true)?;
    expect("DRAIN", pcm.drain(), libc::EAGAIN)?;
    host("hold still")?;
    pcm.set_nonblock(false)?;
    pcm.drain()?;
    let playing = Playing {
        pcm,
        began,
        interrupts,
    };
    playing.expect_state(State::Setup)?;
    let end = playing.pcm.status()?.hw_ptr;
    ensure!(end as usize == frames, "ended at {end} of {frames}");
    playing.look()
}

/// What is played, recorded by the loopback.
fn recording() -> Outcome {
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let capture = prepared(LONG, card::open_capture()?)?;
    let playback = prepared(LONG, card::open()?)?;
    playback.link(&capture)?;
    let (began, interrupts) = (Instant::now(), interrupts()?);
    playback.start()?;
    host("hold")?;
    let playing = Playing {
        pcm: playback,
        began,
        interrupts,
    };
    playing.expect_state(State::Running)?;
    // However soon the hold came, there is something to be compared.
    while playing.pcm.status()?.hw_ptr < LONG.period.into() {}
    // A stream that is stopped has nothing to read any more.
    let mut heard = vec![0; capture.status()?.avail as usize * FRAME_BYTES];
    let read = capture.readi(&mut heard)? * FRAME_BYTES;
    ensure!(read == heard.len(), "{read} bytes of {}", heard.len());
    note(format_args!("{} frames recorded", read / FRAME_BYTES));
    playing.pcm.drop_frames()?;
    // Later by a burst: a millisecond.
    let played = heard.len().saturating_sub(48 * FRAME_BYTES);
    expect_played(&heard, &content(played))?;
    playing.pcm.unlink()?;
    playing.look()
}

/// Round and round in a ring that is shorter than a stall, of which none is a lap that is not counted.
fn around() -> Outcome {
    let playing = Playing::new(SHORT)?;
    for _ in 0..2 {
        let before = playing.pcm.status()?.hw_ptr;
        host("hold")?;
        playing.expect_state(State::Running)?;
        // Where the interrupt is still on its way, a look is told less than a lap, and the next one the rest.
        playing.pcm.status()?;
        let (after, ring) = (playing.pcm.status()?.hw_ptr, SHORT.frames());
        ensure!(
            !stalls() || after - before >= ring,
            "from {before} to {after}, of {ring} at least"
        );
    }
    playing.end()
}

fn xrun() -> Outcome {
    /// A tenth of a second.
    const LITTLE: u64 = 4_800;
    let pcm = LONG.prepare()?;
    // The card goes on to where it is stopped: the clip is there, too.
    pcm.writei(&content(LONG.bytes()))?;
    card::commit(&pcm, LITTLE)?;
    pcm.start()?;
    host("hold still")?;
    // The interrupt that tells may be on its way.
    while pcm.status()?.state == State::Running {}
    let end = pcm.status()?;
    ensure!(
        end.state == State::Xrun && end.hw_ptr >= LITTLE,
        "{:?} at {}",
        end.state,
        end.hw_ptr
    );
    let events = pcm.poll(Some(Duration::ZERO))?;
    ensure!(events & libc::POLLERR != 0, "poll() says {events:#x}");
    expect("write", pcm.writei(&[0; FRAME_BYTES]), libc::EPIPE)?;
    pcm.prepare()?;
    pcm.writei(&content(LITTLE as usize * FRAME_BYTES))?;
    pcm.drain()?;
    let end = pcm.status()?;
    ensure!(
        end.state == State::Setup && end.hw_ptr == LITTLE,
        "{:?} at {}",
        end.state,
        end.hw_ptr
    );
    Ok(())
}
