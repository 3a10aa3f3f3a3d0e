// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a stream fares, as the driver says it in `/proc/asound/sgring/sgring`.

use std::collections::BTreeMap;
use std::fs;

use crate::tap::Stop;

/// One stream's line: what is counted since PREPARE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate(BTreeMap<String, u64>);

impl Fate {
    /// Of a stream, such as `playback 0`.
    ///
    /// # Errors
    ///
    /// A failure where the stream has no line, or none that can be read.
    pub fn of(stream: &str) -> Result<Self, Stop> {
        let said = fs::read_to_string("/proc/asound/sgring/sgring")?;
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix(stream)?.strip_prefix(' '))
            .ok_or_else(|| Stop::Fail(format!("nothing about {stream} in:\n{said}")))?;
        let words: Vec<_> = line.split(' ').collect();
        let numbers = words
            .chunks_exact(2)
            .filter_map(|pair| Some((pair[0].to_owned(), pair[1].parse().ok()?)));
        Ok(Self(numbers.collect()))
    }

    /// The number behind `word`.
    ///
    /// # Errors
    ///
    /// A failure where there is none.
    pub fn count(&self, word: &str) -> Result<u64, Stop> {
        let number = self.0.get(word).copied();
        number.ok_or_else(|| Stop::Fail(format!("no number of {word} in {self:?}")))
    }
}
