// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is recorded of what the audio backend hears, at several levels: each sample as the data sheet's formula has it.
//!
//! The backend is alsa-lib's, its microphone a file in which all frames are the same, so that it does not matter
//! which of them a guest records.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use sgring_vm::recording::Recording;

use super::folder;
use super::levels::{gain, heard};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const RATE: usize = 48_000;
/// Left and right; what half of them is has to be rounded.
const FRAME: [i16; 2] = [12_345, -23_457];
/// The control's step of 0 dB.
const UNITY: u32 = 256;

/// A recording of a second, with the control's steps; `None` with the switch off.
struct Take {
    name: &'static str,
    steps: Option<[u32; 2]>,
    proves: &'static str,
}

const TAKES: [Take; 5] = [
    Take {
        name: "unity",
        steps: Some([UNITY, UNITY]),
        proves: "D-111: 0 dB changes no bit of a recording",
    },
    Take {
        name: "half",
        steps: Some([UNITY - 24, UNITY - 24]),
        proves: "D-110: -6 dB to the bit",
    },
    Take {
        name: "sides",
        steps: Some([UNITY - 1, UNITY - 40]),
        proves: "D-110: left and right each by their own level",
    },
    Take {
        name: "off",
        steps: None,
        proves: "D-110: switched off is silence",
    },
    Take {
        name: "on",
        steps: Some([UNITY, UNITY]),
        proves: "D-112: and on again, bit by bit",
    },
];

const ASOUND: &str = "\
pcm.!default { type file file /dev/null infile \"FILE\" format raw slave.pcm nowhere }
pcm.nowhere { type null }
";

pub fn units() -> Vec<Unit> {
    let planned = TAKES
        .iter()
        .map(|take| Planned::new(format!("recorded-{}", take.name), take.proves))
        .collect();
    vec![Unit::new(
        Shard::Journey,
        "recorded",
        planned,
        |context, rec| {
            if let Err(e) = journey(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let dir = folder(context, "recorded")?;
    let at = |e: std::io::Error| format!("{}: {e}", dir.display());
    let frame: Vec<u8> = FRAME.iter().flat_map(|s| s.to_le_bytes()).collect();
    let heard_file = dir.join("heard.raw");
    // More than is recorded: a backend gives what it is asked for, not what time it is.
    std::fs::write(&heard_file, frame.repeat(60 * RATE)).map_err(at)?;
    let asound = dir.join("asound.conf");
    let text = ASOUND.replace("FILE", &heard_file.to_string_lossy());
    std::fs::write(&asound, text).map_err(at)?;
    let mut script =
        "level() { amixer -q -c sgring cset iface=MIXER,name=\"$1\" $2; }\n".to_owned();
    for take in &TAKES {
        let name = take.name;
        let (switch, [left, right]) = match take.steps {
            Some(steps) => ("on", steps),
            None => ("off", [UNITY; 2]),
        };
        let _ = writeln!(
            script,
            "level 'Capture Volume' {left},{right} && level 'Capture Switch' {switch} &&
             arecord -q -D hw:0,0 -t raw -f S16_LE -c 2 -r {RATE} -s {RATE} /share/{name}.raw || exit"
        );
    }
    let share = dir.join("share");
    std::fs::create_dir(&share).map_err(at)?;
    let output = Command::new(context.layout.programs().join("sgring-vm"))
        .args(["--icount", "--audiodev"])
        .arg(format!("alsa,in.frequency={RATE},in.format=s16"))
        .arg("--share")
        .arg(&share)
        .args(["--", &script])
        .env("SGRING_BUILD", context.layout.build())
        .env("ALSA_CONFIG_PATH", &asound)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("sgring-vm: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "{}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    for take in &TAKES {
        let path = share.join(format!("{}.raw", take.name));
        let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let samples = Recording::from_raw(&bytes, RATE as u32, 2).samples;
        let frames: Vec<_> = samples.chunks_exact(2).map(|f| [f[0], f[1]]).collect();
        rec.case(&format!("recorded-{}", take.name), judge(take, &frames));
    }
    Ok(())
}

/// Silence until the card has something to give, then the one frame at its level, all the time.
fn judge(take: &Take, recorded: &[[i16; 2]]) -> Result<(), String> {
    let wanted = take.steps.map_or([0, 0], |steps| {
        [0, 1].map(|side| heard(FRAME[side], gain(steps[side])))
    });
    let begin = recorded
        .iter()
        .position(|&frame| frame != [0, 0])
        .unwrap_or(recorded.len());
    let sound = &recorded[begin..];
    if let Some(wrong) = sound.iter().find(|&&frame| frame != wanted) {
        return Err(format!("{wrong:?} was recorded, not {wanted:?}"));
    }
    if recorded.len() != RATE || (take.steps.is_some() && sound.len() < RATE * 9 / 10) {
        return Err(format!(
            "{} frames of sound in {}",
            sound.len(),
            recorded.len()
        ));
    }
    Ok(())
}
