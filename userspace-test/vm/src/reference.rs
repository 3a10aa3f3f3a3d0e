// SPDX-License-Identifier: MIT OR Apache-2.0
//! What should have come out of the card, by decoders that are not ours: `flac`
//! for FLAC, `sox` for WAV, hound for floating point, `mpg123` for MP3 and
//! `oggdec` for Vorbis; `sox` mixes many channels down.
//!
//! Samples that a file holds are compared bit by bit. Those that a decoder or a
//! mix makes up are compared with the other decoder's or mix's to one step of
//! their width, and with what the player says that it handed over bit by bit.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use sgring_signal::{Audio, Verdict, judge};
use xxhash_rust::xxh3::xxh3_128;

use crate::recording::Recording;
use crate::soundfile::{Coding, SoundFile};

/// One step of so many bits, in the 32 bits that all samples are widened to.
const fn step(bits: u32) -> i64 {
    1 << (32 - bits)
}

/// How far above full scale floating point may go on its way through sox.
const HEADROOM: f32 = 8.0;

/// Frames as they should come out.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The file that they are of.
    pub file: SoundFile,
    /// Samples in a frame: the file's, or two where it was mixed down.
    pub channels: u16,
    /// Whole numbers that fill 32 bits from the top, or floating point's bits.
    samples: Vec<i32>,
    /// How far a sample may be off, in steps of 32 bits; 0 for not at all.
    tolerance: i64,
    /// Who decoded, and mixed.
    by: &'static str,
}

impl Reference {
    /// Decodes all of a file.
    ///
    /// # Errors
    /// A line that says what is wrong with the file.
    pub fn decode(path: &Path) -> Result<Self, String> {
        let file = SoundFile::open(path)?;
        Self::of(file).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn of(file: SoundFile) -> Result<Self, String> {
        let (samples, by) = samples(&file)?;
        let mut reference = Self {
            channels: file.channels,
            samples,
            tolerance: if file.coding.is_lossy() { step(16) } else { 0 },
            by,
            file,
        };
        let (frames, file) = (reference.frames() as u64, &reference.file);
        if frames == 0 {
            return Err("holds no audio frames".to_owned());
        }
        if let Some(promised) = file.frames.filter(|&n| n > frames) {
            return Err(format!(
                "cut off: it promises {promised} frames, and {frames} are there"
            ));
        }
        if file.channels > 2 {
            reference.mix_down()?;
        }
        Ok(reference)
    }

    /// The number of frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.channels.max(1))
    }

    /// How long it plays, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.frames() as f64 / f64::from(self.file.rate)
    }

    /// Whether every bit is known beforehand.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.tolerance == 0
    }

    fn mix_down(&mut self) -> Result<(), String> {
        let float = self.file.coding == Coding::WavFloat;
        let mut bytes = Vec::with_capacity(4 * self.samples.len());
        for &sample in &self.samples {
            // Whole numbers would clip what floating point does not.
            let sample = if float {
                real((f32::from_bits(sample as u32) / HEADROOM).to_bits() as i32)
            } else {
                sample
            };
            bytes.extend(sample.to_le_bytes());
        }
        let [rate, channels] = [self.file.rate, self.file.channels.into()].map(|n| n.to_string());
        let raw = ["-t", "raw", "-e", "signed-integer", "-b", "32", "-L"];
        let mut sox = Command::new("sox");
        sox.args(["-V1", "-D"]).args(raw);
        sox.args(["-r", &rate, "-c", &channels, "-"])
            .args(raw)
            .arg("-")
            .arg("remix")
            .args(remix(
                &self.file.places,
                if float { HEADROOM.into() } else { 1.0 },
            )?);
        self.samples = words(&run(sox, Some(bytes))?);
        self.channels = 2;
        self.by = "sox's mix";
        self.tolerance = match self.file.coding {
            Coding::WavFloat => step(24),
            _ if self.file.bits > 16 => 1,
            _ => step(16),
        };
        Ok(())
    }

    /// Compares with the frames that the card fetched. `handed` is what the
    /// player said that it handed over.
    ///
    /// # Errors
    /// Lines that say what is wrong.
    pub fn judge(&self, tap: &Tap, handed: Option<&Handed>) -> Result<String, String> {
        if (tap.rate, tap.channels) != (self.file.rate, self.channels) {
            return Err(format!(
                "the card played {} Hz and {} channels, not {} Hz and {}",
                tap.rate, tap.channels, self.file.rate, self.channels
            ));
        }
        let float = self.file.coding == Coding::WavFloat || self.file.coding.is_lossy();
        if float != (tap.format == Format::Float) {
            return Err(format!(
                "the card played samples of the kind {:?}",
                tap.format
            ));
        }
        if self.is_exact() {
            let verdict = compare(&self.samples, self.channels, &tap.samples, tap.channels)?;
            return said(&verdict);
        }
        let handed = handed.ok_or("the player did not say what it handed over")?;
        tap.is(handed)?;
        self.near(tap)
    }

    /// Compares sample by sample, to a tolerance.
    fn near(&self, tap: &Tap) -> Result<String, String> {
        let frames = tap.samples.len() / usize::from(tap.channels.max(1));
        if frames != self.frames() {
            return Err(format!(
                "{frames} frames, and {} has {}",
                self.by,
                self.frames()
            ));
        }
        let value = |sample: i32| {
            i64::from(if tap.format == Format::Float {
                real(sample)
            } else {
                sample
            })
        };
        let mut worst = (0, 0);
        for (at, (&ours, &theirs)) in tap.samples.iter().zip(&self.samples).enumerate() {
            let off = (value(ours) - i64::from(theirs)).abs();
            if off > worst.0 {
                worst = (off, at / usize::from(tap.channels));
            }
        }
        let bits = 32 - self.tolerance.ilog2();
        let off = worst.0 as f64 / self.tolerance as f64;
        if worst.0 > self.tolerance {
            return Err(format!(
                "frame {}: {off:.2} steps of {bits} bits from {}",
                worst.1, self.by
            ));
        }
        Ok(format!(
            "as handed over, bit by bit: {frames} frames; within {off:.2} steps of {bits} bits of {}",
            self.by
        ))
    }
}

/// A verdict as a line, or as what is wrong.
fn said(verdict: &Verdict) -> Result<String, String> {
    if verdict.is_bit_exact() {
        Ok(verdict.to_string())
    } else {
        Err(verdict.to_string())
    }
}

fn compare<T: sgring_signal::Sample>(
    reference: &[T],
    channels: u16,
    capture: &[T],
    capture_channels: u16,
) -> Result<Verdict, String> {
    judge(
        Audio::new(reference, channels.into()),
        Audio::new(capture, capture_channels.into()),
    )
    .map_err(|e| e.to_string())
}

/// The sample formats that our player chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Signed, 16 bits.
    S16,
    /// Signed, 32 bits.
    S32,
    /// Floating point, 32 bits.
    Float,
}

impl Format {
    fn bytes(self) -> usize {
        match self {
            Self::S16 => 2,
            Self::S32 | Self::Float => 4,
        }
    }
}

/// One stream, as the card fetched it.
#[derive(Clone, Debug)]
pub struct Tap {
    /// Frames per second.
    pub rate: u32,
    /// Samples in a frame.
    pub channels: u16,
    /// What its samples are.
    pub format: Format,
    /// Widened as a reference's.
    samples: Vec<i32>,
    bytes: Vec<u8>,
}

/// What a stream was set up for, from QEMU's `sgring_prepare` trace event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// What its samples are.
    pub format: Format,
    /// Frames per second.
    pub rate: u32,
    /// Samples in a frame.
    pub channels: u16,
}

impl Stream {
    /// All that a guest set up, in order.
    ///
    /// # Errors
    /// A line about one that our player would not set up.
    pub fn all(qemu_log: &str) -> Result<Vec<Self>, String> {
        qemu_log
            .lines()
            .filter(|line| line.contains("sgring_prepare "))
            .map(|line| Self::of(line).ok_or_else(|| format!("not a stream of ours: {line}")))
            .collect()
    }

    fn of(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let mut value = |name: &str| -> Option<u32> {
            words.find(|word| *word == name)?;
            words.next()?.parse().ok()
        };
        Some(Self {
            format: match value("format")? {
                2 => Format::S16,
                6 => Format::S32,
                8 => Format::Float,
                _ => return None,
            },
            rate: value("rate")?,
            channels: u16::try_from(value("channels")?).ok()?,
        })
    }

    /// Bytes in a frame.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.format.bytes() * usize::from(self.channels)
    }
}

impl Tap {
    /// The bytes of one stream.
    #[must_use]
    pub fn new(stream: Stream, bytes: Vec<u8>) -> Self {
        let samples = match stream.format {
            Format::S16 => bytes
                .chunks_exact(2)
                .map(|b| i32::from(i16::from_le_bytes([b[0], b[1]])) << 16)
                .collect(),
            Format::S32 | Format::Float => words(&bytes),
        };
        Self {
            rate: stream.rate,
            channels: stream.channels,
            format: stream.format,
            samples,
            bytes,
        }
    }

    /// Whether this is what the player handed over, bit by bit.
    fn is(&self, handed: &Handed) -> Result<(), String> {
        let frame = self.format.bytes() * usize::from(self.channels);
        let end = usize::try_from(handed.frames)
            .unwrap_or(usize::MAX)
            .saturating_mul(frame);
        let frames = self.bytes.len() / frame;
        let Some((played, rest)) = self.bytes.split_at_checked(end) else {
            return Err(format!(
                "{frames} frames fetched of {} handed over",
                handed.frames
            ));
        };
        if rest.iter().any(|&b| b != 0) {
            return Err(format!(
                "{frames} frames fetched, {} handed over, and the rest is no silence",
                handed.frames
            ));
        }
        if format!("{:032x}", xxh3_128(played)) != handed.digest {
            return Err(format!(
                "{} frames fetched, and not those that were handed over",
                handed.frames
            ));
        }
        Ok(())
    }

    /// The upper 16 bits, which are all that QEMU's wav file has.
    #[must_use]
    pub fn upper(&self) -> Recording {
        let upper = |&sample: &i32| {
            let sample = if self.format == Format::Float {
                real(sample)
            } else {
                sample
            };
            (sample >> 16) as i16
        };
        Recording {
            rate: self.rate,
            channels: self.channels,
            samples: self.samples.iter().map(upper).collect(),
        }
    }

    /// Compares what the audio backend got with what the card fetched.
    ///
    /// # Errors
    /// Lines that say what is wrong.
    pub fn judge(&self, capture: &Recording) -> Result<String, String> {
        let verdict = said(&self.upper().judge(capture)?)?;
        Ok(match self.format {
            Format::S16 => verdict,
            _ => verdict.replacen("bit-exact", "bit-exact in its 16 bits", 1),
        })
    }
}

/// What the player says that it handed over: `handed over: N frames, xxh3 H`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The number of frames.
    pub frames: u64,
    /// The digest of their bytes.
    pub digest: String,
}

impl Handed {
    /// All that it says, a file each.
    #[must_use]
    pub fn all(said: &str) -> Vec<Self> {
        let line = |line: &str| {
            let (frames, digest) = line
                .strip_prefix("handed over: ")?
                .split_once(" frames, xxh3 ")?;
            Some(Self {
                frames: frames.parse().ok()?,
                digest: digest.trim().to_owned(),
            })
        };
        said.lines().filter_map(line).collect()
    }
}

/// Floating point's bits as a whole number of 32 bits, as the card rounds it.
fn real(bits: i32) -> i32 {
    let real = f64::from(f32::from_bits(bits as u32)) * f64::from(1u32 << 31);
    // Out of range is clipped, and no number is 0.
    real.round_ties_even() as i32
}

fn words(bytes: &[u8]) -> Vec<i32> {
    bytes
        .chunks_exact(4)
        .map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

/// All samples of a file, interleaved, and who decoded them.
fn samples(file: &SoundFile) -> Result<(Vec<i32>, &'static str), String> {
    match file.coding {
        Coding::Wav => {
            let mut sox = Command::new("sox");
            // -D: no dither, although more bits than before would need none.
            sox.args(["-V1", "-D"]).arg(&file.path);
            sox.args(["-t", "raw", "-e", "signed-integer", "-b", "32", "-L", "-"]);
            Ok((words(&run(sox, None)?), "sox"))
        }
        Coding::WavFloat => {
            let broken = |e: hound::Error| format!("damaged: {e}");
            let mut wav = hound::WavReader::open(&file.path).map_err(broken)?;
            let samples = wav.samples::<f32>().map(|s| s.map(|s| s.to_bits() as i32));
            Ok((samples.collect::<Result<_, _>>().map_err(broken)?, "hound"))
        }
        Coding::Flac(bits) | Coding::OggFlac(bits) => {
            let mut flac = Command::new("flac");
            flac.args(["-d", "-s", "-c", "--force-raw-format"]);
            flac.args(["--endian=little", "--sign=signed"]);
            if matches!(file.coding, Coding::OggFlac(_)) {
                flac.arg("--ogg");
            }
            flac.arg("--").arg(&file.path);
            Ok((widened(&run(flac, None)?, bits), "flac"))
        }
        Coding::Vorbis => {
            whole(&file.path)?;
            let mut oggdec = Command::new("oggdec");
            oggdec.args(["-Q", "-R", "-b", "16", "-e", "0", "-s", "1", "-o", "-"]);
            oggdec.arg(&file.path);
            Ok((widened(&run(oggdec, None)?, 16), "oggdec"))
        }
        Coding::Mpeg => {
            let mut mpg123 = Command::new("mpg123");
            mpg123
                .args(["-q", "-s", "-e", "s32"])
                .arg("--")
                .arg(&file.path);
            Ok((words(&run(mpg123, None)?), "mpg123"))
        }
    }
}

/// Little-endian samples of `bits` bits in as few bytes as they need.
fn widened(bytes: &[u8], bits: u32) -> Vec<i32> {
    let sample = |bytes: &[u8]| {
        let word = bytes.iter().rev().fold(0, |n, &b| n << 8 | u32::from(b));
        (word << (32 - bits)) as i32
    };
    bytes
        .chunks_exact(bits.div_ceil(8) as usize)
        .map(sample)
        .collect()
}

/// Whether an Ogg file is one stream, whole: `oggdec` plays what is there.
fn whole(path: &Path) -> Result<(), String> {
    let output = Command::new("ogginfo")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("ogginfo: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let streams = text.matches("New logical stream").count();
    if text.contains("EOS not set") {
        return Err("cut off: its last page is missing".to_owned());
    }
    if let Some(line) = text.lines().find(|l| l.starts_with("WARNING")) {
        return Err(format!("damaged: ogginfo says {line}"));
    }
    match streams {
        1 => Ok(()),
        n => Err(format!("{n} streams in one Ogg file; one can be played")),
    }
}

/// sox's words for the mix that README states.
fn remix(places: &[u32], gain: f64) -> Result<[String; 2], String> {
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let mut parts = Vec::new();
    for place in places {
        parts.push(match place {
            0 | 6 | 12 => [1.0, 0.0],
            1 | 7 | 14 => [0.0, 1.0],
            2 | 13 => [half, half],
            3 => [0.0, 0.0],
            4 | 9 | 15 => [half, 0.0],
            5 | 10 | 17 => [0.0, half],
            8 | 11 | 16 => [0.5, 0.5],
            _ => return Err("a channel in a place that cannot be mixed down".to_owned()),
        });
    }
    let sum = |side: usize| parts.iter().map(|p| p[side]).sum::<f64>();
    let loudest = sum(0).max(sum(1));
    if loudest <= 0.0 {
        return Err("no channel that can be mixed down".to_owned());
    }
    Ok([0, 1].map(|side| {
        let words: Vec<_> = parts
            .iter()
            .enumerate()
            .filter(|(_, part)| part[side] > 0.0)
            .map(|(at, part)| format!("{}v{:.17}", at + 1, part[side] / loudest * gain))
            .collect();
        if words.is_empty() {
            "0".to_owned()
        } else {
            words.join(",")
        }
    }))
}

/// What a decoder writes to its standard output.
fn run(mut command: Command, input: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let broken = |e: std::io::Error| format!("{name}: {e}");
    let mut child = command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    let feeder = input.zip(child.stdin.take()).map(|(bytes, mut stdin)| {
        // Its status says whether it got all.
        thread::spawn(move || drop(stdin.write_all(&bytes)))
    });
    let output = child.wait_with_output().map_err(broken)?;
    if let Some(feeder) = feeder {
        let _ = feeder.join();
    }
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|l| !l.trim().is_empty()).unwrap_or("");
    Err(format!("damaged: {name} says: {}", line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_digests_are_read_in_order() {
        let log = "x sgring_prepare stream 0 format 2 rate 44100 channels 2 period 64 ring 256\n\
                   x sgring_prepare stream 0 format 8 rate 48000 channels 1 period 64 ring 256\n";
        let streams = Stream::all(log).unwrap();
        assert_eq!(streams.len(), 2);
        assert_eq!(
            (streams[0].format, streams[0].frame_bytes()),
            (Format::S16, 4)
        );
        assert_eq!(
            (streams[1].format, streams[1].rate),
            (Format::Float, 48_000)
        );
        assert!(Stream::all("sgring_prepare stream 0 format 1 rate 1 channels 1").is_err());
        let handed = Handed::all("played\nhanded over: 7 frames, xxh3 0a\nx\n");
        assert_eq!(
            handed,
            [Handed {
                frames: 7,
                digest: "0a".to_owned()
            }]
        );
    }

    #[test]
    fn samples_fill_32_bits() {
        assert_eq!(
            widened(&[0xff, 0x7f, 0x00, 0x80], 16),
            [0x7fff_0000, i32::MIN]
        );
        assert_eq!(widened(&[0xff, 0x07], 12), [0x7ff0_0000]);
        assert_eq!(widened(&[1, 0, 0x80], 24), [i32::MIN + 0x100]);
        assert_eq!(real(1.5f32.to_bits() as i32), i32::MAX);
        assert_eq!(real((-0.5f32).to_bits() as i32), -(1 << 30));
        assert_eq!(real(f32::NAN.to_bits() as i32), 0);
    }

    #[test]
    fn a_tap_is_what_was_handed_over() {
        let stream = Stream {
            format: Format::S16,
            rate: 8000,
            channels: 1,
        };
        let handed = Handed {
            frames: 2,
            digest: format!("{:032x}", xxh3_128(&[1, 0, 2, 0])),
        };
        let tap = |bytes: &[u8]| Tap::new(stream, bytes.to_vec());
        assert_eq!(tap(&[1, 0, 2, 0]).is(&handed), Ok(()));
        assert_eq!(tap(&[1, 0, 2, 0, 0, 0]).is(&handed), Ok(()));
        for wrong in [&[1, 0][..], &[1, 0, 3, 0], &[1, 0, 2, 0, 1, 0]] {
            assert!(tap(wrong).is(&handed).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_mix_is_said_in_soxs_words() {
        let [left, right] = remix(&[0, 1, 2, 3], 1.0).unwrap();
        assert!(
            left.starts_with("1v0.585786") && left.contains(",3v0.414213"),
            "{left}"
        );
        assert!(right.starts_with("2v0.585786"), "{right}");
        assert!(remix(&[3], 1.0).is_err());
        assert!(remix(&[0, 20], 1.0).is_err());
    }
}
