// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a mapping costs: `mmap()`, a touch, the first period, all of it, `munmap()`.
//!
//! Of a card's ring, and of anonymous memory and of a memfd of the same size. Arguments, each a list:
//!
//! ```text
//! sizes=BYTES      of the rings; one that the card does not offer is left out, and said
//! rounds=N         values of a series (7)
//! beside=          anonymous, memfd
//! modes=           page, eager, fault: of our driver; none: the ring as it is
//! windows=         pages, or default: for mode fault
//! backings=        ram, sram: where the ring lives in mode fault (ram)
//! ```

mod cost;
mod memory;

use cost::Costs;
use memory::{Memfd, ring};
use sgring_bench::words::Words;
use sgring_suite::control::Control;
use sgring_suite::param::{self, Changed};
use sgring_suite::priority;
use sgring_suite::window::Window;
use std::collections::BTreeSet;
use std::io;

const ROUNDS: usize = 7;
/// Bytes from which on a size takes its time.
const LONG: usize = 32 << 20;

/// A parameter and its value.
type Label = (&'static str, String);

fn main() -> io::Result<()> {
    let words = Words::of_program(&["sizes", "rounds", "beside", "modes", "windows", "backings"])?;
    let sizes = words.numbers("sizes")?;
    if sizes.is_empty() {
        return Err(io::Error::other("no sizes=BYTES,BYTES..."));
    }
    let rounds = words.numbers("rounds")?.first().map_or(ROUNDS, |&n| n);
    // Whatever else has woken up waits.
    priority::first()?;
    let costs = Costs::new(rounds)?;
    for kind in words.values("beside") {
        beside(&costs, kind, &sizes)?;
    }
    let modes = words.values("modes");
    if modes.is_empty() {
        return rings(&costs, &sizes, &[("backing", "ram".into())]);
    }
    costs.note("driver.fault_window", "pages", number("fault_window")?)?;
    for mode in modes {
        let _mode = Changed::to("map_mode", mode)?;
        let mode = ("map_mode", mode.to_owned());
        if mode.1 == "fault" {
            faulted(&costs, &sizes, &words, &mode)?;
        } else {
            rings(&costs, &sizes, &[mode, ("backing", "ram".into())])?;
        }
    }
    Ok(())
}

fn number(parameter: &str) -> io::Result<u64> {
    param::get(parameter)?.parse().map_err(io::Error::other)
}

/// Rings with each window and in each place.
fn faulted(costs: &Costs, sizes: &[usize], words: &Words, mode: &Label) -> io::Result<()> {
    let mut windows = BTreeSet::new();
    for window in words.values("windows") {
        windows.insert(match window {
            "default" => number("fault_window")?,
            _ => window.parse().map_err(io::Error::other)?,
        });
    }
    let mut backings = words.values("backings");
    if backings.is_empty() {
        backings.push("ram");
    }
    for window in windows {
        let _window = Changed::to("fault_window", window)?;
        for backing in &backings {
            let labels = [
                mode.clone(),
                ("fault_window", window.to_string()),
                ("backing", (*backing).to_owned()),
            ];
            if *backing == "sram" {
                let _home = Control::playback_memory()?.changed(1)?;
                rings(costs, sizes, &labels)?;
            } else {
                rings(costs, sizes, &labels)?;
            }
        }
    }
    Ok(())
}

/// Says what is going on.
fn progress(labels: &[Label], what: &str) {
    let words: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    eprintln!("{}: {what}", words.join(", "));
}

fn rings(costs: &Costs, sizes: &[usize], labels: &[Label]) -> io::Result<()> {
    let labels = [&[("memory", "ring".to_owned())], labels].concat();
    progress(&labels, &format!("{} sizes", sizes.len()));
    for &bytes in sizes {
        if bytes >= LONG {
            progress(&labels, &format!("{bytes} bytes"));
        }
        match ring(bytes)? {
            Some(pcm) => costs.all(&labels, bytes, &|| memory::map(&pcm, bytes))?,
            None => progress(&labels, &format!("no ring of {bytes} bytes")),
        }
    }
    Ok(())
}

fn beside(costs: &Costs, kind: &str, sizes: &[usize]) -> io::Result<()> {
    let labels = [("memory", kind.to_owned())];
    progress(&labels, &format!("{} sizes", sizes.len()));
    for &bytes in sizes {
        if bytes >= LONG {
            progress(&labels, &format!("{bytes} bytes"));
        }
        match kind {
            "anonymous" => costs.all(&labels, bytes, &|| Window::anonymous(bytes))?,
            "memfd" => {
                let file = Memfd::new(bytes)?;
                costs.all(&labels, bytes, &|| file.map())?;
            }
            _ => return Err(io::Error::other(format!("beside={kind}: no such memory"))),
        }
    }
    Ok(())
}
