// SPDX-License-Identifier: MIT OR Apache-2.0
//! M15: the driver lets go of the device at once, whoever has it open; what is mapped stays memory.

use cpal_alsa_mmap::sys::{Pcm, State, StatusPage};
use sgring_suite::binding::Device;
use sgring_suite::card::{self, Config};
use sgring_suite::ensure;
use sgring_suite::fork::{Child, End};
use sgring_suite::gone::expect_gone;
use sgring_suite::kmsg::Watch;
use sgring_suite::pipe::Pipe;
use sgring_suite::proc::{frames, present};
use sgring_suite::tap::{self, Outcome, Stop, Test, expect, note};
use sgring_suite::window::page;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    tap::run(&[
        Test("idle", "M15: unbind and bind with nobody there", idle),
        Test("open", "M15: unbind while open", || while_in(State::Open)),
        Test("setup", "M15: unbind with a ring", || {
            while_in(State::Setup)
        }),
        Test("prepared", "M15: unbind while prepared", || {
            while_in(State::Prepared)
        }),
        Test("running", "M15: unbind while running", || {
            while_in(State::Running)
        }),
        Test("paused", "M15: unbind while paused", || {
            while_in(State::Paused)
        }),
        Test(
            "draining",
            "M15: unbind in the middle of a drain that is waited for",
            draining,
        ),
        Test(
            "mapped",
            "M15: pages stay, also those not yet touched, also in a child",
            mapped,
        ),
        Test("again_and_again", "M15: many times over", again_and_again),
    ])
}

const PAGES: usize = 16;

/// Unbinds, and demands that it did not wait for us.
fn unbind(device: &Device) -> Outcome {
    let start = Instant::now();
    device.unbind()?;
    let took = start.elapsed();
    note(format_args!(
        "unbind returned after {} us",
        took.as_micros()
    ));
    ensure!(took < Duration::from_secs(5), "unbind took {took:?}");
    ensure!(!device.is_bound(), "still bound");
    ensure!(card::number().is_err(), "the card is still there");
    Ok(())
}

/// Binds again and plays something.
fn bind(device: &Device) -> Outcome {
    device.bind()?;
    card::plays()
}

fn enter(state: State) -> Result<Pcm, Stop> {
    // Half a second: none of the states ends by itself meanwhile.
    let config = Config::stereo(2400, 10);
    let pcm = card::open()?;
    if state == State::Open {
        return Ok(pcm);
    }
    config.apply(&pcm)?;
    if state == State::Setup {
        return Ok(pcm);
    }
    drop(pcm);
    let pcm = config.prepare()?;
    pcm.writei(&vec![0; config.bytes()])?;
    if state == State::Prepared {
        return Ok(pcm);
    }
    pcm.start()?;
    if state == State::Paused {
        pcm.pause(true)?;
    }
    Ok(pcm)
}

fn idle() -> Outcome {
    let device = Device::of_card()?;
    let mut watch = Watch::new()?;
    unbind(&device)?;
    expect("unbind twice", device.unbind(), libc::ENODEV)?;
    bind(&device)?;
    watch.quiet()
}

fn while_in(state: State) -> Outcome {
    let device = Device::of_card()?;
    let mut watch = Watch::new()?;
    let pcm = enter(state)?;
    unbind(&device)?;
    expect_gone(&pcm)?;
    // The old file is still open while a new card comes.
    bind(&device)?;
    expect_gone(&pcm)?;
    drop(pcm);
    card::plays()?;
    watch.quiet()
}

fn draining() -> Outcome {
    let device = Device::of_card()?;
    let mut watch = Watch::new()?;
    let pcm = enter(State::Running)?;
    // The child waits in DRAIN and tells what became of it.
    let drainer = Child::spawn(|| match pcm.drain() {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => 0,
        other => {
            note(format_args!("DRAIN: {other:?}"));
            1
        }
    })?;
    while pcm.sync_ptr(Default::default())?.status.state != State::Draining {
        std::thread::yield_now();
    }
    unbind(&device)?;
    let end = drainer.wait()?;
    ensure!(end == End::Exit(0), "{end:?}");
    expect_gone(&pcm)?;
    drop(pcm);
    bind(&device)?;
    watch.quiet()
}

fn mapped() -> Outcome {
    let device = Device::of_card()?;
    let mut watch = Watch::new()?;
    let config = Config::of_pages(PAGES);
    let pcm = config.prepare()?;
    let stamp = |index: usize| 0x5167_0000 + index as u64;
    let mut sound = vec![0; config.bytes()];
    for (index, page) in sound.chunks_mut(page()).enumerate() {
        page[..8].copy_from_slice(&stamp(index).to_ne_bytes());
    }
    pcm.writei(&sound)?;
    pcm.start()?;
    let window = config.map(&pcm)?;
    let status = StatusPage::new(&pcm)?;
    // The even pages are touched before, the odd ones after.
    let even = (0..PAGES).step_by(2);
    let odd = (1..PAGES).step_by(2);
    for index in even.clone() {
        ensure!(
            window.stamp(index) == stamp(index),
            "page {index} before: {:#x}",
            window.stamp(index)
        );
    }
    let before = frames(&window)?;

    // A child that has the mapping too and looks at it when the device is gone.
    let (gate, release) = (Pipe::new()?, Pipe::new()?);
    let child = Child::spawn(|| {
        let wait = |pipe: &Pipe| pipe.wait().is_ok();
        if !wait(&gate) {
            return 2;
        }
        for index in 0..PAGES {
            if window.stamp(index) != stamp(index) {
                return 3;
            }
        }
        window.set_stamp(PAGES - 1, 0xc41d);
        // Holds the mapping until after the parent has closed all of its own.
        if release.tell().is_err() || !wait(&gate) {
            return 4;
        }
        if window.stamp(PAGES - 1) == 0xc41d {
            0
        } else {
            5
        }
    })?;

    unbind(&device)?;
    expect_gone(&pcm)?;
    let state = status.load().state;
    ensure!(
        state == State::Disconnected,
        "the mapped record says {state:?}"
    );
    let seen = present(&window)?;
    ensure!(
        seen == even.clone().collect::<Vec<_>>(),
        "pages {seen:?} stayed"
    );
    for index in even.clone().chain(odd) {
        ensure!(
            window.stamp(index) == stamp(index),
            "page {index} after: {:#x}",
            window.stamp(index)
        );
    }
    let after = frames(&window)?;
    for index in even {
        ensure!(
            after[index] == before[index],
            "page {index} went from {:?} to {:?}",
            before[index],
            after[index]
        );
    }
    gate.tell()?;
    release.wait()?;
    ensure!(
        window.stamp(PAGES - 1) == 0xc41d,
        "the child's write is not seen"
    );
    window.set_stamp(0, 1);
    ensure!(window.stamp(0) == 1, "page 0 is not writable");

    drop(window);
    drop(status);
    drop(pcm);
    bind(&device)?;
    gate.tell()?;
    let end = child.wait()?;
    ensure!(end == End::Exit(0), "the child: {end:?}");
    card::plays()?;
    watch.quiet()
}

fn again_and_again() -> Outcome {
    let device = Device::of_card()?;
    let mut watch = Watch::new()?;
    let config = Config::of_pages(PAGES);
    for _ in 0..10 {
        let pcm = config.prepare()?;
        let window = config.map(&pcm)?;
        window.set(0, 1);
        card::commit(&pcm, config.frames())?;
        pcm.start()?;
        device.unbind()?;
        window.touch();
        device.bind()?;
    }
    card::plays()?;
    watch.quiet()
}
