// SPDX-License-Identifier: MIT OR Apache-2.0
//! M1: user space gets a page of the ring when it touches it, and not before.

use cpal_alsa_mmap::sys::MapOptions;
use sgring_suite::card::Config;
use sgring_suite::ensure;
use sgring_suite::param::Changed;
use sgring_suite::proc::{Smaps, present};
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Test};
use sgring_suite::window::{Window, page};
use std::collections::BTreeSet;
use std::process::ExitCode;

const PAGES: usize = 64;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "mmap_maps_nothing",
            "M1: mmap() maps nothing itself",
            mmap_maps_nothing,
        ),
        Test(
            "read_maps_one_page",
            "M1: a read brings its page and no other",
            read_maps_one_page,
        ),
        Test(
            "write_maps_one_page",
            "M1: a write brings its page and no other",
            write_maps_one_page,
        ),
        Test(
            "populate_maps_all",
            "M9: MAP_POPULATE maps every page",
            populate_maps_all,
        ),
        Test(
            "advice_maps_its_range",
            "M9: MADV_POPULATE_READ and _WRITE map their range",
            advice_maps_its_range,
        ),
        Test(
            "dontneed_unmaps",
            "M6: MADV_DONTNEED unmaps, and a touch brings the page back",
            dontneed_unmaps,
        ),
    ])
}

/// The page table and smaps must agree that exactly these pages are there.
fn expect_present(window: &Window, expected: &BTreeSet<usize>) -> Outcome {
    let seen: BTreeSet<_> = present(window)?.into_iter().collect();
    ensure!(seen == *expected, "{seen:?} instead of {expected:?}");
    let rss = Smaps::of(window)?.rss * 1024;
    ensure!(
        rss == (expected.len() * page()) as u64,
        "Rss {rss} with {} pages",
        expected.len()
    );
    Ok(())
}

fn all() -> BTreeSet<usize> {
    (0..PAGES).collect()
}

fn mmap_maps_nothing() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    expect_present(&window, &BTreeSet::new())
}

fn touch_in_random_order(touch: impl Fn(&Window, usize)) -> Outcome {
    // Nothing ahead of a touch that comes in order by chance.
    let _window = Changed::to("fault_window", 1)?;
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    let mut random = Random::new();
    let mut left: Vec<_> = (0..PAGES).collect();
    let mut touched = BTreeSet::new();
    while !left.is_empty() {
        let index = left.swap_remove(random.below(left.len()));
        touch(&window, index * page() + random.below(page()));
        touched.insert(index);
        expect_present(&window, &touched)?;
    }
    Ok(())
}

fn read_maps_one_page() -> Outcome {
    touch_in_random_order(|window, at| {
        let _ = window.get(at);
    })
}

fn write_maps_one_page() -> Outcome {
    touch_in_random_order(|window, at| window.set(at, 0x55))
}

fn populate_maps_all() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let options = MapOptions {
        flags: libc::MAP_POPULATE,
        ..MapOptions::default()
    };
    let window = Window::with(&pcm, 0, PAGES, options)?;
    expect_present(&window, &all())
}

fn advice_maps_its_range() -> Outcome {
    for advice in [libc::MADV_POPULATE_READ, libc::MADV_POPULATE_WRITE] {
        let config = Config::of_pages(PAGES);
        let pcm = config.open()?;
        let window = config.map(&pcm)?;
        let (head, tail) = window.split(PAGES / 2 + 1);
        tail.advise(advice)?;
        ensure!(
            present(&head)?.is_empty(),
            "advice {advice} went beyond its range"
        );
        let there = present(&tail)?.len();
        ensure!(
            there == tail.pages(),
            "advice {advice}: {there} of {} pages",
            tail.pages()
        );
    }
    Ok(())
}

fn dontneed_unmaps() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    for index in 0..PAGES {
        window.set_stamp(index, index as u64);
    }
    expect_present(&window, &all())?;
    window.advise(libc::MADV_DONTNEED)?;
    expect_present(&window, &BTreeSet::new())?;
    for index in 0..PAGES {
        ensure!(
            window.stamp(index) == index as u64,
            "page {index} is {:#x}",
            window.stamp(index)
        );
    }
    expect_present(&window, &all())
}
