// SPDX-License-Identifier: MIT OR Apache-2.0
//! M15: whatever allocation fails, in whichever call, the call fails cleanly or succeeds, and the next one works.
//!
//! Each call is made again and again: its first allocation fails, then its second, and so on until there is
//! none left; of bind and unbind a sample, all with `SGRING_ALLOCATIONS=1`. Needs a kernel that can let allocations
//! fail.

use cpal_alsa_mmap::sys::{Direction, OpenOptions, Pcm, Protection, State};
use sgring_suite::binding::Device;
use sgring_suite::card::{self, Config};
use sgring_suite::control::{self, Control};
use sgring_suite::ensure;
use sgring_suite::fail::{Failures, Tally};
use sgring_suite::fork::{self, End};
use sgring_suite::kmsg::Watch;
use sgring_suite::proc::{kept_memory, settled_memory};
use sgring_suite::tap::{self, Outcome, Stop, Test, note};
use sgring_suite::window::{Window, page};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

const PAGES: usize = 16;
const RAM: u32 = 0;
const SRAM: u32 = 1;

/// No memory; and a copy from or to user space that fails, which the kernel counts among allocations.
const ERRORS: [i32; 2] = [libc::ENOMEM, libc::EFAULT];

fn main() -> ExitCode {
    tap::run(&[
        Test("open", "M15: open() and close()", open),
        Test(
            "hw_params",
            "M15: hw_params(), a first ring and another",
            hw_params,
        ),
        Test(
            "prepare_and_write",
            "M15: prepare(), write()",
            prepare_and_write,
        ),
        Test("mmap", "M15: mmap()", mmap),
        Test(
            "fault",
            "M15: a touch, by the process and by the kernel",
            fault,
        ),
        Test(
            "split_and_move",
            "M15: mprotect() of a part, mremap(): the mapping stays or changes whole",
            split_and_move,
        ),
        Test(
            "fork",
            "M4, M15: fork() with the ring mapped: counts are right",
            forks,
        ),
        Test(
            "migration",
            "M15, M17: the ring moves, or stays with every byte",
            migration,
        ),
        Test(
            "controls",
            "M15: controls: opening, listening, reading; writing without a ring",
            controls,
        ),
        Test(
            "probe",
            "M15: bind: a probe that fails leaves nothing",
            probe,
        ),
    ])
}

/// Runs `body` and demands that failures came, and no memory went.
fn checked(body: impl Fn(&Failures) -> Result<Tally, Stop>) -> Outcome {
    let failures = Failures::new()?;
    let mut watch = Watch::new()?;
    let before = settled_memory()?;
    let tally = body(&failures)?;
    let after = settled_memory()?;
    ensure!(tally.injected > 0, "no allocation failed");
    let free = before.0.saturating_sub(after.0);
    let objects = after.1.saturating_sub(before.1);
    note(format_args!(
        "{} failures; {free} kB fewer are free, {objects} kB more are the kernel's objects",
        tally.injected
    ));
    // Lists of free pages and objects fill, once; a ring that is lost with each failure is more.
    let most = kept_memory(2048)?;
    ensure!(free < most, "{free} kB lost");
    ensure!(objects < most, "{objects} kB of objects more");
    card::plays()?;
    watch.quiet()
}

fn path(letter: char) -> Result<PathBuf, Stop> {
    Ok(format!("/dev/snd/pcmC{}D0{letter}", card::number()?).into())
}

/// Demands that the call is refused for want of memory at least once.
fn some_refused(tally: Tally) -> Result<Tally, Stop> {
    ensure!(
        tally.errors.contains_key(&libc::ENOMEM),
        "none of {} failures was ENOMEM",
        tally.injected
    );
    Ok(tally)
}

fn open() -> Outcome {
    for (letter, direction) in [('p', Direction::Playback), ('c', Direction::Capture)] {
        let path = path(letter)?;
        let open = || Pcm::open_path(&path, direction, OpenOptions::default());
        checked(|failures| {
            some_refused(failures.each(
                "open",
                &ERRORS,
                || Ok(()),
                |()| open(),
                |(), pcm| {
                    drop(pcm);
                    let pcm = open()?;
                    let state = pcm.status()?.state;
                    ensure!(state == State::Open, "state {state:?}");
                    Ok(())
                },
            )?)
        })?;
    }
    Ok(())
}

fn hw_params() -> Outcome {
    let config = Config::of_pages(PAGES);
    for memory in [RAM, SRAM] {
        let _memory = Control::playback_memory()?.changed(memory)?;
        for before in [0, 3] {
            checked(|failures| {
                some_refused(failures.each(
                    &format!("hw_params in {memory}, after a ring of {before} pages"),
                    &ERRORS,
                    || {
                        let pcm = card::open()?;
                        if before != 0 {
                            Config::of_pages(before).apply(&pcm)?;
                        }
                        Ok(pcm)
                    },
                    |pcm| config.apply(pcm),
                    |pcm, _| {
                        config.apply(&pcm)?;
                        config.map(&pcm)?.touch();
                        Ok(())
                    },
                )?)
            })?;
        }
    }
    Ok(())
}

fn prepare_and_write() -> Outcome {
    let config = Config::of_pages(PAGES);
    let sound = vec![0x11; config.bytes()];
    for memory in [RAM, SRAM] {
        let _memory = Control::playback_memory()?.changed(memory)?;
        checked(|failures| {
            failures.each(
                "prepare and write",
                &ERRORS,
                || Ok(config.prepare()?),
                |pcm| pcm.prepare().and_then(|()| pcm.writei(&sound)),
                |pcm, _| {
                    pcm.prepare()?;
                    let frames = pcm.writei(&sound)?;
                    ensure!(frames as u64 == config.frames(), "{frames} frames written");
                    Ok(())
                },
            )
        })?;
    }
    Ok(())
}

fn mmap() -> Outcome {
    let config = Config::of_pages(PAGES);
    checked(|failures| {
        some_refused(failures.each(
            "mmap",
            &ERRORS,
            || Ok(config.open()?),
            |pcm| config.map(pcm),
            |pcm, window| {
                // Refused, it is not counted; made, it is until it goes.
                drop(window);
                config.apply(&pcm)?;
                config.map(&pcm)?.touch();
                Ok(())
            },
        )?)
    })
}

fn fault() -> Outcome {
    // So long that no other mapping shares all of its page tables.
    let config = Config::of_pages(card::largest_ring()? / page());
    for memory in [RAM, SRAM] {
        let _memory = Control::playback_memory()?.changed(memory)?;
        let mapped = || {
            let pcm = config.open()?;
            let window = config.map(&pcm)?;
            Ok((window, pcm))
        };
        let whole = |(window, pcm): (Window, Pcm)| {
            for index in 0..window.pages() {
                window.set_stamp(index, index as u64);
            }
            let right = (0..window.pages()).all(|index| window.stamp(index) == index as u64);
            ensure!(right, "a page is wrong");
            drop(window);
            Ok(config.apply(&pcm)?)
        };
        checked(|failures| {
            // The kernel brings the pages and says what it could not: nothing is copied.
            some_refused(failures.each(
                &format!("MADV_POPULATE_WRITE in {memory}"),
                &[libc::ENOMEM],
                mapped,
                |(window, _)| window.advise(libc::MADV_POPULATE_WRITE),
                |state, _| whole(state),
            )?)
        })?;
        checked(|failures| {
            // A touch waits for memory; it is no signal.
            failures.each(
                &format!("touch in {memory}"),
                &[],
                mapped,
                |(window, _)| {
                    window.touch();
                    Ok(())
                },
                |state, _| whole(state),
            )
        })?;
    }
    Ok(())
}

fn split_and_move() -> Outcome {
    let config = Config::of_pages(PAGES);
    checked(|failures| {
        some_refused(failures.each(
            "mprotect",
            &ERRORS,
            || {
                let pcm = config.open()?;
                let (head, tail) = config.map(&pcm)?.split(5);
                let (middle, tail) = tail.split(4);
                Ok((pcm, head, middle, tail))
            },
            |(_, _, middle, _)| middle.protect(Protection::Read),
            |(pcm, head, middle, tail), _| {
                for window in [&head, &middle, &tail] {
                    window.touch();
                }
                drop((head, middle, tail));
                Ok(config.apply(&pcm)?)
            },
        )?)
    })?;
    checked(|failures| {
        some_refused(failures.each(
            "mremap",
            &ERRORS,
            || {
                let pcm = config.open()?;
                let window = config.map(&pcm)?;
                for index in 0..PAGES {
                    window.set_stamp(index, index as u64);
                }
                Ok((pcm, window))
            },
            |(_, window)| window.relocate(),
            |(pcm, window), _| {
                let right = (0..PAGES).all(|index| window.stamp(index) == index as u64);
                ensure!(right, "a page is wrong");
                drop(window);
                Ok(config.apply(&pcm)?)
            },
        )?)
    })
}

fn forks() -> Outcome {
    let config = Config::of_pages(PAGES);
    checked(|failures| {
        some_refused(failures.each(
            "fork",
            &[libc::ENOMEM, libc::EAGAIN],
            || {
                let pcm = config.open()?;
                let (head, tail) = config.map(&pcm)?.split(5);
                head.touch();
                tail.protect(Protection::Read)?;
                Ok((pcm, head, tail))
            },
            |(_, head, tail)| {
                fork::run(|| {
                    head.touch();
                    tail.touch();
                    0
                })
            },
            |(pcm, head, tail), end| {
                if let Ok(end) = end {
                    ensure!(end == End::Exit(0), "the child: {end:?}");
                }
                drop((head, tail));
                Ok(config.apply(&pcm)?)
            },
        )?)
    })
}

fn migration() -> Outcome {
    let config = Config::of_pages(PAGES);
    for (from, to) in [(RAM, SRAM), (SRAM, RAM)] {
        let memory = Control::playback_memory()?.changed(from)?;
        let to_move = Control::playback_memory()?;
        checked(|failures| {
            some_refused(failures.each(
                &format!("a move from {from} to {to}"),
                &ERRORS,
                || {
                    memory.set(from)?;
                    let pcm = config.prepare()?;
                    let window = config.map(&pcm)?;
                    for index in 0..PAGES {
                        window.set_stamp(index, 0x3000 + index as u64);
                    }
                    Ok((pcm, window))
                },
                |_| to_move.set(to),
                |(pcm, window), result| {
                    let right = || (0..PAGES).all(|i| window.stamp(i) == 0x3000 + i as u64);
                    ensure!(right(), "a page is wrong");
                    // Where only the answer was lost, a copy to user space, it has moved.
                    let now = to_move.get()?;
                    let right_now = match result.map_err(|error| error.raw_os_error()) {
                        Ok(()) => now == to,
                        Err(Some(libc::ENOMEM)) => now == from,
                        Err(_) => true,
                    };
                    ensure!(right_now, "it is said to live in {now}");
                    to_move.set(to)?;
                    ensure!(right(), "a page is wrong in the new place");
                    card::commit(&pcm, config.frames())?;
                    Ok(pcm.start()?)
                },
            )?)
        })?;
    }
    Ok(())
}

fn controls() -> Outcome {
    let _memory = Control::playback_memory()?.changed(RAM)?;
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(0)?;
    let controls = [
        Control::playback_memory()?,
        Control::capture_memory()?,
        Control::of("Loopback Capture Switch", 0)?,
    ];
    checked(|failures| {
        let mut all = Tally::default();
        for control in &controls {
            let tally = failures.each(
                "a control",
                &ERRORS,
                || Ok(control.set(0)?),
                |()| control.set(1),
                |(), _| Ok(control.set(0)?),
            )?;
            all.injected += tally.injected;
        }
        let tally = failures.each(
            "opening, listening, reading",
            &ERRORS,
            || Ok(()),
            |()| {
                let listener = control::events()?;
                let value = Control::playback_memory()?.get()?;
                let info = Control::playback_memory()?.info()?;
                Ok((listener, value, info))
            },
            |(), result| {
                if let Ok((_, value, _)) = result {
                    ensure!(value == RAM, "it reads {value}");
                }
                Ok(())
            },
        )?;
        all.injected += tally.injected;
        Ok(all)
    })
}

/// With its control elements, files and events, a bind makes some 2500, an unbind a hundred.
fn probe() -> Outcome {
    let device = Device::of_card()?;
    checked(|failures| {
        let gone = || -> Result<(), Stop> {
            if device.is_bound() {
                device.unbind()?;
            }
            Ok(())
        };
        some_refused(failures.one_in(64).each(
            "bind",
            // The PCI core's own: EBUSY where it cannot note that a BAR is taken, ENODEV and ENOSPC where it has no
            // memory for the vectors. The sound core's: EINVAL where it has none for the name of a PCM.
            &[
                libc::ENOMEM,
                libc::EFAULT,
                libc::EBUSY,
                libc::ENODEV,
                libc::ENOSPC,
                libc::EINVAL,
            ],
            gone,
            |()| device.bind(),
            |(), result: io::Result<()>| {
                let (bound, said) = (device.is_bound(), result.is_ok());
                ensure!(bound == said || !said, "bound: {bound}, said: {said}");
                Ok(())
            },
        )?)
    })?;
    // Also before each: the last of the sweep, in which nothing failed, has nothing behind it.
    let there = || -> Outcome {
        if !device.is_bound() {
            device.bind()?;
        }
        Ok(())
    };
    checked(|failures| {
        failures.one_in(8).each(
            "unbind",
            &ERRORS,
            there,
            |()| device.unbind(),
            |(), _| there(),
        )
    })
}
