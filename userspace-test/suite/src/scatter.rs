// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory in which hardly two free pages lie side by side.
//!
//! On a machine that was just booted the page allocator gives out long runs, and a ring of separate pages looks
//! like one piece: then a driver or a card that mistakes the one for the other goes unnoticed. So all memory is
//! taken and every page frame with an even number given back; what was not taken, as huge pages.

use crate::proc::{frames, free_memory};
use crate::window::{Window, page};
use std::fs;
use std::io;

/// Not taken page by page, in kB: the kernel needs some to go on.
const LEFT: u64 = 40 * 1024;
const HUGE: usize = 2 << 20;
/// How eagerly the kernel puts memory together again in its idle time, in percent.
const PROACTIVE: &str = "/proc/sys/vm/compaction_proactiveness";
/// How much more the kernel keeps free once it has seen what scatter does: all that a second one would need.
const BOOST: &str = "/proc/sys/vm/watermark_boost_factor";
const DEFRAG: &str = "/sys/kernel/mm/transparent_hugepage/defrag";

/// Scattered memory, until it is dropped.
#[derive(Debug)]
pub struct Scattered {
    _pages: Vec<Window>,
    _huge: Vec<Window>,
    defrag: String,
    proactive: String,
    boost: String,
}

impl Scattered {
    /// Takes all memory and gives back every other page.
    ///
    /// # Errors
    ///
    /// As for the files in /proc and /sys that this goes by, and for mapping memory.
    pub fn new() -> io::Result<Self> {
        fs::write("/proc/sys/vm/drop_caches", "3")?;
        // Nobody puts together again what was scattered.
        let defrag = chosen(&fs::read_to_string(DEFRAG)?);
        fs::write(DEFRAG, "never")?;
        let proactive = fs::read_to_string(PROACTIVE)?;
        fs::write(PROACTIVE, "0")?;
        let boost = fs::read_to_string(BOOST)?;
        fs::write(BOOST, "0")?;

        let mut pages = Vec::new();
        while free_memory()? > LEFT {
            let chunk = Window::anonymous(HUGE)?;
            chunk.advise(libc::MADV_NOHUGEPAGE)?;
            (0..chunk.pages()).for_each(|index| chunk.set(index * page(), 1));
            pages.push(chunk);
        }
        for chunk in &pages {
            for (index, frame) in frames(chunk)?.into_iter().enumerate() {
                if frame.is_some_and(|frame| frame % 2 == 0) {
                    chunk.forget(index)?;
                }
            }
        }
        let mut huge = Vec::new();
        for _ in 0..LEFT * 1024 / HUGE as u64 {
            let chunk = Window::anonymous(2 * HUGE)?;
            chunk.advise(libc::MADV_HUGEPAGE)?;
            // The huge page that lies whole in it.
            let inside = chunk.address().next_multiple_of(HUGE) - chunk.address();
            chunk.set(inside, 1);
            huge.push(chunk);
        }
        Ok(Self {
            _pages: pages,
            _huge: huge,
            defrag,
            proactive,
            boost,
        })
    }
}

impl Drop for Scattered {
    fn drop(&mut self) {
        let _ = fs::write(DEFRAG, &self.defrag);
        let _ = fs::write(PROACTIVE, &self.proactive);
        let _ = fs::write(BOOST, &self.boost);
    }
}

/// The word in brackets.
fn chosen(text: &str) -> String {
    let word = text
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    word.map_or("madvise", |(word, _)| word).to_owned()
}
