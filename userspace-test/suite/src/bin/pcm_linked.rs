// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linked streams: one call starts, pauses and stops all of them, at one instant of the card's clock.
//!
//! The instant is seen twice: in what the loopback records, to the frame, and in the streams' own time, to the
//! nanosecond.

use cpal_alsa_mmap::sys::{AudioClock, Pcm, State};
use sgring_suite::card::{self, Config};
use sgring_suite::control::{Changed, Control};
use sgring_suite::ensure;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Stop, Test, expect, note};
use std::io;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "recorded_to_the_frame",
            "D-55, D-95: playback and capture, linked, start with the same frame",
            recorded_to_the_frame,
        ),
        Test(
            "one_instant",
            "D-55: linked streams start and go on after a pause at the same nanosecond",
            one_instant,
        ),
        Test(
            "all_or_none",
            "one linked stream that is not prepared: none starts",
            all_or_none,
        ),
        Test(
            "stopped_together",
            "an xrun of one linked stream stops all; one PREPARE readies all",
            stopped_together,
        ),
        Test(
            "two_groups_at_once",
            "groups of linked streams started by two threads do not mix",
            two_groups_at_once,
        ),
    ])
}

/// 8 kHz stereo: bursts of eight frames, and a ring of a second.
const CONFIG: Config = Config {
    access: cpal_alsa_mmap::sys::Access::RwInterleaved,
    rate: 8000,
    channels: 2,
    period: 250,
    periods: 32,
    flags: 0,
};
const BURST: usize = 8;

/// Prepares substreams of a direction until there is none left.
fn all(open: impl Fn() -> io::Result<Pcm>) -> Result<Vec<Pcm>, Stop> {
    let mut streams = Vec::new();
    loop {
        match open() {
            Ok(pcm) => streams.push(CONFIG.prepare_on(pcm)?),
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) && !streams.is_empty() => {
                return Ok(streams);
            }
            Err(e) => return Err(e.into()),
        }
    }
}

fn playbacks() -> Result<Vec<Pcm>, Stop> {
    all(card::open)
}

fn captures() -> Result<Vec<Pcm>, Stop> {
    all(card::open_capture)
}

fn link_all(streams: &[&Pcm]) -> io::Result<()> {
    streams[1..].iter().try_for_each(|pcm| streams[0].link(pcm))
}

fn loopbacks(count: usize) -> io::Result<Vec<Changed>> {
    (0..count as u32)
        .map(|number| Control::of("Loopback Capture Switch", number)?.changed(1))
        .collect()
}

fn recorded_to_the_frame() -> Outcome {
    // Before the captures: PREPARE takes it.
    let probe = (playbacks()?.len(), captures()?.len());
    let pairs = probe.0.min(probe.1);
    let _loopbacks = loopbacks(pairs)?;
    let (playbacks, captures) = (playbacks()?, captures()?);
    let mut random = Random::new();
    let mut played = Vec::new();
    for pcm in &playbacks {
        let mut noise = vec![0; CONFIG.bytes() / 2];
        random.fill(&mut noise);
        pcm.writei(&noise)?;
        played.push(noise);
    }
    let every: Vec<&Pcm> = playbacks.iter().chain(&captures).collect();
    link_all(&every)?;
    every[random.below(every.len())].start()?;
    for (number, (capture, noise)) in captures.iter().zip(&played).enumerate().take(pairs) {
        let mut recorded = vec![0; noise.len() / 2];
        let mut done = 0;
        while done < recorded.len() {
            done += CONFIG.frame_bytes() * capture.readi(&mut recorded[done..])?;
        }
        let late = BURST * CONFIG.frame_bytes();
        ensure!(
            recorded[..late].iter().all(|&byte| byte == 0),
            "stream {number}: sound before frame {BURST}"
        );
        let wrong = recorded[late..]
            .iter()
            .zip(noise)
            .position(|(heard, played)| heard != played);
        ensure!(
            wrong.is_none(),
            "stream {number}: not what was played from frame {} on",
            wrong.unwrap_or(0) / CONFIG.frame_bytes()
        );
    }
    note(format_args!(
        "{} playback and {} capture streams, {pairs} recorded",
        playbacks.len(),
        captures.len()
    ));
    every[0].drop_frames()?;
    Ok(())
}

/// When a stream's first frame was, on the clock of `tstamp`, and by how much that may be wrong.
fn origin(pcm: &Pcm) -> Result<(Duration, Duration), Stop> {
    let status = loop {
        let status = pcm.status_by(AudioClock::LinkSynchronized, false)?;
        // The kernel keeps the stamp of a look from before a pause when the stream's own time is the same now,
        // to the nanosecond; where a clock counts instructions it may well be.
        if status.tstamp >= status.trigger_tstamp {
            break status;
        }
    };
    ensure!(
        status.audio_clock == Some(AudioClock::LinkSynchronized),
        "time by {:?}",
        status.audio_clock
    );
    let Some(accuracy) = status.audio_accuracy else {
        return Err(Stop::Fail("no accuracy".into()));
    };
    Ok((status.tstamp.saturating_sub(status.audio_tstamp), accuracy))
}

fn same_origin(streams: &[&Pcm]) -> Outcome {
    let (first, first_accuracy) = origin(streams[0])?;
    for (number, pcm) in streams.iter().enumerate().skip(1) {
        let (other, accuracy) = origin(pcm)?;
        let apart = first.abs_diff(other);
        // Each is rounded once.
        let allowed = first_accuracy + accuracy + Duration::from_nanos(4);
        ensure!(
            apart <= allowed,
            "stream {number}: {apart:?} from the first, {allowed:?} allowed"
        );
    }
    Ok(())
}

fn one_instant() -> Outcome {
    let (playbacks, captures) = (playbacks()?, captures()?);
    let every: Vec<&Pcm> = playbacks.iter().chain(&captures).collect();
    for pcm in &playbacks {
        pcm.writei(&vec![0; CONFIG.bytes()])?;
    }
    link_all(&every)?;
    every[0].start()?;
    same_origin(&every)?;
    let mut random = Random::new();
    for round in 0..8 {
        let at = every[0].status()?.hw_ptr;
        while round % 2 == 1 && every[0].status()?.hw_ptr == at {}
        every[random.below(every.len())].pause(true)?;
        for pcm in &every {
            let state = pcm.status()?.state;
            ensure!(state == State::Paused, "{state:?}");
        }
        every[random.below(every.len())].pause(false)?;
        same_origin(&every)?;
    }
    let started = every[0].status()?.trigger_tstamp;
    for pcm in &every {
        let other = pcm.status()?.trigger_tstamp;
        ensure!(
            other == started,
            "trigger_tstamp {other:?}, not {started:?}"
        );
    }
    every[0].drop_frames()?;
    for pcm in &every {
        let state = pcm.status()?.state;
        ensure!(state == State::Setup, "{state:?}");
    }
    Ok(())
}

fn all_or_none() -> Outcome {
    let (playbacks, captures) = (playbacks()?, captures()?);
    let every: Vec<&Pcm> = playbacks.iter().chain(&captures).collect();
    for pcm in &playbacks {
        pcm.writei(&vec![0; CONFIG.bytes()])?;
    }
    link_all(&every)?;
    let last = *every.last().expect("there is one at least");
    CONFIG.apply(last)?;
    expect("START", every[0].start(), libc::EBADFD)?;
    for pcm in &every[..every.len() - 1] {
        let status = pcm.status()?;
        ensure!(
            status.state == State::Prepared && status.hw_ptr == 0,
            "{:?} at {}",
            status.state,
            status.hw_ptr
        );
    }
    last.unlink()?;
    if every.len() > 2 {
        every[0].start()?;
        let state = last.status()?.state;
        ensure!(
            state == State::Setup,
            "the one that was unlinked: {state:?}"
        );
        every[0].drop_frames()?;
    }
    Ok(())
}

fn stopped_together() -> Outcome {
    let playbacks = playbacks()?;
    let captures = captures()?;
    let every: Vec<&Pcm> = playbacks.iter().chain(&captures).collect();
    link_all(&every)?;
    for round in 0..3 {
        for (number, pcm) in playbacks.iter().enumerate() {
            // The first one runs dry.
            let bytes = CONFIG.bytes() / if number == 0 { 4 } else { 1 };
            pcm.writei(&vec![0; bytes])?;
        }
        every[0].start()?;
        every[0].poll(None).ok();
        while every[0].status()?.state == State::Running {
            every[0].hwsync().ok();
        }
        for (number, pcm) in every.iter().enumerate() {
            let state = pcm.status()?.state;
            ensure!(
                state == State::Xrun,
                "round {round}: stream {number} is {state:?}"
            );
        }
        every[every.len() - 1].prepare()?;
        for pcm in &every {
            let state = pcm.status()?.state;
            ensure!(state == State::Prepared, "{state:?}");
        }
    }
    Ok(())
}

fn two_groups_at_once() -> Outcome {
    let (playbacks, captures) = (playbacks()?, captures()?);
    if playbacks.len() + captures.len() < 4 {
        return Err(Stop::Skip("this card has fewer than four streams".into()));
    }
    let every: Vec<&Pcm> = playbacks.iter().chain(&captures).collect();
    let (one, other): (Vec<_>, Vec<_>) = every.iter().enumerate().partition(|(n, _)| n % 2 == 0);
    let groups: Vec<Vec<&Pcm>> = [one, other]
        .into_iter()
        .map(|group| group.into_iter().map(|(_, &pcm)| pcm).collect())
        .collect();
    for group in &groups {
        link_all(group)?;
    }
    let rounds = |group: &[&Pcm]| -> Outcome {
        for _ in 0..40 {
            for pcm in group
                .iter()
                .filter(|pcm| playbacks.iter().any(|p| std::ptr::eq(p, **pcm)))
            {
                pcm.writei(&vec![0; CONFIG.bytes()])?;
            }
            group[0].start()?;
            same_origin(group)?;
            group[0].drop_frames()?;
            group[0].prepare()?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = groups
            .iter()
            .map(|group| scope.spawn(|| rounds(group)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("it does not panic"))
    })
}
