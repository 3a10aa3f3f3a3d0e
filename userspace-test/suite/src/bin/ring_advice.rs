// SPDX-License-Identifier: MIT OR Apache-2.0
//! M6, M9: a mapping that is only read, and what a process may say about a mapping beside touching it.

use cpal_alsa_mmap::sys::{Direction, MapOptions, OpenMode, OpenOptions, Pcm, Protection};
use sgring_suite::card::{self, Config};
use sgring_suite::ensure;
use sgring_suite::fork::{self, Child, End};
use sgring_suite::kmsg::Watch;
use sgring_suite::pipe::Pipe;
use sgring_suite::proc::{frames, present};
use sgring_suite::raw::userfault;
use sgring_suite::tap::{self, Outcome, Stop, Test, expect};
use sgring_suite::window::{Window, page};
use std::process::ExitCode;

const PAGES: usize = 16;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "populate_capture",
            "M9: MAP_POPULATE of a capture ring that is opened and mapped to be read",
            populate_capture,
        ),
        Test(
            "playback_to_be_read",
            "M6: a playback ring mapped to be read shows it; a write is SIGSEGV until mprotect()",
            playback_to_be_read,
        ),
        Test(
            "not_for_children",
            "M4: MADV_DONTFORK keeps the mapping out of children, for good",
            not_for_children,
        ),
        Test(
            "other_advice",
            "M6: advice for memory that is swapped, merged or dumped changes no byte",
            other_advice,
        ),
        Test(
            "userfaultfd",
            "M6: nobody else answers the faults of a ring: EINVAL",
            userfaultfd,
        ),
    ])
}

fn to_be_read(flags: i32) -> MapOptions {
    MapOptions {
        protection: Protection::Read,
        flags,
        ..MapOptions::default()
    }
}

fn populate_capture() -> Outcome {
    let config = Config::of_pages(PAGES);
    let options = OpenOptions {
        mode: OpenMode::ReadOnly,
        ..OpenOptions::default()
    };
    let pcm = Pcm::open(card::number()?, 0, Direction::Capture, options)?;
    config.apply(&pcm)?;
    for (pgoff, pages) in [(0, PAGES), (0, 1), (PAGES - 1, 1), (3, 7)] {
        let window = Window::with(&pcm, pgoff, pages, to_be_read(libc::MAP_POPULATE))?;
        let seen = present(&window)?.len();
        ensure!(seen == pages, "{seen} of {pages} pages from {pgoff}");
        let silent = (0..pages).all(|index| window.stamp(index) == 0);
        ensure!(silent, "a new ring is not silent");
    }
    let window = Window::with(&pcm, 0, PAGES, to_be_read(0))?;
    ensure!(present(&window)?.is_empty(), "mmap() maps");
    expect(
        "MADV_POPULATE_WRITE",
        window.advise(libc::MADV_POPULATE_WRITE),
        libc::EINVAL,
    )?;
    window.advise(libc::MADV_POPULATE_READ)?;
    let seen = present(&window)?.len();
    ensure!(seen == PAGES, "MADV_POPULATE_READ: {seen} pages");
    expect(
        "mprotect() to write",
        window.protect(Protection::ReadWrite),
        libc::EACCES,
    )
}

/// Demands that a write to page `index` is a signal, or is not.
fn expect_write(window: &Window, index: usize, expected: End) -> Outcome {
    let end = fork::run(|| {
        window.set_stamp(index, 0xbad);
        0
    })?;
    ensure!(end == expected, "a write to page {index}: {end:?}");
    Ok(())
}

fn playback_to_be_read() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.prepare()?;
    let mut sound = vec![0; config.bytes()];
    for (index, page) in sound.chunks_mut(page()).enumerate() {
        page[0] = 0x40 + index as u8;
    }
    pcm.writei(&sound)?;
    let reader = Window::with(&pcm, 0, PAGES, to_be_read(0))?;
    let writer = config.map(&pcm)?;
    for index in 0..PAGES {
        let stamp = reader.stamp(index);
        ensure!(stamp == 0x40 + index as u64, "page {index}: {stamp:#x}");
        writer.set_stamp(index, 0x80 + index as u64);
        let stamp = reader.stamp(index);
        ensure!(
            stamp == 0x80 + index as u64,
            "page {index}, written: {stamp:#x}"
        );
    }
    ensure!(frames(&reader)? == frames(&writer)?, "other page frames");
    // A page that is there, and one that is not.
    reader.forget(1)?;
    for index in [0, 1] {
        expect_write(&reader, index, End::Signal(libc::SIGSEGV))?;
    }
    reader.protect(Protection::ReadWrite)?;
    for index in [0, 1] {
        expect_write(&reader, index, End::Exit(0))?;
        let stamp = writer.stamp(index);
        ensure!(stamp == 0xbad, "page {index}: {stamp:#x}");
    }
    Ok(())
}

fn not_for_children() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    window.touch();
    window.advise(libc::MADV_DONTFORK)?;
    // The mark cannot be taken back from such a mapping: the kernel's own.
    expect(
        "MADV_DOFORK",
        window.advise(libc::MADV_DOFORK),
        libc::EINVAL,
    )?;
    let end = fork::run(|| {
        let _ = window.stamp(0);
        0
    })?;
    ensure!(end == End::Signal(libc::SIGSEGV), "a child: {end:?}");
    let gate = Pipe::new()?;
    let child = Child::spawn(|| i32::from(gate.wait().is_err()))?;
    window.set_stamp(1, 7);
    ensure!(
        window.stamp(1) == 7,
        "the parent's is {:#x}",
        window.stamp(1)
    );
    drop(window);
    // The child lives and has nothing mapped.
    config.apply(&pcm)?;
    gate.tell()?;
    let end = child.wait()?;
    ensure!(end == End::Exit(0), "{end:?}");
    Ok(())
}

fn other_advice() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    let mut watch = Watch::new()?;
    for index in 0..PAGES {
        window.set_stamp(index, 0x600d + index as u64);
    }
    let before = frames(&window)?;
    for (name, advice, errno) in [
        ("MADV_NORMAL", libc::MADV_NORMAL, 0),
        ("MADV_RANDOM", libc::MADV_RANDOM, 0),
        ("MADV_SEQUENTIAL", libc::MADV_SEQUENTIAL, 0),
        ("MADV_WILLNEED", libc::MADV_WILLNEED, 0),
        ("MADV_COLD", libc::MADV_COLD, 0),
        ("MADV_PAGEOUT", libc::MADV_PAGEOUT, 0),
        ("MADV_FREE", libc::MADV_FREE, libc::EINVAL),
        ("MADV_WIPEONFORK", libc::MADV_WIPEONFORK, libc::EINVAL),
        ("MADV_DONTDUMP", libc::MADV_DONTDUMP, 0),
        ("MADV_DODUMP", libc::MADV_DODUMP, libc::EINVAL),
    ] {
        expect(name, window.advise(advice), errno)?;
        for index in 0..PAGES {
            let stamp = window.stamp(index);
            ensure!(
                stamp == 0x600d + index as u64,
                "{name}: page {index} is {stamp:#x}"
            );
        }
        ensure!(frames(&window)? == before, "{name}: other page frames");
    }
    drop(window);
    config.apply(&pcm)?;
    watch.quiet()
}

fn userfaultfd() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    let anonymous = Window::anonymous(window.bytes())?;
    match userfault(&anonymous) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
            return Err(Stop::Skip("this kernel has no userfaultfd".into()));
        }
        result => expect("of anonymous memory", result, 0)?,
    }
    expect("of a ring", userfault(&window), libc::EINVAL)?;
    window.touch();
    Ok(())
}
