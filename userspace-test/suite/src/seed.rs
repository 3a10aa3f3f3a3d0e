// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random numbers that can be had again.

use crate::tap::note;
use std::fs::File;
use std::io::Read;

/// A stream of numbers, all given by its seed (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts from `SGRING_SEED`, or from the kernel's randomness, and prints the seed.
    ///
    /// # Panics
    ///
    /// If `SGRING_SEED` is no number, or /dev/urandom cannot be read.
    #[must_use]
    pub fn new() -> Self {
        let seed = match std::env::var("SGRING_SEED") {
            Ok(text) => text.parse().expect("SGRING_SEED is a number"),
            Err(_) => {
                let mut bytes = [0; 4];
                let mut urandom = File::open("/dev/urandom").expect("/dev/urandom");
                urandom.read_exact(&mut bytes).expect("/dev/urandom");
                u32::from_le_bytes(bytes).into()
            }
        };
        note(format_args!("SGRING_SEED={seed}"));
        Self(seed)
    }

    /// Starts from `seed`, and says nothing.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent stream, number `index`, of the same seed.
    #[must_use]
    pub fn branch(&self, index: u64) -> Self {
        let mut branch = Self(self.0 ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93));
        branch.0 = branch.next();
        branch
    }

    /// The next number.
    #[allow(clippy::should_implement_trait)] // it never ends
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..end`; 0 for an empty range.
    pub fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        // The product's high half; the bias is end / 2^64.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as usize
    }

    /// `bytes` filled.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}
