// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every number of channels and every format, each clip twice, one behind the other, through the tap.

use std::fmt::Write as _;

use sgring_vm::{Config, Vm};

use super::{check_clean, clean, folder};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const CHANNELS: usize = 32;
/// What `aplay` calls them, bytes of a sample, and of what bytes silence is.
const FORMATS: [(&str, usize, u8); 7] = [
    ("S16_LE", 2, 0),
    ("S24_3LE", 3, 0),
    ("U8", 1, 0x80),
    ("S32_LE", 4, 0),
    ("FLOAT_LE", 4, 0),
    ("S24_LE", 4, 0),
    ("S8", 1, 0),
];
/// Frames; `aplay` fills up the last one with silence.
const PERIOD: usize = 240;
const FRAMES: usize = 5 * PERIOD + 77;

pub fn units() -> Vec<Unit> {
    let mut planned: Vec<_> = (1..=CHANNELS)
        .map(|channels| {
            Planned::new(
                format!("channels-{channels}"),
                "D-75: written and mapped, every byte as it was",
            )
        })
        .collect();
    planned.push(clean("channels"));
    vec![Unit::new(
        Shard::Journey,
        "channels",
        planned,
        |context, rec| {
            if let Err(e) = journey(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

/// The bytes of `frames` frames, by a generator of 64 bits (xorshift, Marsaglia 2003).
fn noise(seed: usize, bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ seed as u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let dir = folder(context, "channels")?;
    let mut script = String::new();
    let mut expected = Vec::new();
    for channels in 1..=CHANNELS {
        let (format, sample, silence) = FORMATS[channels % FORMATS.len()];
        let frame = channels * sample;
        let bytes = noise(channels, FRAMES * frame);
        let path = dir.join(format!("{channels}.raw"));
        std::fs::write(&path, &bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut whole = bytes;
        whole.resize(FRAMES.next_multiple_of(PERIOD) * frame, silence);
        for access in ["", "-M"] {
            let _ = writeln!(
                script,
                "aplay -q {access} -D hw:0,0 -t raw -f {format} -c {channels} -r 48000 \
                 --period-size={PERIOD} --buffer-size={} /clips/{channels}.raw; \
                 echo \"{channels}{access} $?\"",
                4 * PERIOD
            );
        }
        expected.push([&whole[..], &whole].concat());
    }
    let config = Config::new([script])
        .name("channels")
        .icount(true)
        .file(&dir, "/clips");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean("channels", &outcome, rec);
    let stdout = outcome.stdout();
    let tap = outcome.dir.join("tap.raw");
    let tap = std::fs::read(&tap).map_err(|e| format!("{}: {e}", tap.display()))?;
    let mut rest = tap.as_slice();
    for (at, wanted) in expected.iter().enumerate() {
        let channels = at + 1;
        let (piece, after) = rest.split_at_checked(wanted.len()).unwrap_or((rest, &[]));
        rest = after;
        let played = ["", "-M"]
            .iter()
            .all(|access| stdout.lines().any(|l| l == format!("{channels}{access} 0")));
        let wrong = piece.iter().zip(wanted).position(|(a, b)| a != b);
        let result = match (played, wrong) {
            (false, _) => Err(format!("aplay failed:\n{}", outcome.stderr())),
            (true, Some(byte)) => Err(format!("byte {byte} of {} is wrong", wanted.len())),
            (true, None) if piece.len() < wanted.len() => {
                Err(format!("{} bytes of {}", piece.len(), wanted.len()))
            }
            (true, None) if channels == CHANNELS && !rest.is_empty() => {
                Err(format!("{} bytes after the last", rest.len()))
            }
            (true, None) => Ok(()),
        };
        rec.case(
            &format!("channels-{channels}"),
            result.map_err(|e| format!("{e}\nrun: {}", outcome.dir.path().display())),
        );
    }
    Ok(())
}
