// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interleaved samples seen as frames.

/// One sample of one channel. Silence is zero.
pub trait Sample: Copy + Eq + Default + std::fmt::Debug + 'static {
    /// Its bits, sign-extended.
    fn bits(self) -> i64;
}

impl Sample for i8 {
    fn bits(self) -> i64 {
        self.into()
    }
}

impl Sample for i16 {
    fn bits(self) -> i64 {
        self.into()
    }
}

impl Sample for i32 {
    fn bits(self) -> i64 {
        self.into()
    }
}

/// Interleaved samples of a number of channels, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Audio<'a, T> {
    samples: &'a [T],
    channels: usize,
}

impl<'a, T: Sample> Audio<'a, T> {
    /// Sees `samples` as frames of `channels` samples. Samples after the last whole frame are left
    /// out; so are all of them if `channels` is 0.
    pub fn new(samples: &'a [T], channels: usize) -> Self {
        let whole = samples.len().checked_div(channels).unwrap_or(0) * channels;
        Self {
            samples: &samples[..whole],
            channels,
        }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.samples.len().checked_div(self.channels).unwrap_or(0)
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The samples of `frames`, frame after frame.
    pub(crate) fn samples(&self, frames: std::ops::Range<usize>) -> &'a [T] {
        &self.samples[frames.start * self.channels..frames.end * self.channels]
    }

    /// The samples of frame `index`.
    pub(crate) fn frame(&self, index: usize) -> &'a [T] {
        self.samples(index..index + 1)
    }

    /// Whether frame `index` is silence.
    pub(crate) fn is_silent(&self, index: usize) -> bool {
        self.frame(index).iter().all(|&s| s == T::default())
    }
}
