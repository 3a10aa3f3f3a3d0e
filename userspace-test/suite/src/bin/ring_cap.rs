// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory that all rings of a card may have together: the module parameter `max_card_bytes`.

use cpal_alsa_mmap::sys::Pcm;
use sgring_suite::binding::{self, Loaded, MODULE};
use sgring_suite::card::{self, Config};
use sgring_suite::ensure;
use sgring_suite::kmsg::Watch;
use sgring_suite::raw::delete_module;
use sgring_suite::tap::{self, Outcome, Test, expect};
use sgring_suite::window::page;
use std::io;
use std::process::ExitCode;

/// Pages of a card in these tests; of one ring, half of them and a few.
const CARD: usize = 24;
const RING: usize = 16;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "no_more_than_that",
            "all rings together stay within the limit, to the page: ENOMEM, and one line in the log",
            no_more_than_that,
        ),
        Test(
            "counted_while_mapped",
            "a ring that was closed counts as long as it is mapped",
            counted_while_mapped,
        ),
        Test(
            "replaced",
            "a ring takes the place of the one before, also where both would not fit",
            replaced,
        ),
        Test(
            "largest_fits",
            "no ring is offered that could not be had",
            largest_fits,
        ),
        Test(
            "sixteen_by_default",
            "a limit of 0 is 16 rings of the largest size, and two of them are had",
            sixteen_by_default,
        ),
    ])
}

/// Runs `body` with the module loaded with `parameters`.
fn with(parameters: &[String], body: impl FnOnce(&mut Watch) -> Outcome) -> Outcome {
    let _loaded = Loaded;
    delete_module(MODULE)?;
    let words: Vec<_> = parameters.iter().map(String::as_str).collect();
    binding::load(&words)?;
    let mut watch = Watch::new()?;
    body(&mut watch)?;
    delete_module(MODULE)?;
    binding::load(&[])?;
    card::plays()?;
    watch.quiet()
}

/// A card that may have [`CARD`] pages, and rings of [`RING`].
fn small(body: impl FnOnce(&mut Watch) -> Outcome) -> Outcome {
    let parameters = [
        format!("max_card_bytes={}", CARD * page()),
        format!("max_ring_bytes={}", RING * page()),
    ];
    with(&parameters, body)
}

/// A ring of `pages` pages on the capture substream.
fn capture(pages: usize) -> io::Result<Pcm> {
    let pcm = card::open_capture()?;
    Config::of_pages(pages).apply(&pcm)?;
    Ok(pcm)
}

fn no_more_than_that() -> Outcome {
    small(|watch| {
        let playback = Config::of_pages(RING).open()?;
        for _ in 0..3 {
            expect("a page too many", capture(CARD - RING + 1), libc::ENOMEM)?;
        }
        let lines = watch.lines()?;
        let said = lines.iter().filter(|line| line.contains("max_card_bytes"));
        ensure!(said.count() == 1, "in the log: {lines:?}");

        let second = capture(CARD - RING)?;
        // Both work, and there is room again for who comes after.
        drop((playback, second));
        drop(capture(RING)?);
        card::plays()
    })
}

fn counted_while_mapped() -> Outcome {
    small(|_| {
        let config = Config::of_pages(RING);
        let pcm = config.open()?;
        let window = config.map(&pcm)?;
        window.set(0, 1);
        drop(pcm);
        expect("mapped", capture(CARD - RING + 1), libc::ENOMEM)?;
        let (head, tail) = window.split(1);
        drop(tail);
        expect("a page mapped", capture(CARD - RING + 1), libc::ENOMEM)?;
        drop(head);
        capture(CARD - RING + 1)?;
        Ok(())
    })
}

fn replaced() -> Outcome {
    small(|_| {
        let pcm = card::open()?;
        for pages in [RING, RING - 1, RING, 2, RING] {
            Config::of_pages(pages).apply(&pcm)?;
        }
        let other = capture(CARD - RING)?;
        let more = Config::of_pages(CARD - RING + 1).apply(&other);
        expect("a page more", more, libc::ENOMEM)?;
        // What did not get more has nothing any more, as after any failed hw_params.
        Config::of_pages(CARD - RING).apply(&other)?;
        pcm.hw_free()?;
        Config::of_pages(RING).apply(&other)?;
        Ok(())
    })
}

fn largest_fits() -> Outcome {
    let bytes = 5 * page();
    with(&[format!("max_card_bytes={bytes}")], |_| {
        let largest = card::largest_ring()?;
        ensure!(largest == bytes, "the largest ring has {largest} bytes");
        drop(Config::of_pages(5).open()?);
        Ok(())
    })
}

fn sixteen_by_default() -> Outcome {
    with(&[format!("max_ring_bytes={}", 4 * page())], |_| {
        let largest = card::largest_ring()?;
        ensure!(
            largest == 4 * page(),
            "the largest ring has {largest} bytes"
        );
        let playback = Config::of_pages(4).open()?;
        let other = capture(4)?;
        drop((playback, other));
        Ok(())
    })
}
