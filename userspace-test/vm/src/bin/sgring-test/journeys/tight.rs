// SPDX-License-Identifier: MIT OR Apache-2.0
//! The smallest ring that is worth having: two periods of 32 frames, 1.3 ms of sound, for twenty seconds.

use sgring_vm::recording::Recording;
use sgring_vm::{Config, Vm};

use super::{check_clean, clean, exact, folder, seeded, tap};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const RATE: u32 = 48_000;
/// Twenty seconds, and a bit.
const FRAMES: u64 = 960_011;

pub fn units() -> Vec<Unit> {
    let planned = vec![
        Planned::new(
            "tight-32x2",
            "DESIGN 6: 32 frames x 2, 20 s, no xrun, bit-exact in wav and tap",
        ),
        clean("tight"),
    ];
    vec![Unit::new(
        Shard::Journey,
        "tight",
        planned,
        |context, rec| {
            if let Err(e) = journey(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let dir = folder(context, "tight")?;
    let clip = seeded(31, RATE, 2, FRAMES);
    clip.write_wav(&dir.join("clip.wav"))?;
    let config =
        Config::new(["sgring-play --progress plain --period 32 --periods 2 /clips/clip.wav"])
            .name("tight")
            .icount(true)
            .file(&dir, "/clips");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean("tight", &outcome, rec);
    let (said, clips) = (outcome.stdout() + &outcome.stderr(), [clip]);
    let wav = Recording::from_capture(&outcome.dir.join("capture.wav"))?.cut(&clips);
    let tap = tap(&outcome, RATE, 2)?.cut(&clips);
    // The player's status also says that there was no xrun.
    let result = if outcome.status != 0 {
        Err(format!("status {}\n{said}", outcome.status))
    } else if !said.contains("periods of 32 frames") {
        Err(format!("another period:\n{said}"))
    } else {
        exact("capture.wav", &clips[0], wav[0].as_ref())
            .and_then(|()| exact("tap.raw", &clips[0], tap[0].as_ref()))
    };
    rec.case(
        "tight-32x2",
        result.map_err(|e| format!("{e}\nrun: {}", outcome.dir.path().display())),
    );
    Ok(())
}
