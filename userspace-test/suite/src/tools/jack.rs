// SPDX-License-Identifier: MIT OR Apache-2.0
//! Jacks: plugs and unplugs from the host are seen by controls and by input devices.
//!
//! What only the host can do is asked of it by a line of its own, `host: WORD JACK`: `plug` and `unplug`;
//! `flutter`, which is both many times over and leaves it unplugged; `lose`, after which the card loses as many
//! events as its ring holds before the next one. A journey listens.
#![allow(unsafe_code)]

use sgring_suite::binding::Device;
use sgring_suite::control::{Changes, Control, Info, Interface};
use sgring_suite::ensure;
use sgring_suite::tap::{self, Outcome, Test, expect};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "plugged_at_first",
            "D-127: what is plugged is known as soon as the card is there",
            plugged_at_first,
        ),
        Test(
            "unplug_and_plug",
            "D-123: each jack by itself: its control and its input device, and who listens",
            unplug_and_plug,
        ),
        Test(
            "flutter",
            "D-121: after many changes at once, in more than a lap of the ring, the last one holds",
            flutter,
        ),
        Test(
            "lost",
            "D-124: events were lost, and what is plugged is known all the same",
            lost,
        ),
        Test(
            "bound_again",
            "D-127: what has changed while no driver was bound is known afterwards",
            bound_again,
        ),
        Test(
            "nobody_sets_them",
            "controls: what is plugged can be read and not written",
            nobody_sets_them,
        ),
    ])
}

/// A jack: its number, its element, its input device, and the switch of that (`SW_*`).
struct Jack {
    number: u32,
    element: &'static str,
    input: &'static str,
    switch: u16,
}

const JACKS: [Jack; 2] = [
    Jack {
        number: 0,
        element: "Line Out Jack",
        input: "sgring Line Out",
        switch: 6,
    },
    Jack {
        number: 1,
        element: "Line Jack",
        input: "sgring Line",
        switch: 13,
    },
];

fn host(word: &str, jack: u32) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "host: {word} {jack}")?;
    out.flush()
}

/// The node of the input device `name`.
fn node(name: &str) -> io::Result<String> {
    let all = fs::read_to_string("/proc/bus/input/devices")?;
    all.split("\n\n")
        .find(|device| device.contains(&format!("N: Name=\"{name}\"\n")))
        .and_then(|device| device.split_whitespace().find(|w| w.contains("event")))
        .and_then(|word| word.rsplit('=').next())
        .map(|event| format!("/dev/input/{event}"))
        .ok_or_else(|| io::Error::other(format!("no input device {name:?} in\n{all}")))
}

impl Jack {
    fn control(&self) -> io::Result<Control> {
        Control::named(Interface::Card, self.element, 0)
    }

    fn input(&self) -> io::Result<File> {
        File::open(node(self.input)?)
    }

    /// Whether its input device has it switched on: `EVIOCGSW`.
    fn is_on(&self) -> io::Result<bool> {
        const SWITCHES: libc::Ioctl = (2 << 30 | 8 << 16 | 0x45 << 8 | 0x1b) as libc::Ioctl;
        let mut switches = 0_u64;
        let input = self.input()?;
        // SAFETY: The request writes eight bytes.
        match unsafe { libc::ioctl(input.as_raw_fd(), SWITCHES, &raw mut switches) } {
            0.. => Ok(switches >> self.switch & 1 != 0),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Demands that all who can tell say so.
    fn expect(&self, plugged: bool) -> Outcome {
        let element = self.control()?.get()?;
        ensure!(
            element == u32::from(plugged),
            "{} is {element}",
            self.element
        );
        let switch = self.is_on()?;
        ensure!(switch == plugged, "{}: {switch}", self.input);
        Ok(())
    }

    /// Waits until its element tells of a change.
    fn wait(&self, changes: &Changes) -> io::Result<()> {
        let numid = self.control()?.info()?.numid;
        while changes.wait()? != numid {}
        Ok(())
    }

    /// Waits for what its input device tells next, and demands that it is this.
    fn told(&self, input: &mut File, plugged: bool) -> Outcome {
        /// `EV_SW`
        const SWITCH: u16 = 5;
        loop {
            // struct input_event: the time, type, code, value.
            let mut event = [0; 24];
            input.read_exact(&mut event)?;
            let kind = u16::from_ne_bytes([event[16], event[17]]);
            if kind != SWITCH {
                continue;
            }
            let code = u16::from_ne_bytes([event[18], event[19]]);
            let value = i32::from_ne_bytes([event[20], event[21], event[22], event[23]]);
            let expected = (self.switch, i32::from(plugged));
            ensure!((code, value) == expected, "switch {code} is {value}");
            return Ok(());
        }
    }
}

fn plugged_at_first() -> Outcome {
    for jack in &JACKS {
        jack.expect(true)?;
        let info = jack.control()?.info()?;
        ensure!((info.kind, info.count) == (1, 1), "{info:?}");
    }
    Ok(())
}

fn unplug_and_plug() -> Outcome {
    for (jack, other) in [(&JACKS[0], &JACKS[1]), (&JACKS[1], &JACKS[0])] {
        let changes = Changes::new()?;
        let mut input = jack.input()?;
        for plugged in [false, true, false, true] {
            host(if plugged { "plug" } else { "unplug" }, jack.number)?;
            jack.wait(&changes)?;
            jack.told(&mut input, plugged)?;
            jack.expect(plugged)?;
            other.expect(true)?;
            let more = changes.next()?;
            ensure!(more.is_none(), "told of element {more:?} as well");
        }
    }
    Ok(())
}

/// After the host was asked for it: the other jack is unplugged and tells when the card has come to that.
fn after_all_before(changes: &Changes) -> Outcome {
    host("unplug", 1)?;
    JACKS[1].wait(changes)?;
    JACKS[1].expect(false)
}

/// Both plugged, as a test finds them.
fn restore() -> Outcome {
    let changes = Changes::new()?;
    for jack in &JACKS {
        if jack.control()?.get()? == 0 {
            host("plug", jack.number)?;
            jack.wait(&changes)?;
        }
        jack.expect(true)?;
    }
    Ok(())
}

fn flutter() -> Outcome {
    let changes = Changes::new()?;
    host("flutter", 0)?;
    after_all_before(&changes)?;
    JACKS[0].expect(false)?;
    restore()
}

fn lost() -> Outcome {
    let changes = Changes::new()?;
    host("lose", 0)?;
    host("unplug", 0)?;
    JACKS[0].wait(&changes)?;
    JACKS[0].expect(false)?;
    // And what comes after that is told as before.
    after_all_before(&changes)?;
    restore()
}

fn bound_again() -> Outcome {
    let changes = Changes::new()?;
    host("unplug", 0)?;
    JACKS[0].wait(&changes)?;
    drop(changes);
    let device = Device::of_card()?;
    device.unbind()?;
    device.bind()?;
    JACKS[0].expect(false)?;
    JACKS[1].expect(true)?;
    restore()?;
    device.unbind()?;
    host("unplug", 1)?;
    // The host does one thing after the other, and tells of nothing: what follows is told by the card.
    device.bind()?;
    if JACKS[1].control()?.get()? == 1 {
        JACKS[1].wait(&Changes::new()?)?;
    }
    JACKS[1].expect(false)?;
    restore()
}

fn nobody_sets_them() -> Outcome {
    for jack in &JACKS {
        let control = jack.control()?;
        let info = control.info()?;
        ensure!(
            info.access & (Info::READ | Info::WRITE) == Info::READ,
            "{info:?}"
        );
        expect(jack.element, control.set(0), libc::EPERM)?;
        jack.expect(true)?;
    }
    Ok(())
}
