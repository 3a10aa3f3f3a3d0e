// SPDX-License-Identifier: MIT OR Apache-2.0
//! M6: the ring is ordinary memory in a special mapping: not locked, not I/O, not in core dumps.

use sgring_suite::card::Config;
use sgring_suite::ensure;
use sgring_suite::proc::{Smaps, locked_memory, present};
use sgring_suite::tap::{self, Outcome, Test, expect};
use sgring_suite::window::page;
use std::process::ExitCode;

const PAGES: usize = 8;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "flags",
            "M6: mixed, not expandable, not dumped; neither locked nor I/O",
            flags,
        ),
        Test(
            "flags_survive",
            "M6: a part and a moved mapping have the same flags",
            flags_survive,
        ),
        Test(
            "mlock",
            "M6: mlock() brings the pages and accounts for nothing",
            mlock,
        ),
        Test("advice", "M6: madvise() as for any special mapping", advice),
    ])
}

fn check_flags(smaps: &Smaps) -> Outcome {
    for flag in ["sh", "rd", "wr", "mm", "de", "dd"] {
        ensure!(smaps.has(flag), "{flag} is missing: {:?}", smaps.flags);
    }
    for flag in ["lo", "io", "pf", "ht", "dc", "gd"] {
        ensure!(!smaps.has(flag), "{flag} is set: {:?}", smaps.flags);
    }
    Ok(())
}

fn flags() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    let smaps = Smaps::of(&window)?;
    tap::note(format_args!("{:?}", smaps.flags));
    ensure!(
        smaps.bytes == PAGES * page(),
        "{} bytes in one mapping",
        smaps.bytes
    );
    check_flags(&smaps)
}

fn flags_survive() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    let (head, rest) = window.split(2);
    let (middle, mut tail) = rest.split(2);
    middle.unmap()?;
    check_flags(&Smaps::of(&head)?)?;
    tail.relocate()?;
    check_flags(&Smaps::of(&tail)?)
}

fn mlock() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    let before = locked_memory()?;
    window.lock()?;
    let after = locked_memory()?;
    ensure!(after == before, "VmLck went from {before} to {after} kB");
    let smaps = Smaps::of(&window)?;
    ensure!(smaps.locked == 0, "{} kB locked", smaps.locked);
    check_flags(&smaps)?;
    let there = present(&window)?.len();
    ensure!(there == PAGES, "{there} of {PAGES} pages are there");
    // They may be taken away again.
    window.advise(libc::MADV_DONTNEED)?;
    let there = present(&window)?.len();
    ensure!(there == 0, "{there} pages stayed");
    Ok(())
}

fn advice() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    for index in 0..PAGES {
        window.set_stamp(index, index as u64 + 1);
    }
    for (name, advice, expected) in [
        ("DODUMP", libc::MADV_DODUMP, libc::EINVAL),
        ("DOFORK", libc::MADV_DOFORK, libc::EINVAL),
        ("WIPEONFORK", libc::MADV_WIPEONFORK, libc::EINVAL),
        ("FREE", libc::MADV_FREE, libc::EINVAL),
        ("PAGEOUT", libc::MADV_PAGEOUT, 0),
        ("COLD", libc::MADV_COLD, 0),
        ("DONTDUMP", libc::MADV_DONTDUMP, 0),
        ("NORMAL", libc::MADV_NORMAL, 0),
        ("SEQUENTIAL", libc::MADV_SEQUENTIAL, 0),
        ("RANDOM", libc::MADV_RANDOM, 0),
        ("DONTNEED", libc::MADV_DONTNEED, 0),
        ("MERGEABLE", libc::MADV_MERGEABLE, 0),
    ] {
        expect(format_args!("MADV_{name}"), window.advise(advice), expected)?;
    }
    for index in 0..PAGES {
        let stamp = window.stamp(index);
        ensure!(
            stamp == index as u64 + 1,
            "page {index} is {stamp:#x} afterwards"
        );
    }
    let smaps = Smaps::of(&window)?;
    check_flags(&smaps)?;
    ensure!(!smaps.has("mg"), "merged by KSM: {:?}", smaps.flags);
    Ok(())
}
