// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where in the reference a stretch of the capture comes from.
//!
//! The reference is cut into blocks of [`BLOCK`] frames whose hashes are sorted; a hash rolled over
//! the capture finds each block again at any offset. Memory is one entry a block, time is one step
//! a frame of the capture, whatever the offset.

use crate::audio::Audio;
use crate::audio::Sample;

/// Frames in a block. A stretch of twice as many is found wherever it lies.
pub(crate) const BLOCK: usize = 64;

/// The blocks of a reference.
pub(crate) struct Index {
    /// Hash and first frame of each block, sorted.
    blocks: Vec<(u64, usize)>,
}

const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number for a frame; `channels` is the capture's, to which a mono reference is spread.
fn number<T: Sample>(frame: &[T], channels: usize) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for channel in 0..channels {
        let sample = frame[channel % frame.len()].bits() as u64;
        hash = (hash ^ sample).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^= hash >> 29;
    }
    hash
}

impl Index {
    pub(crate) fn new<T: Sample>(reference: Audio<'_, T>, channels: usize) -> Self {
        let mut blocks: Vec<_> = (0..reference.len() / BLOCK)
            .map(|block| {
                let from = block * BLOCK;
                let hash = (from..from + BLOCK).fold(0u64, |hash, i| {
                    hash.wrapping_mul(BASE)
                        .wrapping_add(number(reference.frame(i), channels))
                });
                (hash, from)
            })
            .collect();
        blocks.sort_unstable();
        Self { blocks }
    }

    /// The first frames of the blocks with this hash, ascending.
    fn blocks(&self, hash: u64) -> impl Iterator<Item = usize> + '_ {
        let from = self.blocks.partition_point(|&(h, _)| h < hash);
        self.blocks[from..]
            .iter()
            .take_while(move |&&(h, _)| h == hash)
            .map(|&(_, frame)| frame)
    }

    /// The block with this hash that is nearest to `frame`, from `from` on.
    pub(crate) fn nearest(&self, hash: u64, from: usize, frame: usize) -> Option<usize> {
        let first = self.blocks.partition_point(|&b| b < (hash, from));
        let after = self
            .blocks
            .partition_point(|&b| b < (hash, frame.max(from)));
        let hit = |at: usize| {
            let &(h, block) = self.blocks.get(at)?;
            (h == hash && at >= first).then_some(block)
        };
        let later = hit(after);
        let earlier = after.checked_sub(1).and_then(hit);
        match (earlier, later) {
            (Some(e), Some(l)) if frame.abs_diff(e) <= frame.abs_diff(l) => Some(e),
            (earlier, later) => later.or(earlier),
        }
    }

    /// The lowest block with this hash.
    pub(crate) fn first(&self, hash: u64) -> Option<usize> {
        self.blocks(hash).next()
    }
}

/// The hash of [`BLOCK`] frames, moved along a capture.
pub(crate) struct Roll<'a, T> {
    audio: Audio<'a, T>,
    hash: u64,
    at: usize,
    /// `BASE` to the power of `BLOCK`.
    oldest: u64,
}

impl<'a, T: Sample> Roll<'a, T> {
    /// Starts at frame `at`, if a block fits there.
    pub(crate) fn new(audio: Audio<'a, T>, at: usize) -> Option<Self> {
        if audio.len().checked_sub(at)? < BLOCK {
            return None;
        }
        let mut roll = Self {
            audio,
            hash: 0,
            at,
            oldest: 1,
        };
        for i in at..at + BLOCK {
            roll.hash = roll.hash.wrapping_mul(BASE).wrapping_add(roll.number(i));
            roll.oldest = roll.oldest.wrapping_mul(BASE);
        }
        Some(roll)
    }

    fn number(&self, index: usize) -> u64 {
        number(self.audio.frame(index), self.audio.channels())
    }

    /// The hash of the block at the present frame.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Moves on by a frame; false at the end.
    pub(crate) fn advance(&mut self) -> bool {
        if self.at + BLOCK >= self.audio.len() {
            return false;
        }
        self.hash = self
            .hash
            .wrapping_mul(BASE)
            .wrapping_add(self.number(self.at + BLOCK))
            .wrapping_sub(self.number(self.at).wrapping_mul(self.oldest));
        self.at += 1;
        true
    }
}
