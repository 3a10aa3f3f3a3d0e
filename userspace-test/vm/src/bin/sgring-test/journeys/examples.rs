// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client crate's examples, which people copy: each runs, and what they play and record is judged.
//!
//! A clip is played and recorded at once, by the card's loopback, and then what was recorded is played: the tap has
//! the clip twice.

use sgring_vm::{Config, Vm};

use super::{check_clean, clean, folder, seeded};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const NAMES: [&str; 5] = ["play", "record", "echo", "latency", "tone"];

const SCRIPT: &str = r#"
section() { echo "== $1"; }
section play
amixer -q -c sgring cset iface=PCM,name='Loopback Capture Switch' on
/opt/record /tmp/take.wav 2 hw:sgring,0 >/tmp/recorded &
until grep -q RUNNING /proc/asound/sgring/pcm0c/sub0/status; do :; done
/opt/play /clips/clip.wav hw:sgring,0; echo "status $?"
section record
wait; cat /tmp/recorded
/opt/play /tmp/take.wav hw:sgring,0; echo "status $?"
section echo
/opt/echo 1; echo "status $?"
section latency
/opt/latency 1 64 4 hw:sgring,0; echo "status $?"
section tone
/opt/tone; echo "status $?"
section end
"#;

pub fn units() -> Vec<Unit> {
    let proves = |name| match name {
        "play" => "a file's frames are in the tap, once, in order",
        "record" => "what was played is in the recording, once, in order",
        "echo" => "input and output in lock step: the way is told, 1 s is exchanged, no xrun",
        "latency" => "a wakeup's time is told, and no xrun",
        _ => "a second is played to its last frame, no xrun",
    };
    let mut planned: Vec<_> = NAMES
        .into_iter()
        .map(|name| Planned::new(format!("examples-{name}"), proves(name)))
        .collect();
    planned.push(clean("examples"));
    vec![Unit::new(
        Shard::Journey,
        "examples",
        planned,
        |context, rec| {
            if let Err(e) = journey(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let dir = folder(context, "examples")?;
    std::fs::write(dir.join("script"), SCRIPT).map_err(|e| e.to_string())?;
    let clip = seeded(31, 48_000, 2, 24_011);
    clip.write_wav(&dir.join("clip.wav"))?;
    let mut config = Config::new(["sh /clips/script"])
        .name("examples")
        .icount(true)
        .file(&dir, "/clips");
    for name in NAMES {
        let program = context.layout.programs().join("examples").join(name);
        config = config.file(program, format!("/opt/{name}"));
    }
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean("examples", &outcome, rec);
    let said = outcome.stdout();
    let tap = std::fs::read(outcome.dir.join("tap.raw")).map_err(|e| e.to_string())?;
    // The header of a WAV file of ours is 44 bytes.
    let frames = std::fs::read(dir.join("clip.wav")).map_err(|e| e.to_string())?[44..].to_vec();
    let times = tap
        .windows(frames.len())
        .step_by(4)
        .filter(|window| *window == frames)
        .count();
    for (number, name) in NAMES.into_iter().enumerate() {
        let section = said
            .split("== ")
            .find_map(|section| section.strip_prefix(&format!("{name}\n")))
            .unwrap_or("");
        let words: &[&str] = match name {
            "echo" => &["ms from input to output", "frames: 48000", "xruns: 0"],
            "latency" => &["woken after", ", 0 xruns"],
            "tone" => &["frames: 48000, played: 48000", "xruns: 0"],
            _ => &["Drained", "xruns: 0"],
        };
        let missing = words.iter().find(|word| !section.contains(**word));
        let result = if let Some(word) = missing {
            Err(format!("\"{word}\" is missing"))
        } else if !section.contains("status 0") {
            Err("it failed".to_owned())
        } else if number < 2 && times != 2 {
            Err(format!("the clip is in the tap {times} times, not twice"))
        } else {
            Ok(())
        };
        rec.case(
            &format!("examples-{name}"),
            result.map_err(|e| {
                let (err, dir) = (outcome.stderr(), outcome.dir.path().display());
                format!("{e}:\n{section}{err}run: {dir}")
            }),
        );
    }
    Ok(())
}
