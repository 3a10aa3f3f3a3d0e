// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine that is put to sleep (ACPI S3) while the card plays and records, and woken up again.
//!
//! The card loses all that it was told; not a frame may be lost or played twice. The guest's side is
//! `userspace-test/suite/src/tools/sleep.rs`, which says when it is about to fall asleep.

use std::time::{Duration, Instant};

use serde_json::json;
use sgring_vm::{Config, Sink, Vm};

use super::{asked, check_clean, clean, folder, seeded};
use crate::parse::Tap;
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const PATIENCE: Duration = Duration::from_secs(300);
/// A second, and not a whole number of periods.
const FRAMES: u64 = 48_007;
const FRAME: usize = 4;
/// What the guest plays the clip in, once each.
const PLAYS: [&str; 6] = [
    "running",
    "prepared",
    "paused",
    "draining",
    "linked",
    "prepared_anew",
];

pub fn units() -> Vec<Unit> {
    let mut planned: Vec<_> = PLAYS
        .iter()
        .chain(&["recording"])
        .map(|name| {
            Planned::new(
                format!("sleep-{name}"),
                "G-9: a stream goes on after the machine has slept",
            )
        })
        .collect();
    planned.push(Planned::new(
        "sleep-exact",
        "G-9, D-75: what is played before and after is every frame, once",
    ));
    planned.push(clean("sleep"));
    vec![Unit::new(
        Shard::Journey,
        "sleep",
        planned,
        |context, rec| {
            if let Err(e) = journey(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let dir = folder(context, "sleep")?;
    let clip: Vec<u8> = seeded(21, 48_000, 2, FRAMES)
        .samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    let path = dir.join("clip.raw");
    std::fs::write(&path, &clip).map_err(|e| format!("{}: {e}", path.display()))?;
    let (listener, asked) = asked::listener();
    let config =
        Config::new(["/opt/sleep /clips/clip.raw; status=$?; echo 'host: done'; exit $status"])
            .name("sleep")
            .icount(true)
            .stdout(Sink::to(listener))
            .timeout(PATIENCE)
            .file(&dir, "/clips")
            .file(context.layout.programs().join("sleep"), "/opt/sleep");
    let mut vm =
        Vm::start(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    let output = vm.dir().join("stdout");
    let deadline = Instant::now() + PATIENCE;
    let mut served = Ok(());
    while let Ok(word) = asked.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if word == "done" {
            break;
        }
        served = wake(&mut vm);
        if served.is_err() {
            break;
        }
    }
    let ended = match served {
        Ok(()) => vm.wait().map_err(|e| e.to_string()),
        Err(e) => Err(e),
    };
    let mut tap = Tap::default();
    let said = std::fs::read(&output).unwrap_or_default();
    for line in String::from_utf8_lossy(&said).lines() {
        if !line.starts_with("host: ") {
            tap.line(line, "sleep", rec);
        }
    }
    let outcome = ended?;
    tap.end(
        "sleep",
        outcome.status == 0,
        &format!("with status {}", outcome.status),
        rec,
    );
    check_clean("sleep", &outcome, rec);
    let fetched = std::fs::read(outcome.dir.join("tap.raw")).map_err(|e| e.to_string())?;
    rec.case(
        "sleep-exact",
        once_each(&fetched, &clip)
            .map_err(|e| format!("{e}\nrun: {}", outcome.dir.path().display())),
    );
    Ok(())
}

/// Lets the machine fall asleep, and wakes it up.
fn wake(vm: &mut Vm) -> Result<(), String> {
    let qmp = vm.qmp().map_err(|e| e.to_string())?;
    qmp.event("SUSPEND", PATIENCE)
        .and_then(|_| qmp.execute("system_wakeup", json!({})))
        .map(|_| ())
        .map_err(|e| format!("sleep: {e}"))
}

/// Demands that `fetched` is `clip` once for each of [`PLAYS`], with only silence between.
fn once_each(fetched: &[u8], clip: &[u8]) -> Result<(), String> {
    let mut at = 0;
    for name in PLAYS {
        let silence = fetched[at..]
            .chunks(FRAME)
            .take_while(|frame| frame.iter().all(|&byte| byte == 0))
            .count();
        at += silence * FRAME;
        let heard = fetched.get(at..at + clip.len()).unwrap_or(&fetched[at..]);
        let wrong = heard
            .chunks(FRAME)
            .zip(clip.chunks(FRAME))
            .position(|(heard, played)| heard != played);
        if wrong.is_some() || heard.len() < clip.len() {
            return Err(format!(
                "{name}: frame {} of {FRAMES} is wrong or missing",
                wrong.unwrap_or(heard.len() / FRAME)
            ));
        }
        at += clip.len();
    }
    match fetched[at..].iter().position(|&byte| byte != 0) {
        None => Ok(()),
        Some(more) => Err(format!(
            "sound behind the last clip, from byte {}",
            at + more
        )),
    }
}
