// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recordings and captures as 16-bit frames.

use std::path::Path;

use sgring_signal::{Audio, Verdict, judge};

/// Interleaved 16-bit frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Frames per second.
    pub rate: u32,
    /// Samples in a frame.
    pub channels: u16,
    /// The samples, whole frames of them.
    pub samples: Vec<i16>,
}

impl Recording {
    /// Little-endian 16-bit samples; an incomplete frame at the end is left out.
    #[must_use]
    pub fn from_raw(bytes: &[u8], rate: u32, channels: u16) -> Self {
        let mut samples: Vec<i16> = bytes
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        let channels = channels.max(1);
        samples.truncate(samples.len() / usize::from(channels) * usize::from(channels));
        Self {
            rate,
            channels,
            samples,
        }
    }

    /// A capture that the wav audio backend wrote.
    ///
    /// # Errors
    /// A line that says what is wrong with the file.
    pub fn from_capture(path: &Path) -> Result<Self, String> {
        let broken = |e: hound::Error| format!("{}: {e}", path.display());
        let mut wav = hound::WavReader::open(path).map_err(broken)?;
        let spec = wav.spec();
        if spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int {
            return Err(format!("{}: not 16-bit", path.display()));
        }
        Ok(Self {
            rate: spec.sample_rate,
            channels: spec.channels,
            samples: wav.samples().collect::<Result<_, _>>().map_err(broken)?,
        })
    }

    /// Writes a WAV file.
    ///
    /// # Errors
    /// Those of writing it.
    pub fn write_wav(&self, path: &Path) -> Result<(), String> {
        let broken = |e: hound::Error| format!("{}: {e}", path.display());
        let spec = hound::WavSpec {
            channels: self.channels,
            sample_rate: self.rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = hound::WavWriter::create(path, spec).map_err(broken)?;
        for &sample in &self.samples {
            wav.write_sample(sample).map_err(broken)?;
        }
        wav.finalize().map_err(broken)
    }

    /// The number of frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.channels.max(1))
    }

    /// How long it plays, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.frames() as f64 / f64::from(self.rate.max(1))
    }

    /// What became of `self` in `capture`. Rates must be the same.
    ///
    /// # Errors
    /// A line that says why they cannot be compared.
    pub fn judge(&self, capture: &Self) -> Result<Verdict, String> {
        if self.rate != capture.rate {
            return Err(format!(
                "played at {} Hz, captured at {} Hz",
                self.rate, capture.rate
            ));
        }
        judge(self.audio(), capture.audio()).map_err(|e| e.to_string())
    }

    /// Cuts a capture of several recordings, played one after the other, into
    /// one piece for each. A piece begins where the first frames of its recording
    /// are, the first piece at the start; where they are not found, the piece is
    /// `None` and its frames fall to the piece before.
    #[must_use]
    pub fn cut(&self, played: &[Self]) -> Vec<Option<Self>> {
        const SIGN: usize = 16;
        let width = usize::from(self.channels.max(1));
        let mut starts = Vec::new();
        let mut from = 0;
        for one in played {
            let sign = &one.samples[..one.samples.len().min(SIGN * width)];
            let found = (from..self.frames())
                .find(|&frame| self.samples[frame * width..].starts_with(sign));
            if let Some(frame) = found {
                from = frame + 1;
            }
            starts.push(found);
        }
        if let Some(first) = starts.iter_mut().flatten().next() {
            *first = 0;
        }
        let piece = |at: usize| {
            let start = starts[at]?;
            let end = starts[at + 1..]
                .iter()
                .flatten()
                .next()
                .copied()
                .unwrap_or(self.frames());
            Some(Self {
                samples: self.samples[start * width..end * width].to_vec(),
                ..*self
            })
        };
        (0..played.len()).map(piece).collect()
    }

    fn audio(&self) -> Audio<'_, i16> {
        Audio::new(&self.samples, usize::from(self.channels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_bytes_become_whole_frames() {
        let r = Recording::from_raw(&[1, 0, 255, 255, 9, 0, 7], 8000, 2);
        assert_eq!(r.samples, [1, -1]);
        assert_eq!(r.frames(), 1);
    }

    #[test]
    fn a_capture_is_cut_where_its_clips_begin() {
        let clip = |seed| Recording {
            rate: 8000,
            channels: 2,
            samples: sgring_signal::Generator::new(seed, 2).samples(100),
        };
        let (a, b, c) = (clip(1), clip(2), clip(3));
        let mut capture = a.clone();
        let silence = [0; 14];
        capture.samples = [&silence, &a.samples[..], &silence, &c.samples[..], &silence].concat();
        let pieces = capture.cut(&[a.clone(), b, c.clone()]);
        assert!(a.judge(pieces[0].as_ref().unwrap()).unwrap().is_bit_exact());
        assert!(pieces[1].is_none());
        assert!(c.judge(pieces[2].as_ref().unwrap()).unwrap().is_bit_exact());
        assert_eq!(pieces[0].as_ref().unwrap().frames(), 7 + 100 + 7);
    }

    #[test]
    fn rates_must_agree() {
        let a = Recording::from_raw(&[1, 0, 2, 0], 8000, 2);
        let b = Recording {
            rate: 16000,
            ..a.clone()
        };
        assert!(a.judge(&b).is_err());
        assert!(a.judge(&a).unwrap().is_bit_exact());
    }
}
