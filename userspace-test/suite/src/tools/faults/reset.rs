// SPDX-License-Identifier: MIT OR Apache-2.0
//! A card that does not come out of its reset: nothing that a client does needs one; it must not be left with memory
//! that is not its own, nor be taken for one that works.

use crate::host::{self, Faults};
use crate::streams::{How, Stream, answers, exact, well};
use sgring_suite::binding::Device;
use sgring_suite::card;
use sgring_suite::control::{Control, Interface};
use sgring_suite::ensure;
use sgring_suite::gone::expect_gone;
use sgring_suite::kmsg::Watch;
use sgring_suite::tap::{Outcome, Stop, expect, note};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Guest time in which a card that hangs is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Open, play, record, close: none of it needs a reset.
pub fn clients() -> Outcome {
    let watch = Watch::new()?;
    let faults = Faults::one("reset-hangs", true)?;
    for how in How::ALL {
        let mut stream = Stream::endless(how, 8)?;
        stream.heal()?;
        drop(stream.window.take());
        stream.pcm.hw_free()?;
    }
    exact()?;
    answers()?;
    faults.end()?;
    well(watch)
}

/// Whether the card may reach memory.
fn is_master(device: &Path) -> Result<bool, Stop> {
    /// `PCI_COMMAND` and `PCI_COMMAND_MASTER` of linux/pci_regs.h.
    const COMMAND: u64 = 4;
    const MASTER: u8 = 4;
    let mut command = [0];
    File::open(device.join("config"))?.read_exact_at(&mut command, COMMAND)?;
    Ok(command[0] & MASTER != 0)
}

pub fn at_unbind() -> Outcome {
    let mut watch = Watch::new()?;
    let device = Device::of_card()?;
    let path = card::pci_device()?;
    let streams = [
        Stream::endless(How::Mapped, 20)?,
        Stream::endless(How::MappedCapture, 20)?,
        Stream::prepared(How::Written, 20)?,
    ];
    let faults = Faults::one("reset-hangs", true)?;
    ensure!(is_master(&path)?, "it reaches no memory before");
    let start = Instant::now();
    device.unbind()?;
    let took = start.elapsed();
    note(format_args!("unbound after {took:?}"));
    ensure!(took < PATIENCE, "unbind took {took:?}");
    let lines = watch.lines()?;
    ensure!(
        lines.iter().any(|line| line.contains("reset")),
        "nobody was told: {lines:?}"
    );
    // It may still have a ring of events, in memory that was given back.
    ensure!(!is_master(&path)?, "it still reaches memory");
    host::set("jack0 false jack0 true jack1 false jack1 true")?;
    for stream in &streams {
        stream.touch();
        expect_gone(&stream.pcm)?;
    }

    // Nor is it bound as it is.
    let start = Instant::now();
    expect("bind", device.bind(), libc::EIO)?;
    let took = start.elapsed();
    ensure!(took < PATIENCE, "bind took {took:?}");
    ensure!(!device.is_bound(), "it is bound");
    ensure!(
        !is_master(&path)?,
        "it reaches memory after a probe that failed"
    );
    expect("bind again", device.bind(), libc::EIO)?;

    faults.end()?;
    device.bind()?;
    let jack = Control::named(Interface::Card, "Line Jack", 0)?;
    ensure!(jack.get()? == 1, "the jack is not plugged");
    drop(streams);
    well(watch)
}
