// SPDX-License-Identifier: MIT OR Apache-2.0
//! M15: the module goes when nobody uses it, not before, and comes back.

use sgring_suite::binding::{self, Device, Loaded, MODULE};
use sgring_suite::card::{self, Config, commit};
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::fork::{self, Child, End};
use sgring_suite::kmsg::Watch;
use sgring_suite::pipe::Pipe;
use sgring_suite::proc::{free_memory, kept_memory};
use sgring_suite::raw::delete_module;
use sgring_suite::tap::{self, Outcome, Test, expect, note};
use std::process::ExitCode;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "in_use",
            "M15: rmmod fails while the card is open or mapped",
            in_use,
        ),
        Test(
            "in_use_on_card",
            "M12, M15: with a ring on the card mapped rmmod fails too, also after unbind; then the module goes",
            in_use_on_card,
        ),
        Test("cycle", "M15: rmmod and modprobe, many times over", cycle),
        Test(
            "nothing_is_left",
            "M15: rmmod gives back all memory",
            nothing_is_left,
        ),
    ])
}

fn in_use() -> Outcome {
    let _loaded = Loaded;
    let mut watch = Watch::new()?;
    let config = Config::of_pages(4);
    let pcm = config.prepare()?;
    expect("rmmod while open", delete_module(MODULE), libc::EWOULDBLOCK)?;
    let window = config.map(&pcm)?;
    window.touch();
    drop(pcm);
    expect(
        "rmmod while mapped",
        delete_module(MODULE),
        libc::EWOULDBLOCK,
    )?;
    // A mapping that a child inherited holds it as well.
    let end = fork::run(|| {
        let result = delete_module(MODULE);
        i32::from(result.err().and_then(|e| e.raw_os_error()) != Some(libc::EWOULDBLOCK))
    })?;
    ensure!(end == End::Exit(0), "rmmod in a child: {end:?}");
    drop(window);
    ensure!(binding::is_loaded(), "the module is gone");
    card::plays()?;
    watch.quiet()
}

/// Whether `delete_module()` says that the module is in use.
fn is_in_use() -> bool {
    let result = delete_module(MODULE);
    result.err().and_then(|e| e.raw_os_error()) == Some(libc::EWOULDBLOCK)
}

fn in_use_on_card() -> Outcome {
    let _loaded = Loaded;
    let mut watch = Watch::new()?;
    let device = Device::of_card()?;
    Control::playback_memory()?.set(1)?;
    let config = Config::of_pages(8);
    let pcm = config.prepare()?;
    let window = config.map(&pcm)?;
    for index in 0..4 {
        window.set_stamp(index, 0xdead);
    }
    commit(&pcm, config.frames())?;
    pcm.start()?;
    drop(pcm);
    ensure!(is_in_use(), "rmmod while mapped");
    let (gate, release) = (Pipe::new()?, Pipe::new()?);
    let child = Child::spawn(|| {
        if gate.wait().is_err() {
            return 1;
        }
        if (0..8).any(|index| window.stamp(index) != 0) {
            return 2;
        }
        window.set_stamp(7, 1);
        if window.stamp(7) != 1 || !is_in_use() {
            return 3;
        }
        i32::from(release.tell().is_err())
    })?;
    device.unbind()?;
    ensure!(is_in_use(), "rmmod after unbind, mapped");
    for index in 0..8 {
        let stamp = window.stamp(index);
        ensure!(stamp == 0, "page {index} after unbind: {stamp:#x}");
    }
    drop(window);
    // The child's mapping alone.
    ensure!(is_in_use(), "rmmod with a child's mapping");
    gate.tell()?;
    release.wait()?;
    let end = child.wait()?;
    ensure!(end == End::Exit(0), "the child: {end:?}");
    delete_module(MODULE)?;
    ensure!(!binding::is_loaded(), "the module is still there");
    // It binds to the device by itself.
    binding::load(&[])?;
    card::plays()?;
    watch.quiet()
}

fn cycle() -> Outcome {
    let _loaded = Loaded;
    let mut watch = Watch::new()?;
    for round in 0..5 {
        card::plays()?;
        delete_module(MODULE)?;
        ensure!(!binding::is_loaded(), "round {round}: still loaded");
        ensure!(
            card::number().is_err(),
            "round {round}: the card is still there"
        );
        binding::load(&[])?;
    }
    card::plays()?;
    watch.quiet()
}

fn nothing_is_left() -> Outcome {
    let _loaded = Loaded;
    let mut watch = Watch::new()?;
    let round = || -> Outcome {
        let config = Config::of_pages(card::largest_ring()? / sgring_suite::window::page());
        {
            let pcm = config.open()?;
            config.map(&pcm)?.touch();
        }
        delete_module(MODULE)?;
        binding::load(&[])?;
        Ok(())
    };
    for _ in 0..2 {
        round()?;
    }
    let before = free_memory()?;
    for _ in 0..6 {
        round()?;
    }
    let after = free_memory()?;
    let lost = before.saturating_sub(after);
    note(format_args!("{lost} kB fewer are free after 6 rounds"));
    // A ring lost in each round is 12 MiB, the module itself about as much as the bound.
    ensure!(lost < kept_memory(2048)?, "{lost} kB lost");
    watch.quiet()
}
