// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened to a signal on its way.
//!
//! The capture is walked along the reference. Where they part, the smallest damage is sought after
//! which they agree again: frames changed in place, frames missing, or frames too many. Small
//! damage is sought by trying sizes in turn, any other through an [`Index`] of the reference. Each
//! step costs as much as it advances, so the whole is linear in the length of both.

use crate::audio::{Audio, Sample};
use crate::search::{BLOCK, Index, Roll};
use std::fmt;

/// Findings in one verdict at most; the walk ends there.
pub const MAX_FINDINGS: usize = 64;

/// Sizes of damage that are tried in turn.
const SMALL: usize = 512;

/// Changes from frame to frame that two stretches must share to be taken for the same.
const AGREE: usize = 24;

/// Frames that do as well where next to nothing changes.
const AGREE_STILL: usize = 4096;

/// One thing that happened. Frames are counted from 0; `at` is a frame of the reference unless
/// said otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// The capture begins with frame `frames` of the reference.
    LostStart {
        /// How many are missing.
        frames: usize,
    },
    /// Frames `at..at + frames` are missing, and what follows comes that much too early.
    Dropped {
        /// The first missing frame.
        at: usize,
        /// How many.
        frames: usize,
    },
    /// Frames `from..from + frames` come once more before frame `at`, and what follows is that much
    /// late.
    Repeated {
        /// The frame that they stand before.
        at: usize,
        /// How many.
        frames: usize,
        /// The first frame that is repeated.
        from: usize,
    },
    /// Frames that are not the reference's stand before frame `at`, and what follows is that much
    /// late.
    Inserted {
        /// The frame that they stand before.
        at: usize,
        /// How many.
        frames: usize,
        /// Whether they are silence.
        silent: bool,
    },
    /// One bit of one sample of frame `at` is inverted.
    BitFlip {
        /// The frame.
        at: usize,
        /// The channel, from 0.
        channel: usize,
        /// The bit, from the least significant.
        bit: u32,
    },
    /// Frames `at..at + frames` are silence instead.
    Silenced {
        /// The first of them.
        at: usize,
        /// How many.
        frames: usize,
    },
    /// Frames `at..at + frames` have their two channels exchanged.
    Swapped {
        /// The first of them.
        at: usize,
        /// How many.
        frames: usize,
    },
    /// Frames `at..at + frames` have another gain: each sample is the reference's times `gain`,
    /// rounded in some way.
    Gain {
        /// The first of them.
        at: usize,
        /// How many.
        frames: usize,
        /// The factor.
        gain: f64,
    },
    /// Frames `from..from + frames` are in the place of `at..at + frames`.
    Misplaced {
        /// The first frame that is not where it belongs.
        at: usize,
        /// How many.
        frames: usize,
        /// The frame that is there instead.
        from: usize,
    },
    /// Frames `at..at + frames` are something else.
    Wrong {
        /// The first of them.
        at: usize,
        /// How many.
        frames: usize,
    },
    /// The capture ends, or is silent to its end, before frame `at`.
    LostTail {
        /// The first missing frame.
        at: usize,
        /// How many.
        frames: usize,
    },
    /// After the last frame of the reference comes something that is neither silence nor a
    /// repetition.
    Extra {
        /// Where it begins, a frame of the capture.
        capture: usize,
        /// Frames to the last one that is not silent.
        frames: usize,
    },
}

impl Finding {
    /// The first frame of the reference that is not as it should be.
    pub fn at(&self, reference_frames: usize) -> usize {
        match *self {
            Self::LostStart { .. } => 0,
            Self::Dropped { at, .. }
            | Self::Repeated { at, .. }
            | Self::Inserted { at, .. }
            | Self::BitFlip { at, .. }
            | Self::Silenced { at, .. }
            | Self::Swapped { at, .. }
            | Self::Gain { at, .. }
            | Self::Misplaced { at, .. }
            | Self::Wrong { at, .. }
            | Self::LostTail { at, .. } => at,
            Self::Extra { .. } => reference_frames,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |n: usize| if n == 1 { "frame" } else { "frames" };
        match *self {
            Self::LostStart { frames } => {
                write!(f, "start lost: the first {frames} {} missing", s(frames))
            }
            Self::Dropped { at, frames } => {
                write!(f, "frame {at}: {frames} {} dropped", s(frames))
            }
            Self::Repeated { at, frames, from } => write!(
                f,
                "frame {at}: {frames} {} of frame {from} on repeated before it",
                s(frames)
            ),
            Self::Inserted { at, frames, silent } => {
                let what = if silent { "silent" } else { "foreign" };
                write!(f, "frame {at}: {frames} {what} {} before it", s(frames))
            }
            Self::BitFlip { at, channel, bit } => {
                write!(f, "frame {at}: bit {bit} of channel {channel} inverted")
            }
            Self::Silenced { at, frames } => {
                write!(f, "frame {at}: {frames} {} silent instead", s(frames))
            }
            Self::Swapped { at, frames } => {
                write!(f, "frame {at}: channels swapped for {frames} {}", s(frames))
            }
            Self::Gain { at, frames, gain } => {
                write!(f, "frame {at}: gain {gain:.4} for {frames} {}", s(frames))
            }
            Self::Misplaced { at, frames, from } => write!(
                f,
                "frame {at}: {frames} {} of frame {from} on in their place",
                s(frames)
            ),
            Self::Wrong { at, frames } => write!(f, "frame {at}: {frames} {} wrong", s(frames)),
            Self::LostTail { at, frames } => {
                write!(f, "frame {at}: tail lost, {frames} {}", s(frames))
            }
            Self::Extra { capture, frames } => write!(
                f,
                "after the end: {frames} {} that are not silence, from frame {capture} of the \
                 capture",
                s(frames)
            ),
        }
    }
}

/// What the judge says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Frames in the reference.
    pub reference_frames: usize,
    /// Frames in the capture.
    pub capture_frames: usize,
    /// Silent frames in the capture before the reference begins.
    pub leading_silence: usize,
    /// Silent frames in the capture after the reference ends.
    pub trailing_silence: usize,
    /// What happened, in the order of the capture; at most [`MAX_FINDINGS`], then the walk ended.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Whether the capture is the reference, with nothing but silence around it.
    pub fn is_bit_exact(&self) -> bool {
        self.findings.is_empty()
    }

    /// The first frame of the reference that is not as it should be.
    pub fn first_wrong(&self) -> Option<usize> {
        self.findings
            .first()
            .map(|finding| finding.at(self.reference_frames))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first_wrong() {
            None => write!(f, "bit-exact: {} frames", self.reference_frames)?,
            Some(first) => write!(
                f,
                "not bit-exact: first wrong frame {first} of {}, capture of {} frames",
                self.reference_frames, self.capture_frames
            )?,
        }
        write!(
            f,
            " ({} silent before, {} after)",
            self.leading_silence, self.trailing_silence
        )?;
        for finding in &self.findings {
            write!(f, "\n  {finding}")?;
        }
        if self.findings.len() >= MAX_FINDINGS {
            write!(f, "\n  and the walk ended here")?;
        }
        Ok(())
    }
}

/// Why a capture cannot be compared with a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// There is nothing to compare with.
    EmptyReference,
    /// The channels do not correspond: they must be as many, or the reference's be one.
    Channels {
        /// Of the reference.
        reference: usize,
        /// Of the capture.
        capture: usize,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyReference => write!(f, "the reference has no frames"),
            Self::Channels { reference, capture } => write!(
                f,
                "the reference has {reference} channels and the capture {capture}"
            ),
        }
    }
}

impl std::error::Error for Mismatch {}

/// Compares `capture` with `reference`.
///
/// The capture is bit-exact if it is the reference with any number of silent frames before and
/// after it. A reference of one channel stands for as many equal ones as the capture has.
///
/// # Errors
///
/// [`Mismatch`] if the two cannot be compared at all.
pub fn judge<T: Sample>(
    reference: Audio<'_, T>,
    capture: Audio<'_, T>,
) -> Result<Verdict, Mismatch> {
    if reference.is_empty() {
        return Err(Mismatch::EmptyReference);
    }
    if capture.channels() == 0
        || (reference.channels() != 1 && reference.channels() != capture.channels())
    {
        return Err(Mismatch::Channels {
            reference: reference.channels(),
            capture: capture.channels(),
        });
    }
    Ok(Walk::new(reference, capture).run())
}

/// The damage between two points of agreement.
#[derive(Clone, Copy)]
struct Step {
    /// Frames of the reference passed over.
    reference: usize,
    /// Frames of the capture passed over.
    capture: usize,
}

struct Walk<'a, T> {
    reference: Audio<'a, T>,
    capture: Audio<'a, T>,
    /// After the capture's last frame that is not silent.
    capture_end: usize,
    index: Option<Index>,
    findings: Vec<Finding>,
}

impl<'a, T: Sample> Walk<'a, T> {
    fn new(reference: Audio<'a, T>, capture: Audio<'a, T>) -> Self {
        let capture_end = (0..capture.len())
            .rev()
            .find(|&j| !capture.is_silent(j))
            .map_or(0, |j| j + 1);
        Self {
            reference,
            capture,
            capture_end,
            index: None,
            findings: Vec::new(),
        }
    }

    /// Whether frame `i` of the reference is frame `j` of the capture.
    fn same(&self, i: usize, j: usize) -> bool {
        let (r, c) = (self.reference.frame(i), self.capture.frame(j));
        if r.len() == c.len() {
            r == c
        } else {
            c.iter().all(|s| *s == r[0])
        }
    }

    /// How many frames agree from here, at most `limit`.
    fn agreement(&self, i: usize, j: usize, limit: usize) -> usize {
        let most = (self.reference.len() - i)
            .min(self.capture.len() - j)
            .min(limit);
        let mut n = 0;
        if self.reference.channels() == self.capture.channels() {
            // Whole blocks first: comparing slices is fast.
            while most - n >= 1024
                && self.reference.samples(i + n..i + n + 1024)
                    == self.capture.samples(j + n..j + n + 1024)
            {
                n += 1024;
            }
        }
        while n < most && self.same(i + n, j + n) {
            n += 1;
        }
        n
    }

    /// Whether the two agree from here for long enough to say that this is no accident: over
    /// [`AGREE`] changes or [`AGREE_STILL`] frames, or to the end of the reference with silence
    /// after it.
    fn confirm(&self, i: usize, j: usize) -> bool {
        let (mut n, mut changes) = (0, 0);
        loop {
            if i + n >= self.reference.len() {
                return j + n >= self.capture_end;
            }
            if j + n >= self.capture.len() {
                return changes >= AGREE / 4;
            }
            if !self.same(i + n, j + n) {
                return false;
            }
            if n > 0 && self.capture.frame(j + n) != self.capture.frame(j + n - 1) {
                changes += 1;
            }
            n += 1;
            if changes >= AGREE || n >= AGREE_STILL {
                return true;
            }
        }
    }

    fn run(mut self) -> Verdict {
        let first = |audio: Audio<'_, T>| (0..audio.len()).find(|&i| !audio.is_silent(i));
        let (mut i, mut j);
        let leading_silence;
        match (first(self.reference), first(self.capture)) {
            (Some(r), Some(c)) if c >= r => {
                (i, j) = (0, c - r);
                leading_silence = j;
            }
            (Some(r), Some(c)) => {
                // The reference's own silence is cut short.
                self.findings.push(Finding::LostStart { frames: r - c });
                (i, j) = (r - c, 0);
                leading_silence = 0;
            }
            // One of them is silence: no beginning to be seen.
            _ => {
                (i, j) = (0, 0);
                leading_silence = 0;
            }
        }
        loop {
            let n = self.agreement(i, j, usize::MAX);
            i += n;
            j += n;
            if i >= self.reference.len() || self.findings.len() >= MAX_FINDINGS {
                break;
            }
            if j >= self.capture_end {
                // Silence, or nothing, where the reference goes on.
                self.findings.push(Finding::LostTail {
                    at: i,
                    frames: self.reference.len() - i,
                });
                i = self.reference.len();
                break;
            }
            let step = self.resume(i, j);
            self.name(i, j, step);
            i += step.reference;
            j += step.capture;
        }
        if i >= self.reference.len() && j < self.capture_end {
            let frames = self.capture_end - j;
            let finding = match self.surplus(i, j, frames) {
                repeated @ Finding::Repeated { .. } => repeated,
                _ => Finding::Extra { capture: j, frames },
            };
            self.findings.push(finding);
        }
        Verdict {
            reference_frames: self.reference.len(),
            capture_frames: self.capture.len(),
            leading_silence,
            trailing_silence: self.capture.len() - self.capture_end.max(j).min(self.capture.len()),
            findings: self.findings,
        }
    }

    /// The smallest damage at frames `i` and `j` after which the two agree.
    fn resume(&mut self, i: usize, j: usize) -> Step {
        let (rest_i, rest_j) = (self.reference.len() - i, self.capture.len() - j);
        for size in 1..=SMALL {
            let (skip_i, skip_j) = (size <= rest_i, size <= rest_j);
            if skip_i && skip_j && self.confirm(i + size, j + size) {
                return Step {
                    reference: size,
                    capture: size,
                };
            }
            if skip_i && size < rest_i && self.confirm(i + size, j) {
                return Step {
                    reference: size,
                    capture: 0,
                };
            }
            if skip_j && self.confirm(i, j + size) {
                return Step {
                    reference: 0,
                    capture: size,
                };
            }
        }
        self.seek(i, j).unwrap_or_else(|| {
            // They never agree again.
            let size = rest_i.min(self.capture_end - j);
            Step {
                reference: size,
                capture: size,
            }
        })
    }

    /// As [`Self::resume`], for damage of any size, through the index.
    fn seek(&mut self, i: usize, j: usize) -> Option<Step> {
        let (reference, capture) = (self.reference, self.capture);
        let index = self
            .index
            .take()
            .unwrap_or_else(|| Index::new(reference, capture.channels()));
        let mut best: Option<Step> = None;
        // How far the last candidate was ahead of the capture. A long agreement offers itself at
        // each of its blocks; it is the first one that counts.
        let mut ahead = None;
        let cost = |step: Step| step.reference.max(step.capture);
        if let Some(mut roll) = Roll::new(capture, j) {
            let mut t = 0;
            loop {
                if best.is_some_and(|b| t > cost(b) + BLOCK) {
                    break;
                }
                if let Some(p) = index
                    .nearest(roll.hash(), i, i + t)
                    .filter(|p| ahead != Some(p.wrapping_sub(t)))
                {
                    ahead = Some(p.wrapping_sub(t));
                    // Back to where the agreement begins.
                    let (mut p, mut back) = (p, t);
                    while p > i && back > 0 && self.same(p - 1, j + back - 1) {
                        p -= 1;
                        back -= 1;
                    }
                    let step = Step {
                        reference: p - i,
                        capture: back,
                    };
                    if best.is_none_or(|b| cost(step) < cost(b)) && self.confirm(p, j + back) {
                        best = Some(step);
                    }
                }
                if !roll.advance() {
                    break;
                }
                t += 1;
            }
        }
        self.index = Some(index);
        best
    }

    /// Says what kind of damage a step is.
    fn name(&mut self, i: usize, j: usize, step: Step) {
        // Frames changed in place, and on top of that missing or too many.
        let changed = step.reference.min(step.capture);
        let missing = step.reference - changed;
        let surplus = step.capture - changed;
        if changed > 0 {
            let finding = self.changed(i, j, changed);
            self.findings.push(finding);
        }
        let at = i + changed;
        if missing > 0 {
            let frames = missing;
            self.findings.push(match at {
                0 => Finding::LostStart { frames },
                _ => Finding::Dropped { at, frames },
            });
        }
        if surplus > 0 {
            let finding = self.surplus(at, j + changed, surplus);
            self.findings.push(finding);
        }
    }

    /// Says what `frames` frames too many are, from frame `j` of the capture.
    fn surplus(&mut self, at: usize, j: usize, frames: usize) -> Finding {
        if (j..j + frames).all(|j| self.capture.is_silent(j)) {
            let silent = true;
            return Finding::Inserted { at, frames, silent };
        }
        // What came just before, or anything that came before.
        let from = at
            .checked_sub(frames)
            .filter(|&from| self.agreement(from, j, frames) == frames)
            .or_else(|| self.origin(j, frames));
        match from {
            Some(from) if from < at => Finding::Repeated { at, frames, from },
            _ => Finding::Inserted {
                at,
                frames,
                silent: false,
            },
        }
    }

    /// Says how `frames` frames differ in place.
    fn changed(&mut self, at: usize, j: usize, frames: usize) -> Finding {
        let (reference, capture) = (self.reference, self.capture);
        let pairs = || {
            (0..frames).flat_map(move |n| {
                let (r, c) = (reference.frame(at + n), capture.frame(j + n));
                c.iter()
                    .enumerate()
                    .map(move |(ch, s)| (ch, r[ch % r.len()].bits(), s.bits()))
            })
        };
        if frames == 1 {
            let mut wrong = pairs().filter(|(_, r, c)| r != c);
            if let (Some((channel, r, c)), None) = (wrong.next(), wrong.next()) {
                let width = 8 * size_of::<T>() as u32;
                let bits = (r ^ c) as u64 & (u64::MAX >> (64 - width));
                if bits.is_power_of_two() {
                    return Finding::BitFlip {
                        at,
                        channel,
                        bit: bits.trailing_zeros(),
                    };
                }
            }
        }
        if pairs().all(|(_, _, c)| c == 0) {
            return Finding::Silenced { at, frames };
        }
        if capture.channels() == 2
            && reference.channels() == 2
            && (0..frames).all(|n| {
                let (r, c) = (reference.frame(at + n), capture.frame(j + n));
                r[0] == c[1] && r[1] == c[0]
            })
        {
            return Finding::Swapped { at, frames };
        }
        if let Some(gain) = gain(pairs) {
            return Finding::Gain { at, frames, gain };
        }
        match self.origin(j, frames) {
            Some(from) if from != at => Finding::Misplaced { at, frames, from },
            _ => Finding::Wrong { at, frames },
        }
    }

    /// The frame of the reference from which `frames` frames of the capture come, if all do. Found
    /// for stretches of two blocks and more.
    fn origin(&mut self, j: usize, frames: usize) -> Option<usize> {
        if frames < 2 * BLOCK {
            return None;
        }
        let (reference, capture) = (self.reference, self.capture);
        let index = self
            .index
            .get_or_insert_with(|| Index::new(reference, capture.channels()));
        let mut hits = Vec::new();
        let mut roll = Roll::new(capture, j)?;
        for t in 0..BLOCK {
            if let Some(from) = index.first(roll.hash()).and_then(|p| p.checked_sub(t)) {
                hits.push(from);
            }
            if !roll.advance() {
                break;
            }
        }
        hits.into_iter()
            .find(|&from| self.agreement(from, j, frames) == frames)
    }
}

/// The factor between two stretches of samples, if one explains them all.
fn gain<I: Iterator<Item = (usize, i64, i64)>>(pairs: impl Fn() -> I) -> Option<f64> {
    let (mut rr, mut rc, mut count) = (0.0, 0.0, 0u64);
    for (_, r, c) in pairs() {
        rr += (r * r) as f64;
        rc += (r * c) as f64;
        count += u64::from(r != 0);
    }
    // A few samples can be anything times anything.
    if count < 64 || rr == 0.0 || rc == 0.0 {
        return None;
    }
    let gain = rc / rr;
    let fits = |(_, r, c): (usize, i64, i64)| (r as f64 * gain - c as f64).abs() <= 1.5;
    pairs().all(fits).then_some(gain)
}
