// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes a seeded signal to a WAV file.

use clap::Parser;
use sgring_signal::Generator;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a seeded signal, in which each frame says which one it is, to a WAV file.
///
/// The signal sounds like white noise at full scale.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The WAV file to write
    file: PathBuf,
    /// Which signal
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of frames
    #[arg(long, default_value_t = 48_000)]
    frames: u32,
    /// Frames per second
    #[arg(long, default_value_t = 48_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Number of channels
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    channels: u16,
    /// Bits of a sample: 16 or 32
    #[arg(long, default_value_t = 16, value_parser = bits)]
    bits: u16,
}

fn bits(text: &str) -> Result<u16, String> {
    match text {
        "16" => Ok(16),
        "32" => Ok(32),
        _ => Err("must be 16 or 32".into()),
    }
}

fn write(arguments: &Arguments) -> Result<(), hound::Error> {
    let spec = hound::WavSpec {
        channels: arguments.channels,
        sample_rate: arguments.rate,
        bits_per_sample: arguments.bits,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&arguments.file, spec)?;
    let generator = Generator::new(arguments.seed, arguments.channels.into());
    let frames = arguments.frames.into();
    if arguments.bits == 16 {
        generator
            .frames::<i16>(0, frames)
            .try_for_each(|s| writer.write_sample(s))?;
    } else {
        generator
            .frames::<i32>(0, frames)
            .try_for_each(|s| writer.write_sample(s))?;
    }
    writer.finalize()
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match write(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sgring-signal: {}: {error}", arguments.file.display());
            ExitCode::from(2)
        }
    }
}
