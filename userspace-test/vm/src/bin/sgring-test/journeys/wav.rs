// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clips of every format, one behind the other, in the 16 bits of the audio backend's recording: U8, S8 and S16 whole, the
//! upper bits of the others.
//!
//! QEMU's wav files can have 8 bits too, but what they then have is one too low, and the lowest value the highest
//! (`HALF` in audio/mixeng.c): nothing to be compared with.

use std::fmt::Write as _;

use sgring_signal::Generator;
use sgring_vm::recording::Recording;
use sgring_vm::{Config, Vm};

use super::{check_clean, clean, exact, folder};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const RATE: u32 = 48_000;
/// Whole periods, which `aplay` fills up.
const PERIOD: u64 = 240;
const FRAMES: u64 = 8 * PERIOD;

/// What `aplay` calls a format, and the bytes of a sample of 32 bits in it.
struct Format {
    name: &'static str,
    bytes: fn(i32) -> Vec<u8>,
}

const FORMATS: [Format; 7] = [
    Format {
        name: "S16_LE",
        bytes: |v| v.to_le_bytes()[2..].to_vec(),
    },
    Format {
        name: "U8",
        bytes: |v| vec![v.to_le_bytes()[3] ^ 0x80],
    },
    Format {
        name: "S8",
        bytes: |v| v.to_le_bytes()[3..].to_vec(),
    },
    Format {
        name: "S24_LE",
        bytes: |v| (v >> 8).to_le_bytes().to_vec(),
    },
    Format {
        name: "S24_3LE",
        bytes: |v| v.to_le_bytes()[1..].to_vec(),
    },
    Format {
        name: "S32_LE",
        bytes: |v| v.to_le_bytes().to_vec(),
    },
    Format {
        // 24 bits are what a float holds.
        name: "FLOAT_LE",
        bytes: |v| ((v >> 8) as f32 / 8_388_608.0).to_le_bytes().to_vec(),
    },
];

pub fn units() -> Vec<Unit> {
    let mut planned: Vec<_> = FORMATS
        .iter()
        .map(|format| {
            Planned::new(
                format!("wav-{}", format.name),
                "D-53: each of two clips to its last frame, in all bits that the file has",
            )
        })
        .collect();
    planned.push(clean("wav"));
    vec![Unit::new(Shard::Journey, "wav", planned, |context, rec| {
        if let Err(e) = journey(context, rec) {
            rec.abort(e);
        }
    })]
}

/// What the file has of a clip in `format`.
fn heard(format: &Format, samples: &[i32]) -> Recording {
    let lost = match format.name {
        "U8" | "S8" => 24,
        _ => 16,
    };
    Recording {
        rate: RATE,
        channels: 2,
        samples: samples
            .iter()
            .map(|v| ((v >> lost << lost) >> 16) as i16)
            .collect(),
    }
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let dir = folder(context, "wav")?;
    let mut script = String::new();
    let mut clips = Vec::new();
    for (at, format) in (0..).zip(&FORMATS) {
        let name = format.name;
        for (second, access) in [(0, ""), (1, "-M")] {
            let samples: Vec<i32> = Generator::new(900 + 2 * at + second, 2).samples(FRAMES);
            let bytes: Vec<u8> = samples.iter().flat_map(|&v| (format.bytes)(v)).collect();
            let path = dir.join(format!("{name}{access}.raw"));
            std::fs::write(&path, bytes).map_err(|e| format!("{}: {e}", path.display()))?;
            let _ = writeln!(
                script,
                "aplay -q {access} -D hw:0,0 -t raw -f {name} -c 2 -r {RATE} --period-size={PERIOD} \
                 --buffer-size={} /clips/{name}{access}.raw; echo \"{name}{access} $?\"",
                4 * PERIOD
            );
            clips.push(heard(format, &samples));
        }
    }
    let config = Config::new([script])
        .name("wav")
        .icount(true)
        .rate(RATE)
        .file(&dir, "/clips");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean("wav", &outcome, rec);
    let stdout = outcome.stdout();
    let capture = Recording::from_capture(&outcome.dir.join("capture.wav"))?;
    let pieces = capture.cut(&clips);
    for ((format, clips), pieces) in FORMATS.iter().zip(clips.chunks(2)).zip(pieces.chunks(2)) {
        let name = format.name;
        let played = ["", "-M"]
            .iter()
            .all(|access| stdout.lines().any(|l| l == format!("{name}{access} 0")));
        let result = match played {
            false => Err(format!("aplay failed:\n{}", outcome.stderr())),
            true => clips
                .iter()
                .zip(pieces)
                .try_for_each(|(clip, piece)| exact("capture.wav", clip, piece.as_ref())),
        };
        rec.case(
            &format!("wav-{name}"),
            result.map_err(|e| format!("{e}\nrun: {}", outcome.dir.path().display())),
        );
    }
    Ok(())
}
