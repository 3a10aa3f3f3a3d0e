// SPDX-License-Identifier: MIT OR Apache-2.0
//! M13: the ring is made of separate pages of the page allocator, each counted for itself.

use sgring_suite::card::{self, Config};
use sgring_suite::ensure;
use sgring_suite::proc::{frame_flags, frames, map_count};
use sgring_suite::tap::{self, Outcome, Test, note};
use sgring_suite::window::{Window, page};
use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "single_pages",
            "M13: no part of a larger page, of slab or of reserved memory",
            single_pages,
        ),
        Test(
            "mapped_one_by_one",
            "M13: a page that is mapped leaves its neighbours alone",
            mapped_one_by_one,
        ),
        Test(
            "linear_to_the_kernel",
            "M13: the ring's own range in the kernel, page by page",
            linear_to_the_kernel,
        ),
    ])
}

fn single_pages() -> Outcome {
    // include/uapi/linux/kernel-page-flags.h, include/linux/kernel-page-flags.h
    const NOT: [(u32, &str); 9] = [
        (5, "lru"),
        (7, "slab"),
        (10, "buddy"),
        (12, "anonymous"),
        (13, "swap cache"),
        (15, "compound head"),
        (16, "compound tail"),
        (17, "huge"),
        (32, "reserved"),
    ];
    let config = Config::of_pages(card::largest_ring()? / page());
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    window.touch();
    let frames: Vec<_> = frames(&window)?.into_iter().flatten().collect();
    for (index, &frame) in frames.iter().enumerate() {
        let flags = frame_flags(frame)?;
        for (bit, name) in NOT {
            ensure!(flags & 1 << bit == 0, "page {index} is {name}: {flags:#x}");
        }
    }
    let distinct: BTreeSet<_> = frames.iter().collect();
    ensure!(
        distinct.len() == config.pages(),
        "{} page frames of {}",
        distinct.len(),
        config.pages()
    );
    let neighbours = frames
        .windows(2)
        .filter(|pair| pair[1] == pair[0] + 1)
        .count();
    note(format_args!(
        "{} pages, {neighbours} behind their neighbour in memory",
        frames.len()
    ));
    Ok(())
}

fn mapped_one_by_one() -> Outcome {
    const PAGES: usize = 16;
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let frames: Vec<_> = {
        let window = config.map(&pcm)?;
        window.touch();
        frames(&window)?.into_iter().flatten().collect()
    };
    for mapped in 0..PAGES {
        let window = Window::new(&pcm, mapped, 1)?;
        window.touch();
        for (index, &frame) in frames.iter().enumerate() {
            let (seen, expected) = (map_count(frame)?, u64::from(index == mapped));
            ensure!(
                seen == expected,
                "page {index} is mapped {seen} times while {mapped} is"
            );
        }
    }
    Ok(())
}

/// How many areas of `pages` single pages the kernel has mapped for itself.
fn areas(pages: usize) -> std::io::Result<usize> {
    let text = fs::read_to_string("/proc/vmallocinfo")?;
    let (count, own) = (format!("pages={pages}"), "vmalloc");
    let ours = |line: &&str| {
        line.split(' ').any(|word| word == count) && line.split(' ').any(|word| word == own)
    };
    Ok(text.lines().filter(ours).count())
}

fn linear_to_the_kernel() -> Outcome {
    // A size that nothing else has.
    const PAGES: usize = 211;
    let config = Config::of_pages(PAGES);
    let before = areas(PAGES)?;
    let pcm = config.open()?;
    let with = areas(PAGES)?;
    ensure!(
        with == before + 1,
        "{with} areas of {PAGES} pages, {before} before"
    );
    drop(pcm);
    let after = areas(PAGES)?;
    ensure!(
        after == before,
        "{after} areas of {PAGES} pages after the last close, {before} before"
    );
    Ok(())
}
