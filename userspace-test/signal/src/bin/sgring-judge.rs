// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compares a capture with what was played, frame by frame.
//!
//! Exit status: 0 bit-exact, 1 not bit-exact, 2 they cannot be compared.

use clap::Parser;
use sgring_signal::{Audio, Sample, Verdict, judge};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Compare a capture with what was played, frame by frame.
///
/// Says "bit-exact" with the number of frames, or what happened and where: frames lost, dropped,
/// repeated, inserted, changed or misplaced. Silence before and after the reference is counted and
/// allowed, unless limited.
///
/// Exit status: 0 bit-exact, 1 not bit-exact, 2 the two cannot be compared.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What was played, a WAV file; one channel stands for as many equal ones as the capture has
    reference: PathBuf,
    /// What came out: a WAV file, or with --raw bare samples
    capture: PathBuf,
    /// The capture is interleaved signed 16-bit little-endian samples of the reference's channels
    #[arg(long)]
    raw: bool,
    /// With --raw: the capture's channels, if not the reference's
    #[arg(long, value_name = "N", requires = "raw")]
    channels: Option<u16>,
    /// Judge a silence of more than N frames before the reference as wrong
    #[arg(long, value_name = "N")]
    max_lead: Option<usize>,
    /// Judge a silence of more than N frames after the reference as wrong
    #[arg(long, value_name = "N")]
    max_tail: Option<usize>,
}

/// A whole file of samples.
struct Clip {
    channels: usize,
    /// Frames per second; `None` for bare samples.
    rate: Option<u32>,
    samples: Samples,
}

/// Samples at the width that they have in the file.
enum Samples {
    /// 16 bits.
    Short(Vec<i16>),
    /// Anything else: the integer itself, or the bits of a float; with the width of a sample in
    /// bits, and whether it is a float.
    Long(Vec<i32>, u16, bool),
}

impl Samples {
    fn describe(&self) -> String {
        match self {
            Self::Short(_) => "16 bit".into(),
            Self::Long(_, bits, float) => {
                format!("{bits} bit{}", if *float { " float" } else { "" })
            }
        }
    }
}

fn read_wav(path: &Path) -> Result<Clip, String> {
    let in_file = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let file = std::fs::File::open(path).map_err(|e| in_file(&e))?;
    let bytes = file.metadata().map_err(|e| in_file(&e))?.len();
    let reader = hound::WavReader::new(std::io::BufReader::new(file)).map_err(|e| match e {
        hound::Error::FormatError(what) => in_file(&format_args!("not a WAV file: {what}")),
        // hound's own error for an end within the header has no kind.
        hound::Error::IoError(e) if e.raw_os_error().is_none() => {
            in_file(&"not a WAV file: it ends within the header")
        }
        e => in_file(&e),
    })?;
    let spec = reader.spec();
    let sample_bytes = u64::from(spec.bits_per_sample.div_ceil(8));
    let claimed = u64::from(reader.len()) * sample_bytes;
    // 44 bytes are the shortest header. Some writers put a chunk or two after the data.
    if claimed == 0 && bytes > 44 + 256 {
        return Err(in_file(&format_args!(
            "the header says that there are no samples, but the file has {bytes} bytes: its \
             writer did not finish"
        )));
    }
    if claimed > bytes {
        return Err(in_file(&format_args!(
            "the header says that there are {claimed} bytes of samples, but the file has {bytes} \
             bytes: it was cut off, or its writer did not finish"
        )));
    }
    let samples = match (spec.sample_format, spec.bits_per_sample) {
        (hound::SampleFormat::Int, 16) => {
            Samples::Short(collect(reader.into_samples::<i16>()).map_err(|e| in_file(&e))?)
        }
        (hound::SampleFormat::Int, bits) => Samples::Long(
            collect(reader.into_samples::<i32>()).map_err(|e| in_file(&e))?,
            bits,
            false,
        ),
        (hound::SampleFormat::Float, bits) => {
            let bit_pattern = |s: Result<f32, hound::Error>| s.map(|s| s.to_bits() as i32);
            Samples::Long(
                collect(reader.into_samples::<f32>().map(bit_pattern)).map_err(|e| in_file(&e))?,
                bits,
                true,
            )
        }
    };
    Ok(Clip {
        channels: spec.channels.into(),
        rate: Some(spec.sample_rate),
        samples,
    })
}

fn collect<T>(
    samples: impl Iterator<Item = Result<T, hound::Error>>,
) -> Result<Vec<T>, hound::Error> {
    samples.collect()
}

fn read_raw(path: &Path, channels: usize) -> Result<Clip, String> {
    let in_file = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|mut f| f.read_to_end(&mut bytes))
        .map_err(|e| in_file(&e))?;
    if bytes.len() % (2 * channels) != 0 {
        return Err(in_file(&format_args!(
            "{} bytes are not a whole number of 16-bit frames of {channels} channels",
            bytes.len()
        )));
    }
    let samples = bytes
        .chunks_exact(2)
        .map(|b| i16::from_le_bytes([b[0], b[1]]))
        .collect();
    Ok(Clip {
        channels,
        rate: None,
        samples: Samples::Short(samples),
    })
}

fn compare(reference: &Clip, capture: &Clip) -> Result<Verdict, String> {
    fn run<T: Sample>(r: &[T], rc: usize, c: &[T], cc: usize) -> Result<Verdict, String> {
        judge(Audio::new(r, rc), Audio::new(c, cc)).map_err(|e| e.to_string())
    }
    if let (Some(r), Some(c)) = (reference.rate, capture.rate) {
        if r != c {
            return Err(format!(
                "the reference has {r} frames per second and the capture {c}"
            ));
        }
    }
    match (&reference.samples, &capture.samples) {
        (Samples::Short(r), Samples::Short(c)) => run(r, reference.channels, c, capture.channels),
        (Samples::Long(r, rb, rf), Samples::Long(c, cb, cf)) if rb == cb && rf == cf => {
            run(r, reference.channels, c, capture.channels)
        }
        (r, c) => Err(format!(
            "the reference's samples have {} and the capture's {}",
            r.describe(),
            c.describe()
        )),
    }
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    let reference = read_wav(&arguments.reference)?;
    let capture = if arguments.raw {
        let channels = arguments.channels.map_or(reference.channels, usize::from);
        if channels == 0 {
            return Err("--channels must be at least 1".into());
        }
        read_raw(&arguments.capture, channels)?
    } else {
        read_wav(&arguments.capture)?
    };
    let verdict = compare(&reference, &capture)?;
    // Whether anybody reads it or not, the status says it too.
    let _ = writeln!(std::io::stdout(), "{verdict}");
    let mut good = verdict.is_bit_exact();
    for (what, frames, limit) in [
        ("before", verdict.leading_silence, arguments.max_lead),
        ("after", verdict.trailing_silence, arguments.max_tail),
    ] {
        if let Some(limit) = limit.filter(|&limit| frames > limit) {
            let _ = writeln!(
                std::io::stdout(),
                "too much silence {what}: {frames} frames, at most {limit} are allowed"
            );
            good = false;
        }
    }
    Ok(good)
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("sgring-judge: {message}");
            ExitCode::from(2)
        }
    }
}
