// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card's own memory, as PCI tells where it is.

use crate::card;
use crate::window::page;
use std::fs;
use std::io;
use std::ops::Range;

/// The BAR that is memory (`SGRING_BAR_SRAM`).
const BAR: usize = 2;

/// Where the card's memory is.
#[derive(Clone, Debug)]
pub struct Sram {
    /// Physical addresses.
    pub range: Range<u64>,
}

impl Sram {
    /// That of the card under test.
    ///
    /// # Errors
    ///
    /// `NotFound` where it has none.
    pub fn of_card() -> io::Result<Self> {
        let text = fs::read_to_string(card::pci_device()?.join("resource"))?;
        let numbers = |line: &str| -> Option<(u64, u64)> {
            let mut words = line
                .split_whitespace()
                .map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
            Some((words.next()??, words.next()??))
        };
        match text.lines().nth(BAR).and_then(numbers) {
            Some((start, end)) if end > start => Ok(Self {
                range: start..end + 1,
            }),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Whether page frame `frame` is of it.
    #[must_use]
    pub fn has_frame(&self, frame: u64) -> bool {
        self.range.contains(&(frame * page() as u64))
    }

    /// Its size in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (self.range.end - self.range.start) as usize
    }
}
