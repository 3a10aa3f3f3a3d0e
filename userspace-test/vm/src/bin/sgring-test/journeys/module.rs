// SPDX-License-Identifier: MIT OR Apache-2.0
//! The driver comes and goes; each time the card plays, and nothing is left.

use std::fmt::Write as _;

use sgring_vm::recording::Recording;
use sgring_vm::{Config, Vm};

use super::{check_clean, clean, exact, folder, seeded, tap};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const CYCLES: u64 = 4;
const RATE: u32 = 48_000;

pub fn units() -> Vec<Unit> {
    let planned = vec![
        Planned::new(
            "module-cycle",
            "M15: rmmod and modprobe, the card plays bit-exact each time",
        ),
        Planned::new(
            "module-gone",
            "M15: after rmmod no card and no module are left",
        ),
        Planned::new(
            "module-parameter",
            "a parameter reaches the driver and bounds its ring",
        ),
        clean("module"),
    ];
    vec![Unit::new(
        Shard::Journey,
        "module",
        planned,
        |context, rec| {
            if let Err(e) = journey(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let dir = folder(context, "module")?;
    let mut script = String::from(
        "left() { [ -e /proc/asound/card0 ] && echo card; grep ^snd_sgring /proc/modules; }\n\
         aplay -D hw:0,0 --dump-hw-params /clips/0.wav 2>&1 | sed -n 's/^BUFFER_BYTES: *//p'\n",
    );
    let mut clips = vec![seeded(70, RATE, 2, 9_001)];
    clips[0].write_wav(&dir.join("0.wav"))?;
    for n in 1..=CYCLES {
        let clip = seeded(70 + n, RATE, 2, 9_001);
        clip.write_wav(&dir.join(format!("{n}.wav")))?;
        clips.push(clip);
        let _ = writeln!(
            script,
            "rmmod snd-sgring; echo \"rmmod $?\"; left; modprobe snd-sgring; echo \"modprobe $?\"\n\
             aplay -q -M -D hw:0,0 --period-size=240 --buffer-size=960 /clips/{n}.wav; echo \"aplay $?\""
        );
    }
    let config = Config::new([script])
        .name("module")
        .icount(true)
        .modparam("max_ring_bytes=65536")
        .file(&dir, "/clips");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean("module", &outcome, rec);
    let stdout = outcome.stdout();
    let said = format!(
        "{stdout}{}run: {}",
        outcome.stderr(),
        outcome.dir.path().display()
    );
    let lines = |text: &str| stdout.lines().filter(|l| *l == text).count() as u64;

    let wav = Recording::from_capture(&outcome.dir.join("capture.wav"))?.cut(&clips);
    let tap = tap(&outcome, RATE, 2)?.cut(&clips);
    let mut played = Ok(());
    for (n, clip) in clips.iter().enumerate() {
        played = played.and_then(|()| exact(&format!("tap.raw, cycle {n}"), clip, tap[n].as_ref()));
    }
    // The driver leaves a card that was reset, which drops what it has fetched
    // and not yet played [D-7]: only the last clip has its time.
    if let (Some(clip), Some(piece)) = (clips.last(), wav.last()) {
        played = played.and_then(|()| exact("capture.wav, last cycle", clip, piece.as_ref()));
    }
    if lines("aplay 0") != CYCLES || lines("modprobe 0") != CYCLES {
        played = Err("not every cycle worked".to_owned());
    }
    rec.case("module-cycle", played.map_err(|e| format!("{e}\n{said}")));
    let gone = lines("rmmod 0") == CYCLES
        && !stdout
            .lines()
            .any(|l| l == "card" || l.starts_with("snd_sgring"));
    rec.case("module-gone", if gone { Ok(()) } else { Err(said.clone()) });
    let bounded = stdout
        .lines()
        .any(|l| l.starts_with('[') && l.trim_end_matches(']').ends_with(" 65536"));
    rec.case("module-parameter", if bounded { Ok(()) } else { Err(said) });
    Ok(())
}
