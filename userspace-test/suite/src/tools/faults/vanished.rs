// SPDX-License-Identifier: MIT OR Apache-2.0
//! A card that is gone without a word, under streams in every state, and comes back.
//!
//! Nobody tells the guest: the driver stays, with a card that answers all ones.

use crate::host::{self, Faults};
use crate::streams::{How, Stream, last, status, waiting, waits, well};
use cpal_alsa_mmap::sys::State;
use sgring_suite::binding::Device;
use sgring_suite::card;
use sgring_suite::control::{self, Control, Interface};
use sgring_suite::ensure;
use sgring_suite::fork::{Child, End};
use sgring_suite::gone::expect_gone;
use sgring_suite::kmsg::Watch;
use sgring_suite::tap::{Outcome, Stop, expect, note};
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Guest time in which a hang shows.
const PATIENCE: Duration = Duration::from_secs(10);

/// How it comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Back {
    /// The dead device is removed, the card put in, the bus looked at again.
    Rescan,
    /// The driver is taken away before.
    Unbind,
    /// The card is put in under the driver, which does not know; what it was told is forgotten.
    Unnoticed,
}

pub fn rescanned() -> Outcome {
    gone(Back::Rescan)
}

pub fn unbound() -> Outcome {
    gone(Back::Unbind)
}

pub fn unnoticed() -> Outcome {
    gone(Back::Unnoticed)
}

/// Takes the dead device out of the kernel's lists.
fn remove(device: &Path) -> Outcome {
    let start = Instant::now();
    fs::write(device.join("remove"), "1")?;
    let took = start.elapsed();
    ensure!(took < PATIENCE, "removing took {took:?}");
    ensure!(!device.exists(), "the device is still there");
    Ok(())
}

/// A test that fails leaves a card that works to the next one.
struct Home;

impl Drop for Home {
    fn drop(&mut self) {
        if card::plays().is_err() {
            if let Ok(path) = card::pci_device() {
                let _ = remove(&path);
            }
            let _ = rescan();
        }
    }
}

/// Has the kernel look for new devices, and plays on the card that it finds.
fn rescan() -> Outcome {
    fs::write("/sys/bus/pci/rescan", "1")?;
    card::number()?;
    card::plays()
}

fn until_error(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<()> {
    loop {
        call()?;
    }
}

fn gone(back: Back) -> Outcome {
    let watch = Watch::new()?;
    let _home = Home;
    let device = Device::of_card()?;
    let path = card::pci_device()?;
    let events = control::events()?;

    let idle = Stream::prepared(How::Written, 20)?;
    let mapped = Stream::endless(How::Mapped, 20)?;
    let recorded = Stream::endless(How::MappedCapture, 20)?;
    let paused = Stream::endless(How::Mapped, 20)?;
    paused.pcm.pause(true)?;

    let written = Stream::running(How::Written, 100)?;
    let writer = waiting("write", libc::EIO, || {
        until_error(|| written.pcm.writei(&[0; 4 * 480]))
    })?;
    let read = Stream::running(How::Read, 100)?;
    let reader = waiting("read", libc::EIO, || {
        until_error(|| read.pcm.readi(&mut [0; 4 * 480]))
    })?;
    // Waits for as many frames as never come.
    let polled = Stream::endless(How::MappedCapture, 20)?;
    let poller = Child::spawn(|| {
        loop {
            match polled.pcm.poll(None) {
                Ok(events) if events & libc::POLLERR != 0 => return 0,
                Ok(_) => {
                    let at = polled.pcm.sync_ptr(Default::default());
                    let at = at.map_or(0, |reply| reply.status.hw_ptr);
                    let _ = card::commit(&polled.pcm, at);
                }
                Err(error) => {
                    note(format_args!("poll(): {error}"));
                    return 1;
                }
            }
        }
    })?;
    // Last, since it ends by itself: there are two seconds for the host to answer.
    let drained = Stream::running(How::Mapped, 200)?;
    let drainer = waiting("DRAIN", libc::EIO, || drained.pcm.drain())?;
    for child in [&writer, &drainer, &reader] {
        waits(child)?;
    }
    let faults = Faults::one("vanished", true)?;

    // Nobody knows, and nothing that the card must do is said to be done.
    let stands = [&mapped, &recorded].map(Stream::position);
    last(50);
    for (stream, stands) in [&mapped, &recorded].into_iter().zip(stands) {
        let (now, stands) = (stream.pcm.status()?, stands?);
        ensure!(
            now.hw_ptr == stands && now.state == State::Running,
            "{:?}: {:?}, from {stands} to {}",
            stream.how,
            now.state,
            now.hw_ptr
        );
        stream.touch();
    }
    expect("START", idle.pcm.start(), libc::ENODEV)?;
    expect("PREPARE", idle.pcm.prepare(), libc::ENODEV)?;
    expect("on after a pause", paused.pcm.pause(false), libc::ENODEV)?;
    expect("open", card::open().map(drop), 0)?;
    status()?;
    Control::named(Interface::Mixer, "PCM Playback Volume", 3)?.get_all(2)?;
    for (what, child) in [("write", writer), ("DRAIN", drainer), ("read", reader)] {
        let end = child.wait()?;
        ensure!(end == End::Exit(0), "{what}: {end:?}");
    }
    mapped.pcm.drop_frames()?;
    expect("PREPARE after DROP", mapped.pcm.prepare(), libc::ENODEV)?;

    let faults = match back {
        Back::Rescan => Some(faults),
        Back::Unbind => {
            let start = Instant::now();
            device.unbind()?;
            let took = start.elapsed();
            ensure!(took < PATIENCE, "unbind took {took:?}");
            expect("bind, dead", device.bind(), libc::ENODEV)?;
            faults.end()?;
            // Put in anew it has no addresses: only the bus can give it some.
            expect("bind, put in", device.bind(), libc::ENODEV)?;
            None
        }
        Back::Unnoticed => {
            faults.end()?;
            expect("PREPARE, put in", idle.pcm.prepare(), libc::ENODEV)?;
            expect("START, put in", paused.pcm.pause(false), libc::ENODEV)?;
            None
        }
    };
    remove(&path)?;
    let end = poller.wait()?;
    ensure!(end == End::Exit(0), "poll(): {end:?}");
    let streams = [
        &idle, &mapped, &recorded, &paused, &written, &drained, &read, &polled,
    ];
    for stream in streams {
        stream.touch();
        expect_gone(&stream.pcm)?;
    }
    let seen = sgring_suite::gone::poll(std::os::fd::AsRawFd::as_raw_fd(&events), 0)?;
    ensure!(
        seen == libc::POLLERR | libc::POLLNVAL,
        "who listens to the controls is told {seen:#x}"
    );
    if let Some(faults) = faults {
        faults.end()?;
    }
    // There is nothing left to bind again.
    std::mem::forget(device);
    rescan()?;
    for stream in streams {
        expect_gone(&stream.pcm)?;
    }
    // What was plugged while nobody looked is known.
    host::set("jack0 true jack1 true")?;
    well(watch)
}

/// With no stream at all, and out and in again before anybody looks.
pub fn idle() -> Outcome {
    let watch = Watch::new()?;
    let _home = Home;
    for _ in 0..3 {
        let path = card::pci_device()?;
        let faults = Faults::one("vanished", true)?;
        status()?;
        expect_no_stream()?;
        faults.end()?;
        expect_no_stream()?;
        remove(&path)?;
        rescan()?;
    }
    well(watch)
}

/// Opening needs no card; what needs one says that there is none.
fn expect_no_stream() -> Result<(), Stop> {
    let pcm = card::open()?;
    expect(
        "PREPARE",
        crate::streams::config(How::Written, 4)
            .apply(&pcm)
            .and_then(|()| pcm.prepare()),
        libc::ENODEV,
    )
}
