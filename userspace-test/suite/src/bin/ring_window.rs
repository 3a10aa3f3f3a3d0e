// SPDX-License-Identifier: MIT OR Apache-2.0
//! M9: a client that goes through the ring in order gets pages before it touches them, up to `fault_window`
//! at once and never beyond its mapping or the ring; one that does not gets the page that it touches.

use cpal_alsa_mmap::sys::Protection;
use sgring_suite::card::Config;
use sgring_suite::ensure;
use sgring_suite::param::{self, Changed};
use sgring_suite::proc::present;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Test, expect};
use sgring_suite::window::{Window, page};
use std::process::ExitCode;

const PAGES: usize = 200;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "in_order_maps_ahead",
            "M9: touches in order map 1, 8, then fault_window pages at once",
            in_order_maps_ahead,
        ),
        Test(
            "elsewhere_maps_one",
            "M9: a touch that is not the next one maps its page alone",
            elsewhere_maps_one,
        ),
        Test(
            "ends_with_the_mapping",
            "M2, M9: nothing is mapped beyond the mapping",
            ends_with_the_mapping,
        ),
        Test(
            "stops_at_what_is_there",
            "M9: pages that are there already stay, and what is behind them comes later",
            stops_at_what_is_there,
        ),
        Test(
            "every_page_is_right",
            "M3, M9: pages that came ahead are the right ones",
            every_page_is_right,
        ),
        Test(
            "takes_1_to_16384",
            "M9: the parameter has a range",
            takes_1_to_16384,
        ),
    ])
}

fn mapped(window: &Window) -> std::io::Result<usize> {
    Ok(present(window)?.len())
}

/// Touches the pages in order; returns how many each fault has brought.
fn faults(window: &Window) -> Result<Vec<usize>, tap::Stop> {
    let mut all = Vec::new();
    let mut before = mapped(window)?;
    for index in 0..window.pages() {
        window.set(index * page(), 1);
        let now = mapped(window)?;
        if now != before {
            all.push(now - before);
        }
        ensure!(
            present(window)?.contains(&index),
            "page {index} is not there"
        );
        before = now;
    }
    Ok(all)
}

fn in_order_maps_ahead() -> Outcome {
    for (size, expected) in [
        (64, vec![1, 8, 64, 64, 63]),
        (10, [vec![1, 8], vec![10; 19], vec![1]].concat()),
        (1, vec![1; PAGES]),
    ] {
        let _size = Changed::to("fault_window", size)?;
        let config = Config::of_pages(PAGES);
        let pcm = config.open()?;
        let seen = faults(&config.map(&pcm)?)?;
        ensure!(seen == expected, "fault_window {size}: {seen:?}");
    }
    Ok(())
}

fn elsewhere_maps_one() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    let mut random = Random::new();
    let mut left: Vec<_> = (0..PAGES).collect();
    let mut last = PAGES;
    for count in 1..=PAGES / 2 {
        let choice = random.below(left.len());
        if left[choice] == last + 1 {
            continue;
        }
        let before = mapped(&window)?;
        last = left.swap_remove(choice);
        window.set(last * page(), 1);
        let now = mapped(&window)?;
        ensure!(
            now == before + 1,
            "touch {count}, page {last}: {} pages",
            now - before
        );
    }
    Ok(())
}

fn ends_with_the_mapping() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    // 1 and 8 pages, then 64 where 11 are left.
    let (head, tail) = config.map(&pcm)?.split(20);
    // Two mappings from here on.
    tail.protect(Protection::Read)?;
    let seen = faults(&head)?;
    ensure!(seen == [1, 8, 11], "{seen:?}");
    ensure!(
        mapped(&tail)? == 0,
        "{} pages behind a part that was split off",
        mapped(&tail)?
    );
    tail.unmap()?;
    Ok(())
}

fn stops_at_what_is_there() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    window.set(30 * page(), 1);
    for index in 0..PAGES {
        window.set_stamp(index, index as u64);
    }
    let seen = mapped(&window)?;
    ensure!(seen == PAGES, "{seen} of {PAGES} pages");
    for index in 0..PAGES {
        let stamp = window.stamp(index);
        ensure!(stamp == index as u64, "page {index}: {stamp}");
    }
    Ok(())
}

fn every_page_is_right() -> Outcome {
    for size in [2, 3, 16, 64, 16384] {
        let _size = Changed::to("fault_window", size)?;
        let config = Config::of_pages(PAGES);
        let pcm = config.open()?;
        let whole = config.map(&pcm)?;
        for index in 0..PAGES {
            whole.set_stamp(index, !(index as u64));
        }
        for pgoff in [0, 1, 63, PAGES - 1] {
            let part = Window::new(&pcm, pgoff, PAGES - pgoff)?;
            for index in 0..part.pages() {
                let stamp = part.stamp(index);
                ensure!(
                    stamp == !((pgoff + index) as u64),
                    "fault_window {size}, pgoff {pgoff}, page {index}: {stamp:#x}"
                );
            }
        }
    }
    Ok(())
}

fn takes_1_to_16384() -> Outcome {
    let before = param::get("fault_window")?;
    for value in ["0", "16385", "-1", "many"] {
        expect(
            format_args!("fault_window {value:?}"),
            param::set("fault_window", value),
            libc::EINVAL,
        )?;
    }
    let now = param::get("fault_window")?;
    ensure!(now == before, "{now} instead of {before}");
    Ok(())
}
