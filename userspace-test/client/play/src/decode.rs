// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a file to a queue of samples, exactly.

use rtrb::Producer;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use symphonia::core::audio::AudioBufferRef;
use symphonia::core::codecs::{CODEC_TYPE_NULL, Decoder, DecoderOptions};
use symphonia::core::errors::Error as DecodeError;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::probe::Hint;

/// What a file's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whole numbers of so many bits.
    Integer(u32),
    /// Floating point of 32 bits.
    Float,
}

/// A sample type that the card may want.
pub(crate) trait Output: cpal::SizedSample + Send + 'static {
    /// Makes one out of a whole number that fills 32 bits from the top.
    fn from_integer(sample: i32) -> Self;
    /// Makes one out of a floating point number.
    fn from_float(sample: f32) -> Self;
}

impl Output for i16 {
    fn from_integer(sample: i32) -> Self {
        // Files of more than 16 bits are not decoded to this.
        (sample >> 16) as Self
    }
    fn from_float(_: f32) -> Self {
        unreachable!("floating point is not narrowed")
    }
}

impl Output for i32 {
    fn from_integer(sample: i32) -> Self {
        sample
    }
    fn from_float(_: f32) -> Self {
        unreachable!("floating point is not narrowed")
    }
}

impl Output for f32 {
    fn from_integer(_: i32) -> Self {
        unreachable!("whole numbers are not made floating point")
    }
    fn from_float(sample: f32) -> Self {
        sample
    }
}

/// An open file, before its first frame.
pub(crate) struct Source {
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn Decoder>,
    track: u32,
    pub(crate) kind: Kind,
    pub(crate) channels: u16,
    /// Frames per second.
    pub(crate) rate: u32,
    /// Frames, if the file says so.
    pub(crate) frames: Option<u64>,
}

/// Opens a file and looks what it is.
pub(crate) fn open(path: &Path) -> Result<Source, String> {
    let in_file = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let file = File::open(path).map_err(|e| in_file(&e))?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(in_file(&"is a directory"));
    }
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
        hint.with_extension(extension);
    }
    let format = FormatOptions {
        enable_gapless: false,
        ..FormatOptions::default()
    };
    let probed = symphonia::default::get_probe()
        .format(&hint, stream, &format, &MetadataOptions::default())
        .map_err(|_| in_file(&"neither a WAV nor a FLAC file"))?;
    let reader = probed.format;
    let track = reader
        .tracks()
        .iter()
        .find(|t| t.codec_params.codec != CODEC_TYPE_NULL)
        .ok_or_else(|| in_file(&"there is no audio in it"))?;
    let parameters = &track.codec_params;
    let decoder = symphonia::default::get_codecs()
        .make(parameters, &DecoderOptions::default())
        .map_err(|_| in_file(&"its way of coding samples is not supported"))?;
    let rate = parameters.sample_rate.filter(|&rate| rate > 0);
    let channels = parameters.channels.map(|c| c.count() as u16);
    let (Some(rate), Some(channels @ 1..)) = (rate, channels) else {
        return Err(in_file(&"it does not say its rate and channels"));
    };
    use symphonia::core::codecs as c;
    let float = [c::CODEC_TYPE_PCM_F32LE, c::CODEC_TYPE_PCM_F32BE].contains(&parameters.codec);
    let kind = match (float, parameters.bits_per_sample) {
        (true, _) => Kind::Float,
        (false, Some(bits @ 1..=32)) => Kind::Integer(bits),
        (false, bits) => {
            let bits = bits.map_or("an unknown number of".to_owned(), |b| b.to_string());
            return Err(in_file(&format_args!("samples of {bits} bits")));
        }
    };
    let (track, frames) = (track.id, parameters.n_frames);
    Ok(Source {
        reader,
        decoder,
        track,
        kind,
        channels,
        rate,
        frames,
    })
}

/// How the decoding thread ended.
pub(crate) type Decoded = Result<u64, String>;

impl Source {
    /// Decodes all of the file into `queue`, interleaved, each sample written `copies` times, and
    /// returns the number of frames. Waits while the queue is full, until `cancel` is set. Calls
    /// `look` with the queue whenever something was put in.
    pub(crate) fn run<T: Output>(
        mut self,
        queue: &mut Producer<T>,
        copies: usize,
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
            frames += buffer.frames() as u64;
            samples.clear();
            interleave(&buffer, copies, &mut samples)?;
            if !push(queue, &samples, cancel, &mut look) {
                return Ok(frames);
            }
        }
        match self.frames {
            Some(promised) if promised != frames => Err(format!(
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

/// Appends the samples of a planar buffer frame by frame.
fn interleave<T: Output>(
    buffer: &AudioBufferRef<'_>,
    copies: usize,
    samples: &mut Vec<T>,
) -> Result<(), String> {
    /// `planes` are the channels of one buffer.
    fn weave<S: Copy, T: Copy>(
        planes: &[&[S]],
        copies: usize,
        samples: &mut Vec<T>,
        convert: impl Fn(S) -> T,
    ) {
        let frames = planes.iter().map(|p| p.len()).min().unwrap_or(0);
        for frame in 0..frames {
            for plane in planes {
                let sample = convert(plane[frame]);
                samples.extend(std::iter::repeat_n(sample, copies));
            }
        }
    }
    macro_rules! weave {
        ($buffer:expr, $convert:expr) => {
            weave($buffer.planes().planes(), copies, samples, $convert)
        };
    }
    match buffer {
        AudioBufferRef::U8(b) => {
            weave!(b, |s| T::from_integer((i32::from(s) - 128) << 24));
        }
        AudioBufferRef::S8(b) => weave!(b, |s| T::from_integer(i32::from(s) << 24)),
        AudioBufferRef::S16(b) => weave!(b, |s| T::from_integer(i32::from(s) << 16)),
        AudioBufferRef::S24(b) => weave!(b, |s| T::from_integer(s.inner() << 8)),
        AudioBufferRef::S32(b) => weave!(b, |s| T::from_integer(s)),
        AudioBufferRef::F32(b) => weave!(b, |s| T::from_float(s)),
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

    fn decode<T: Output>(path: &Path, copies: usize) -> Vec<T> {
        let source = open(path).unwrap();
        let (mut queue, mut out) = rtrb::RingBuffer::new(1 << 16);
        let frames = source
            .run(&mut queue, copies, &AtomicBool::new(false), |_| {})
            .unwrap();
        let samples: Vec<T> = std::iter::from_fn(|| out.pop().ok()).collect();
        assert!(samples.len() as u64 >= frames);
        samples
    }

    #[test]
    fn samples_are_exact_at_each_width() {
        let full = |bits: u32| [0, 1, -1, 77, -(1 << (bits - 1)), (1 << (bits - 1)) - 1];
        let path = wav("16", 16, 2, &full(16));
        assert_eq!(decode::<i16>(&path, 1), full(16).map(|s| s as i16));
        assert_eq!(decode::<i32>(&path, 1), full(16).map(|s| s << 16));
        std::fs::remove_file(path).unwrap();
        let path = wav("24", 24, 1, &full(24));
        assert_eq!(decode::<i32>(&path, 1), full(24).map(|s| s << 8));
        std::fs::remove_file(path).unwrap();
        let path = wav("8", 8, 1, &full(8));
        assert_eq!(decode::<i16>(&path, 1), full(8).map(|s| (s << 8) as i16));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn mono_is_written_twice_where_asked() {
        let path = wav("mono", 16, 1, &[1, 2, 3]);
        assert_eq!(decode::<i16>(&path, 2), [1, 1, 2, 2, 3, 3]);
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
            source.run(&mut queue, 1, &cancel, |_| filled.send(()).unwrap())
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
            source.run(&mut queue, 1, &AtomicBool::new(false), |_| {})
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
