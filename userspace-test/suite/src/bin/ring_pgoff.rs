// SPDX-License-Identifier: MIT OR Apache-2.0
//! M3: each address of each mapping shows the page that its offset means.
//!
//! Every page gets a stamp of its own through `write()`, that is by the kernel's own way into the ring. A
//! mapping is right when it shows these stamps and when its page table holds the same page frames as any
//! other mapping's.

use cpal_alsa_mmap::sys::{Pcm, Protection};
use sgring_suite::card::{self, Config};
use sgring_suite::proc::frames;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Stop, Test};
use sgring_suite::window::{Window, page};
use sgring_suite::{ensure, fork};
use std::collections::BTreeSet;
use std::process::ExitCode;

const PAGES: usize = 16;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "frames_are_distinct",
            "M3: each ring page is a page frame of its own",
            frames_are_distinct,
        ),
        Test(
            "every_offset_and_length",
            "M3: partial mappings",
            every_offset_and_length,
        ),
        Test(
            "largest_ring",
            "M3: every page of the largest ring",
            largest_ring,
        ),
        Test(
            "write_through",
            "M3: what one mapping writes every other reads",
            write_through,
        ),
        Test(
            "partial_munmap",
            "M3: head, middle and tail unmapped",
            partial_munmap,
        ),
        Test("mprotect_split", "M3: split by mprotect()", mprotect_split),
        Test(
            "mremap_move",
            "M3: moved and shrunk by mremap()",
            mremap_move,
        ),
        Test(
            "fork",
            "M3: in a child, touched before or after fork()",
            fork_shows_the_same,
        ),
        Test(
            "twice_in_a_row",
            "M10: the ring mapped twice in a row",
            twice_in_a_row,
        ),
    ])
}

/// A ring whose pages are stamped, and its page frames.
struct Stamped {
    pcm: Pcm,
    stamps: Vec<u64>,
    frames: Vec<u64>,
    random: Random,
}

impl Stamped {
    fn new(pages: usize) -> Result<Self, Stop> {
        let config = Config::of_pages(pages);
        let pcm = config.prepare()?;
        let mut random = Random::new();
        let stamps: Vec<_> = (0..pages).map(|_| random.next()).collect();
        let mut sound = vec![0; config.bytes()];
        for (page, stamp) in sound.chunks_mut(page()).zip(&stamps) {
            page[..8].copy_from_slice(&stamp.to_ne_bytes());
        }
        let written = pcm.writei(&sound)?;
        ensure!(
            written as u64 == config.frames(),
            "{written} frames written"
        );

        let window = config.map(&pcm)?;
        window.touch();
        let frames: Vec<_> = frames(&window)?.into_iter().flatten().collect();
        ensure!(
            frames.len() == pages,
            "{} of {pages} pages are there",
            frames.len()
        );
        Ok(Self {
            pcm,
            stamps,
            frames,
            random,
        })
    }

    /// Checks `window`, whose first page should be ring page `first`.
    fn check(&self, window: &Window, first: usize) -> Outcome {
        for index in 0..window.pages() {
            let (seen, expected) = (window.stamp(index), self.stamps[first + index]);
            ensure!(
                seen == expected,
                "page {index} from {first}: {seen:#x}, not {expected:#x}"
            );
        }
        for (index, frame) in frames(window)?.into_iter().enumerate() {
            let expected = Some(self.frames[first + index]);
            ensure!(
                frame == expected,
                "page {index} from {first}: {frame:?}, not {expected:?}"
            );
        }
        Ok(())
    }

    fn map(&self, first: usize, pages: usize) -> Result<Window, Stop> {
        Ok(Window::new(&self.pcm, first, pages)?)
    }

    /// Touches about half of the pages, so that others fault only after what is done next.
    fn touch_some(&mut self, window: &Window) {
        for index in 0..window.pages() {
            if self.random.below(2) == 0 {
                let _ = window.get(index * page());
            }
        }
    }
}

fn frames_are_distinct() -> Outcome {
    let ring = Stamped::new(PAGES)?;
    let distinct: BTreeSet<_> = ring.frames.iter().collect();
    ensure!(distinct.len() == PAGES, "{:?}", ring.frames);
    Ok(())
}

fn every_offset_and_length() -> Outcome {
    let ring = Stamped::new(PAGES)?;
    for first in 0..PAGES {
        for pages in 1..=PAGES - first {
            ring.check(&ring.map(first, pages)?, first)?;
        }
    }
    Ok(())
}

fn largest_ring() -> Outcome {
    let pages = card::largest_ring()? / page();
    tap::note(format_args!("{pages} pages"));
    let ring = Stamped::new(pages)?;
    let distinct: BTreeSet<_> = ring.frames.iter().collect();
    ensure!(
        distinct.len() == pages,
        "{} distinct page frames of {pages}",
        distinct.len()
    );
    ring.check(&ring.map(0, pages)?, 0)?;
    ring.check(&ring.map(pages / 2 + 1, pages / 3)?, pages / 2 + 1)
}

fn write_through() -> Outcome {
    let mut ring = Stamped::new(PAGES)?;
    let whole = ring.map(0, PAGES)?;
    let pages: Vec<_> = (0..PAGES)
        .map(|first| ring.map(first, 1))
        .collect::<Result<_, _>>()?;
    for (index, page) in pages.iter().enumerate() {
        let stamp = ring.random.next();
        whole.set_stamp(index, stamp);
        ring.stamps[index] = stamp;
        ring.check(page, index)?;
        let stamp = ring.random.next();
        page.set_stamp(0, stamp);
        ring.stamps[index] = stamp;
        ring.check(&whole, 0)?;
    }
    Ok(())
}

fn partial_munmap() -> Outcome {
    let mut ring = Stamped::new(PAGES)?;
    for first in [0, 1, 5] {
        let pages = PAGES - first;
        for cut in 1..pages {
            let window = ring.map(first, pages)?;
            ring.touch_some(&window);
            let (head, tail) = window.split(cut);
            head.unmap()?;
            ring.check(&tail, first + cut)?;

            let window = ring.map(first, pages)?;
            ring.touch_some(&window);
            let (head, tail) = window.split(cut);
            tail.unmap()?;
            ring.check(&head, first)?;
        }
        for cut in 1..pages - 1 {
            let window = ring.map(first, pages)?;
            ring.touch_some(&window);
            let (head, rest) = window.split(cut);
            let (middle, tail) = rest.split(1);
            middle.unmap()?;
            ring.check(&head, first)?;
            ring.check(&tail, first + cut + 1)?;
        }
    }
    Ok(())
}

fn mprotect_split() -> Outcome {
    let mut ring = Stamped::new(PAGES)?;
    for cut in 1..PAGES - 1 {
        let window = ring.map(0, PAGES)?;
        ring.touch_some(&window);
        let (head, rest) = window.split(cut);
        let (middle, tail) = rest.split(1);
        middle.protect(Protection::Read)?;
        ring.check(&head, 0)?;
        ring.check(&middle, cut)?;
        ring.check(&tail, cut + 1)?;
        // Without write permission a write is a signal, and with it again a write.
        let end = fork::run(|| {
            middle.set(0, 1);
            0
        })?;
        ensure!(
            end == fork::End::Signal(libc::SIGSEGV),
            "a write to a read-only page: {end:?}"
        );
        middle.protect(Protection::ReadWrite)?;
        let stamp = ring.random.next();
        middle.set_stamp(0, stamp);
        ring.stamps[cut] = stamp;
        ring.check(&ring.map(0, PAGES)?, 0)?;
    }
    Ok(())
}

fn mremap_move() -> Outcome {
    let mut ring = Stamped::new(PAGES)?;
    for first in [0, 3] {
        let pages = PAGES - first;
        for touched in [false, true] {
            let mut window = ring.map(first, pages)?;
            if touched {
                ring.touch_some(&window);
            }
            let before = window.address();
            window.relocate()?;
            ensure!(window.address() != before, "did not move");
            ring.check(&window, first)?;
            window.remap(pages - 2, 0)?;
            ring.check(&window, first)?;
            // A part of a mapping moves away from the rest.
            let (head, mut tail) = window.split(pages / 2);
            tail.relocate()?;
            ring.check(&tail, first + pages / 2)?;
            ring.check(&head, first)?;
        }
    }
    Ok(())
}

fn fork_shows_the_same() -> Outcome {
    let mut ring = Stamped::new(PAGES)?;
    let window = ring.map(2, PAGES - 2)?;
    ring.touch_some(&window);
    let stamp = ring.random.next();
    let end = fork::run(|| {
        let seen = ring.check(&window, 2);
        window.set_stamp(0, stamp);
        match seen {
            Ok(()) => 0,
            Err(stop) => {
                tap::note(format_args!("child: {stop:?}"));
                1
            }
        }
    })?;
    ensure!(end == fork::End::Exit(0), "{end:?}");
    ring.stamps[2] = stamp;
    ring.check(&window, 2)
}

fn twice_in_a_row() -> Outcome {
    let mut ring = Stamped::new(PAGES)?;
    let (first, second) = Window::twice(&ring.pcm, PAGES)?;
    ensure!(
        first.address() + first.bytes() == second.address(),
        "not in a row"
    );
    ring.touch_some(&first);
    ring.touch_some(&second);
    ring.check(&first, 0)?;
    ring.check(&second, 0)
}
