// SPDX-License-Identifier: MIT OR Apache-2.0
//! M15: the card is taken out of the machine, asked first or not, and another one comes.
//!
//! `unplug express`: the card is in a PCI Express slot; `unplug acpi`: anywhere. What only the host can do is
//! asked of it by a line of its own, `host: WORD`: `unplug` the card, `tear` it out, so that it answers no more
//! and nobody is told, `plug` in a new one once the old one is gone. A journey listens.

use cpal_alsa_mmap::sys::{Pcm, State, StatusPage, SwParams};
use sgring_suite::binding::Device;
use sgring_suite::card::{self, Config};
use sgring_suite::control::{self, Control};
use sgring_suite::ensure;
use sgring_suite::fork::{Child, End};
use sgring_suite::gone::{self, expect_gone};
use sgring_suite::kmsg::Watch;
use sgring_suite::pipe::Pipe;
use sgring_suite::proc::{frames, present};
use sgring_suite::slot;
use sgring_suite::tap::{self, Outcome, Stop, Test, expect, note};
use sgring_suite::uevent::Uevents;
use sgring_suite::window::{Window, page};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const ASKED: [Test; 2] = [
    Test(
        "asked_mapped",
        "M15: device_del: what is mapped stays, calls fail, a new card plays",
        || mapped(How::Asked),
    ),
    Test(
        "asked_blocked",
        "M15: device_del: who waits in a call is woken with an error",
        || blocked(How::Asked),
    ),
];

const UNASKED: [Test; 6] = [
    Test(
        "pulled_mapped",
        "M15: pulled out without a word: what is mapped stays, calls fail, a new card plays",
        || mapped(How::Pulled),
    ),
    Test(
        "pulled_blocked",
        "M15: pulled out without a word: who waits in a call is woken with an error",
        || blocked(How::Pulled),
    ),
    Test(
        "dead_mapped",
        "M15: all ones from the card, then it goes: what is mapped stays, calls fail, a new card plays",
        || mapped(How::Dead),
    ),
    Test(
        "dead_blocked",
        "M15: all ones from the card, then it goes: who waits in a call is woken with an error",
        || blocked(How::Dead),
    ),
    Test(
        "dead_calls",
        "M15: all ones from the card: no call believes them, unbind is prompt, binding is refused",
        dead_calls,
    ),
    Test(
        "again_and_again",
        "M15: out and in, many times over",
        again_and_again,
    ),
];

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("express") => tap::run(&[&ASKED[..], &UNASKED].concat()),
        Some("acpi") => tap::run(&ASKED),
        _ => {
            eprintln!("usage: unplug express|acpi");
            ExitCode::from(2)
        }
    }
}

const PAGES: usize = 16;
/// Guest time in which a hang shows; a removal takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Guest time, ms, in which a guest must begin to let go of the card; the host's part is in it, and guest time
/// that is skipped.
const DEAF: i32 = 300_000;

/// How the card goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// The host asks the guest for it.
    Asked,
    /// It is pulled out; the port sees that.
    Pulled,
    /// The card is dead, and nobody knows; then as `Pulled`.
    Dead,
}

/// Asks the host for something.
fn ask(what: &str) -> io::Result<()> {
    println!("host: {what}");
    io::stdout().flush()
}

/// A stream that is open, prepared, and not started.
fn idle() -> io::Result<Pcm> {
    Config::of_pages(2).prepare()
}

/// Has the host make the card dead. `probe` is an [`idle`] stream.
fn tear(probe: &Pcm) -> Outcome {
    ask("tear")?;
    // The host does it at some time soon: until then the card answers.
    loop {
        match probe.prepare() {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(()),
            Err(error) => return Err(Stop::Fail(format!("PREPARE of a dead card: {error}"))),
        }
    }
}

/// What tells that the card is on its way out, and that it is gone.
struct Leaving {
    control: File,
    events: Uevents,
}

impl Leaving {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            control: control::events()?,
            events: Uevents::new()?,
        })
    }

    /// Waits until the card is disconnected, and on until it is removed, for which nobody is waited for.
    fn wait(mut self, device: &Path) -> Outcome {
        let events = gone::poll(self.control.as_raw_fd(), DEAF)?;
        if events == 0 {
            return Err(Stop::Fail(deaf()));
        }
        let start = Instant::now();
        ensure!(
            events == libc::POLLERR | libc::POLLNVAL,
            "the control device says {events:#x}"
        );
        expect(
            "reading its events",
            self.control.read(&mut [0; 64]),
            libc::ENODEV,
        )?;
        wait_removed(&self.events, device)?;
        let took = start.elapsed();
        note(format_args!(
            "removed {} us after it was disconnected",
            took.as_micros()
        ));
        ensure!(took < PATIENCE, "removing took {took:?}");
        // It is told of just before its folder goes.
        while device.exists() {
            ensure!(start.elapsed() < PATIENCE, "the device is still there");
            std::thread::yield_now();
        }
        ensure!(card::number().is_err(), "the card is still there");
        Ok(())
    }
}

/// What there is to know of a guest that does not let go of its card: whether it was asked, and, in the kernel's
/// log, who waits for what.
fn deaf() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let interrupts = read("/proc/interrupts");
    let asked = interrupts
        .lines()
        .find(|line| line.ends_with("acpi"))
        .unwrap_or("none");
    let gpe = read("/sys/firmware/acpi/interrupts/gpe01");
    for task in ["w", "t"] {
        // Without it the log says less.
        let _ = fs::write("/proc/sysrq-trigger", task);
    }
    format!("nobody disconnects the card; ACPI interrupts: {asked}; of hot-plug: {gpe}")
}

fn wait_removed(events: &Uevents, device: &Path) -> io::Result<()> {
    let device = device.to_string_lossy();
    events.wait_for("remove", |path| device.strip_prefix("/sys") == Some(path))
}

/// Takes the card away, and demands that this waits for nobody. `probe` is an [`idle`] stream.
fn away(how: How, probe: &Pcm) -> Outcome {
    let device = card::pci_device()?;
    let leaving = Leaving::listen()?;
    match how {
        How::Asked => ask("unplug")?,
        How::Pulled => slot::pull(&device)?,
        How::Dead => {
            tear(probe)?;
            slot::pull(&device)?;
        }
    }
    leaving.wait(&device)?;
    if how != How::Asked {
        slot::wait_off(&device)?;
    }
    Ok(())
}

/// Has a new card plugged in, and plays something on it.
fn back() -> Outcome {
    let events = Uevents::new()?;
    ask("plug")?;
    while card::number().is_err() {
        events.wait_for("bind", |path| path.contains("/pci"))?;
    }
    card::plays()
}

fn stamp(index: usize) -> u64 {
    0x5167_0000 + index as u64
}

/// A substream with its ring mapped: even pages touched, odd ones not.
struct Witness {
    what: &'static str,
    on_card: bool,
    pcm: Pcm,
    window: Window,
    status: StatusPage,
}

impl Witness {
    fn new(what: &'static str, on_card: bool, playing: bool) -> Result<Self, Stop> {
        let config = Config::of_pages(PAGES);
        let pcm = card::open()?;
        let number = pcm.info()?.subdevice;
        Control::of("Ring Memory Playback Enum", number)?.set(on_card.into())?;
        config.apply(&pcm)?;
        // Plays round and round for as long as it takes, and no silence over the stamps.
        pcm.sw_params(&SwParams {
            silence_size: 0,
            ..SwParams::free_running(u64::from(config.period))
        })?;
        pcm.prepare()?;
        let mut sound = vec![0; config.bytes()];
        for (index, page) in sound.chunks_mut(page()).enumerate() {
            page[..8].copy_from_slice(&stamp(index).to_ne_bytes());
        }
        pcm.writei(&sound)?;
        let witness = Self {
            what,
            on_card,
            window: config.map(&pcm)?,
            status: StatusPage::new(&pcm)?,
            pcm,
        };
        for index in (0..PAGES).step_by(2) {
            let seen = witness.window.stamp(index);
            ensure!(seen == stamp(index), "{what}: page {index}: {seen:#x}");
        }
        if playing {
            witness.pcm.start()?;
        }
        Ok(witness)
    }

    /// What page `index` shows when the card is gone.
    fn after(&self, index: usize) -> u64 {
        if self.on_card { 0 } else { stamp(index) }
    }

    /// A child's look: the first page that is not right.
    fn wrong(&self) -> Option<usize> {
        (0..PAGES).find(|&index| self.window.stamp(index) != self.after(index))
    }

    fn check(&self, before: &[Option<u64>]) -> Outcome {
        let what = self.what;
        let state = self.status.load().state;
        ensure!(
            state == State::Disconnected,
            "{what}: the mapped record says {state:?}"
        );
        // Pages of main memory may have been taken out with the card's: a touch brings the same again.
        let seen = present(&self.window)?;
        ensure!(
            seen.is_empty() || !self.on_card,
            "{what}: pages {seen:?} stayed"
        );
        ensure!(
            self.wrong().is_none(),
            "{what}: page {:?} is not right",
            self.wrong()
        );
        let after = frames(&self.window)?;
        for index in (0..PAGES).step_by(2) {
            ensure!(
                (after[index] == before[index]) != self.on_card,
                "{what}: page {index}: frame {:?}, before {:?}",
                after[index],
                before[index]
            );
        }
        expect_gone(&self.pcm)
    }
}

fn mapped(how: How) -> Outcome {
    let mut watch = Watch::new()?;
    let probe = idle()?;
    let witnesses = [
        Witness::new("main memory, playing", false, true)?,
        Witness::new("the card's memory, playing", true, true)?,
        Witness::new("main memory, stopped", false, false)?,
        Witness::new("the card's memory, stopped", true, false)?,
    ];
    let before: Vec<_> = witnesses
        .iter()
        .map(|witness| frames(&witness.window))
        .collect::<Result<_, _>>()?;

    // A child with the same mappings, which looks at them for itself and outlives the parent's.
    let (gate, release) = (Pipe::new()?, Pipe::new()?);
    let child = Child::spawn(|| {
        if gate.wait().is_err() {
            return 100;
        }
        for (number, witness) in (10..).zip(&witnesses) {
            if witness.wrong().is_some() {
                return number;
            }
            witness.window.set_stamp(PAGES - 1, 0xc41d);
        }
        if release.tell().is_err() || gate.wait().is_err() {
            return 101;
        }
        let kept = |witness: &Witness| witness.window.stamp(PAGES - 1) == 0xc41d;
        i32::from(!witnesses.iter().all(kept))
    })?;

    away(how, &probe)?;
    for (witness, before) in witnesses.iter().zip(&before) {
        witness.check(before)?;
    }
    gate.tell()?;
    release.wait()?;
    for witness in &witnesses {
        let what = witness.what;
        ensure!(
            witness.window.stamp(PAGES - 1) == 0xc41d,
            "{what}: the child's write is not seen"
        );
        witness.window.set_stamp(0, 1);
        ensure!(witness.window.stamp(0) == 1, "{what}: not writable");
    }
    // A new card, while all this is still there.
    back()?;
    for witness in witnesses {
        expect_gone(&witness.pcm)?;
    }
    drop(probe);
    card::plays()?;
    gate.tell()?;
    let end = child.wait()?;
    ensure!(end == End::Exit(0), "the child: {end:?}");
    card::plays()?;
    let lines = watch.lines()?;
    let ours = lines.iter().filter(|line| line.contains("sgring")).count();
    ensure!(ours < 20, "{ours} lines in the log");
    Ok(())
}

/// 0 if `result` is what a card gives that is gone.
fn is_gone<T>(what: &str, result: io::Result<T>) -> i32 {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => 0,
        Err(error) => {
            note(format_args!("{what}: {error}"));
            1
        }
        Ok(_) => {
            note(format_args!("{what}: success"));
            1
        }
    }
}

/// 0 if `result` is what who waited for frames gets from a card that is gone, and a call after that.
fn was_woken(what: &str, result: io::Result<usize>, pcm: &Pcm) -> i32 {
    match result {
        // The core's word for a state in which no frame moves any more.
        Err(error) if error.raw_os_error() == Some(libc::EBADFD) => {
            is_gone("a call after that", pcm.status())
        }
        result => is_gone(what, result),
    }
}

fn blocked(how: How) -> Outcome {
    let mut watch = Watch::new()?;
    let probe = idle()?;
    let mut children = Vec::new();

    let config = Config::patient();
    let written = config.prepare()?;
    // A machine that stands still for a while is no xrun: nobody but the card's end wakes who waits.
    let endless = SwParams::free_running(config.period.into());
    written.sw_params(&endless)?;
    let sound = vec![0; config.bytes()];
    written.writei(&sound)?;
    written.start()?;
    let writer = Child::spawn(|| {
        loop {
            match written.writei(&sound[..config.frame_bytes() * 8]) {
                Ok(_) => {}
                result => return was_woken("write", result, &written),
            }
        }
    })?;
    children.push(("write", writer));

    // The slowest way through the largest ring: minutes, which no host needs for its part.
    let config = Config {
        rate: 8_000,
        channels: 1,
        ..Config::of_pages(card::largest_ring()? / page())
    };
    let drained = config.prepare()?;
    drained.writei(&vec![0; config.bytes()])?;
    drained.start()?;
    children.push(("drain", Child::spawn(|| is_gone("DRAIN", drained.drain()))?));
    while drained.sync_ptr(Default::default())?.status.state != State::Draining {
        std::thread::yield_now();
    }

    let polled = Config::patient().open()?;
    polled.sw_params(&SwParams::free_running(i64::MAX as u64))?;
    polled.prepare()?;
    card::commit(&polled, 1)?;
    polled.start()?;
    let poller = Child::spawn(|| match polled.poll(None) {
        Ok(libc::POLLERR) => is_gone("after poll()", polled.status()),
        other => {
            note(format_args!("poll(): {other:?}"));
            1
        }
    })?;
    children.push(("poll", poller));

    let recorded = Config::patient().prepare_on(card::open_capture()?)?;
    recorded.sw_params(&endless)?;
    recorded.start()?;
    let reader = Child::spawn(|| {
        let mut sound = vec![0; 4 * 240];
        loop {
            match recorded.readi(&mut sound) {
                Ok(_) => {}
                result => return was_woken("read", result, &recorded),
            }
        }
    })?;
    children.push(("read", reader));

    away(how, &probe)?;
    for (what, child) in children {
        let end = child.wait()?;
        ensure!(end == End::Exit(0), "{what}: {end:?}");
    }
    for pcm in [&written, &drained, &polled, &recorded, &probe] {
        expect_gone(pcm)?;
    }
    back()?;
    watch.quiet()
}

/// The driver stays with a card that is dead, and nobody tells it.
fn dead_calls() -> Outcome {
    let mut watch = Watch::new()?;
    let device = Device::of_card()?;
    let path = card::pci_device()?;
    let probe = idle()?;
    let ram = Witness::new("main memory", false, true)?;
    let sram = Witness::new("the card's memory", true, true)?;
    let memory = |witness: &Witness| -> io::Result<Control> {
        Control::of("Ring Memory Playback Enum", witness.pcm.info()?.subdevice)
    };
    tear(&probe)?;

    // Nothing that the card must do is said to be done.
    expect("PREPARE", probe.prepare(), libc::ENODEV)?;
    expect("to the card", memory(&ram)?.set(1), libc::ENODEV)?;
    expect("from the card", memory(&sram)?.set(0), libc::ENODEV)?;
    // The position stands still; it does not jump to where all ones would have it.
    let stands = ram.pcm.status()?.hw_ptr;
    for _ in 0..100 {
        let now = ram.pcm.status()?.hw_ptr;
        ensure!(now == stands, "the position goes from {stands} to {now}");
    }
    // Stopping works, whatever the card says, and frees what there is.
    ram.pcm.drop_frames()?;
    expect("PREPARE after DROP", ram.pcm.prepare(), libc::ENODEV)?;
    drop(ram);
    drop(idle().err());

    let start = Instant::now();
    device.unbind()?;
    let took = start.elapsed();
    ensure!(took < PATIENCE, "unbind took {took:?}");
    ensure!(
        sram.wrong().is_none(),
        "page {:?} is no zeros after unbind",
        sram.wrong()
    );
    expect_gone(&sram.pcm)?;
    expect("binding a dead card", device.bind(), libc::ENODEV)?;

    let events = Uevents::new()?;
    slot::pull(&path)?;
    wait_removed(&events, &path)?;
    slot::wait_off(&path)?;
    // There is nothing left to bind again.
    std::mem::forget(device);
    back()?;
    expect_gone(&sram.pcm)?;
    watch.quiet()
}

fn again_and_again() -> Outcome {
    let mut watch = Watch::new()?;
    for round in 0..6 {
        let probe = idle()?;
        let config = Config::of_pages(PAGES);
        let pcm = config.prepare()?;
        let window = config.map(&pcm)?;
        window.set(0, 1);
        card::commit(&pcm, config.frames())?;
        pcm.start()?;
        let how = [How::Asked, How::Pulled, How::Dead][round % 3];
        away(how, &probe)?;
        window.touch();
        back()?;
    }
    watch.quiet()
}
