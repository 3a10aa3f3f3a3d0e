// SPDX-License-Identifier: MIT OR Apache-2.0
//! What people have, one file of each kind, made from seeded signals by the
//! encoders of the build root: played in one boot by our player, and judged as
//! `make run` does.
//!
//! The wav file of the audio backend has one rate. Files of that rate are looked
//! for in it too; the others are judged in the tap.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sgring_signal::Generator;
use sgring_vm::recording::Recording;
use sgring_vm::reference::{Handed, Reference, Stream, Tap};
use sgring_vm::{Config, Vm};

use super::{check_clean, clean, folder};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

/// The rate of the wav file.
const RATE: u32 = 48_000;

/// What is made first: a WAV file of our generator.
#[derive(Clone, Copy)]
struct Signal {
    rate: u32,
    channels: u16,
    /// Of whole numbers; 0 for floating point.
    bits: u16,
    /// How far it is turned down, in bits: lossy codes do not like full scale.
    down: u32,
}

/// And what is made of it; `{in}` and `{out}` are files.
struct Clip {
    name: &'static str,
    signal: Signal,
    make: &'static [&'static str],
}

const fn clip(
    name: &'static str,
    (rate, channels, bits): (u32, u16, u16),
    make: &'static [&'static str],
) -> Clip {
    let signal = Signal {
        rate,
        channels,
        bits,
        down: 0,
    };
    Clip { name, signal, make }
}

const fn quiet(mut clip: Clip) -> Clip {
    clip.signal.down = 3;
    clip
}

const COPY: &[&str] = &["cp", "{in}", "{out}"];
/// sox says in a WAV file where its channels belong, hound only counts them.
const SOX: &[&str] = &["sox", "-D", "{in}", "-t", "wav", "{out}"];
const FLAC: &[&str] = &["flac", "-s", "-f", "{in}", "-o", "{out}"];
const OGG: &[&str] = &["oggenc", "-Q", "--serial", "1", "{in}", "-o", "{out}"];

const CLIPS: [Clip; 28] = [
    clip("wav-8-mono-8000", (8_000, 1, 8), COPY),
    clip("wav-8-stereo-48000", (48_000, 2, 8), COPY),
    clip("wav-16-mono-48000", (48_000, 1, 16), COPY),
    clip("wav-16-stereo-44100", (44_100, 2, 16), COPY),
    clip("wav-24-stereo-48000", (48_000, 2, 24), COPY),
    clip("wav-24-stereo-96000", (96_000, 2, 24), COPY),
    clip("wav-32-stereo-192000", (192_000, 2, 32), COPY),
    clip("wav-float-stereo-48000", (48_000, 2, 0), COPY),
    clip("wav-float-mono-44100", (44_100, 1, 0), COPY),
    clip(
        "wav-alaw-mono-8000",
        (8_000, 1, 16),
        &["sox", "-D", "{in}", "-e", "a-law", "-t", "wav", "{out}"],
    ),
    clip(
        "wav-mulaw-stereo-48000",
        (48_000, 2, 16),
        &["sox", "-D", "{in}", "-e", "u-law", "-t", "wav", "{out}"],
    ),
    clip("flac-8-mono-22050", (22_050, 1, 8), FLAC),
    clip("flac-16-stereo-48000", (48_000, 2, 16), FLAC),
    clip("flac-24-stereo-88200", (88_200, 2, 24), FLAC),
    clip("flac-24-stereo-192000", (192_000, 2, 24), FLAC),
    clip(
        "flac-ogg-16-stereo-44100",
        (44_100, 2, 16),
        &[
            "flac",
            "-s",
            "-f",
            "--ogg",
            "--serial-number=1",
            "{in}",
            "-o",
            "{out}",
        ],
    ),
    quiet(clip(
        "mp3-cbr-stereo-48000",
        (48_000, 2, 16),
        &["lame", "-S", "-b", "128", "{in}", "{out}"],
    )),
    quiet(clip(
        "mp3-vbr-stereo-44100",
        (44_100, 2, 16),
        &["lame", "-S", "-V", "2", "{in}", "{out}"],
    )),
    quiet(clip(
        "mp3-mono-16000",
        (16_000, 1, 16),
        &["lame", "-S", "{in}", "{out}"],
    )),
    quiet(clip(
        "mp3-mono-8000",
        (8_000, 1, 16),
        &["lame", "-S", "{in}", "{out}"],
    )),
    quiet(clip(
        "mp3-untagged-44100",
        (44_100, 2, 16),
        &["lame", "-S", "-t", "-V", "4", "{in}", "{out}"],
    )),
    quiet(clip(
        "mp3-id3-48000",
        (48_000, 2, 16),
        &[
            "lame",
            "-S",
            "--tt",
            "title",
            "--add-id3v2",
            "{in}",
            "{out}",
        ],
    )),
    quiet(clip("ogg-stereo-48000", (48_000, 2, 16), OGG)),
    quiet(clip("ogg-mono-16000", (16_000, 1, 16), OGG)),
    clip("wav-four-48000", (48_000, 4, 16), COPY),
    clip("wav-six-48000", (48_000, 6, 16), SOX),
    clip("wav-float-eight-44100", (44_100, 8, 0), COPY),
    clip("flac-six-24-96000", (96_000, 6, 24), FLAC),
];

pub fn units() -> Vec<Unit> {
    let proves = |clip: &Clip| {
        if clip.signal.channels > 2 {
            "mixed down: as handed over bit by bit, and that within one step of sox's mix"
        } else if clip.name.starts_with("mp3") || clip.name.starts_with("ogg") {
            "as handed over bit by bit, and that within one step of 16 bits of another decoder"
        } else {
            "bit-exact with another decoder"
        }
    };
    let mut planned: Vec<_> = CLIPS
        .iter()
        .map(|clip| Planned::new(format!("format-{}", clip.name), proves(clip)))
        .collect();
    planned.push(clean("format"));
    vec![Unit::new(
        Shard::Journey,
        "format",
        planned,
        |context, rec| {
            if let Err(e) = journey(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

/// Writes the signal of a clip: a WAV file with as many bits as it says.
fn write(signal: Signal, seed: u64, path: &Path) -> Result<(), String> {
    let broken = |e: hound::Error| format!("{}: {e}", path.display());
    let float = signal.bits == 0;
    let spec = hound::WavSpec {
        channels: signal.channels,
        sample_rate: signal.rate,
        bits_per_sample: if float { 32 } else { signal.bits },
        sample_format: if float {
            hound::SampleFormat::Float
        } else {
            hound::SampleFormat::Int
        },
    };
    let mut wav = hound::WavWriter::create(path, spec).map_err(broken)?;
    // A quarter of a second, and no multiple of any period.
    let frames = u64::from(signal.rate / 4) + 11;
    let generator = Generator::new(seed, signal.channels.into());
    for sample in generator.frames::<i32>(0, frames) {
        let sample = sample >> signal.down;
        if float {
            // A little above full scale, too.
            let real = sample as f32 / 2_040_000_000.0;
            wav.write_sample(real).map_err(broken)?;
        } else {
            wav.write_sample(sample >> (32 - signal.bits))
                .map_err(broken)?;
        }
    }
    wav.finalize().map_err(broken)
}

/// Makes a clip; its name ends as that of another kind of file would.
fn make(dir: &Path, at: usize, clip: &Clip) -> Result<PathBuf, String> {
    let input = dir.join(format!("{at}.in"));
    let wrong = if clip.name.starts_with("wav") {
        "flac"
    } else {
        "wav"
    };
    let output = dir.join(format!("{at}.{wrong}"));
    write(clip.signal, 1000 + at as u64, &input)?;
    let words: Vec<_> = clip
        .make
        .iter()
        .map(|word| match *word {
            "{in}" => input.as_os_str(),
            "{out}" => output.as_os_str(),
            word => word.as_ref(),
        })
        .collect();
    let made = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{}: {e}", clip.make[0]))?;
    if !made.status.success() || !output.is_file() {
        let said = String::from_utf8_lossy(&made.stderr);
        return Err(format!("{}: {}: {said}", clip.name, clip.make[0]));
    }
    std::fs::remove_file(&input).map_err(|e| e.to_string())?;
    Ok(output)
}

/// What the player said to each file, and how it ended.
fn said(stdout: &str) -> Vec<(&str, i32)> {
    stdout
        .split("next\n")
        .skip(1)
        .filter_map(|text| {
            let (text, status) = text.trim_end().rsplit_once("status ")?;
            Some((text, status.parse().ok()?))
        })
        .collect()
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let dir = folder(context, "format")?;
    let mut script = String::new();
    let mut references = Vec::new();
    for (at, clip) in CLIPS.iter().enumerate() {
        let file = make(&dir, at, clip)?;
        references.push(Reference::decode(&file));
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let _ = writeln!(
            script,
            "echo next; sgring-play --digest --progress plain /clips/{name} 2>&1; echo \"status $?\""
        );
    }
    let config = Config::new([script])
        .name("format")
        .icount(true)
        .rate(RATE)
        .trace("sgring_prepare")
        .file(&dir, "/clips");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean("format", &outcome, rec);
    let stdout = outcome.stdout();
    let said = said(&stdout);
    let streams = Stream::all(&outcome.qemu_log())?;
    let handed: Vec<_> = said
        .iter()
        .map(|(text, _)| Handed::all(text).pop())
        .collect();
    if said.len() != CLIPS.len() || streams.len() != handed.iter().flatten().count() {
        return Err(format!(
            "{} files, {} streams:\n{stdout}",
            said.len(),
            streams.len()
        ));
    }
    let tap = outcome.dir.join("tap.raw");
    let tap = std::fs::read(&tap).map_err(|e| format!("{}: {e}", tap.display()))?;
    let mut tap = tap.as_slice();
    let mut streams = streams.into_iter();
    let capture = Recording::from_capture(&outcome.dir.join("capture.wav"))?;
    for (at, clip) in CLIPS.iter().enumerate() {
        let (text, status) = said[at];
        let judged = match (&references[at], &handed[at]) {
            (Err(e), _) => Err(e.clone()),
            (_, None) => Err("the player failed".to_owned()),
            (Ok(reference), Some(handed)) => {
                let stream = streams.next().ok_or("a stream too few")?;
                let bytes = stream.frame_bytes() * usize::try_from(handed.frames).unwrap_or(0);
                let (bytes, rest) = tap.split_at_checked(bytes).unwrap_or((tap, &[]));
                tap = rest;
                judge(
                    reference,
                    &Tap::new(stream, bytes.to_vec()),
                    handed,
                    &capture,
                )
            }
        };
        let result = judged.and_then(|()| match status {
            0 => Ok(()),
            n => Err(format!("the player ended with {n}")),
        });
        rec.case(
            &format!("format-{}", clip.name),
            result.map_err(|e| format!("{e}\n{text}run: {}", outcome.dir.path().display())),
        );
    }
    Ok(())
}

fn judge(
    reference: &Reference,
    tap: &Tap,
    handed: &Handed,
    capture: &Recording,
) -> Result<(), String> {
    reference.judge(tap, Some(handed))?;
    if tap.rate != RATE {
        return Ok(());
    }
    let upper = tap.upper();
    let wide: Vec<i16> = match upper.channels {
        1 => upper.samples.iter().flat_map(|&s| [s, s]).collect(),
        _ => upper.samples,
    };
    // Where a clip begins in the capture its first frames are; the rest must follow.
    let sign = &wide[..wide.len().min(64)];
    let found = (0..capture.frames()).any(|frame| {
        let here = &capture.samples[2 * frame..];
        here.starts_with(sign) && here.starts_with(&wide)
    });
    if found {
        Ok(())
    } else {
        Err("capture.wav: not there as the card fetched it".to_owned())
    }
}
