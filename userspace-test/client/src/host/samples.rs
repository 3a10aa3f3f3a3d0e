// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sample formats: the kernel's and cpal's.
//!
//! They are the same bytes, but for 24 bits. cpal's `I24` is a whole `i32`; the kernel has 24 bits in three
//! bytes, which are no type of Rust's, and in four of which the last one is nobody's, so that what was
//! recorded lacks the sign. These, and no others, go through a buffer of the stream's.

use crate::params::FORMATS;
use crate::sys::{Direction, Format};
use cpal::{Data, SampleFormat};

/// cpal's formats of [`FORMATS`].
const CPAL: [SampleFormat; FORMATS.len()] = [
    SampleFormat::I16,
    SampleFormat::I32,
    SampleFormat::F32,
    SampleFormat::I24,
    SampleFormat::I24,
    SampleFormat::F64,
    SampleFormat::U8,
    SampleFormat::I8,
];

/// The kernel's formats for 24 bits, in four bytes and in three.
const S24: [Format; 2] = [FORMATS[3], FORMATS[4]];
const S24_BACK: [Format; 2] = [FORMATS[4], FORMATS[3]];

/// cpal's name for a kernel format; `None` for those that cpal lacks.
pub(super) fn sample_format(format: Format) -> Option<SampleFormat> {
    let at = FORMATS.iter().position(|&f| f == format)?;
    Some(CPAL[at])
}

/// The kernel's formats for one of cpal's, the one to prefer first; none where there is none.
pub(super) fn kernel_formats(format: SampleFormat, packed: bool) -> &'static [Format] {
    match (format, packed) {
        (SampleFormat::I24, false) => &S24,
        (SampleFormat::I24, true) => &S24_BACK,
        _ => CPAL
            .iter()
            .position(|&f| f == format)
            .map_or(&[], |at| &FORMATS[at..=at]),
    }
}

/// From the ring's bytes to cpal's buffer, and back.
pub(super) enum Way {
    /// The ring's bytes are the samples.
    Ring(SampleFormat),
    /// Samples of 24 bits lie in so many bytes each in the ring, and come by way of this buffer.
    Buffer(usize, Vec<i32>),
}

impl Way {
    /// For windows of at most `most` samples.
    pub(super) fn new(kernel: Format, format: SampleFormat, dir: Direction, most: usize) -> Self {
        match kernel {
            Format::S24_3Le | Format::S24_3Be => Self::buffer(3, most),
            Format::S24Le | Format::S24Be if dir == Direction::Capture => Self::buffer(4, most),
            _ => Self::Ring(format),
        }
    }

    fn buffer(bytes: usize, most: usize) -> Self {
        // Not zeros, which would be pages that fault in later.
        let mut samples = vec![1; most];
        samples.fill(0);
        Self::Buffer(bytes, samples)
    }

    /// Has `f` fill `window`, which holds silence.
    #[allow(unsafe_code)]
    pub(super) fn write(&mut self, window: &mut [u8], f: impl FnOnce(&mut Data)) {
        match self {
            Self::Ring(format) => {
                let samples = window.len() / format.sample_size();
                // SAFETY: the window is as long as that many samples of the format, whose values may have any
                // bits, and nobody else uses it until the callback returns. It is aligned: rings begin on a
                // page, and a frame is a whole number of samples.
                f(&mut unsafe { Data::from_parts(window.as_mut_ptr().cast(), samples, *format) });
            }
            Self::Buffer(bytes, samples) => {
                let count = (window.len() / *bytes).min(samples.len());
                let samples = &mut samples[..count];
                samples.fill(0);
                // SAFETY: I24 is an `i32` of which the values fit into 24 bits, these are so many, and borrowed
                // for as long as the callback runs.
                f(&mut unsafe {
                    Data::from_parts(samples.as_mut_ptr().cast(), count, SampleFormat::I24)
                });
                for (&sample, at) in samples.iter().zip(window.chunks_exact_mut(*bytes)) {
                    pack(sample, at);
                }
            }
        }
    }

    /// Has `f` read `window`.
    #[allow(unsafe_code)]
    pub(super) fn read(&mut self, window: &[u8], f: impl FnOnce(&Data)) {
        match self {
            Self::Ring(format) => {
                let samples = window.len() / format.sample_size();
                let at = window.as_ptr().cast_mut().cast();
                // SAFETY: as in `write`; nobody writes through a shared reference to it.
                f(&unsafe { Data::from_parts(at, samples, *format) });
            }
            Self::Buffer(bytes, samples) => {
                let count = (window.len() / *bytes).min(samples.len());
                let samples = &mut samples[..count];
                for (sample, at) in samples.iter_mut().zip(window.chunks_exact(*bytes)) {
                    *sample = unpack(at);
                }
                // SAFETY: as in `write`; `unpack` gives values of 24 bits.
                f(&unsafe {
                    Data::from_parts(samples.as_mut_ptr().cast(), count, SampleFormat::I24)
                });
            }
        }
    }
}

/// The low 24 bits of `sample`, in this machine's order, into three bytes or four.
fn pack(sample: i32, at: &mut [u8]) {
    match at.len() {
        3 if cfg!(target_endian = "little") => at.copy_from_slice(&sample.to_le_bytes()[..3]),
        3 => at.copy_from_slice(&sample.to_be_bytes()[1..]),
        _ => at.copy_from_slice(&sample.to_ne_bytes()),
    }
}

/// The sample of 24 bits in three bytes, or in four of which one is nobody's.
fn unpack(at: &[u8]) -> i32 {
    let bits = match *at {
        [a, b, c] if cfg!(target_endian = "little") => u32::from_le_bytes([a, b, c, 0]),
        [a, b, c] => u32::from_be_bytes([0, a, b, c]),
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]),
        _ => 0,
    };
    // The sign is bit 23.
    (bits << 8) as i32 >> 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpal::I24;
    use proptest::prelude::*;

    #[test]
    fn every_format_goes_there_and_back() {
        for format in FORMATS {
            let there = sample_format(format).unwrap();
            for packed in [false, true] {
                assert!(kernel_formats(there, packed).contains(&format));
            }
            if there != SampleFormat::I24 {
                assert_eq!(there.sample_size(), format.bytes());
            }
        }
        assert_eq!(kernel_formats(SampleFormat::I24, true)[0].bytes(), 3);
        assert!(kernel_formats(SampleFormat::U16, false).is_empty());
        assert_eq!(sample_format(Format::U16Le), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Samples of 24 bits survive, with their sign, whatever is in the byte that is nobody's.
        #[test]
        fn samples_of_24_bits_survive(
            samples in prop::collection::vec(-0x80_0000i32..=0x7f_ffff, 1..100),
            rubbish: u8,
            bytes in 3usize..=4,
        ) {
            let mut window = vec![0; samples.len() * bytes];
            let mut way = Way::buffer(bytes, samples.len());
            way.write(&mut window, |data| {
                let slice = data.as_slice_mut::<I24>().unwrap();
                assert!(slice.iter().all(|s| s.inner() == 0));
                for (to, &from) in slice.iter_mut().zip(&samples) {
                    *to = I24::new(from).unwrap();
                }
            });
            if bytes == 4 {
                let last = if cfg!(target_endian = "little") { 3 } else { 0 };
                window.iter_mut().skip(last).step_by(4).for_each(|b| *b = rubbish);
            }
            way.read(&window, |data| {
                let slice = data.as_slice::<I24>().unwrap();
                assert!(slice.iter().map(|s| s.inner()).eq(samples.iter().copied()));
            });
        }
    }
}
