// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stream's own time (Documentation/sound/designs/timestamping.rst): by the position, by the sample clock as
//! the driver knows it, and as the card tells it when asked.

use cpal_alsa_mmap::sys::{AudioClock, Pcm, Status, SwParams, uapi};
use sgring_suite::card::{self, Config};
use sgring_suite::tap::{self, Outcome, Stop, Test, expect, note};
use sgring_suite::{clock, ensure};
use std::io;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "as_the_card_tells",
            "LINK_SYNCHRONIZED: the time between two looks is the same by both clocks",
            || goes_with_the_system(AudioClock::LinkSynchronized),
        ),
        Test(
            "as_the_driver_knows",
            "LINK: the same without asking the card",
            || goes_with_the_system(AudioClock::Link),
        ),
        Test(
            "between_two_positions",
            "link time lies in the burst that is under way",
            between_two_positions,
        ),
        Test(
            "stands_in_a_pause",
            "link time stands while the stream does, and goes on from there",
            stands_in_a_pause,
        ),
        Test(
            "less_the_delay",
            "report_delay: the time of what is heard is that of the position less the delay",
            less_the_delay,
        ),
        Test(
            "of_a_recording",
            "LINK_SYNCHRONIZED: a capture stream tells the same",
            of_a_recording,
        ),
        Test(
            "resume_without_suspend",
            "RESUME of a stream that did not sleep is EBADFD",
            resume_without_suspend,
        ),
    ])
}

const RATE: u32 = 44_100;

fn config() -> Config {
    Config {
        rate: RATE,
        ..Config::stereo(441, 20)
    }
}

/// A stream that runs whether it is fed or not.
fn running(open: impl Fn() -> io::Result<Pcm>) -> Result<Pcm, Stop> {
    let config = config();
    let pcm = open()?;
    config.apply(&pcm)?;
    pcm.sw_params(&SwParams::free_running(config.frames()))?;
    pcm.prepare()?;
    let info = {
        let mut params = config.hw_params();
        pcm.hw_refine(&mut params)?;
        params.info()
    };
    ensure!(info & uapi::INFO_RESUME != 0, "no INFO_RESUME in {info:#x}");
    pcm.start()?;
    Ok(pcm)
}

fn look(pcm: &Pcm, clock: AudioClock) -> Result<(Status, Duration), Stop> {
    let status = pcm.status_by(clock, false)?;
    ensure!(
        status.audio_clock == Some(clock),
        "asked for {clock:?}, got {:?}",
        status.audio_clock
    );
    match status.audio_accuracy {
        Some(accuracy) => Ok((status, accuracy)),
        None => Err(Stop::Fail("no accuracy is reported".into())),
    }
}

fn goes_with_the_system(clock: AudioClock) -> Outcome {
    let pcm = running(card::open)?;
    follow(&pcm, clock)
}

/// Demands that stream and system go alike, for a tenth of a second.
fn follow(pcm: &Pcm, clock: AudioClock) -> Outcome {
    let (first, first_accuracy) = look(pcm, clock)?;
    let (mut looks, mut worst) = (0, Duration::ZERO);
    loop {
        let (now, accuracy) = look(pcm, clock)?;
        let system = now.tstamp.saturating_sub(first.tstamp);
        let link = now.audio_tstamp.saturating_sub(first.audio_tstamp);
        // What two clocks of one machine may differ by that nobody compares: 1 in 1000. And what the kernel's
        // own idea of a second may be off where it had no time to refine it: 7 in 1,000,000 were seen.
        let drift = match clock {
            AudioClock::LinkSynchronized => system / 50_000,
            _ => system / 1000,
        };
        let allowed = first_accuracy + accuracy + drift + Duration::from_nanos(4);
        let apart = system.abs_diff(link);
        ensure!(
            apart <= allowed,
            "after {system:?} the stream has gone {link:?}; {allowed:?} apart are allowed"
        );
        (looks, worst) = (looks + 1, worst.max(accuracy));
        if system > Duration::from_millis(100) {
            note(format_args!("{looks} looks, accuracy {worst:?} at worst"));
            return Ok(());
        }
    }
}

fn between_two_positions() -> Outcome {
    let pcm = running(card::open)?;
    let burst = Duration::from_millis(1);
    for _ in 0..200 {
        let (now, accuracy) = look(&pcm, AudioClock::LinkSynchronized)?;
        let position = Duration::from_nanos(now.hw_ptr * 1_000_000_000 / u64::from(RATE));
        let slack = accuracy + Duration::from_nanos(4);
        ensure!(
            now.audio_tstamp + slack >= position,
            "{:?} at position {position:?}",
            now.audio_tstamp
        );
        if clock::is_counted() {
            ensure!(
                now.audio_tstamp <= position + burst + slack + Duration::from_micros(100),
                "{:?} at position {position:?}",
                now.audio_tstamp
            );
        }
    }
    Ok(())
}

fn stands_in_a_pause() -> Outcome {
    let pcm = running(card::open)?;
    pcm.pause(true)?;
    // A pause stops at the end of a burst; the time is exact there.
    let paused = pcm.status_by(AudioClock::LinkSynchronized, false)?;
    let again = pcm.status_by(AudioClock::LinkSynchronized, false)?;
    ensure!(
        again.audio_tstamp == paused.audio_tstamp,
        "{:?} and {:?} in one pause",
        paused.audio_tstamp,
        again.audio_tstamp
    );
    pcm.pause(false)?;
    let (now, _) = look(&pcm, AudioClock::LinkSynchronized)?;
    let gone = now.audio_tstamp.saturating_sub(paused.audio_tstamp);
    ensure!(
        gone <= now.tstamp.saturating_sub(again.tstamp) + Duration::from_millis(1),
        "{gone:?} on after {:?}",
        now.tstamp.saturating_sub(again.tstamp)
    );
    follow(&pcm, AudioClock::Link)
}

fn less_the_delay() -> Outcome {
    let pcm = running(card::open)?;
    for clock in [AudioClock::Link, AudioClock::LinkSynchronized] {
        let plain = pcm.status_by(clock, false)?;
        let heard = pcm.status_by(clock, true)?;
        let later = heard.tstamp.saturating_sub(plain.tstamp);
        ensure!(
            heard.audio_tstamp <= plain.audio_tstamp + later + Duration::from_micros(10),
            "{:?} is heard at {:?}",
            heard.audio_tstamp,
            plain.audio_tstamp
        );
    }
    Ok(())
}

fn of_a_recording() -> Outcome {
    let pcm = running(card::open_capture)?;
    follow(&pcm, AudioClock::LinkSynchronized)
}

fn resume_without_suspend() -> Outcome {
    let pcm = running(card::open)?;
    expect("RESUME", pcm.resume(), libc::EBADFD)
}
