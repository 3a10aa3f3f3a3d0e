// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recordings and captures as 16-bit frames.
//!
//! A reference is decoded by a program that is not ours: `flac` for FLAC, `sox`
//! for WAV. Our own decoder is part of what is judged.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

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

/// The kinds of file that can be a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Flac,
    Wav,
}

impl Container {
    fn of(path: &Path) -> Result<Self, String> {
        let mut head = Vec::new();
        File::open(path)
            .and_then(|file| file.take(12).read_to_end(&mut head))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        match head.as_slice() {
            [] => Err(format!("{}: the file is empty", path.display())),
            [b'f', b'L', b'a', b'C', ..] => Ok(Self::Flac),
            // A FLAC file may carry a tag of another format before it.
            [b'I', b'D', b'3', ..] => Err(format!(
                "{}: begins with an ID3 tag; only plain FLAC and WAV can be played",
                path.display()
            )),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E'] => Ok(Self::Wav),
            _ => Err(format!("{}: neither a FLAC nor a WAV file", path.display())),
        }
    }
}

impl Recording {
    /// Decodes a FLAC or WAV file with a foreign decoder.
    ///
    /// # Errors
    /// A line that says what is wrong with the file: absent, empty, not audio,
    /// damaged, not 16 bits, more than two channels.
    pub fn decode(path: &Path) -> Result<Self, String> {
        let container = Container::of(path)?;
        let [rate, channels, bits] = ["-r", "-c", "-b"].map(|what| soxi(path, what));
        let (rate, channels, bits) = (rate?, channels?, bits?);
        if bits != 16 {
            return Err(format!(
                "{}: {bits} bits a sample; only 16 can be judged so far",
                path.display()
            ));
        }
        if !(1..=2).contains(&channels) {
            return Err(format!(
                "{}: {channels} channels; the card has 1 or 2 so far",
                path.display()
            ));
        }
        let mut command = match container {
            Container::Flac => {
                let mut flac = Command::new("flac");
                flac.args([
                    "-d",
                    "-s",
                    "-c",
                    "--force-raw-format",
                    "--endian=little",
                    "--sign=signed",
                ])
                .arg("--")
                .arg(path);
                flac
            }
            Container::Wav => {
                let mut sox = Command::new("sox");
                // -D: no dither, although 16 bits to 16 bits would need none.
                sox.args(["-V1", "-D"]).arg(path).args([
                    "-t",
                    "raw",
                    "-e",
                    "signed-integer",
                    "-b",
                    "16",
                    "-L",
                    "-",
                ]);
                sox
            }
        };
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))?;
        if !output.status.success() {
            return Err(format!(
                "{}: damaged: {}",
                path.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        let channels = u16::try_from(channels).unwrap_or(u16::MAX);
        let recording = Self::from_raw(&output.stdout, rate, channels);
        if recording.samples.is_empty() {
            return Err(format!("{}: holds no audio frames", path.display()));
        }
        Ok(recording)
    }

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

/// The stream that a guest set up on our card, from the log of QEMU's
/// `sgring_prepare` trace event; the last one, when there were several.
///
/// # Errors
/// When no stream was set up, or not with 16-bit samples.
pub fn prepared(qemu_log: &str) -> Result<(u32, u16), String> {
    let line = qemu_log
        .lines()
        .rfind(|line| line.contains("sgring_prepare "))
        .ok_or("the guest never set up a stream on the card")?;
    let words: Vec<_> = line.split_whitespace().collect();
    let value = |name: &str| -> Result<u32, String> {
        words
            .iter()
            .position(|w| *w == name)
            .and_then(|at| words.get(at + 1)?.parse().ok())
            .ok_or_else(|| format!("no {name} in {line:?}"))
    };
    const S16_LE: u32 = 2;
    if value("format")? != S16_LE {
        return Err(format!("not 16-bit samples: {line}"));
    }
    let channels = u16::try_from(value("channels")?).map_err(|e| e.to_string())?;
    Ok((value("rate")?, channels))
}

fn soxi(path: &Path, what: &str) -> Result<u32, String> {
    let output = Command::new("soxi")
        .arg(what)
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("soxi: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "{}: damaged: {}",
            path.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .map_err(|_| format!("{}: soxi {what} says {text:?}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stream_is_found() {
        let log = "x sgring_prepare stream 0 format 2 rate 44100 channels 2 period 64 ring 256\n\
                   x sgring_prepare stream 0 format 2 rate 48000 channels 1 period 64 ring 256\n";
        assert_eq!(prepared(log), Ok((48000, 1)));
        assert!(prepared("").is_err());
        assert!(prepared("sgring_prepare stream 0 format 6 rate 48000 channels 1\n").is_err());
    }

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
