// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals that identify their frames.

use crate::audio::Sample;

/// A sample that a [`Generator`] can make.
pub trait Signal: Sample {
    #[doc(hidden)]
    fn sample(generator: &Generator, frame: u64, channel: usize) -> Self;
}

/// A seeded signal, the same on every machine.
///
/// No sample is zero, so silence is never part of it. With two or more channels of 16 bits the
/// first 65535^2 frames all differ (a day at 48 kHz), with 32-bit samples the first 2^32 - 1: each
/// frame of any ring is one of a kind. One channel of 16 bits cannot tell that many apart: there,
/// frames differ within each block of 65535 frames from a multiple of 65535, and the order of the
/// next block is another one.
///
/// It sounds like white noise at full scale: turn down what you do not want to hear.
#[derive(Clone, Copy, Debug)]
pub struct Generator {
    seed: u64,
    channels: usize,
}

impl Generator {
    /// The signal of `seed` with `channels` channels.
    pub fn new(seed: u64, channels: usize) -> Self {
        Self { seed, channels }
    }

    /// The first `frames` frames, interleaved.
    pub fn samples<T: Signal>(&self, frames: u64) -> Vec<T> {
        self.frames(0, frames).collect()
    }

    /// The samples of `frames` frames from frame `first`, interleaved.
    pub fn frames<T: Signal>(&self, first: u64, frames: u64) -> impl Iterator<Item = T> + use<T> {
        let generator = *self;
        (first..first + frames).flat_map(move |frame| {
            (0..generator.channels).map(move |channel| T::sample(&generator, frame, channel))
        })
    }

    /// A permutation of the numbers below 2^(2 * half): four Feistel rounds, keyed by the seed
    /// and `tweak`.
    fn permute(&self, number: u32, half: u32, tweak: u64) -> u32 {
        let mask = (1u32 << half) - 1;
        let (mut left, mut right) = (number >> half & mask, number & mask);
        for round in 0..4u64 {
            let key = mix(self.seed ^ mix(tweak << 2 | round));
            let f = mix(key ^ u64::from(right)) as u32 & mask;
            (left, right) = (right, left ^ f);
        }
        left << half | right
    }

    /// As [`Self::permute`], of the numbers for which `valid` holds: walks along the cycle of an
    /// invalid one until it meets a valid one, which keeps different numbers different.
    fn walk(&self, number: u32, half: u32, tweak: u64, valid: impl Fn(u32) -> bool) -> u32 {
        let mut number = self.permute(number, half, tweak);
        while !valid(number) {
            number = self.permute(number, half, tweak);
        }
        number
    }
}

/// The finaliser of SplitMix64: a good mixture of 64 bits.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

impl Signal for i16 {
    fn sample(generator: &Generator, frame: u64, channel: usize) -> Self {
        if generator.channels == 1 {
            let (block, number) = (frame / 0xffff, frame % 0xffff + 1);
            return generator.walk(number as u32, 8, block, |n| n != 0) as Self;
        }
        // Two channels share 32 bits. Both halves must be non-zero, for the number itself too,
        // or the walk would not be reversible.
        let (block, number) = (frame / PAIRS, frame % PAIRS);
        let number = (number / 0xffff + 1) << 16 | (number % 0xffff + 1);
        let tweak = (channel as u64 / 2) << 32 | block;
        let pair = generator.walk(number as u32, 16, tweak, |n| {
            n >> 16 != 0 && n & 0xffff != 0
        });
        (pair >> (16 * (channel % 2))) as Self
    }
}

/// Numbers of 32 bits with both halves non-zero.
const PAIRS: u64 = 0xffff * 0xffff;

impl Signal for i32 {
    fn sample(generator: &Generator, frame: u64, channel: usize) -> Self {
        const NUMBERS: u64 = 0xffff_ffff;
        let (block, number) = (frame / NUMBERS, frame % NUMBERS + 1);
        let tweak = (channel as u64) << 32 | block;
        generator.walk(number as u32, 16, tweak, |n| n != 0) as Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn stereo_frames_are_one_of_a_kind() {
        // More frames than a 2 MiB ring holds.
        let samples: Vec<i16> = Generator::new(1, 2).samples(600_000);
        assert!(samples.iter().all(|&s| s != 0));
        let frames: HashSet<&[i16]> = samples.chunks(2).collect();
        assert_eq!(frames.len(), 600_000);
    }

    #[test]
    fn mono_frames_differ_within_a_block() {
        let samples: Vec<i16> = Generator::new(1, 1).samples(3 * 0xffff);
        for block in samples.chunks(0xffff) {
            let frames: HashSet<i16> = block.iter().copied().collect();
            assert_eq!(frames.len(), 0xffff);
            assert!(!frames.contains(&0));
        }
        assert_ne!(samples[..0xffff], samples[0xffff..2 * 0xffff]);
    }

    #[test]
    fn samples_of_32_bits_are_one_of_a_kind() {
        let samples: Vec<i32> = Generator::new(1, 1).samples(600_000);
        let frames: HashSet<i32> = samples.iter().copied().collect();
        assert_eq!(frames.len(), 600_000);
        assert!(!frames.contains(&0));
    }

    #[test]
    fn a_part_is_the_same_as_in_the_whole() {
        let generator = Generator::new(9, 2);
        let whole: Vec<i16> = generator.samples(100);
        let part: Vec<i16> = generator.frames(40, 10).collect();
        assert_eq!(part, whole[80..100]);
        let other: Vec<i16> = Generator::new(10, 2).samples(100);
        assert_ne!(whole, other);
    }
}
