// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a substream is configured with: formats, ranges, hardware and software parameters.

use super::uapi::{self, Interval, Mask};

/// How frames lie in the ring, `SNDRV_PCM_ACCESS_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the names are the header's
pub enum Access {
    MmapInterleaved = 0,
    MmapNoninterleaved = 1,
    MmapComplex = 2,
    RwInterleaved = 3,
    RwNoninterleaved = 4,
}

/// A sample format, `SNDRV_PCM_FORMAT_*`: the linear ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the names are the header's
pub enum Format {
    S8 = 0,
    U8 = 1,
    S16Le = 2,
    S16Be = 3,
    U16Le = 4,
    U16Be = 5,
    S24Le = 6,
    S24Be = 7,
    U24Le = 8,
    U24Be = 9,
    S32Le = 10,
    S32Be = 11,
    U32Le = 12,
    U32Be = 13,
    FloatLe = 14,
    FloatBe = 15,
    Float64Le = 16,
    Float64Be = 17,
    S24_3Le = 32,
    S24_3Be = 33,
}

impl Format {
    /// Bytes of one sample in memory.
    pub const fn bytes(self) -> usize {
        match self {
            Self::S8 | Self::U8 => 1,
            Self::S16Le | Self::S16Be | Self::U16Le | Self::U16Be => 2,
            Self::S24_3Le | Self::S24_3Be => 3,
            Self::Float64Le | Self::Float64Be => 8,
            _ => 4,
        }
    }

    /// The little- or the big-endian one of two, whichever is this machine's.
    pub const fn native(little: Self, big: Self) -> Self {
        if cfg!(target_endian = "little") {
            little
        } else {
            big
        }
    }
}

/// A hardware parameter that is a range of numbers, `SNDRV_PCM_HW_PARAM_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Param {
    /// Bits of one sample as it lies in memory.
    SampleBits = 8,
    /// Bits of one frame.
    FrameBits = 9,
    /// Samples in a frame.
    Channels = 10,
    /// Frames per second.
    Rate = 11,
    /// Microseconds from one period to the next.
    PeriodTime = 12,
    /// Frames in a period.
    PeriodSize = 13,
    /// Bytes in a period.
    PeriodBytes = 14,
    /// Periods in the ring.
    Periods = 15,
    /// Microseconds of audio in the ring.
    BufferTime = 16,
    /// Frames in the ring.
    BufferSize = 17,
    /// Bytes in the ring.
    BufferBytes = 18,
    /// Microseconds, unused by the kernel.
    TickTime = 19,
}

/// The whole numbers that a hardware parameter may still take: `min..=max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The smallest value.
    pub min: u32,
    /// The largest value.
    pub max: u32,
}

impl Range {
    /// The value, if only one is left.
    pub fn single(self) -> Option<u32> {
        (self.min == self.max).then_some(self.min)
    }

    /// Whether `value` is inside.
    pub fn contains(self, value: u32) -> bool {
        (self.min..=self.max).contains(&value)
    }
}

/// A set of hardware configurations: `struct snd_pcm_hw_params`.
///
/// It starts as [everything](Self::any); setters narrow it, [`Pcm::hw_refine`] narrows it further
/// to what the hardware can do, and [`Pcm::hw_params`] picks one configuration out of it.
#[derive(Clone, Copy, Debug)]
pub struct HwParams(pub(super) uapi::HwParams);

impl HwParams {
    /// Every configuration.
    pub fn any() -> Self {
        let all = Interval {
            min: 0,
            max: u32::MAX,
            flags: 0,
        };
        Self(uapi::HwParams {
            flags: 0,
            masks: [Mask {
                bits: [u32::MAX; 8],
            }; uapi::MASKS],
            mres: [Mask::default(); 5],
            intervals: [all; uapi::INTERVALS],
            ires: [Interval::default(); 9],
            rmask: u32::MAX,
            cmask: 0,
            info: u32::MAX,
            msbits: 0,
            rate_num: 0,
            rate_den: 0,
            fifo_size: 0,
            sync: [0; 16],
            reserved: [0; 48],
        })
    }

    /// The record itself, for calls that must be wrong on purpose.
    pub fn raw_mut(&mut self) -> &mut uapi::HwParams {
        &mut self.0
    }

    fn set_mask(&mut self, mask: usize, bits: impl Iterator<Item = u8>) {
        let mut keep = Mask::default();
        for bit in bits {
            keep.bits[usize::from(bit) / 32] |= 1 << (bit % 32);
        }
        for (word, keep) in self.0.masks[mask].bits.iter_mut().zip(keep.bits) {
            *word &= keep;
        }
        self.0.rmask |= 1 << mask;
    }

    fn has(&self, mask: usize, bit: u8) -> bool {
        self.0.masks[mask].bits[usize::from(bit) / 32] & (1 << (bit % 32)) != 0
    }

    /// Keeps only these access modes.
    pub fn set_access(&mut self, access: &[Access]) {
        self.set_mask(0, access.iter().map(|&a| a as u8));
    }

    /// Keeps only these formats.
    pub fn set_formats(&mut self, formats: &[Format]) {
        self.set_mask(1, formats.iter().map(|&f| f as u8));
    }

    /// Whether an access mode is left.
    pub fn has_access(&self, access: Access) -> bool {
        self.has(0, access as u8)
    }

    /// Whether a format is left.
    pub fn has_format(&self, format: Format) -> bool {
        self.has(1, format as u8)
    }

    /// Keeps only `value`.
    pub fn set(&mut self, param: Param, value: u32) {
        self.set_range(param, value, value);
    }

    /// Keeps only `min..=max`. A range without a value in it makes the set empty, and the kernel
    /// answers `EINVAL`.
    pub fn set_range(&mut self, param: Param, min: u32, max: u32) {
        let index = param as u32;
        let interval = &mut self.0.intervals[(index - uapi::FIRST_INTERVAL) as usize];
        if min > interval.min {
            interval.min = min;
            interval.flags &= !uapi::INTERVAL_OPENMIN;
        }
        if max < interval.max {
            interval.max = max;
            interval.flags &= !uapi::INTERVAL_OPENMAX;
        }
        interval.flags |= uapi::INTERVAL_INTEGER;
        self.0.rmask |= 1 << index;
    }

    /// The whole numbers left for `param`.
    pub fn range(&self, param: Param) -> Range {
        let interval = &self.0.intervals[(param as u32 - uapi::FIRST_INTERVAL) as usize];
        let open = |flag| u32::from(interval.flags & flag != 0);
        Range {
            min: interval.min.saturating_add(open(uapi::INTERVAL_OPENMIN)),
            max: interval.max.saturating_sub(open(uapi::INTERVAL_OPENMAX)),
        }
    }

    /// Sets `SNDRV_PCM_HW_PARAMS_*` flags, replacing those set before.
    pub fn set_flags(&mut self, flags: u32) {
        self.0.flags = flags;
    }

    /// What the hardware can do, `SNDRV_PCM_INFO_*`; valid after a refine.
    pub fn info(&self) -> u32 {
        self.0.info
    }

    /// Significant bits of a sample, 0 if the format says it all; valid after `hw_params`.
    pub fn msbits(&self) -> u32 {
        self.0.msbits
    }

    /// The exact rate as a fraction of frames per second; valid after `hw_params`.
    pub fn rate_fraction(&self) -> (u32, u32) {
        (self.0.rate_num, self.0.rate_den)
    }

    /// The hardware's FIFO, frames; valid after `hw_params`.
    pub fn fifo_size(&self) -> u64 {
        self.0.fifo_size
    }
}

/// The clock of a PCM's timestamps, `SNDRV_PCM_TSTAMP_TYPE_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the header's
pub enum TstampType {
    Gettimeofday = 0,
    #[default]
    Monotonic = 1,
    MonotonicRaw = 2,
}

/// Software parameters: `struct snd_pcm_sw_params`. All thresholds and sizes are in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwParams {
    /// Take a timestamp with every position update.
    pub tstamp: bool,
    /// The clock of these timestamps.
    pub tstamp_type: TstampType,
    /// Wake up when this much can be written or read; at least 1.
    pub avail_min: u64,
    /// Start by itself once this much has been written.
    pub start_threshold: u64,
    /// Stop with an xrun once this much is free; from the boundary up: never.
    pub stop_threshold: u64,
    /// Fill with silence when less than this is left; 0 if `silence_size` reaches the boundary.
    pub silence_threshold: u64,
    /// Fill at most this much; from the boundary up: silence what has been played, at once.
    pub silence_size: u64,
}

impl SwParams {
    /// The kernel's own values after `hw_params`, for a ring of `buffer_size` frames.
    pub fn new(buffer_size: u64, avail_min: u64) -> Self {
        Self {
            tstamp: true,
            tstamp_type: TstampType::Monotonic,
            avail_min,
            start_threshold: 1,
            stop_threshold: buffer_size,
            silence_threshold: 0,
            silence_size: 0,
        }
    }

    /// A playback stream that runs on whatever the application does: it never stops for an
    /// underrun, never starts by itself, and the kernel overwrites with silence what was played.
    pub fn free_running(avail_min: u64) -> Self {
        // Every threshold compares with the boundary, which is below 2^63 on all cards.
        const NEVER: u64 = i64::MAX as u64;
        Self {
            tstamp: true,
            tstamp_type: TstampType::Monotonic,
            avail_min,
            start_threshold: NEVER,
            stop_threshold: NEVER,
            silence_threshold: 0,
            silence_size: NEVER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setters_narrow_and_never_widen() {
        let mut params = HwParams::any();
        params.set_range(Param::Rate, 8_000, 192_000);
        params.set_range(Param::Rate, 4_000, 96_000);
        assert_eq!(
            params.range(Param::Rate),
            Range {
                min: 8_000,
                max: 96_000
            }
        );
        params.set(Param::Rate, 48_000);
        assert_eq!(params.range(Param::Rate).single(), Some(48_000));

        params.set_formats(&[Format::S16Le, Format::S24_3Le]);
        params.set_formats(&[Format::S16Le, Format::U8]);
        assert!(params.has_format(Format::S16Le));
        assert!(!params.has_format(Format::U8));
        assert!(!params.has_format(Format::S24_3Le));
    }

    #[test]
    fn open_ends_are_outside() {
        let mut params = HwParams::any();
        params.raw_mut().intervals[(Param::PeriodSize as u32 - uapi::FIRST_INTERVAL) as usize] =
            Interval {
                min: 63,
                max: 1025,
                flags: uapi::INTERVAL_OPENMIN | uapi::INTERVAL_OPENMAX,
            };
        assert_eq!(
            params.range(Param::PeriodSize),
            Range { min: 64, max: 1024 }
        );
    }
}
