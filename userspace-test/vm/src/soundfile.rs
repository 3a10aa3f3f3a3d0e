// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a sound file is, read from its first bytes; its name is never asked.
//!
//! Apart from our player on purpose: the two must come to the same without a
//! line in common. What cannot be played is refused here, in a sentence, before
//! anything boots.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The rates of the card, frames per second.
const RATES: std::ops::RangeInclusive<u32> = 8_000..=384_000;

/// What is said to a file of another kind.
const PLAYABLE: &str = "WAV, FLAC, Ogg Vorbis and MP3 can be played";

/// How the samples lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// WAV with whole numbers, A-law or mu-law.
    Wav,
    /// WAV with floating point of 32 bits.
    WavFloat,
    /// FLAC, with whole numbers of so many bits.
    Flac(u32),
    /// FLAC in an Ogg container.
    OggFlac(u32),
    /// Vorbis in an Ogg container.
    Vorbis,
    /// MPEG audio, layer II or III.
    Mpeg,
}

impl Coding {
    /// Whether decoders may differ in the last bit.
    #[must_use]
    pub fn is_lossy(self) -> bool {
        matches!(self, Self::Vorbis | Self::Mpeg)
    }
}

/// A file that can be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundFile {
    /// Where it is.
    pub path: PathBuf,
    /// How its samples lie in it.
    pub coding: Coding,
    /// Frames per second.
    pub rate: u32,
    /// Samples in a frame.
    pub channels: u16,
    /// Bits of a sample; 0 where it has no width.
    pub bits: u32,
    /// Where its channels belong, as WAVE counts places, in their order.
    pub places: Vec<u32>,
    /// The frames that it must have, where it says so.
    pub frames: Option<u64>,
}

type Found = (Coding, u32, u16, u32, Option<u32>, Option<u64>);

impl SoundFile {
    /// Looks into a file.
    ///
    /// # Errors
    /// A line that says why it cannot be played.
    pub fn open(path: &Path) -> Result<Self, String> {
        Self::look(path).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn look(path: &Path) -> Result<Self, String> {
        let mut file = Bytes::open(path)?;
        let start = file.after_tag()?;
        let head = file.at(start, 12)?;
        let (coding, rate, channels, bits, mask, frames) = match head.as_slice() {
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E'] => wav(&mut file)?,
            [b'f', b'L', b'a', b'C', ..] => {
                let (rate, channels, bits) = stream_info(&file.at(start + 8, 34)?)?;
                (Coding::Flac(bits), rate, channels, bits, None, None)
            }
            [b'O', b'g', b'g', b'S', ..] => ogg(&mut file, start)?,
            &[0xff, b1, b2, ..] if b1 >= 0xe0 && b2 < 0xf0 => mpeg(&mut file, start)?,
            _ if start > 0 => return Err(format!("a tag, but no audio after it; {PLAYABLE}")),
            _ => return Err(format!("{}; {PLAYABLE}", other(&head))),
        };
        if !RATES.contains(&rate) {
            return Err(format!(
                "{rate} frames per second; the card plays {} to {}",
                RATES.start(),
                RATES.end()
            ));
        }
        let places = places(channels, mask)?;
        Ok(Self {
            path: path.to_owned(),
            coding,
            rate,
            channels,
            bits,
            places,
            frames,
        })
    }

    /// What it is, in a line.
    #[must_use]
    pub fn about(&self) -> String {
        let name = match self.coding {
            Coding::Wav | Coding::WavFloat => "WAV",
            Coding::Flac(_) => "FLAC",
            Coding::OggFlac(_) => "FLAC in Ogg",
            Coding::Vorbis => "Ogg Vorbis",
            Coding::Mpeg => "MP3",
        };
        let width = match (self.coding, self.bits) {
            (Coding::WavFloat, bits) => format!(", {bits} bit floating point"),
            (_, 0) => String::new(),
            (_, bits) => format!(", {bits} bit"),
        };
        format!(
            "{name}, {} Hz, {} channel{}{width}",
            self.rate,
            self.channels,
            if self.channels == 1 { "" } else { "s" }
        )
    }
}

/// A file read at places, with its errors as sentences.
struct Bytes {
    file: File,
    len: u64,
}

impl Bytes {
    fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(sentence)?;
        let meta = file.metadata().map_err(sentence)?;
        if meta.is_dir() {
            return Err("is a directory; name a file in it".to_owned());
        }
        if !meta.is_file() {
            return Err("is not a file".to_owned());
        }
        match meta.len() {
            0 => Err("the file is empty".to_owned()),
            len => Ok(Self { file, len }),
        }
    }

    /// At most `len` bytes from `start`.
    fn at(&mut self, start: u64, len: usize) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(start))
            .and_then(|_| (&self.file).take(len as u64).read_to_end(&mut bytes))
            .map_err(sentence)?;
        Ok(bytes)
    }

    /// Exactly `N` bytes from `start`.
    fn exactly<const N: usize>(&mut self, start: u64) -> Result<[u8; N], String> {
        self.at(start, N)?
            .try_into()
            .map_err(|_| "cut off: it ends within its header".to_owned())
    }

    /// Where the audio begins: after an ID3 tag and the zeros behind it.
    fn after_tag(&mut self) -> Result<u64, String> {
        let head = self.at(0, 10)?;
        if head.len() < 10 || !head.starts_with(b"ID3") {
            return Ok(0);
        }
        let size = head[6..]
            .iter()
            .fold(0, |n, &b| n << 7 | u64::from(b & 0x7f));
        let after = 10 + size + if head[5] & 0x10 != 0 { 10 } else { 0 };
        let zeros = self.at(after, 64 << 10)?;
        Ok(after + zeros.iter().take_while(|&&b| b == 0).count() as u64)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn sentence(e: io::Error) -> String {
    match e.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "you may not read it".to_owned(),
        _ => e.to_string(),
    }
}

/// The name of a kind of file that people have and that is none of ours.
fn other(head: &[u8]) -> &'static str {
    match head {
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "an MP4 or M4A file",
        [b'F', b'O', b'R', b'M', ..] => "an AIFF file",
        [b'R', b'F', b'6', b'4', ..] => "an RF64 file",
        [b'M', b'T', b'h', b'd', ..] => "a MIDI file",
        [0x30, 0x26, 0xb2, 0x75, ..] => "a WMA file",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "a Matroska or WebM file",
        _ => "no sound file",
    }
}

fn u16le(bytes: &[u8], at: usize) -> u16 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |pair| u16::from_le_bytes(*pair))
}

fn u32le(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |four| u32::from_le_bytes(*four))
}

fn wav(file: &mut Bytes) -> Result<Found, String> {
    let mut at = 12;
    let mut format = Vec::new();
    loop {
        let head: [u8; 8] = file.exactly(at)?;
        let len = u64::from(u32le(&head, 4));
        match &head[..4] {
            b"fmt " => format = file.at(at + 8, len.min(40) as usize)?,
            b"data" if format.len() < 16 => {
                return Err("damaged: a WAV file without its format".to_owned());
            }
            b"data" => {
                let there = file.len - at - 8;
                if len > there {
                    return Err(format!(
                        "cut off: its header promises {len} bytes of samples, and {there} are there"
                    ));
                }
                break if len == 0 {
                    Err("holds no audio frames".to_owned())
                } else {
                    wav_format(&format, len)
                };
            }
            _ => {}
        }
        at += 8 + len + len % 2;
    }
}

fn wav_format(format: &[u8], len: u64) -> Result<Found, String> {
    let (mut tag, channels) = (u16le(format, 0), u16le(format, 2));
    let (rate, align) = (u32le(format, 4), u64::from(u16le(format, 12)));
    let container = u32::from(u16le(format, 14));
    let mut bits = container;
    let mut mask = None;
    if tag == 0xfffe && format.len() >= 40 {
        tag = u16le(format, 24);
        mask = Some(u32le(format, 20));
        bits = Some(u32::from(u16le(format, 18)))
            .filter(|b| (1..=container).contains(b))
            .unwrap_or(container);
    }
    let coding = match (tag, container) {
        (1, 8 | 16 | 24 | 32) => Coding::Wav,
        (3, 32) => Coding::WavFloat,
        (6 | 7, 8) => {
            bits = 16;
            Coding::Wav
        }
        (3, bits) => {
            return Err(format!(
                "{bits} bit floating point; of floating point, 32 bits can be played"
            ));
        }
        (1, bits) => return Err(format!("damaged: whole numbers of {bits} bits")),
        _ => {
            return Err(format!(
                "a WAV file with code {tag:#06x}; PCM, A-law, mu-law and floating point can be played"
            ));
        }
    };
    if channels == 0 || align != u64::from(channels) * u64::from(container / 8) {
        return Err("damaged: its frames are not as long as it says".to_owned());
    }
    Ok((coding, rate, channels, bits, mask, Some(len / align)))
}

/// Rate, channels and bits from FLAC's first block.
fn stream_info(block: &[u8]) -> Result<(u32, u16, u32), String> {
    let Some(&[a, b, c, d]) = block.get(10..14).and_then(|four| four.first_chunk()) else {
        return Err("cut off: it ends within its header".to_owned());
    };
    let word = u32::from_be_bytes([a, b, c, d]);
    let channels = u16::try_from((word >> 9 & 7) + 1).unwrap_or(0);
    Ok((word >> 12, channels, (word >> 4 & 0x1f) + 1))
}

fn ogg(file: &mut Bytes, start: u64) -> Result<Found, String> {
    let page: [u8; 27] = file.exactly(start)?;
    let packet = file.at(start + 27 + u64::from(page[26]), 64)?;
    match packet.as_slice() {
        [1, b'v', b'o', b'r', b'b', b'i', b's', rest @ ..] if rest.len() >= 9 => {
            let (channels, rate) = (u16::from(rest[4]), u32le(rest, 5));
            if channels > 2 {
                return Err(format!(
                    "Vorbis of {channels} channels; one and two can be played"
                ));
            }
            Ok((Coding::Vorbis, rate, channels, 0, None, None))
        }
        [0x7f, b'F', b'L', b'A', b'C', rest @ ..] if rest.len() >= 12 => {
            let (rate, channels, bits) = stream_info(&rest[12..])?;
            Ok((Coding::OggFlac(bits), rate, channels, bits, None, None))
        }
        [b'O', b'p', b'u', b's', ..] => Err(format!("Opus in an Ogg file; {PLAYABLE}")),
        [b'S', b'p', b'e', b'e', b'x', ..] => Err(format!("Speex in an Ogg file; {PLAYABLE}")),
        [] => Err("cut off: it ends within its header".to_owned()),
        _ => Err(format!("an Ogg file of another kind; {PLAYABLE}")),
    }
}

fn mpeg(file: &mut Bytes, start: u64) -> Result<Found, String> {
    let [_, b1, b2, b3] = file.exactly(start)?;
    // Version 1 halves no rate, 2 halves it, 2.5 quarters it.
    let shift = match b1 >> 3 & 3 {
        3 => 0,
        2 => 1,
        0 => 2,
        _ => return Err(format!("no sound file; {PLAYABLE}")),
    };
    let layer_three = match b1 >> 1 & 3 {
        1 => true,
        2 => false,
        _ => return Err(format!("no sound file; {PLAYABLE}")),
    };
    let rate = match b2 >> 2 & 3 {
        0 => 44_100,
        1 => 48_000,
        2 => 32_000,
        _ => return Err(format!("no sound file; {PLAYABLE}")),
    } >> shift;
    let mono = b3 >> 6 == 3;
    let channels = if mono { 1 } else { 2 };
    let side = match (shift == 0, mono) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    let per_frame = if layer_three && shift > 0 { 576 } else { 1152 };
    let tag = file.at(start + 4 + side, 144)?;
    let frames = if layer_three {
        promised(&tag, per_frame)
    } else {
        None
    };
    Ok((Coding::Mpeg, rate, channels, 0, None, frames))
}

/// The frames that the first frame of an MPEG stream promises: those of its
/// parts, less what the encoder says that it put before and after.
fn promised(tag: &[u8], per_frame: u64) -> Option<u64> {
    let name = tag.get(..4)?;
    let flags = u32::from_be_bytes(*tag.get(4..)?.first_chunk()?);
    if !(name == b"Xing" || name == b"Info") || flags & 1 == 0 {
        return None;
    }
    let parts = u32::from_be_bytes(*tag.get(8..)?.first_chunk()?);
    let all = u64::from(parts) * per_frame;
    let sizes = [(1, 4), (2, 4), (4, 100), (8, 4)];
    let lame = 8 + sizes
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, size)| size)
        .sum::<usize>();
    let encoder = tag.get(lame..lame + 4)?;
    if ![b"LAME", b"Lavf", b"Lavc"].iter().any(|e| encoder == *e) {
        return Some(all);
    }
    let trim = tag.get(lame + 21..lame + 24)?;
    let trim = trim.iter().fold(0, |n, &b| n << 8 | u64::from(b));
    all.checked_sub((trim >> 12) + (trim & 0xfff))
}

/// Places as WAVE counts them, from 0: front left, front right, front centre,
/// LFE, back left, back right, left and right of the centre, back centre, side
/// left, side right, and those above.
fn places(channels: u16, mask: Option<u32>) -> Result<Vec<u32>, String> {
    let count = u32::from(channels);
    // A mask that only counts says no more than none.
    let counting = 1u32.checked_shl(count).map_or(u32::MAX, |bit| bit - 1);
    if let Some(mask) = mask.filter(|m| m.count_ones() == count && *m != counting) {
        return Ok((0..32).filter(|place| mask >> place & 1 != 0).collect());
    }
    let places: &[u32] = match channels {
        1 => &[2],
        2 => &[0, 1],
        3 => &[0, 1, 2],
        4 => &[0, 1, 4, 5],
        5 => &[0, 1, 2, 4, 5],
        6 => &[0, 1, 2, 3, 4, 5],
        7 => &[0, 1, 2, 3, 8, 9, 10],
        8 => &[0, 1, 2, 3, 4, 5, 9, 10],
        _ => {
            return Err(format!(
                "{channels} channels, and it does not say where they belong; up to 8 can be mixed down"
            ));
        }
    };
    Ok(places.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(name: &str, bytes: &[u8]) -> Result<SoundFile, String> {
        let path = std::env::temp_dir().join(format!("sgring-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let found = SoundFile::look(&path);
        std::fs::remove_file(&path).unwrap();
        found
    }

    /// A WAV file with this format chunk and `data` bytes of silence.
    fn wav_file(format: &[u8], data: usize) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt ".to_vec();
        bytes.extend((format.len() as u32).to_le_bytes());
        bytes.extend(format);
        bytes.extend(b"data");
        bytes.extend((data as u32).to_le_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    const STEREO_16: [u8; 16] = [1, 0, 2, 0, 0x44, 0xac, 0, 0, 0x10, 0xb1, 2, 0, 4, 0, 16, 0];

    #[test]
    fn a_wav_file_tells_what_it_is() {
        let file = look("plain", &wav_file(&STEREO_16, 40)).unwrap();
        assert_eq!(
            (file.coding, file.rate, file.channels, file.bits),
            (Coding::Wav, 44_100, 2, 16)
        );
        assert_eq!((file.frames, file.places), (Some(10), vec![0, 1]));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let says = |name: &str, bytes: &[u8], words: &str| {
            let said = look(name, bytes).unwrap_err();
            assert!(said.contains(words), "{said:?} lacks {words:?}");
        };
        says("empty", b"", "empty");
        says("text", b"dear diary, today", "no sound file");
        says("short", b"RIFF\x24\0\0\0WAVE", "ends within its header");
        let whole = wav_file(&STEREO_16, 40);
        says(
            "cut",
            &whole[..whole.len() - 1],
            "promises 40 bytes of samples, and 39 are there",
        );
        says("none", &wav_file(&STEREO_16, 0), "no audio frames");
        let mut slow = STEREO_16;
        slow[4..8].copy_from_slice(&4000u32.to_le_bytes());
        says("slow", &wav_file(&slow, 40), "plays 8000 to 384000");
        let mut many = STEREO_16;
        (many[2], many[12]) = (11, 22);
        says("many", &wav_file(&many, 44), "11 channels");
        let mut odd = STEREO_16;
        odd[0] = 0x55;
        says("odd", &wav_file(&odd, 40), "code 0x0055");
        says("m4a", b"\0\0\0\x20ftypM4A \0\0\0\0", "M4A");
    }

    #[test]
    fn a_mask_says_where_channels_belong() {
        let with = |mask| places(4, mask).unwrap();
        assert_eq!(with(Some(0x107)), [0, 1, 2, 8]);
        assert_eq!(with(Some(0xf)), with(None));
        assert_eq!(with(Some(0)), [0, 1, 4, 5]);
    }

    #[test]
    fn an_encoders_own_frames_are_not_promised() {
        let mut tag = b"Info\0\0\0\x0f\0\0\0\x33".to_vec();
        tag.resize(120, 0);
        tag.extend(b"LAME3.100");
        tag.resize(141, 0);
        tag.extend([0x24, 0x03, 0x4e]);
        assert_eq!(promised(&tag, 1152), Some(51 * 1152 - 576 - 846));
        tag[120] = b'X';
        assert_eq!(promised(&tag, 1152), Some(51 * 1152));
        assert_eq!(promised(b"\0\0\0\0\0\0\0\0\0\0\0\0", 1152), None);
    }
}
