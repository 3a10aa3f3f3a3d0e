// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a file to a queue of samples: exactly where the file holds samples, as decoded where it
//! holds a lossy code.

use crate::content::{self, Content};
use crate::mix::Mix;
use rtrb::Producer;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use symphonia::core::audio::{AudioBufferRef, Channels};
use symphonia::core::codecs::{self, CODEC_TYPE_NULL, CodecParameters, Decoder, DecoderOptions};
use symphonia::core::errors::Error as DecodeError;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::probe::Hint;
use symphonia::core::sample::i24;
use xxhash_rust::xxh3::Xxh3;

/// What a file's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whole numbers of so many bits.
    Integer(u32),
    /// Floating point of 32 bits.
    Float,
    /// Of no width: a decoder makes them up, as floating point.
    Lossy,
}

/// A sample type that the card may want.
pub(crate) trait Output: cpal::SizedSample + Send + 'static {
    /// Makes one out of a whole number that fills 32 bits from the top.
    fn from_integer(sample: i32) -> Self;
    /// Makes the nearest one out of a number from -1 to 1.
    fn from_real(sample: f64) -> Self;
    /// Puts samples into a digest, as little-endian bytes.
    fn digest(samples: &[Self], digest: &mut Xxh3);
}

/// `real` as a whole number of `bits` bits; clipped.
fn whole(real: f64, bits: u32) -> i32 {
    let scale = f64::from(1u32 << (bits - 1));
    (real * scale).round().clamp(-scale, scale - 1.0) as i32
}

macro_rules! digest {
    () => {
        fn digest(samples: &[Self], digest: &mut Xxh3) {
            for sample in samples {
                digest.update(&sample.to_le_bytes());
            }
        }
    };
}

impl Output for i16 {
    fn from_integer(sample: i32) -> Self {
        // Files of more than 16 bits are not decoded to this.
        (sample >> 16) as Self
    }
    fn from_real(sample: f64) -> Self {
        whole(sample, 16) as Self
    }
    digest!();
}

impl Output for i32 {
    fn from_integer(sample: i32) -> Self {
        sample
    }
    fn from_real(sample: f64) -> Self {
        whole(sample, 32)
    }
    digest!();
}

impl Output for f32 {
    fn from_integer(_: i32) -> Self {
        unreachable!("whole numbers are not made floating point")
    }
    fn from_real(sample: f64) -> Self {
        sample as Self
    }
    digest!();
}

/// An open file, before its first frame.
pub(crate) struct Source {
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn Decoder>,
    track: u32,
    pub(crate) kind: Kind,
    pub(crate) channels: u16,
    /// Where the channels belong.
    pub(crate) places: Channels,
    /// Frames per second.
    pub(crate) rate: u32,
    /// Frames, if the file says so or they can be estimated.
    pub(crate) frames: Option<u64>,
    /// The file must have exactly so many.
    exact: bool,
    /// What is decoded beyond them is padding.
    padded: bool,
}

/// How frames become the card's.
#[derive(Clone, Debug)]
pub(crate) enum Spread {
    /// As they are, each sample written so many times.
    Copies(usize),
    /// Mixed down to two channels.
    Mix(Mix),
}

/// A reader at the first frame, and the track to play.
fn reader(path: &Path, gapless: bool) -> Result<(Box<dyn FormatReader>, u32), String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let format = FormatOptions {
        enable_gapless: gapless,
        ..FormatOptions::default()
    };
    let probed = symphonia::default::get_probe()
        .format(&Hint::new(), stream, &format, &MetadataOptions::default())
        .map_err(|e| match e {
            DecodeError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                "the file ends within its header".into()
            }
            DecodeError::Unsupported(_) => "nothing in it that can be played".into(),
            e => format!("damaged: {e}"),
        })?;
    let track = probed
        .format
        .tracks()
        .iter()
        .find(|t| t.codec_params.codec != CODEC_TYPE_NULL)
        .ok_or("there is no audio in it, or coded in a way that is not supported")?
        .id;
    Ok((probed.format, track))
}

/// What the samples are, by the way they are coded.
fn kind(parameters: &CodecParameters) -> Result<Kind, String> {
    match parameters.codec {
        codecs::CODEC_TYPE_VORBIS
        | codecs::CODEC_TYPE_MP1
        | codecs::CODEC_TYPE_MP2
        | codecs::CODEC_TYPE_MP3 => Ok(Kind::Lossy),
        codecs::CODEC_TYPE_PCM_F32LE | codecs::CODEC_TYPE_PCM_F32BE => Ok(Kind::Float),
        codecs::CODEC_TYPE_PCM_F64LE | codecs::CODEC_TYPE_PCM_F64BE => {
            Err("floating point samples of 64 bits; 32 bits can be played".into())
        }
        // 8 bits that stand for 14.
        codecs::CODEC_TYPE_PCM_ALAW | codecs::CODEC_TYPE_PCM_MULAW => Ok(Kind::Integer(16)),
        _ => match parameters.bits_per_sample {
            Some(bits @ 1..=32) => Ok(Kind::Integer(bits)),
            Some(bits) => Err(format!("samples of {bits} bits")),
            None => Err("it does not say how many bits its samples have".into()),
        },
    }
}

/// Opens a file and looks what it is.
pub(crate) fn open(path: &Path) -> Result<Source, String> {
    let in_file = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let mut file = File::open(path).map_err(|e| in_file(&e))?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(in_file(&"is a directory"));
    }
    let content = content::look(&mut file)
        .map_err(|e| in_file(&e))?
        .map_err(|e| in_file(&e))?;
    drop(file);
    // An encoder's delay and padding are no part of what was recorded. An MPEG stream without a
    // tag that tells them has none to be left out, and its length is a guess: not one to cut by.
    let (mut reader, mut track) = reader_of(path, content == Content::Ogg)?;
    let mut exact = content != Content::Mpeg;
    if content == Content::Mpeg {
        let told = |reader: &dyn FormatReader| {
            let track = reader.tracks().iter().find(|t| t.id == track);
            track.is_some_and(|t| t.codec_params.delay.is_some())
        };
        if told(&*reader) {
            (reader, track) = reader_of(path, true)?;
            exact = true;
        }
    }
    let parameters = match reader.tracks().iter().find(|t| t.id == track) {
        Some(track) => track.codec_params.clone(),
        None => return Err(in_file(&"there is no audio in it")),
    };
    let decoder = symphonia::default::get_codecs()
        .make(&parameters, &DecoderOptions::default())
        .map_err(|_| in_file(&"its way of coding samples is not supported"))?;
    if parameters.codec == codecs::CODEC_TYPE_VORBIS
        && parameters.channels.is_some_and(|c| c.count() > 2)
    {
        // symphonia 0.5.5 undoes the coupling of channels in the order of the steps, not backwards:
        // where two steps share a channel, as with six, channels leak into others.
        return Err(in_file(
            &"Vorbis of more than two channels cannot be decoded",
        ));
    }
    let rate = parameters.sample_rate.filter(|&rate| rate > 0);
    let (Some(rate), Some(places)) = (rate, parameters.channels.filter(|c| c.count() > 0)) else {
        return Err(in_file(&"it does not say its rate and channels"));
    };
    Ok(Source {
        reader,
        decoder,
        track,
        kind: kind(&parameters).map_err(|e| in_file(&e))?,
        channels: places.count() as u16,
        places,
        rate,
        frames: parameters.n_frames,
        exact,
        padded: content == Content::Ogg,
    })
}

fn reader_of(path: &Path, gapless: bool) -> Result<(Box<dyn FormatReader>, u32), String> {
    reader(path, gapless).map_err(|e| format!("{}: {e}", path.display()))
}

/// How the decoding thread ended.
pub(crate) type Decoded = Result<u64, String>;

impl Source {
    /// Decodes all of the file into `queue`, interleaved and spread over the card's channels, and
    /// returns the number of frames. Waits while the queue is full, until `cancel` is set. Calls
    /// `look` with the queue whenever something was put in.
    pub(crate) fn run<T: Output>(
        mut self,
        queue: &mut Producer<T>,
        spread: &Spread,
        cancel: &AtomicBool,
        mut look: impl FnMut(&Producer<T>),
    ) -> Decoded {
        let mut frames = 0;
        let mut samples: Vec<T> = Vec::new();
        loop {
            let packet = match self.reader.next_packet() {
                Ok(packet) if packet.track_id() == self.track => packet,
                Ok(_) => continue,
                Err(DecodeError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                    break;
                }
                Err(error) => return Err(format!("after frame {frames}: {error}")),
            };
            let buffer = self
                .decoder
                .decode(&packet)
                .map_err(|error| format!("after frame {frames}: {error}"))?;
            if buffer.spec().rate != self.rate
                || buffer.spec().channels.count() != usize::from(self.channels)
            {
                return Err(format!("after frame {frames}: rate or channels change"));
            }
            samples.clear();
            interleave(&buffer, spread, &mut samples)?;
            let mut some = buffer.frames() as u64;
            if let Some(promised) = self.frames.filter(|_| self.padded) {
                // symphonia cuts only what lies on a later page than the first.
                let wanted = some.min(promised.saturating_sub(frames));
                samples.truncate(samples.len() / some.max(1) as usize * wanted as usize);
                some = wanted;
            }
            frames += some;
            if !push(queue, &samples, cancel, &mut look) {
                return Ok(frames);
            }
        }
        match self.frames {
            Some(promised) if self.exact && promised != frames => Err(format!(
                "the file ends after {frames} of its {promised} frames"
            )),
            _ => Ok(frames),
        }
    }
}

/// Pushes `samples`, waiting for room; false when cancelled.
fn push<T: Copy>(
    queue: &mut Producer<T>,
    mut samples: &[T],
    cancel: &AtomicBool,
    look: &mut impl FnMut(&Producer<T>),
) -> bool {
    while !samples.is_empty() {
        let some = queue.slots().min(samples.len());
        if some == 0 {
            if cancel.load(Ordering::Relaxed) || queue.is_abandoned() {
                return false;
            }
            // The consumer is the audio thread, which wakes nobody: look again when it has played a
            // part of the queue, which lasts for seconds.
            std::thread::park_timeout(Duration::from_millis(50));
        } else if let Ok(chunk) = queue.write_chunk_uninit(some) {
            chunk.fill_from_iter(samples[..some].iter().copied());
            samples = &samples[some..];
            look(queue);
        }
    }
    true
}

/// One sample of a buffer.
trait Sample: Copy {
    fn output<T: Output>(self) -> T;
    /// From -1 to 1.
    fn real(self) -> f64;
}

/// Whole numbers, by the way to fill 32 bits from the top.
macro_rules! whole_samples {
    ($($sample:ty: $fill:expr;)*) => {$(
        impl Sample for $sample {
            fn output<T: Output>(self) -> T {
                let fill: fn($sample) -> i32 = $fill;
                T::from_integer(fill(self))
            }
            fn real(self) -> f64 {
                let fill: fn($sample) -> i32 = $fill;
                f64::from(fill(self)) / f64::from(1u32 << 31)
            }
        }
    )*};
}

whole_samples! {
    u8: |s| (i32::from(s) - 128) << 24;
    i8: |s| i32::from(s) << 24;
    i16: |s| i32::from(s) << 16;
    i24: |s| s.inner() << 8;
    i32: |s| s;
}

impl Sample for f32 {
    fn output<T: Output>(self) -> T {
        T::from_real(self.into())
    }
    fn real(self) -> f64 {
        self.into()
    }
}

/// Appends the samples of a planar buffer frame by frame.
fn interleave<T: Output>(
    buffer: &AudioBufferRef<'_>,
    spread: &Spread,
    samples: &mut Vec<T>,
) -> Result<(), String> {
    /// `planes` are the channels of one buffer.
    fn weave<S: Sample, T: Output>(planes: &[&[S]], spread: &Spread, samples: &mut Vec<T>) {
        let frames = planes.iter().map(|p| p.len()).min().unwrap_or(0);
        for frame in 0..frames {
            match spread {
                Spread::Copies(copies) => {
                    for plane in planes {
                        samples.extend(std::iter::repeat_n(plane[frame].output::<T>(), *copies));
                    }
                }
                Spread::Mix(mix) => {
                    let mixed = mix.frame(planes.iter().map(|plane| plane[frame].real()));
                    samples.extend(mixed.map(T::from_real));
                }
            }
        }
    }
    macro_rules! weave {
        ($buffer:expr) => {
            weave($buffer.planes().planes(), spread, samples)
        };
    }
    match buffer {
        AudioBufferRef::U8(b) => weave!(b),
        AudioBufferRef::S8(b) => weave!(b),
        AudioBufferRef::S16(b) => weave!(b),
        AudioBufferRef::S24(b) => weave!(b),
        AudioBufferRef::S32(b) => weave!(b),
        AudioBufferRef::F32(b) => weave!(b),
        _ => return Err("samples of a kind that is not supported".into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(name: &str, bits: u16, channels: u16, samples: &[i32]) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("sgring-{}-{name}", std::process::id()));
        let spec = hound::WavSpec {
            channels,
            sample_rate: 22_050,
            bits_per_sample: bits,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for &sample in samples {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        path
    }

    fn decode<T: Output>(path: &Path, spread: &Spread) -> Vec<T> {
        let source = open(path).unwrap();
        let (mut queue, mut out) = rtrb::RingBuffer::new(1 << 16);
        let frames = source
            .run(&mut queue, spread, &AtomicBool::new(false), |_| {})
            .unwrap();
        let samples: Vec<T> = std::iter::from_fn(|| out.pop().ok()).collect();
        assert!(samples.len() as u64 >= frames);
        samples
    }

    #[test]
    fn samples_are_exact_at_each_width() {
        let full = |bits: u32| [0, 1, -1, 77, -(1 << (bits - 1)), (1 << (bits - 1)) - 1];
        let path = wav("16", 16, 2, &full(16));
        assert_eq!(
            decode::<i16>(&path, &Spread::Copies(1)),
            full(16).map(|s| s as i16)
        );
        assert_eq!(
            decode::<i32>(&path, &Spread::Copies(1)),
            full(16).map(|s| s << 16)
        );
        std::fs::remove_file(path).unwrap();
        let path = wav("24", 24, 1, &full(24));
        assert_eq!(
            decode::<i32>(&path, &Spread::Copies(1)),
            full(24).map(|s| s << 8)
        );
        std::fs::remove_file(path).unwrap();
        let path = wav("8", 8, 1, &full(8));
        assert_eq!(
            decode::<i16>(&path, &Spread::Copies(1)),
            full(8).map(|s| (s << 8) as i16)
        );
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn mono_is_written_twice_where_asked() {
        let path = wav("mono", 16, 1, &[1, 2, 3]);
        assert_eq!(decode::<i16>(&path, &Spread::Copies(2)), [1, 1, 2, 2, 3, 3]);
        let source = open(&path).unwrap();
        assert_eq!(
            (source.kind, source.channels, source.rate, source.frames),
            (Kind::Integer(16), 1, 22_050, Some(3))
        );
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_packet_larger_than_the_queue_waits_for_room() {
        let samples: Vec<i32> = (0..5000).collect();
        let path = wav("small", 16, 1, &samples);
        let source = open(&path).unwrap();
        let (mut queue, mut out) = rtrb::RingBuffer::<i16>::new(100);
        let (filled, looks) = std::sync::mpsc::channel();
        let decoder = std::thread::spawn(move || {
            let cancel = AtomicBool::new(false);
            source.run(&mut queue, &Spread::Copies(1), &cancel, |_| {
                filled.send(()).unwrap();
            })
        });
        let mut got: Vec<i16> = Vec::new();
        // Each look follows something put in; none is left when the decoder has ended.
        while looks.recv().is_ok() {
            got.extend(std::iter::from_fn(|| out.pop().ok()));
        }
        assert_eq!(decoder.join().unwrap(), Ok(5000));
        got.extend(std::iter::from_fn(|| out.pop().ok()));
        std::fs::remove_file(path).unwrap();
        assert!(got.iter().map(|&s| i32::from(s)).eq(samples));
    }

    #[test]
    fn a_file_cut_short_is_an_error() {
        let samples: Vec<i32> = (0..5000).collect();
        let path = wav("cut", 16, 1, &samples);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let result = open(&path).and_then(|source| {
            let (mut queue, _out) = rtrb::RingBuffer::<i16>::new(1 << 16);
            source.run(
                &mut queue,
                &Spread::Copies(1),
                &AtomicBool::new(false),
                |_| {},
            )
        });
        std::fs::remove_file(path).unwrap();
        assert!(result.is_err(), "{result:?}");
    }

    #[test]
    fn what_is_no_audio_is_refused() {
        assert!(open(Path::new("/no/such/file")).is_err_and(|e| e.contains("No such file")));
        assert!(open(Path::new("/proc/self/exe")).is_err_and(|e| e.contains("neither a WAV")));
        assert!(open(Path::new("/")).is_err_and(|e| e.contains("directory")));
    }
}
