// SPDX-License-Identifier: MIT OR Apache-2.0
//! M7: the ways to map a ring that are there to be compared with, and the change between them.

use sgring_suite::card::{self, Config};
use sgring_suite::ensure;
use sgring_suite::fork::Child;
use sgring_suite::param::{self, Changed};
use sgring_suite::proc::present;
use sgring_suite::tap::{self, Outcome, Test, expect};
use sgring_suite::window::{Window, page};
use std::process::ExitCode;

const PAGES: usize = 48;
const MODES: [&str; 3] = ["fault", "page", "eager"];

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "fault_is_the_default",
            "M7: nobody gets another mode without asking",
            fault_is_the_default,
        ),
        Test(
            "eager_maps_all",
            "M7: in mode eager mmap() maps every page, and a page given back comes again",
            eager_maps_all,
        ),
        Test(
            "page_maps_one",
            "M7: in mode page a touch maps its page and no other, in order too",
            page_maps_one,
        ),
        Test(
            "all_show_the_ring",
            "M3, M7: in every mode every offset shows its page",
            all_show_the_ring,
        ),
        Test(
            "no_change_while_mapped",
            "M7: the mode stays while a mapping lives: EBUSY",
            no_change_while_mapped,
        ),
        Test(
            "no_other_mode",
            "M7: what is no mode is EINVAL",
            no_other_mode,
        ),
    ])
}

fn fault_is_the_default() -> Outcome {
    let mode = param::get("map_mode")?;
    ensure!(mode == "fault", "{mode}");
    Ok(())
}

fn eager_maps_all() -> Outcome {
    let _mode = Changed::to("map_mode", "eager")?;
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    for (pgoff, pages) in [(0, PAGES), (0, 1), (PAGES - 1, 1), (7, 20)] {
        let window = Window::new(&pcm, pgoff, pages)?;
        let seen = present(&window)?.len();
        ensure!(seen == pages, "{seen} of {pages} pages at {pgoff}");
    }
    let window = config.map(&pcm)?;
    window.set_stamp(5, 0x5eed);
    window.advise(libc::MADV_DONTNEED)?;
    ensure!(present(&window)?.is_empty(), "MADV_DONTNEED left pages");
    ensure!(
        window.stamp(5) == 0x5eed,
        "page 5 is {:#x}",
        window.stamp(5)
    );
    Ok(())
}

fn page_maps_one() -> Outcome {
    let _mode = Changed::to("map_mode", "page")?;
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    for index in 0..PAGES {
        window.set(index * page(), 1);
        let seen = present(&window)?.len();
        ensure!(seen == index + 1, "{seen} pages after page {index}");
    }
    Ok(())
}

fn all_show_the_ring() -> Outcome {
    for mode in MODES {
        let _mode = Changed::to("map_mode", mode)?;
        let config = Config::of_pages(PAGES);
        let pcm = config.open()?;
        let whole = config.map(&pcm)?;
        for index in 0..PAGES {
            whole.set_stamp(index, 0xa000 + index as u64);
        }
        for pgoff in 0..PAGES {
            let stamp = Window::new(&pcm, pgoff, 1)?.stamp(0);
            ensure!(
                stamp == 0xa000 + pgoff as u64,
                "{mode}, pgoff {pgoff}: {stamp:#x}"
            );
        }
        let bounds = Window::new(&pcm, 1, PAGES).err();
        expect(
            format_args!("{mode}, behind the end"),
            bounds.map_or(Ok(()), Err),
            libc::EINVAL,
        )?;
        drop(whole);
        drop(pcm);
        card::plays()?;
    }
    Ok(())
}

fn no_change_while_mapped() -> Outcome {
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    let refused = |what: &str| expect(what, param::set("map_mode", "eager"), libc::EBUSY);
    refused("with a mapping")?;
    param::set("map_mode", "fault")?;

    let (head, tail) = window.split(PAGES / 2);
    drop(head);
    refused("with half a mapping")?;
    tail.touch();

    let child = Child::spawn(|| {
        loop {
            std::thread::park();
        }
    })?;
    drop(tail);
    refused("with a child's mapping")?;
    drop(child);
    // The mode can be changed: everything was counted back.
    drop(Changed::to("map_mode", "eager")?);

    expect(
        "a mapping that is refused",
        Window::new(&pcm, PAGES, 1),
        libc::EINVAL,
    )?;
    drop(Changed::to("map_mode", "eager")?);
    Ok(())
}

fn no_other_mode() -> Outcome {
    for value in ["lazy", "faults", "0", "3", "fault page"] {
        expect(
            format_args!("map_mode {value:?}"),
            param::set("map_mode", value),
            libc::EINVAL,
        )?;
    }
    fault_is_the_default()
}
