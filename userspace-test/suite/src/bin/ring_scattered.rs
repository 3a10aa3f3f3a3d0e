// SPDX-License-Identifier: MIT OR Apache-2.0
//! M1, M3, M13: the largest ring of the card, in memory that is in pieces.
//!
//! A ring on a fresh machine is one run of pages, and its scatter-gather table one entry. This one has
//! thousands.

use cpal_alsa_mmap::sys::{Access, Format, HwParams, Param, SwParams};
use sgring_suite::binding::{self, Loaded, MODULE};
use sgring_suite::card::{self, Config};
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::kmsg::Watch;
use sgring_suite::proc::frames;
use sgring_suite::raw::delete_module;
use sgring_suite::scatter::Scattered;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Test, expect, note};
use sgring_suite::window::{Window, page};
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Of the card: `SGRING_CAP_RING_MAX`.
const BYTES: usize = 64 << 20;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "largest_in_pieces",
            "M3, M13: 64 MiB in thousands of pieces, page by page, and played",
            largest_in_pieces,
        ),
        Test(
            "largest_to_the_last_frame",
            "M2, M13: rings of 64 MiB and a frame less, in pieces, played whole and round the end, every frame judged",
            largest_to_the_last_frame,
        ),
    ])
}

/// Bytes of a frame: stereo, 32 bit.
const FRAME: usize = 8;
const FRAMES_IN_A_PAGE: u64 = 4096 / FRAME as u64;

/// 384 kHz stereo, 32 bit, a ring of `periods` periods of `period` frames.
fn wide(access: Access, period: u64, periods: u64) -> HwParams {
    let mut params = HwParams::any();
    params.set_access(&[access]);
    params.set_formats(&[Format::S32Le]);
    params.set(Param::Channels, 2);
    params.set(Param::Rate, 384_000);
    params.set(Param::PeriodSize, period as u32);
    params.set(Param::Periods, periods as u32);
    params
}

/// What frame `frame` of a clip is that goes through a ring of `ring` frames: a mark in the first of each page.
fn mark(frame: u64, ring: u64) -> u64 {
    match frame % ring {
        at if at % FRAMES_IN_A_PAGE == 0 => 0x5167_0000_0000 + at,
        _ => 0,
    }
}

/// Plays a ring of `periods` periods from its first frame to its last and a page more, and judges what the
/// loopback has recorded.
fn play_round(period: u64, periods: u64) -> Outcome {
    const MORE: u64 = FRAMES_IN_A_PAGE;
    let ring = period * periods;
    let bytes = ring as usize * FRAME;
    let pages = bytes.div_ceil(page());
    let pcm = card::open()?;
    {
        // Only while the ring is made: the test itself needs memory too.
        let _memory = Scattered::new()?;
        pcm.hw_params(&mut wide(Access::MmapInterleaved, period, periods))?;
    }
    let mut params = SwParams::new(ring, period);
    params.start_threshold = i64::MAX as u64;
    pcm.sw_params(&params)?;
    pcm.prepare()?;
    let window = Window::new(&pcm, 0, pages)?;
    for index in 0..pages {
        window.set_stamp(index, mark(index as u64 * FRAMES_IN_A_PAGE, ring));
    }
    let all: Vec<_> = frames(&window)?.into_iter().flatten().collect();
    ensure!(
        all.len() == pages,
        "{} of {pages} pages are mapped",
        all.len()
    );
    let pieces = 1 + all.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    ensure!(pieces > 1000, "{pieces} pieces: memory is not scattered");
    let tail = window.read(bytes, pages * page() - bytes);
    ensure!(
        tail.iter().all(|&byte| byte == 0),
        "sound behind the last frame"
    );
    expect(
        "a page behind the end",
        Window::new(&pcm, pages, 1),
        libc::EINVAL,
    )?;

    let recorder = card::open_capture()?;
    recorder.hw_params(&mut wide(Access::RwInterleaved, 4096, 8))?;
    recorder.prepare()?;
    card::commit(&pcm, ring)?;
    recorder.start()?;
    pcm.start()?;
    let mut chunk = vec![0; 4096 * FRAME];
    let (mut heard, mut behind) = (0, 0);
    let mut more = false;
    while heard < ring + MORE || behind < FRAMES_IN_A_PAGE {
        let read = recorder.readi(&mut chunk)?;
        for frame in chunk[..read * FRAME].chunks_exact(FRAME) {
            let seen = frame.try_into().map_or(0, u64::from_le_bytes);
            // Silence until the first frame, which is marked.
            if heard == 0 && seen == 0 {
                continue;
            }
            if heard < ring + MORE {
                let expected = mark(heard, ring);
                ensure!(
                    seen == expected,
                    "frame {heard} of {ring} is {seen:#x}, not {expected:#x}"
                );
                heard += 1;
            } else {
                ensure!(seen == 0, "{seen:#x} behind the last frame");
                behind += 1;
            }
        }
        // What was played first is played once more, round the end. The kernel was not asked for the position
        // since the start: what is queued is more than a ring, by what it knows.
        if !more && heard > 2 * MORE {
            more = true;
            card::commit(&pcm, ring + MORE)?;
            pcm.set_nonblock(true)?;
            expect("DRAIN", pcm.drain(), libc::EAGAIN)?;
        }
    }
    note(format_args!(
        "{heard} frames, {pages} pages in {pieces} pieces"
    ));
    Ok(())
}

fn largest_to_the_last_frame() -> Outcome {
    let _loaded = Loaded;
    let mut watch = Watch::new()?;
    delete_module(MODULE)?;
    // More than the card has: what it has is the limit.
    binding::load(&[&format!("max_ring_bytes={}", BYTES + 1)])?;
    let largest = card::largest_ring()?;
    ensure!(largest == BYTES, "the largest ring has {largest} bytes");
    let loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let most = (BYTES / FRAME) as u64;
    let too_many = card::open()?.hw_params(&mut wide(Access::MmapInterleaved, (most + 2) / 2, 2));
    expect("a frame more", too_many, libc::EINVAL)?;
    play_round(most / 128, 128)?;
    // A number of whole periods that is a frame less.
    ensure!((most - 1) % 47 == 0, "{most} frames");
    play_round((most - 1) / 47, 47)?;
    drop(loopback);

    delete_module(MODULE)?;
    binding::load(&[])?;
    card::plays()?;
    watch.quiet()
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
