// SPDX-License-Identifier: MIT OR Apache-2.0
//! A ring that is mapped through OSS emulation, whose parameters may change while it is.
//!
//! The sound core keeps a native client's ring as it is while it is mapped; an OSS client may have another one,
//! of another size, in place of it. Its mapping then shows the new ring, all of it, and nothing of the old one,
//! whose pages may be somebody else's by then.

use sgring_suite::card;
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::fork::{self, End};
use sgring_suite::kmsg::Watch;
use sgring_suite::oss::{Dsp, S16_LE};
use sgring_suite::proc::{frames, map_count};
use sgring_suite::tap::{self, Outcome, Stop, Test, note};
use sgring_suite::window::{Window, page};
use std::process::ExitCode;

const RAM: u32 = 0;
const SRAM: u32 = 1;
/// Pages that are mapped, of a ring that is longer. The next one is no longer than the mapping, and of whole
/// fragments, of two pages: one page less.
const PAGES: usize = 23;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "mapped_and_played",
            "M1, OSS: the ring is mapped page by page and played",
            mapped_and_played,
        ),
        Test(
            "another_ring_in_main_memory",
            "M4, M15, OSS: parameters change under a mapping, which shows the new ring",
            || another_ring(RAM, RAM),
        ),
        Test(
            "another_ring_on_the_card",
            "M4, M12, OSS: the same with a ring on the card",
            || another_ring(SRAM, SRAM),
        ),
        Test(
            "moved_and_changed",
            "M17, OSS: the same with a ring that moves in between",
            || another_ring(RAM, SRAM),
        ),
        Test(
            "the_same_ring",
            "OSS: parameters that need no other ring leave every page where it is",
            the_same_ring,
        ),
        Test(
            "closed_while_mapped",
            "M15, OSS: the mapping keeps the ring, and lets go of it",
            closed_while_mapped,
        ),
    ])
}

/// The card, 48 kHz mono S16, nothing mapped.
fn open() -> Result<Dsp, Stop> {
    let dsp = Dsp::open()?;
    dsp.format(S16_LE)?;
    dsp.channels(1)?;
    dsp.speed(48_000)?;
    Ok(dsp)
}

fn mapped_and_played() -> Outcome {
    let dsp = open()?;
    dsp.fragments(8, 12)?;
    let bytes = dsp.ring_bytes()?;
    ensure!(bytes == 8 << 12, "a ring of {bytes} bytes");
    let window = dsp.map(bytes)?;
    let seen = frames(&window)?;
    ensure!(seen.iter().all(Option::is_none), "mmap() maps: {seen:?}");
    window.write(0, &vec![0x11; bytes]);
    dsp.play(false)?;
    dsp.play(true)?;
    // More than the ring: it is played again and again.
    while dsp.played()? < 2 * bytes as i32 {
        std::thread::yield_now();
    }
    dsp.reset()?;
    drop(window);
    drop(dsp);
    card::plays()
}

/// The page frames of `window`, whose pages from `pages` on are not touched.
fn frames_of(window: &Window, pages: usize) -> Result<Vec<Option<u64>>, Stop> {
    for index in 0..pages {
        let _ = window.stamp(index);
    }
    let mut frames = frames(window)?;
    frames.truncate(pages);
    Ok(frames)
}

fn another_ring(before: u32, after: u32) -> Outcome {
    let mut watch = Watch::new()?;
    let memory = Control::playback_memory()?.changed(before)?;
    let dsp = open()?;
    dsp.fragments(0x7fff, 13)?;
    let old = dsp.ring_bytes()?;
    let window = dsp.map(PAGES * page())?;
    // Every other page.
    for index in (0..PAGES).step_by(2) {
        window.set_stamp(index, 0x01d0_0000 + index as u64);
    }
    let gone = frames(&window)?;
    if after != before {
        memory.set(after)?;
        ensure!(
            window.stamp(2) == 0x01d0_0002,
            "{:#x} after the move",
            window.stamp(2)
        );
    }

    dsp.play(true)?;
    dsp.speed(44_100)?;
    let new = dsp.ring_bytes()?;
    note(format_args!("{old} bytes, then {new}"));
    ensure!(
        new != old && new <= PAGES * page(),
        "no other ring: {new} bytes"
    );
    let pages = new / page();
    // What a mapping shows that was made only now is the ring.
    let other = dsp.map(new)?;
    let (seen, expected) = (frames_of(&window, pages)?, frames_of(&other, pages)?);
    ensure!(
        seen == expected,
        "the mapping has {seen:x?}, the ring is {expected:x?}"
    );
    for index in 0..pages {
        other.set_stamp(index, 0x0e00 + index as u64);
        let stamp = window.stamp(index);
        ensure!(stamp == 0x0e00 + index as u64, "page {index}: {stamp:#x}");
    }
    // Behind its end there is nothing any more, not even what was.
    for index in pages..PAGES {
        let end = fork::run(|| {
            let _ = window.stamp(index);
            0
        })?;
        ensure!(
            end == End::Signal(libc::SIGBUS),
            "page {index}, behind the end: {end:?}"
        );
    }
    if before == RAM {
        for frame in gone.into_iter().flatten() {
            let count = map_count(frame)?;
            let kept = expected.contains(&Some(frame));
            ensure!(
                kept || count == 0,
                "a page of the old ring is mapped {count} times"
            );
        }
    }
    drop(other);
    drop(window);
    drop(dsp);
    drop(memory);
    card::plays()?;
    watch.quiet()
}

fn the_same_ring() -> Outcome {
    let dsp = open()?;
    dsp.fragments(8, 12)?;
    let bytes = dsp.ring_bytes()?;
    let window = dsp.map(bytes)?;
    window.touch();
    let expected = frames(&window)?;
    for rate in [44_100, 8_000, 48_000] {
        for index in (0..window.pages()).step_by(3) {
            window.set_stamp(index, 0x5a_0000 + index as u64);
        }
        dsp.speed(rate)?;
        let now = dsp.ring_bytes()?;
        ensure!(now == bytes, "{now} bytes at {rate} Hz");
        // OSS emulation writes silence to every ring that it sets up.
        let silent = (0..window.pages()).all(|index| window.stamp(index) == 0);
        ensure!(
            silent,
            "{rate} Hz: the mapping does not show the kernel's silence"
        );
        let seen = frames(&window)?;
        ensure!(seen == expected, "{rate} Hz: {seen:x?}, not {expected:x?}");
    }
    Ok(())
}

fn closed_while_mapped() -> Outcome {
    let mut watch = Watch::new()?;
    let dsp = open()?;
    let bytes = dsp.ring_bytes()?;
    let window = dsp.map(bytes)?;
    window.set_stamp(3, 0xc105ed);
    let child = fork::run(|| {
        window.set_stamp(4, 7);
        0
    })?;
    ensure!(child == End::Exit(0), "the child: {child:?}");
    drop(dsp);
    ensure!(
        window.stamp(3) == 0xc105ed && window.stamp(4) == 7,
        "the ring has changed"
    );
    window.touch();
    drop(window);
    card::plays()?;
    watch.quiet()
}
