// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several clients and one substream: who gets it, who waits, who shares it, as the sound core has it.

use cpal_alsa_mmap::sys::{Direction, OpenOptions, Pcm, State};
use sgring_suite::binding::Device;
use sgring_suite::board::Board;
use sgring_suite::card::{self, Config, commit};
use sgring_suite::control::OnlyFirst;
use sgring_suite::ensure;
use sgring_suite::fork::{self, Child, End};
use sgring_suite::kmsg::Watch;
use sgring_suite::pipe::Pipe;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Stop, Test, expect, note};
use sgring_suite::window::Window;
use std::io;
use std::process::ExitCode;

const PAGES: usize = 8;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "one_at_a_time",
            "open(): a substream that somebody has is EBUSY, in either direction",
            one_at_a_time,
        ),
        Test(
            "shared_by_append",
            "open(): O_APPEND shares a substream; it lives as long as one of them",
            shared_by_append,
        ),
        Test(
            "inherited_by_fork",
            "fork(): parent and child use one substream; it lives as long as one of them",
            inherited_by_fork,
        ),
        Test(
            "woken_by_close",
            "open(): who waits gets the substream when it is closed",
            woken_by_close,
        ),
        Test(
            "woken_by_death",
            "open(), M15: who waits gets the substream when its owner is killed, playing and mapped",
            woken_by_death,
        ),
        Test(
            "woken_by_unbind",
            "open(), M15: who waits is told ENODEV when the device goes",
            woken_by_unbind,
        ),
        Test(
            "hw_params_by_two",
            "hw_params(): two at once get a ring of one of them",
            hw_params_by_two,
        ),
        Test(
            "hw_params_against_mmap",
            "M2, M4: a mapping has the ring that it was made of, or is not made",
            hw_params_against_mmap,
        ),
    ])
}

const BOTH: [Direction; 2] = [Direction::Playback, Direction::Capture];

/// Opens the first substream of a direction.
fn open(direction: Direction, options: OpenOptions) -> io::Result<Pcm> {
    let _first = OnlyFirst::new()?;
    Pcm::open(card::number()?, 0, direction, options)
}

fn append() -> OpenOptions {
    OpenOptions {
        append: true,
        ..OpenOptions::default()
    }
}

fn one_at_a_time() -> Outcome {
    for direction in BOTH {
        for _ in 0..3 {
            let first = open(direction, OpenOptions::default())?;
            let second = open(direction, OpenOptions::default());
            expect(format_args!("{direction:?} twice"), second, libc::EBUSY)?;
            drop(first);
        }
    }
    // The two directions are not in each other's way.
    let _playback = open(Direction::Playback, OpenOptions::default())?;
    let _capture = open(Direction::Capture, OpenOptions::default())?;
    Ok(())
}

fn shared_by_append() -> Outcome {
    let config = Config::of_pages(PAGES);
    let mut watch = Watch::new()?;
    for direction in BOTH {
        expect(
            "nobody to share with",
            open(direction, append()),
            libc::EBADFD,
        )?;
        let first = open(direction, OpenOptions::default())?;
        let second = open(direction, append())?;
        config.apply(&first)?;
        let state = second.status()?.state;
        ensure!(state == State::Setup, "the second is {state:?}");

        let window = config.map(&second)?;
        expect("hw_params by the first", config.apply(&first), libc::EBADFD)?;
        expect("hw_free by the first", first.hw_free(), libc::EBADFD)?;
        let other = config.map(&first)?;
        for index in 0..PAGES {
            window.set_stamp(index, 0x5a00 + index as u64);
            let stamp = other.stamp(index);
            ensure!(
                stamp == 0x5a00 + index as u64,
                "page {index} of the other: {stamp:#x}"
            );
        }
        drop(other);

        // The one that made the ring goes; ring and stream stay.
        drop(first);
        expect(
            "while one has it",
            open(direction, OpenOptions::default()),
            libc::EBUSY,
        )?;
        second.prepare()?;
        if direction == Direction::Playback {
            commit(&second, config.frames())?;
        }
        second.start()?;
        let state = second.status()?.state;
        ensure!(state == State::Running, "the second alone is {state:?}");
        ensure!(
            window.stamp(1) == 0x5a01 || direction == Direction::Capture,
            "page 1: {:#x}",
            window.stamp(1)
        );
        // The mapping is the last to go.
        drop(second);
        expect(
            "while it is mapped",
            open(direction, OpenOptions::default()),
            libc::EBUSY,
        )?;
        window.touch();
        drop(window);
        drop(open(direction, OpenOptions::default())?);
    }
    card::plays()?;
    watch.quiet()
}

fn inherited_by_fork() -> Outcome {
    let config = Config::patient();
    let mut watch = Watch::new()?;
    let (gate, release) = (Pipe::new()?, Pipe::new()?);
    let pcm = config.prepare_on(open(Direction::Playback, OpenOptions::default())?)?;
    let ring = vec![0; config.bytes()];
    let child = Child::spawn(|| {
        // The child writes, the parent has started; then the child is alone and plays to the end.
        let write = pcm.writei(&ring);
        if !matches!(write, Ok(frames) if frames as u64 == config.frames()) {
            return 1;
        }
        if release.tell().is_err() || gate.wait().is_err() {
            return 2;
        }
        match pcm
            .writei(&ring[..ring.len() / 2])
            .and_then(|_| pcm.drain())
        {
            Ok(()) => {
                i32::from(pcm.status().map_or(0, |end| end.hw_ptr) != config.frames() * 3 / 2)
            }
            Err(_) => 3,
        }
    })?;
    release.wait()?;
    pcm.start()?;
    drop(pcm);
    expect(
        "while the child has it",
        open(Direction::Playback, OpenOptions::default()),
        libc::EBUSY,
    )?;
    gate.tell()?;
    let end = child.wait()?;
    ensure!(end == End::Exit(0), "the child: {end:?}");
    drop(open(Direction::Playback, OpenOptions::default())?);
    card::plays()?;
    watch.quiet()
}

/// A child that, when told, waits for the playback substream and then plays. Made before anybody has the
/// substream: it would inherit it.
struct Waiter {
    child: Child,
    gate: Pipe,
}

impl Waiter {
    fn new() -> Result<Self, Stop> {
        let gate = Pipe::new()?;
        let child = Child::spawn(|| {
            if gate.wait().is_err() {
                return 2;
            }
            let options = OpenOptions {
                wait_if_busy: true,
                ..OpenOptions::default()
            };
            match open(Direction::Playback, options) {
                Ok(pcm) => {
                    drop(pcm);
                    status("who waited", card::plays())
                }
                Err(error) => error.raw_os_error().unwrap_or(1),
            }
        })?;
        Ok(Self { child, gate })
    }

    /// Returns when it waits.
    fn go(&self) -> Outcome {
        self.gate.tell()?;
        while !self.child.waits_in(libc::SYS_openat)? {
            std::thread::yield_now();
        }
        Ok(())
    }

    fn expect(self, status: i32) -> Outcome {
        let end = self.child.wait()?;
        ensure!(end == End::Exit(status), "who waited: {end:?}");
        Ok(())
    }
}

fn woken_by_close() -> Outcome {
    let waiter = Waiter::new()?;
    let pcm = open(Direction::Playback, OpenOptions::default())?;
    waiter.go()?;
    drop(pcm);
    waiter.expect(0)?;
    card::plays()
}

fn woken_by_death() -> Outcome {
    let config = Config::of_pages(PAGES);
    let mut watch = Watch::new()?;
    let ready = Pipe::new()?;
    let waiter = Waiter::new()?;
    let owner = Child::spawn(|| {
        let play = || -> Result<(Pcm, Window), Stop> {
            let pcm = config.prepare_on(open(Direction::Playback, OpenOptions::default())?)?;
            let window = config.map(&pcm)?;
            commit(&pcm, config.frames())?;
            pcm.start()?;
            Ok((pcm, window))
        };
        let Ok((_pcm, window)) = play() else { return 1 };
        if ready.tell().is_err() {
            return 2;
        }
        loop {
            window.touch();
        }
    })?;
    ready.wait()?;
    waiter.go()?;
    owner.kill();
    let end = owner.wait()?;
    ensure!(end == End::Signal(libc::SIGKILL), "the owner: {end:?}");
    waiter.expect(0)?;
    card::plays()?;
    watch.quiet()
}

fn woken_by_unbind() -> Outcome {
    let device = Device::of_card()?;
    let mut watch = Watch::new()?;
    let waiter = Waiter::new()?;
    let pcm = open(Direction::Playback, OpenOptions::default())?;
    waiter.go()?;
    device.unbind()?;
    // While the old file is still open.
    waiter.expect(libc::ENODEV)?;
    drop(pcm);
    device.bind()?;
    card::plays()?;
    watch.quiet()
}

/// Whether `result` is success, or one of the two errors of who comes at the wrong time.
fn won<T>(what: &str, result: io::Result<T>) -> Result<Option<T>, Stop> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EBADFD)) => Ok(None),
        Err(error) => Err(Stop::Fail(format!("{what}: {error}"))),
    }
}

/// What a child makes of an outcome.
fn status(what: &str, outcome: Outcome) -> i32 {
    match outcome {
        Ok(()) => 0,
        Err(stop) => {
            note(format_args!("{what}: {stop:?}"));
            1
        }
    }
}

fn hw_params_by_two() -> Outcome {
    const ROUNDS: usize = 200;
    let configs = [Config::of_pages(3), Config::of_pages(2 * PAGES)];
    let pcm = open(Direction::Playback, OpenOptions::default())?;
    let child = Child::spawn(|| {
        status(
            "the child",
            (0..ROUNDS).try_for_each(|_| {
                std::thread::yield_now();
                won("hw_params", configs[1].apply(&pcm)).map(drop)
            }),
        )
    })?;
    let mut sizes = [0; 2];
    for _ in 0..ROUNDS {
        won("hw_params", configs[0].apply(&pcm))?;
        std::thread::yield_now();
        // Whatever ring it is now, it is all there.
        for (pages, count) in configs.iter().map(Config::pages).zip(&mut sizes).rev() {
            match Window::new(&pcm, 0, pages) {
                Ok(window) => {
                    window.touch();
                    *count += 1;
                    break;
                }
                Err(error) => ensure!(
                    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EINVAL)),
                    "a mapping of {pages} pages: {error}"
                ),
            }
        }
    }
    let end = child.wait()?;
    ensure!(end == End::Exit(0), "the child: {end:?}");
    note(format_args!(
        "mapped {} small and {} large rings",
        sizes[0], sizes[1]
    ));
    for config in configs {
        config.apply(&pcm)?;
        let pages = config.pages();
        drop(Window::new(&pcm, 0, pages)?);
        expect("a page more", Window::new(&pcm, 0, pages + 1), libc::EINVAL)?;
    }
    drop(pcm);
    card::plays()
}

fn hw_params_against_mmap() -> Outcome {
    const ROUNDS: usize = 300;
    const MADE: usize = 0;
    const CHANGED: usize = 1;
    let mut watch = Watch::new()?;
    let board = Board::new()?;
    let pcm = open(Direction::Playback, OpenOptions::default())?;
    let random = Random::new();
    let (mut theirs, mut ours) = (random.branch(1), random.branch(2));
    let child = Child::spawn(|| {
        let mapped = (0..ROUNDS).try_for_each(|_| -> Outcome {
            let pages = 1 + theirs.below(2 * PAGES);
            let window = match Window::new(&pcm, theirs.below(PAGES), pages) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(()),
                window => won("mmap", window)?,
            };
            if let Some(window) = window {
                board.count(MADE);
                // None is missing: that would be a signal.
                for index in 0..window.pages() {
                    window.set_stamp(index, index as u64);
                }
                std::thread::yield_now();
                let right = (0..window.pages()).all(|index| window.stamp(index) == index as u64);
                ensure!(right, "the ring has changed under a mapping");
            }
            Ok(())
        });
        status("the child", mapped)
    })?;
    for _ in 0..ROUNDS {
        let made = match ours.below(3) {
            0 => won("hw_free", pcm.hw_free())?,
            _ => won(
                "hw_params",
                Config::of_pages(2 + ours.below(2 * PAGES)).apply(&pcm),
            )?,
        };
        if made.is_some() {
            board.count(CHANGED);
        }
        std::thread::yield_now();
    }
    let end = child.wait()?;
    ensure!(end == End::Exit(0), "the child: {end:?}");
    let (made, changed) = (board.get(MADE), board.get(CHANGED));
    note(format_args!(
        "{made} mappings, {changed} changes of the ring"
    ));
    ensure!(made > 0 && changed > 0, "one of the two never won");
    Config::of_pages(PAGES).apply(&pcm)?;
    drop(pcm);
    let end = fork::run(|| status("playing", card::plays()))?;
    ensure!(end == End::Exit(0), "afterwards: {end:?}");
    watch.quiet()
}
