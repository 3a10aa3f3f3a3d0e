// SPDX-License-Identifier: MIT OR Apache-2.0
//! M4, M5, M17: everything that can be done to a ring, by many at once, and nothing is wrong afterwards.
//!
//! Processes of several threads map parts of both rings through two device nodes, touch, move, cut, protect,
//! fork and die, while one process calls the PCMs and one moves the rings. Every page has a stamp that never
//! changes, and for each thread a word that only it writes: through a mapping or /proc/pid/mem, by turns. A
//! byte that nobody wrote, a write that is lost, a page in the wrong place is seen at once.
//!
//! `SGRING_STORM_SECONDS` is how long, in the guest's seconds; `SGRING_SEED` is which one.

use cpal_alsa_mmap::sys::{Access, Direction, MapOptions, OpenOptions, Pcm, Protection};
use sgring_suite::board::Board;
use sgring_suite::card::{self, Config, commit};
use sgring_suite::control::{Control, OnlyFirst};
use sgring_suite::ensure;
use sgring_suite::fork::{self, Child, End};
use sgring_suite::kmsg::Watch;
use sgring_suite::node::{self, Node};
use sgring_suite::proc::{frames, kept_memory, locked_memory, map_count, settled_memory};
use sgring_suite::record::expect_played;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Stop, Test, expect, note};
use sgring_suite::window::{Window, page};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions as FileOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const PROCESSES: usize = 3;
const THREADS: usize = 2;
/// Steps of a thread in one round.
const STEPS: usize = 120;
/// Pages of the largest ring here.
const PAGES: usize = 40;
/// Guest seconds of both storms.
const SECONDS: f64 = 4.0;
/// The first one's part of them: it is idle for half of its time, the second one never is.
const FIRST: f64 = 0.75;

/// Numbers of the board: whether those that go on for ever shall end, and what was done.
const STOP: usize = 0;
const MAPPED: usize = 1;
const TOUCHED: usize = 2;
const FORKED: usize = 3;
const MOVED: usize = 4;
const CALLED: usize = 5;
const NAMES: [(usize, &str); 5] = [
    (MAPPED, "mappings"),
    (TOUCHED, "touches"),
    (FORKED, "forks"),
    (MOVED, "moves of a ring"),
    (CALLED, "calls of a PCM"),
];

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "while_mapped",
            "M4, M5, M17: rings that stay, under all that can be done to them",
            while_mapped,
        ),
        Test(
            "while_rings_come_and_go",
            "M4, M5, M17: mappings against hw_params and hw_free",
            while_rings_come_and_go,
        ),
    ])
}

fn time(part: f64) -> Duration {
    let seconds = match std::env::var("SGRING_STORM_SECONDS") {
        Ok(text) => text.parse().expect("SGRING_STORM_SECONDS is a number"),
        Err(_) => SECONDS,
    };
    Duration::from_secs_f64(seconds * part)
}

/// One PCM, opened through two nodes.
struct Side {
    pcms: [Pcm; 2],
    _node: Node,
}

impl Side {
    fn open(direction: Direction) -> Result<Self, Stop> {
        let letter = match direction {
            Direction::Playback => 'p',
            Direction::Capture => 'c',
        };
        let node = node::another(&format!("pcmC{}D0{letter}", card::number()?))?;
        let _first = OnlyFirst::new()?;
        let options = OpenOptions {
            nonblock: true,
            ..OpenOptions::default()
        };
        let first = Pcm::open(card::number()?, 0, direction, options)?;
        let options = OpenOptions {
            append: true,
            ..options
        };
        let second = Pcm::open_path(node.path(), direction, options)?;
        Ok(Self {
            pcms: [first, second],
            _node: node,
        })
    }

    fn pcm(&self) -> &Pcm {
        &self.pcms[0]
    }
}

/// Another process's way to this one's memory.
fn own_memory() -> io::Result<File> {
    FileOptions::new()
        .read(true)
        .write(true)
        .open("/proc/self/mem")
}

/// What a thread may get from a PCM that others use too.
fn let_pass<T>(what: &str, result: io::Result<T>, allowed: &[i32]) -> Result<Option<T>, Stop> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.raw_os_error().is_some_and(|e| allowed.contains(&e)) => Ok(None),
        Err(error) => Err(Stop::Fail(format!("{what}: {error}"))),
    }
}

/// A ring whose stamps are known.
struct Stamped<'a> {
    side: &'a Side,
    stamps: Vec<u64>,
    /// Nobody but the threads here writes to it.
    still: bool,
}

/// A part of ring `ring` that a thread has mapped, from page `first` on.
struct Part {
    window: Window,
    ring: usize,
    first: usize,
}

/// One thread of the storm. `slot` is its word in each page.
struct Thread<'a> {
    rings: &'a [Stamped<'a>; 2],
    board: &'a Board,
    random: Random,
    parts: Vec<Part>,
    slot: usize,
    /// What it wrote last, for each page of each ring.
    written: [Vec<u64>; 2],
    memory: File,
}

impl Thread<'_> {
    fn map(&mut self) -> Outcome {
        let ring = self.random.below(2);
        let target = &self.rings[ring];
        let pages = target.stamps.len();
        let first = self.random.below(pages);
        let count = 1 + self.random.below(pages - first);
        let populate = self.random.below(4) == 0;
        let options = MapOptions {
            flags: if populate { libc::MAP_POPULATE } else { 0 },
            ..MapOptions::default()
        };
        let pcm = &target.side.pcms[self.random.below(2)];
        let window = Window::with(pcm, first, count, options);
        // Another thread's call has the buffer.
        if let Some(window) = let_pass("mmap", window, &[libc::EBUSY])? {
            self.board.count(MAPPED);
            self.parts.push(Part {
                window,
                ring,
                first,
            });
        }
        Ok(())
    }

    /// Looks at a page of a part, and writes to it by turns.
    fn touch(&mut self, which: usize) -> Outcome {
        self.board.count(TOUCHED);
        let part = &self.parts[which];
        let index = self.random.below(part.window.pages());
        let (ring, number) = (part.ring, part.first + index);
        let at = index * page();
        let slot = at + self.slot;
        let by_memory = self.random.below(4) == 0;
        let address = |offset: usize| (part.window.address() + offset) as u64;
        let read = |offset: usize| -> io::Result<u64> {
            if !by_memory {
                return Ok(part.window.word(offset));
            }
            let mut word = [0; 8];
            self.memory.read_exact_at(&mut word, address(offset))?;
            Ok(u64::from_ne_bytes(word))
        };
        let (stamp, word) = (read(at)?, read(slot)?);
        if self.rings[ring].still {
            let (expected, mine) = (self.rings[ring].stamps[number], self.written[ring][number]);
            ensure!(
                stamp == expected && word == mine,
                "ring {ring}, page {number}: stamp {stamp:#x} of {expected:#x}, word {word:#x} of {mine:#x}"
            );
        }
        if self.random.below(2) == 0 {
            let word = self.random.next();
            match self.random.below(4) {
                0 => self
                    .memory
                    .write_all_at(&word.to_ne_bytes(), address(slot))?,
                _ => part.window.set_word(slot, word),
            }
            self.written[ring][number] = word;
        }
        Ok(())
    }

    /// Whether a child sees every page as this thread knows it.
    fn child_sees(&self) -> bool {
        self.parts.iter().all(|part| {
            (0..part.window.pages()).all(|index| {
                let (ring, number) = (part.ring, part.first + index);
                let stamp = part.window.stamp(index);
                let word = part.window.word(index * page() + self.slot);
                !self.rings[ring].still
                    || stamp == self.rings[ring].stamps[number]
                        && word == self.written[ring][number]
            })
        })
    }

    fn step(&mut self) -> Outcome {
        if self.parts.is_empty() {
            return self.map();
        }
        let count = self.parts.len();
        let which = self.random.below(count);
        let window = &mut self.parts[which].window;
        match self.random.below(24) {
            0..3 if count < 10 => self.map()?,
            0..5 => drop(self.parts.swap_remove(which)),
            5 => window.relocate()?,
            6 => window.advise(libc::MADV_DONTNEED)?,
            7 => window.advise(libc::MADV_POPULATE_READ)?,
            8 => window.advise(libc::MADV_POPULATE_WRITE)?,
            9 => {
                let pages = 1 + self.random.below(window.pages());
                window.remap(pages, 0)?;
            }
            10 => {
                window.protect(Protection::Read)?;
                window.touch();
                window.protect(Protection::ReadWrite)?;
            }
            11 => {
                window.lock()?;
                let locked = locked_memory()?;
                ensure!(locked == 0, "VmLck {locked} kB");
            }
            12 if window.pages() > 2 => {
                let Part {
                    window,
                    ring,
                    first,
                } = self.parts.swap_remove(which);
                // The middle goes; of the ends, some go and some stay.
                let cut = 1 + self.random.below(window.pages() - 2);
                let (head, rest) = window.split(cut);
                let (_middle, tail) = rest.split(1);
                for (window, first) in [(head, first), (tail, first + cut + 1)] {
                    if self.random.below(2) == 0 {
                        self.parts.push(Part {
                            window,
                            ring,
                            first,
                        });
                    }
                }
            }
            13 => {
                self.board.count(FORKED);
                let end = fork::run(|| i32::from(!self.child_sees()))?;
                ensure!(end == End::Exit(0), "a child: {end:?}");
            }
            // Killed wherever it is, with all of it mapped.
            14 => {
                self.board.count(FORKED);
                drop(Child::spawn(|| {
                    loop {
                        for part in &self.parts {
                            part.window.touch();
                            let _ = part.window.forget(0);
                        }
                    }
                })?);
            }
            _ => self.touch(which)?,
        }
        Ok(())
    }
}

/// Runs `body` in `THREADS` threads, each with its number; what a child returns.
fn in_threads(process: usize, body: impl Fn(usize) -> Outcome + Sync) -> i32 {
    let body = &body;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || body(process * THREADS + thread)))
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut status = 0;
    for outcome in outcomes {
        if !matches!(outcome, Ok(Ok(()))) {
            note(format_args!("process {process}: {outcome:?}"));
            status = 1;
        }
    }
    status
}

/// Runs `body` again and again, a millisecond apart, until the board says to stop; what a child returns.
fn until_stopped(board: &Board, pcm: &Pcm, what: &str, mut body: impl FnMut() -> Outcome) -> i32 {
    while board.get(STOP) == 0 {
        if let Err(stop) = body() {
            note(format_args!("{what}: {stop:?}"));
            return 1;
        }
        // Lets others run, and the card.
        let _ = pcm.poll(Some(Duration::from_millis(1)));
    }
    0
}

/// Where a ring may live, as the control has it.
fn any_place(random: &mut Random) -> u32 {
    random.below(3) as u32
}

struct Controls([Control; 2]);

impl Controls {
    fn new() -> io::Result<Self> {
        Ok(Self([
            Control::playback_memory()?,
            Control::capture_memory()?,
        ]))
    }

    /// Moves a ring, to wherever.
    fn step(&self, board: &Board, random: &mut Random) -> Outcome {
        board.count(MOVED);
        self.0[random.below(2)].set(any_place(random))?;
        Ok(())
    }
}

/// A call of a PCM that has a ring: what it may answer to somebody who knows nothing of the others.
fn call(pcm: &Pcm, random: &mut Random) -> Outcome {
    const ALLOWED: [i32; 5] = [
        libc::EBADFD,
        libc::EBUSY,
        libc::EPIPE,
        libc::EAGAIN,
        // PAUSE without parameters: it is one of these that makes it possible.
        libc::ENOSYS,
    ];
    let (what, result) = match random.below(8) {
        0 => ("prepare", pcm.prepare()),
        1 | 2 => {
            let _ = commit(pcm, random.below(4096) as u64);
            ("start", pcm.start())
        }
        3 => ("drop", pcm.drop_frames()),
        4 => ("pause", pcm.pause(random.below(2) == 0)),
        5 => ("status", pcm.status().map(drop)),
        6 => ("drain", pcm.drain()),
        _ => ("hwsync", pcm.hwsync()),
    };
    let_pass(what, result, &ALLOWED).map(drop)
}

/// Runs one round's processes and demands that all of them end well: `worker` by number, and `endless` ones
/// that go on until the workers are done.
fn run(
    board: &Board,
    worker: &dyn Fn(usize) -> i32,
    endless: &mut [(&str, &mut dyn FnMut() -> i32)],
) -> Outcome {
    board.set(STOP, 0);
    let mut others = Vec::new();
    for (name, body) in endless {
        others.push((*name, Child::spawn(body)?));
    }
    let workers: Vec<_> = (0..PROCESSES)
        .map(|number| Child::spawn(|| worker(number)))
        .collect::<Result<_, _>>()?;
    for child in workers {
        let end = child.wait()?;
        ensure!(end == End::Exit(0), "a process: {end:?}");
    }
    board.set(STOP, 1);
    for (name, child) in others {
        let end = child.wait()?;
        ensure!(end == End::Exit(0), "{name}: {end:?}");
    }
    Ok(())
}

/// Runs `round` until the time is over, and demands that no memory is gone after it: the first round is not
/// counted, in which caches and lists of free pages fill.
fn rounds(part: f64, mut round: impl FnMut(&Board, &mut Random) -> Outcome) -> Outcome {
    let random = Random::new();
    let board = Board::new()?;
    let mut watch = Watch::new()?;
    let end = Instant::now() + time(part);
    round(&board, &mut random.branch(0))?;
    let before = settled_memory()?;
    let mut count = 1;
    while count < 3 || Instant::now() < end {
        round(&board, &mut random.branch(count))?;
        watch.quiet()?;
        let locked = locked_memory()?;
        ensure!(locked == 0, "VmLck {locked} kB");
        count += 1;
    }
    let after = settled_memory()?;
    let done: Vec<_> = NAMES
        .iter()
        .map(|(index, name)| format!("{} {name}", board.get(*index)))
        .collect();
    let free = before.0.saturating_sub(after.0);
    let objects = after.1.saturating_sub(before.1);
    note(format_args!("{count} rounds: {}", done.join(", ")));
    note(format_args!(
        "{free} kB fewer are free, {objects} kB more are the kernel's objects"
    ));
    // A page or an object lost for each fork, move or call, the rarest of these, is more than this; what is
    // on the lists of free pages of each processor is less.
    let bound = kept_memory(1024)?;
    ensure!(free < bound, "{free} kB lost, at most {bound} kB allowed");
    ensure!(
        objects < bound,
        "{objects} kB of objects more, at most {bound} kB allowed"
    );
    card::plays()?;
    watch.quiet()
}

fn expect_counts(window: &Window, expected: u64) -> Result<Vec<u64>, Stop> {
    window.touch();
    let frames: Vec<_> = frames(window)?.into_iter().flatten().collect();
    ensure!(
        frames.len() == window.pages(),
        "{} of {} pages",
        frames.len(),
        window.pages()
    );
    for (index, &frame) in frames.iter().enumerate() {
        let seen = map_count(frame)?;
        ensure!(
            seen == expected,
            "page {index} is mapped {seen} times, not {expected}"
        );
    }
    Ok(frames)
}

/// Demands that the card plays what is in the ring.
fn expect_heard(playback: &Pcm, capture: &Pcm, config: &Config, ring: &[u8]) -> Outcome {
    playback.drop_frames()?;
    capture.drop_frames()?;
    playback.set_nonblock(false)?;
    capture.set_nonblock(false)?;
    capture.prepare()?;
    playback.prepare()?;
    commit(playback, config.frames())?;
    capture.start()?;
    playback.start()?;
    playback.drain()?;
    // What was played, what was recorded before, and the delay of the loopback, with room to spare.
    let mut recorded = vec![0; ring.len() + 2 * page()];
    let frames = capture.readi(&mut recorded)?;
    ensure!(
        frames * 2 == recorded.len(),
        "{frames} frames were recorded"
    );
    capture.drop_frames()?;
    // Two frames of two bytes are compared at a time: the first is the first of a pair.
    let start = recorded.chunks(2).position(|frame| frame != [0, 0]);
    expect_played(&recorded[start.unwrap_or(0) % 2 * 2..], ring)
}

fn while_mapped() -> Outcome {
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let _playback = Control::playback_memory()?.changed(0)?;
    let _capture = Control::capture_memory()?.changed(0)?;
    rounds(FIRST, |board, random| {
        Controls::new()?.step(board, random)?;
        let sides = [
            Side::open(Direction::Playback)?,
            Side::open(Direction::Capture)?,
        ];
        // The capture ring takes the whole playback ring and some more.
        let pages = 3 + random.below(PAGES - 2);
        let configs = [Config::of_pages(pages), Config::of_pages(pages + 4)];
        for (side, config) in sides.iter().zip(&configs) {
            // Not what a second opener of the same substream sets: it has its own idea of a frame.
            config.apply(side.pcm())?;
            let mut params = cpal_alsa_mmap::sys::SwParams::new(config.frames(), 1);
            params.start_threshold = i64::MAX as u64;
            side.pcm().sw_params(&params)?;
            side.pcm().prepare()?;
        }
        let wholes = [
            configs[0].map(sides[0].pcm())?,
            configs[1].map(&sides[1].pcms[1])?,
        ];
        // Written by the kernel to one ring, by this process to the other.
        let stamps = configs.map(|config| {
            (0..config.pages())
                .map(|_| random.next() | 1)
                .collect::<Vec<_>>()
        });
        let mut sound = vec![0; configs[0].bytes()];
        for (page, stamp) in sound.chunks_mut(page()).zip(&stamps[0]) {
            page[..8].copy_from_slice(&stamp.to_ne_bytes());
        }
        sides[0].pcm().writei(&sound)?;
        for (index, &stamp) in stamps[1].iter().enumerate() {
            wholes[1].set_stamp(index, stamp);
        }
        let recording = random.below(2) == 0;
        let [playback_stamps, capture_stamps] = stamps;
        let rings = [
            Stamped {
                side: &sides[0],
                stamps: playback_stamps,
                still: true,
            },
            Stamped {
                side: &sides[1],
                stamps: capture_stamps,
                still: !recording,
            },
        ];

        let worker = |process: usize| {
            in_threads(process, |number| {
                let mut thread = Thread {
                    rings: &rings,
                    board,
                    random: random.branch(1 + number as u64),
                    parts: Vec::new(),
                    slot: 64 + 8 * number,
                    written: [vec![0; configs[0].pages()], vec![0; configs[1].pages()]],
                    memory: own_memory()?,
                };
                for _ in 0..STEPS {
                    thread.step()?;
                }
                // The process ends with these mapped.
                std::mem::forget(thread.parts);
                Ok(())
            })
        };
        let (mut movers, mut callers) = (random.branch(100), random.branch(101));
        let controls = Controls::new()?;
        let mut mover = || {
            until_stopped(board, sides[0].pcm(), "move", || {
                controls.step(board, &mut movers)
            })
        };
        let mut caller = || {
            until_stopped(board, sides[0].pcm(), "call", || {
                board.count(CALLED);
                let which = callers.below(2);
                let pcm = sides[which].pcm();
                match callers.below(5) {
                    0 => refused("hw_params", configs[which].apply(pcm)),
                    1 => refused("hw_free", pcm.hw_free()),
                    _ if which == 0 || recording => call(pcm, &mut callers),
                    _ => Ok(()),
                }
            })
        };
        run(
            board,
            &worker,
            &mut [("the mover", &mut mover), ("the caller", &mut caller)],
        )?;

        let memory = own_memory()?;
        for (ring, whole) in rings.iter().zip(&wholes) {
            for (index, &stamp) in ring.stamps.iter().enumerate() {
                let mut seen = [0; 8];
                let address = whole.address() + index * page();
                memory.read_exact_at(&mut seen, address as u64)?;
                let seen = [u64::from_ne_bytes(seen), whole.stamp(index)];
                ensure!(
                    !ring.still || seen == [stamp; 2],
                    "page {index}: {seen:#x?}, not {stamp:#x}"
                );
            }
        }
        // In the place where the storm has left it.
        let bytes = wholes[0].read(0, configs[0].bytes());
        expect_heard(sides[0].pcm(), sides[1].pcm(), &configs[0], &bytes)?;

        for control in &controls.0 {
            control.set(0)?;
        }
        let frames = [expect_counts(&wholes[0], 1)?, expect_counts(&wholes[1], 1)?].concat();
        for (side, config) in sides.iter().zip(&configs) {
            side.pcm().drop_frames()?;
            expect(
                "hw_params while mapped",
                config.apply(side.pcm()),
                libc::EBADFD,
            )?;
        }
        drop(wholes);
        for frame in frames {
            let count = map_count(frame)?;
            ensure!(count == 0, "a page is mapped {count} times at the end");
        }
        for (side, config) in sides.iter().zip(&configs) {
            expect("hw_params with nothing mapped", config.apply(side.pcm()), 0)?;
        }
        Ok(())
    })
}

/// Demands what a ring that is mapped answers to who wants another: not now.
fn refused(what: &str, result: io::Result<()>) -> Outcome {
    match result {
        Ok(()) => Err(Stop::Fail(format!("{what} of a mapped ring: success"))),
        result => let_pass(what, result, &[libc::EBADFD, libc::EBUSY]).map(drop),
    }
}

fn while_rings_come_and_go() -> Outcome {
    let _playback = Control::playback_memory()?.changed(0)?;
    let _capture = Control::capture_memory()?.changed(0)?;
    rounds(1.0 - FIRST, |board, random| {
        let sides = [
            Side::open(Direction::Playback)?,
            Side::open(Direction::Capture)?,
        ];
        let worker = |process: usize| {
            in_threads(process, |number| {
                let mut random = random.branch(1 + number as u64);
                let slot = 64 + 8 * number;
                let mut kept = Vec::new();
                for _ in 0..STEPS {
                    // No ring, a smaller one, one that is written, one that is just being made.
                    let allowed = [libc::EBADFD, libc::EINVAL, libc::EBUSY];
                    let which = random.below(2);
                    let first = random.below(PAGES / 2);
                    let pages = 1 + random.below(PAGES / 2);
                    let window = Window::new(&sides[which].pcms[random.below(2)], first, pages);
                    let Some(window) = let_pass("mmap", window, &allowed)? else {
                        // Until somebody makes one.
                        std::thread::yield_now();
                        continue;
                    };
                    board.count(MAPPED);
                    for index in 0..window.pages() {
                        board.count(TOUCHED);
                        let at = index * page() + slot;
                        let word = random.next();
                        window.set_word(at, word);
                        if index % 2 == 0 {
                            window.forget(index)?;
                        }
                        let seen = window.word(at);
                        // What is being recorded is the card's.
                        ensure!(
                            which == 1 || seen == word,
                            "page {index}: {seen:#x}, not {word:#x}"
                        );
                    }
                    if random.below(8) == 0 {
                        board.count(FORKED);
                        drop(Child::spawn(|| {
                            loop {
                                window.touch();
                            }
                        })?);
                    }
                    if random.below(4) == 0 {
                        kept.push(window);
                    }
                    if kept.len() > 2 {
                        kept.clear();
                    }
                }
                Ok(())
            })
        };
        let (mut movers, mut callers) = (random.branch(100), random.branch(101));
        let controls = Controls::new()?;
        let mut mover = || {
            until_stopped(board, sides[0].pcm(), "move", || {
                controls.step(board, &mut movers)
            })
        };
        let mut counts = BTreeMap::new();
        let mut caller = || {
            until_stopped(board, sides[0].pcm(), "call", || {
                board.count(CALLED);
                let pcm = sides[callers.below(2)].pcm();
                let access = match callers.below(4) {
                    0 => Access::RwInterleaved,
                    _ => Access::MmapInterleaved,
                };
                let config = Config {
                    access,
                    ..Config::of_pages(2 + callers.below(PAGES - 1))
                };
                let (what, result) = match callers.below(4) {
                    0 | 1 => ("hw_params", config.apply(pcm)),
                    2 => ("hw_free", pcm.hw_free()),
                    _ => return call(pcm, &mut callers),
                };
                let made = let_pass(what, result, &[libc::EBADFD, libc::EBUSY])?.is_some();
                *counts.entry((what, made)).or_insert(0) += 1;
                if board.get(STOP) != 0 {
                    note(format_args!("{counts:?}"));
                }
                Ok(())
            })
        };
        run(
            board,
            &worker,
            &mut [("the mover", &mut mover), ("the caller", &mut caller)],
        )?;
        for side in &sides {
            side.pcm().drop_frames().or_else(|error| {
                // Without a ring there is nothing to drop.
                match error.raw_os_error() {
                    Some(libc::EBADFD) => Ok(()),
                    _ => Err(error),
                }
            })?;
            expect(
                "hw_params with nothing mapped",
                Config::of_pages(4).apply(side.pcm()),
                0,
            )?;
        }
        Ok(())
    })
}
