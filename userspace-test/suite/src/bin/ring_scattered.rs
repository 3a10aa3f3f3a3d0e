// SPDX-License-Identifier: MIT OR Apache-2.0
//! M1, M3, M13: the largest ring of the card, in memory that is in pieces.
//!
//! A ring on a fresh machine is one run of pages, and its scatter-gather table one entry. This one has
//! thousands.

use sgring_suite::binding::{self, Loaded, MODULE};
use sgring_suite::card::{self, Config};
use sgring_suite::ensure;
use sgring_suite::kmsg::Watch;
use sgring_suite::proc::frames;
use sgring_suite::raw::delete_module;
use sgring_suite::scatter::Scattered;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Test, note};
use sgring_suite::window::{Window, page};
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Of the card: `SGRING_CAP_RING_MAX`.
const BYTES: usize = 64 << 20;

fn main() -> ExitCode {
    tap::run(&[Test(
        "largest_in_pieces",
        "M3, M13: 64 MiB in thousands of pieces, page by page, and played",
        largest_in_pieces,
    )])
}

fn largest_in_pieces() -> Outcome {
    let _loaded = Loaded;
    let mut watch = Watch::new()?;
    delete_module(MODULE)?;
    binding::load(&[&format!("max_ring_bytes={BYTES}")])?;
    let largest = card::largest_ring()?;
    ensure!(largest == BYTES, "the largest ring has {largest} bytes");

    let memory = Scattered::new()?;
    let config = Config {
        rate: 384_000,
        ..Config::of_pages(BYTES / page())
    };
    let pcm = config.prepare()?;
    // Through the kernel's way into the ring, a page at a time.
    let mut random = Random::new();
    let mut sound = vec![0; page()];
    let mut stamps = Vec::new();
    for _ in 0..config.pages() {
        let stamp = random.next();
        sound[..8].copy_from_slice(&stamp.to_ne_bytes());
        pcm.writei(&sound)?;
        stamps.push(stamp);
    }
    let window = Window::new(&pcm, 0, config.pages())?;
    for (index, stamp) in stamps.iter().enumerate() {
        let seen = window.stamp(index);
        ensure!(seen == *stamp, "page {index}: {seen:#x}, not {stamp:#x}");
    }
    let frames: Vec<_> = frames(&window)?.into_iter().flatten().collect();
    let distinct: BTreeSet<_> = frames.iter().collect();
    ensure!(
        distinct.len() == config.pages(),
        "{} page frames",
        distinct.len()
    );
    let pieces = 1 + frames
        .windows(2)
        .filter(|pair| pair[1] != pair[0] + 1)
        .count();
    note(format_args!("{} pages in {pieces} pieces", frames.len()));
    ensure!(pieces > 1000, "{pieces} pieces: memory is not scattered");
    drop(memory);

    // The last page too is where it should be.
    let last = config.pages() - 1;
    let part = Window::new(&pcm, last, 1)?;
    ensure!(
        part.stamp(0) == stamps[last],
        "the last page alone: {:#x}",
        part.stamp(0)
    );
    drop(part);
    drop(window);

    pcm.prepare()?;
    let some = 100 * sound.len();
    for _ in 0..100 {
        pcm.writei(&sound)?;
    }
    pcm.start()?;
    pcm.drain()?;
    let end = pcm.status()?.hw_ptr;
    ensure!(end == some as u64 / 2, "played to {end} of {}", some / 2);
    drop(pcm);

    delete_module(MODULE)?;
    binding::load(&[])?;
    card::plays()?;
    watch.quiet()
}
