// SPDX-License-Identifier: MIT OR Apache-2.0
//! M18: what happens to a mapping can be watched: map, fault and unmap, with address, pgoff, backing, result.

use sgring_suite::card::Config;
use sgring_suite::ensure;
use sgring_suite::tap::{self, Outcome, Test};
use sgring_suite::trace::Trace;
use sgring_suite::window::{Window, page};
use std::process::ExitCode;

const PAGES: usize = 32;
const PGOFF: usize = 3;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "map_fault_unmap",
            "M18: each event, once, with its numbers",
            map_fault_unmap,
        ),
        Test(
            "parts_are_told",
            "M18: the parts of a mapping that was cut end one by one",
            parts_are_told,
        ),
        Test(
            "silent_by_default",
            "M18: nothing is recorded unless asked for",
            silent_by_default,
        ),
    ])
}

fn expect(seen: &[String], expected: &[String]) -> Outcome {
    ensure!(seen == expected, "\n{seen:#?}\ninstead of\n{expected:#?}");
    Ok(())
}

fn map_fault_unmap() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let trace = Trace::start("snd_sgring")?;
    let window = Window::new(&pcm, PGOFF, PAGES - PGOFF)?;
    let start = window.address();
    window.set(10 * page() + 5, 1);
    window.set(11 * page(), 1);
    window.set(10 * page(), 1);
    window.unmap()?;
    let pages = PAGES - PGOFF;
    let fault = |index: usize, mapped: usize| {
        format!(
            "sgring_fault: card=0 stream=0 address={:#x} pgoff={} backing=ram pages={mapped} result=NOPAGE",
            start + index * page(),
            PGOFF + index
        )
    };
    expect(
        &trace.stop()?,
        &[
            format!(
                "sgring_map: card=0 stream=0 start={start:#x} pgoff={PGOFF} pages={pages} mode=fault"
            ),
            fault(10, 1),
            fault(11, 8),
            format!("sgring_unmap: card=0 stream=0 start={start:#x} pgoff={PGOFF} pages={pages}"),
        ],
    )
}

fn parts_are_told() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    let start = window.address();
    let trace = Trace::start("snd_sgring")?;
    let (head, tail) = window.split(20);
    tail.unmap()?;
    head.unmap()?;
    let gone = |start: usize, pgoff: usize, pages: usize| {
        format!("sgring_unmap: card=0 stream=0 start={start:#x} pgoff={pgoff} pages={pages}")
    };
    expect(
        &trace.stop()?,
        &[
            gone(start + 20 * page(), 20, PAGES - 20),
            gone(start, 0, 20),
        ],
    )
}

fn silent_by_default() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let trace = Trace::start("snd_sgring")?;
    let before = trace.stop()?;
    config.map(&pcm)?.touch();
    let trace = Trace::start("snd_sgring")?;
    let after = trace.stop()?;
    ensure!(
        before.is_empty() && after.is_empty(),
        "{before:?}, {after:?}"
    );
    Ok(())
}
