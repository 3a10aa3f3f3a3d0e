// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mapped control record belongs to user space: whatever is written there may spoil the sound of the one who
//! does it, and nothing else.

use cpal_alsa_mmap::sys::{Access, ControlPage, OpenOptions, Pcm, State, SwParams, SyncRequest};
use sgring_suite::card::{self, Config};
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::fork::Child;
use sgring_suite::kmsg::Watch;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Test, note};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "scribbled_while_streaming",
            "control record: random values from another process",
            while_streaming,
        ),
        Test(
            "scribbled_before_each_call",
            "control record: random values before each call",
            before_each_call,
        ),
        Test(
            "scribbled_while_moving_and_draining",
            "control record, M17: random values while the ring moves and drains: an end or an xrun, no hang",
            while_moving_and_draining,
        ),
    ])
}

/// Values that code gets wrong: around the ring, the boundary and the ends of the type.
fn value(random: &mut Random, boundary: u64) -> u64 {
    let near = (random.below(9) as u64).wrapping_sub(4);
    match random.below(6) {
        0 => random.next(),
        1 => random.next() % boundary,
        2 => boundary.wrapping_add(near),
        3 => near,
        4 => (1u64 << 63).wrapping_add(near),
        _ => Config::stereo(240, 4).frames().wrapping_add(near),
    }
}

/// One call of a client that does not look at what it gets.
fn poke(pcm: &Pcm, random: &mut Random, counts: &mut BTreeMap<String, u32>) {
    let hwsync = SyncRequest {
        hwsync: true,
        ..SyncRequest::default()
    };
    let result = match random.below(10) {
        0 => pcm.prepare(),
        1 | 2 => pcm.start(),
        3 | 4 => pcm.writei(&[0x11; 4 * 100]).map(drop),
        5 => pcm.sync_ptr(hwsync).map(drop),
        6 => pcm.status().map(drop),
        7 => pcm.delay().map(drop),
        8 => pcm.drain(),
        _ => pcm.pause(random.below(2) == 0),
    };
    let outcome = match result {
        Ok(()) => "success".to_owned(),
        Err(error) => error.to_string(),
    };
    *counts.entry(outcome).or_insert(0) += 1;
    // Lets the other process run, and the card.
    let _ = pcm.poll(Some(Duration::from_millis(1)));
}

fn open(config: &Config) -> Result<(Pcm, u64), tap::Stop> {
    let pcm = card::open_with(OpenOptions {
        nonblock: true,
        ..OpenOptions::default()
    })?;
    config.apply(&pcm)?;
    let mut params = SwParams::new(config.frames(), 1);
    params.silence_size = params.stop_threshold;
    params.silence_threshold = params.stop_threshold;
    let boundary = pcm.sw_params(&params)?;
    pcm.prepare()?;
    Ok((pcm, boundary))
}

fn while_streaming() -> Outcome {
    let config = Config::stereo(240, 4);
    let mut random = Random::new();
    let mut watch = Watch::new()?;
    let mut counts = BTreeMap::new();
    let (pcm, boundary) = open(&config)?;
    let mut theirs = random.branch(1);
    let scribbler = Child::spawn(|| {
        let Ok(page) = ControlPage::new(&pcm) else {
            return 1;
        };
        loop {
            page.set_appl_ptr(value(&mut theirs, boundary));
            page.set_avail_min(value(&mut theirs, boundary));
        }
    })?;
    for _ in 0..400 {
        poke(&pcm, &mut random, &mut counts);
    }
    scribbler.kill();
    let end = scribbler.wait()?;
    ensure!(
        end == sgring_suite::fork::End::Signal(libc::SIGKILL),
        "the scribbler: {end:?}"
    );
    drop(pcm);
    note(format_args!("{counts:?}"));
    watch.quiet()?;
    card::plays()
}

fn while_moving_and_draining() -> Outcome {
    const ROUNDS: usize = 40;
    let config = Config {
        access: Access::MmapInterleaved,
        ..Config::stereo(240, 4)
    };
    let mut random = Random::new();
    let mut watch = Watch::new()?;
    let mut counts = BTreeMap::new();
    let memory = Control::playback_memory()?.changed(0)?;
    let (pcm, boundary) = open(&config)?;
    // Never by itself: else a position behind the card's ends the stream before the drain has to do with it.
    let mut params = SwParams::new(config.frames(), 1);
    params.stop_threshold = i64::MAX as u64;
    pcm.sw_params(&params)?;
    let window = config.map(&pcm)?;
    pcm.set_nonblock(false)?;
    let mut theirs = random.branch(1);
    let scribbler = Child::spawn(|| {
        let Ok(page) = ControlPage::new(&pcm) else {
            return 1;
        };
        loop {
            page.set_appl_ptr(value(&mut theirs, boundary));
            page.set_avail_min(value(&mut theirs, boundary));
        }
    })?;
    for _ in 0..ROUNDS {
        pcm.prepare()?;
        // An appl_ptr without anything to play is refused: until the scribbler has another one.
        while let Err(error) = pcm.start() {
            ensure!(error.raw_os_error() == Some(libc::EPIPE), "start: {error}");
            let _ = pcm.poll(Some(Duration::from_millis(1)));
        }
        for _ in 0..random.below(6) {
            window.set(random.below(window.bytes()), 0x22);
            memory.set(random.below(3) as u32)?;
            let _ = pcm.poll(Some(Duration::from_millis(1)));
        }
        let drained = pcm.drain();
        let state = pcm.status()?.state;
        let outcome = match drained {
            Ok(()) => format!("{state:?}"),
            Err(error) => format!("{state:?}: {error}"),
        };
        ensure!(
            matches!(state, State::Setup | State::Xrun),
            "after a drain: {outcome}"
        );
        *counts.entry(outcome).or_insert(0) += 1;
    }
    scribbler.kill();
    let end = scribbler.wait()?;
    ensure!(
        end == sgring_suite::fork::End::Signal(libc::SIGKILL),
        "the scribbler: {end:?}"
    );
    drop(window);
    drop(pcm);
    note(format_args!("{counts:?}"));
    watch.quiet()?;
    card::plays()
}

fn before_each_call() -> Outcome {
    let config = Config::stereo(240, 4);
    let mut random = Random::new();
    let mut watch = Watch::new()?;
    let mut counts = BTreeMap::new();
    for _ in 0..4 {
        let (pcm, boundary) = open(&config)?;
        let page = ControlPage::new(&pcm)?;
        for _ in 0..100 {
            page.set_appl_ptr(value(&mut random, boundary));
            page.set_avail_min(value(&mut random, boundary));
            poke(&pcm, &mut random, &mut counts);
        }
        drop(pcm);
        drop(page);
        card::plays()?;
    }
    note(format_args!("{counts:?}"));
    watch.quiet()
}
