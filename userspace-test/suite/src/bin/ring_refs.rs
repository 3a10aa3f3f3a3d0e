// SPDX-License-Identifier: MIT OR Apache-2.0
//! M4: whoever maps a page of the ring holds it, and lets go of it, exactly once.
//!
//! Counts are looked at from three sides: how often the kernel says each page frame is mapped; whether pages
//! come back to the free ones; whether a page that somebody holds survives everything else. One reference
//! too many shows in the second, one too few in the third and in the kernel's own alarms.

use cpal_alsa_mmap::sys::{Pcm, Protection};
use sgring_suite::card::{self, Config};
use sgring_suite::ensure;
use sgring_suite::fork::{self, Child, End};
use sgring_suite::kmsg::Watch;
use sgring_suite::pipe::Pipe;
use sgring_suite::proc::{frames, free_memory, map_count};
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Stop, Test, expect, note};
use sgring_suite::window::{Window, page};
use std::process::ExitCode;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "each_mapping_counts",
            "M4: every mapping of a page counts once, until it ends",
            each_mapping_counts,
        ),
        Test(
            "storm",
            "M4, M5: map, touch, split, move, fork and exit by many at once",
            storm,
        ),
        Test(
            "memory_comes_back",
            "M4: no page is lost, however often it was mapped",
            memory_comes_back,
        ),
        Test(
            "a_held_page_survives",
            "M4, M15: a page in a pipe outlives mapping, ring and file",
            a_held_page_survives,
        ),
    ])
}

/// The page frames of a ring, by a mapping that brings them all and is gone afterwards.
fn frames_of(window: &Window) -> Result<Vec<u64>, Stop> {
    window.touch();
    Ok(frames(window)?.into_iter().flatten().collect())
}

fn expect_counts(frames: &[u64], expected: impl Fn(usize) -> u64) -> Outcome {
    for (index, &frame) in frames.iter().enumerate() {
        let (seen, expected) = (map_count(frame)?, expected(index));
        ensure!(
            seen == expected,
            "page {index} is mapped {seen} times, not {expected}"
        );
    }
    Ok(())
}

fn each_mapping_counts() -> Outcome {
    const PAGES: usize = 8;
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let mut watch = Watch::new()?;
    let whole = config.map(&pcm)?;
    let frames = frames_of(&whole)?;
    expect_counts(&frames, |_| 1)?;
    let pages: Vec<_> = (0..PAGES)
        .map(|first| Window::new(&pcm, first, PAGES - first))
        .collect::<Result<_, _>>()?;
    expect_counts(&frames, |_| 1)?;
    for window in &pages {
        window.touch();
        window.touch();
    }
    // Page i is in the mappings that start at 0 to i, and in the whole one.
    expect_counts(&frames, |index| index as u64 + 2)?;
    let end = fork::run(
        || match expect_counts(&frames, |index| 2 * (index as u64 + 2)) {
            Ok(()) => 0,
            Err(stop) => {
                note(format_args!("child: {stop:?}"));
                1
            }
        },
    )?;
    ensure!(end == End::Exit(0), "{end:?}");
    expect_counts(&frames, |index| index as u64 + 2)?;
    whole.advise(libc::MADV_DONTNEED)?;
    expect_counts(&frames, |index| index as u64 + 1)?;
    drop(whole);
    drop(pages);
    expect_counts(&frames, |_| 0)?;
    watch.quiet()
}

/// What one thread of the storm does to a ring of `stamps.len()` pages.
struct Storm<'a> {
    pcm: &'a Pcm,
    stamps: &'a [u64],
    random: Random,
    windows: Vec<(Window, usize)>,
}

impl Storm<'_> {
    fn map(&mut self) -> Outcome {
        let first = self.random.below(self.stamps.len());
        let pages = 1 + self.random.below(self.stamps.len() - first);
        self.windows
            .push((Window::new(self.pcm, first, pages)?, first));
        Ok(())
    }

    /// Looks at one page and scribbles where no stamp is.
    fn touch(&mut self) -> Outcome {
        let which = self.random.below(self.windows.len());
        let (window, first) = &self.windows[which];
        let index = self.random.below(window.pages());
        if self.random.below(2) == 0 {
            window.set(index * page() + 8 + self.random.below(page() - 8), 0xa5);
        }
        let (seen, expected) = (window.stamp(index), self.stamps[first + index]);
        ensure!(
            seen == expected,
            "page {}: {seen:#x}, not {expected:#x}",
            first + index
        );
        Ok(())
    }

    fn step(&mut self) -> Outcome {
        if self.windows.is_empty() {
            return self.map();
        }
        let which = self.random.below(self.windows.len());
        match self.random.below(16) {
            0..2 if self.windows.len() < 12 => self.map()?,
            0..4 => drop(self.windows.swap_remove(which)),
            4 => self.windows[which].0.relocate()?,
            5 => self.windows[which].0.advise(libc::MADV_DONTNEED)?,
            6 => {
                let (window, first) = self.windows.swap_remove(which);
                if window.pages() < 3 {
                    return Ok(());
                }
                // Some of the parts go, some stay.
                let cut = 1 + self.random.below(window.pages() - 2);
                let (head, rest) = window.split(cut);
                let (middle, tail) = rest.split(1);
                middle.protect(Protection::Read)?;
                if self.random.below(2) == 0 {
                    self.windows.push((head, first));
                }
                if self.random.below(2) == 0 {
                    self.windows.push((tail, first + cut + 1));
                }
            }
            7 => {
                let window = &mut self.windows[which].0;
                let pages = 1 + self.random.below(window.pages());
                window.remap(pages, 0)?;
            }
            8 => self.windows[which].0.advise(libc::MADV_POPULATE_WRITE)?,
            // A child that touches what it got, and dies with all of it mapped.
            9 => {
                let windows = &self.windows;
                let end = fork::run(|| {
                    windows.iter().for_each(|(window, _)| window.touch());
                    0
                })?;
                ensure!(end == End::Exit(0), "{end:?}");
            }
            _ => self.touch()?,
        }
        Ok(())
    }
}

fn storm() -> Outcome {
    const PAGES: usize = 32;
    const PROCESSES: u64 = 3;
    const THREADS: u64 = 2;
    const STEPS: usize = 400;
    let config = Config::of_pages(PAGES);
    let pcm = config.prepare()?;
    let random = Random::new();
    let mut own = random.branch(0);
    let stamps: Vec<_> = (0..PAGES).map(|_| own.next()).collect();
    let mut sound = vec![0; config.bytes()];
    for (page, stamp) in sound.chunks_mut(page()).zip(&stamps) {
        page[..8].copy_from_slice(&stamp.to_ne_bytes());
    }
    pcm.writei(&sound)?;
    let mut watch = Watch::new()?;
    let whole = config.map(&pcm)?;
    let frames = frames_of(&whole)?;

    let one = |number: u64| -> Outcome {
        let mut storm = Storm {
            pcm: &pcm,
            stamps: &stamps,
            random: random.branch(number),
            windows: Vec::new(),
        };
        for _ in 0..STEPS {
            storm.step()?;
        }
        // The process ends with these mapped.
        std::mem::forget(storm.windows);
        Ok(())
    };
    let process = |number: u64| {
        let outcomes = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| scope.spawn(move || one(1 + number * THREADS + thread)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join())
                .collect::<Vec<_>>()
        });
        let mut status = 0;
        for outcome in outcomes {
            if !matches!(outcome, Ok(Ok(()))) {
                note(format_args!("process {number}: {outcome:?}"));
                status = 1;
            }
        }
        status
    };
    let children: Vec<_> = (0..PROCESSES)
        .map(|number| Child::spawn(|| process(number)))
        .collect::<Result<_, _>>()?;
    for child in children {
        let end = child.wait()?;
        ensure!(end == End::Exit(0), "{end:?}");
    }

    watch.quiet()?;
    expect_counts(&frames, |_| 1)?;
    for (index, stamp) in stamps.iter().enumerate() {
        let seen = whole.stamp(index);
        ensure!(seen == *stamp, "page {index}: {seen:#x}, not {stamp:#x}");
    }
    expect("hw_params while mapped", config.apply(&pcm), libc::EBADFD)?;
    drop(whole);
    expect_counts(&frames, |_| 0)?;
    expect("hw_params with nothing mapped", config.apply(&pcm), 0)?;
    drop(pcm);
    watch.quiet()
}

fn memory_comes_back() -> Outcome {
    const ROUNDS: u64 = 16;
    let bytes = card::largest_ring()?;
    let config = Config::of_pages(bytes / page());
    let mut watch = Watch::new()?;
    let round = || -> Outcome {
        let pcm = config.open()?;
        let window = config.map(&pcm)?;
        for _ in 0..2 {
            window.touch();
            window.advise(libc::MADV_DONTNEED)?;
        }
        window.touch();
        Ok(())
    };
    // The kernel's lists of free pages for each processor fill first.
    for _ in 0..4 {
        round()?;
    }
    let before = free_memory()?;
    for _ in 0..ROUNDS {
        round()?;
    }
    let after = free_memory()?;
    watch.quiet()?;
    // A page lost for each one mapped is ROUNDS rings; other things that go on take less than two.
    let (lost, bound) = (before.saturating_sub(after), 2 * bytes as u64 / 1024);
    note(format_args!(
        "{lost} kB fewer are free after {} kB of rings",
        ROUNDS * bytes as u64 / 1024
    ));
    ensure!(lost < bound, "{lost} kB lost, at most {bound} kB allowed");
    Ok(())
}

fn a_held_page_survives() -> Outcome {
    const PAGES: usize = 8;
    let config = Config::of_pages(PAGES);
    let mut random = Random::new();
    let mut sound = vec![0; config.bytes()];
    random.fill(&mut sound);
    let mut watch = Watch::new()?;

    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    window.write(0, &sound);
    let pipe = Pipe::new()?;
    pipe.hold(&window)?;
    drop(window);
    drop(pcm);

    // Whoever gets the pages if they were given back too early.
    for _ in 0..4 {
        let other = Config::of_pages(card::largest_ring()? / page());
        let pcm = other.open()?;
        let window = other.map(&pcm)?;
        for index in 0..window.pages() {
            window.set_stamp(index, u64::MAX);
        }
    }
    let held = pipe.read(sound.len())?;
    ensure!(held == sound, "the pages in the pipe have changed");
    drop(pipe);
    watch.quiet()
}
