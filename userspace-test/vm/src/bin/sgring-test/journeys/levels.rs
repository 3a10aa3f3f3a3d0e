// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is heard of a volume: clips at several levels, each sample in the audio
//! backend's recording as the data sheet's formula has it, and the tap untouched.

use std::fmt::Write as _;

use sgring_vm::recording::Recording;
use sgring_vm::{Config, Vm};

use super::{check_clean, clean, exact, folder, seeded, tap};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const RATE: u32 = 48_000;
const FRAMES: u64 = 9_001;
/// The control's step of 0 dB.
const UNITY: u32 = 256;

/// A play with the control's steps, left and right; `None` with the switch off.
struct Play {
    name: &'static str,
    steps: Option<[u32; 2]>,
    proves: &'static str,
}

const PLAYS: [Play; 6] = [
    Play {
        name: "unity",
        steps: Some([UNITY, UNITY]),
        proves: "D-111: 0 dB changes no bit",
    },
    Play {
        name: "half",
        steps: Some([UNITY - 24, UNITY - 24]),
        proves: "D-110: -6 dB to the bit",
    },
    Play {
        name: "sides",
        steps: Some([UNITY - 1, UNITY - 40]),
        proves: "D-110: left and right each by their own level",
    },
    Play {
        name: "lowest",
        steps: Some([0, 0]),
        proves: "D-110: -64 dB is not silence",
    },
    Play {
        name: "off",
        steps: None,
        proves: "D-110: switched off is silence",
    },
    Play {
        name: "on",
        steps: Some([UNITY, UNITY]),
        proves: "D-112: and on again, bit by bit",
    },
];

pub fn units() -> Vec<Unit> {
    let mut planned: Vec<_> = PLAYS
        .iter()
        .map(|play| Planned::new(format!("levels-{}", play.name), play.proves))
        .collect();
    planned.push(clean("levels"));
    vec![Unit::new(
        Shard::Journey,
        "levels",
        planned,
        |context, rec| {
            if let Err(e) = journey(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

/// The card's gain for a step, in Q16.
pub(super) fn gain(step: u32) -> i64 {
    let decibels = (f64::from(step) - f64::from(UNITY)) / 4.0;
    (65536.0 * 10f64.powf(decibels / 20.0)).round() as i64
}

/// What the backend's 16 bits have of a sample.
pub(super) fn heard(sample: i16, gain: i64) -> i16 {
    let wide = i64::from(sample) << 16;
    let wide = ((wide * gain + (1 << 15)) >> 16).clamp(i32::MIN.into(), i32::MAX.into());
    (wide >> 16) as i16
}

fn expected(clip: &Recording, steps: [u32; 2]) -> Recording {
    let gains = steps.map(gain);
    let samples = clip.samples.iter().zip(gains.iter().cycle());
    Recording {
        samples: samples.map(|(&s, &g)| heard(s, g)).collect(),
        ..*clip
    }
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let dir = folder(context, "levels")?;
    let clips: Vec<_> = (0..PLAYS.len() as u64)
        .map(|at| seeded(700 + at, RATE, 2, FRAMES))
        .collect();
    let mut script =
        "level() { amixer -q -c sgring cset iface=MIXER,name=\"$1\" $2; }\n".to_owned();
    for (play, clip) in PLAYS.iter().zip(&clips) {
        let name = play.name;
        clip.write_wav(&dir.join(format!("{name}.wav")))?;
        let (switch, [left, right]) = match play.steps {
            Some(steps) => ("on", steps),
            None => ("off", [UNITY; 2]),
        };
        let _ = writeln!(
            script,
            "level 'PCM Playback Volume' {left},{right} && level 'PCM Playback Switch' {switch} &&
             aplay -q -D hw:0,0 /clips/{name}.wav; echo \"{name} $?\""
        );
    }
    let config = Config::new([script])
        .name("levels")
        .icount(true)
        .rate(RATE)
        .file(&dir, "/clips");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean("levels", &outcome, rec);
    let (stdout, stderr) = (outcome.stdout(), outcome.stderr());
    let sounding: Vec<_> = PLAYS
        .iter()
        .zip(&clips)
        .filter_map(|(play, clip)| Some(expected(clip, play.steps?)))
        .collect();
    let capture = Recording::from_capture(&outcome.dir.join("capture.wav"))?;
    // What is silent falls to the piece before it, which must then be silent to its end.
    let mut pieces = sounding.iter().zip(capture.cut(&sounding));
    let taps = tap(&outcome, RATE, 2)?.cut(&clips);
    let mut before = Ok(());
    for ((play, clip), tap) in PLAYS.iter().zip(&clips).zip(&taps) {
        let said = stdout.lines().any(|l| l == format!("{} 0", play.name));
        let in_wav = match play.steps {
            None => before.clone(),
            Some(_) => {
                let (wanted, piece) = pieces.next().ok_or("a piece too few")?;
                exact("capture.wav", wanted, piece.as_ref())
            }
        };
        before.clone_from(&in_wav);
        let result = match said {
            true => in_wav.and_then(|()| exact("tap.raw (D-113)", clip, tap.as_ref())),
            false => Err(format!("amixer or aplay failed:\n{stderr}")),
        };
        rec.case(
            &format!("levels-{}", play.name),
            result.map_err(|e| format!("{e}\nrun: {}", outcome.dir.path().display())),
        );
    }
    Ok(())
}
