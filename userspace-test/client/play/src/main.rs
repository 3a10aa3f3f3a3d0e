// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plays a WAV, FLAC, Ogg Vorbis or MP3 file through the memory-mapped ring of an ALSA card.
//!
//! Three threads: one decodes ahead into a queue, the host's audio thread moves frames from the
//! queue into the ring, and this one shows where it is. The first frame that the card plays is the
//! file's first, and the card stops after its last.

mod content;
mod decode;
mod mix;
mod play;
mod progress;

use clap::{Parser, ValueEnum, value_parser};
use std::path::PathBuf;
use std::process::ExitCode;

/// Play a WAV, FLAC, Ogg Vorbis or MP3 file through the memory-mapped ring of an ALSA card.
///
/// Samples reach the card as they are in the file: never resampled, and widened if need be but
/// never narrowed. MP3 and Vorbis have no samples of their own: what the decoder makes goes as
/// floating point where the card has it. A mono file is played on both channels of a card that has
/// no mono; more than two channels are mixed down to two, and the mix is said.
///
/// Exit status: 0 if the card has played every frame without an underrun; 1 if not, with the
/// reason; 2 for a wrong command line; 130 or 143 after an interrupt.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The file to play
    #[arg(required_unless_present = "list")]
    file: Option<PathBuf>,
    /// The card: hw:CARD,DEVICE by number or id [default: the first one]
    #[arg(long)]
    device: Option<String>,
    /// Frames in a period, the frames that the card plays between two wakeups [default: about 10
    /// ms]
    #[arg(long, value_name = "FRAMES", value_parser = value_parser!(u32).range(1..))]
    period: Option<u32>,
    /// Periods in the ring
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = value_parser!(u32).range(2..))]
    periods: u32,
    /// SCHED_FIFO priority of the audio thread; 0 for none
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = value_parser!(u8).range(0..=99))]
    priority: u8,
    /// Use SYNC_PTR in place of the mapped status and control records, for comparison
    #[arg(long)]
    sync_ptr: bool,
    /// Map the ring twice in a row and fill all that is free of it at once; refused where the ring is
    /// no whole number of pages
    #[arg(long)]
    linear: bool,
    /// How to show where it is [default: bar on a terminal, else plain]
    #[arg(long)]
    progress: Option<Progress>,
    /// Say at the end what was handed to the card: frames, and the XXH3 digest of their bytes
    #[arg(long)]
    digest: bool,
    /// List the cards and what they can play, and end
    #[arg(long)]
    list: bool,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Progress {
    /// A line every few seconds
    Plain,
    /// One line that is written over
    Bar,
    /// A JSON object a line, and another one at the end
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.file {
        Some(file) if !arguments.list => play::play(&arguments, file),
        _ => play::list(),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(message) => {
            progress::tell(format_args!("sgring-play: {message}"));
            ExitCode::FAILURE
        }
    }
}
