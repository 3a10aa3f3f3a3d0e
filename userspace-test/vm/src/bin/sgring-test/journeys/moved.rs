// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that plays and records is moved from one QEMU to the next, at any instant of any state.
//!
//! The guest's side is `userspace-test/suite/src/tools/moved.rs`. The instants are the host's: so many
//! microseconds after the guest has gone on, drawn from a seed, and what the guest has come to by then is as the
//! machine has it. The same is done with snapshots, to which the guest is set back after it has run on, and with a
//! machine that is only stopped for a while.
//!
//! `SGRING_HOPS` is how many times, `SGRING_SEED` which ones.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sgring_vm::{Config, Vm};

use super::legs::{Legs, legs, number, seed};
use super::{check_clean, clean, fetched, folder, qmp, raw_clip};
use crate::parse::Tap;
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

/// Host time for all of it, and more for each hop.
const PATIENCE: Duration = Duration::from_secs(120);
const PER_HOP: Duration = Duration::from_secs(20);
/// Host time for which the guest runs between two hops, at most, us.
const LEG: u64 = 120_000;
/// 0.15 s, and no whole number of any period.
const FRAMES: u64 = 7_207;
const FRAME: usize = 4;

pub fn units() -> Vec<Unit> {
    let unit = |name: &'static str, proves: &'static str, work: Work| {
        let planned = vec![
            Planned::new(
                format!("{name}-never_noticed"),
                "a guest that plays does not see what is done to its machine",
            ),
            Planned::new(format!("{name}-exact"), proves),
            clean(name),
        ];
        Unit::new(Shard::Journey, name, planned, move |context, rec| {
            if let Err(e) = journey(context, name, work, rec) {
                rec.abort(e);
            }
        })
    };
    vec![
        unit(
            "moved",
            "D-75: migration at any instant costs and repeats no frame",
            move_around,
        ),
        unit(
            "rolled-back",
            "D-75: what follows a snapshot follows it again once that is loaded",
            roll_back,
        ),
        unit(
            "stopped",
            "D-30, D-75: a machine that is stopped at any instant loses and repeats no frame",
            stop,
        ),
    ]
}

/// What is done to a guest, time and again. Gives the parts of the tap that do not count.
type Work = fn(&mut Vm, u64, Legs) -> Result<Vec<Range<usize>>, String>;

fn journey(
    context: &Context,
    name: &str,
    work: Work,
    rec: &mut Recorder<'_>,
) -> Result<(), String> {
    let hops = number("SGRING_HOPS", || 24)?;
    let seed = seed()?;
    let dir = folder(context, name)?;
    let (path, clip) = raw_clip(&dir, 22, FRAMES)?;
    let patience = PATIENCE + PER_HOP * u32::try_from(hops).unwrap_or(u32::MAX);
    // A debug kernel takes longer to come to anything, and more memory.
    let (leg_us, mib) = if context.layout.on_debug() {
        (8 * LEG, 768)
    } else {
        (LEG, 384)
    };
    let config = Config::new(["/opt/moved /clips/clip.raw"])
        .name(name)
        .icount(true)
        .mem_mib(mib)
        .movable(true)
        .audiodev("none")
        .timeout(patience)
        .file(path, "/clips/clip.raw")
        .file(context.layout.programs().join("moved"), "/opt/moved");
    let mut vm =
        Vm::start(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    let run = vm.dir().path().to_owned();
    let which = format!(
        "SGRING_HOPS={hops} SGRING_SEED={seed}; run: {}",
        run.display()
    );
    let twice = work(&mut vm, hops, legs(seed, leg_us)).map_err(|e| format!("{e}; {which}"))?;
    unplug(&mut vm)?;
    let outcome = vm.wait().map_err(|e| format!("{e}; {which}"))?;
    let mut tap = Tap::default();
    for line in outcome.stdout().lines() {
        tap.line(line, name, rec);
    }
    tap.end(
        name,
        outcome.status == 0,
        &format!("with status {}; {which}", outcome.status),
        rec,
    );
    check_clean(name, &outcome, rec);
    let mut fetched = std::fs::read(run.join("tap.raw")).map_err(|e| e.to_string())?;
    for range in twice.into_iter().rev() {
        fetched.drain(range);
    }
    let rounds = outcome
        .stdout()
        .lines()
        .find_map(|line| {
            line.strip_prefix("# played ")?
                .split(' ')
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    rec.case(
        &format!("{name}-exact"),
        only(&fetched, &clip, rounds).map_err(|e| format!("{e}; {which}")),
    );
    Ok(())
}

/// From one QEMU to the next; every fourth time while the guest runs, else it is stopped for that.
fn move_around(vm: &mut Vm, hops: u64, mut legs: Legs) -> Result<Vec<Range<usize>>, String> {
    let mut places = vec![0];
    for hop in 0..hops {
        if hop % 2 == 0 {
            // However slow the host is: not all of them at one place.
            plays_on(vm, places.last().copied().unwrap_or(0))?;
        }
        thread::sleep(legs.next().unwrap_or_default());
        let live = hop % 4 == 3;
        if !live {
            qmp(vm, "stop", json!({}))?;
        }
        vm.hop().map_err(|e| format!("hop {hop}: {e}"))?;
        places.push(fetched(vm));
        if !live {
            qmp(vm, "cont", json!({}))?;
        }
    }
    Ok(Vec::new())
}

/// A snapshot is taken, the guest runs on, and back it goes.
fn roll_back(vm: &mut Vm, times: u64, mut legs: Legs) -> Result<Vec<Range<usize>>, String> {
    let mut twice = Vec::new();
    let path = vm.dir().path().join("state");
    // A disk that the machine does not see, for snapshots to be in.
    let file = json!({ "driver": "file", "node-name": "file", "filename": path });
    let create = json!({ "driver": "file", "filename": path, "size": 0 });
    job(vm, "blockdev-create", json!({ "options": create }))?;
    qmp(vm, "blockdev-add", file)?;
    let create = json!({ "driver": "qcow2", "file": "file", "size": 1 << 20 });
    job(vm, "blockdev-create", json!({ "options": create }))?;
    let disk = json!({ "driver": "qcow2", "node-name": "disk", "file": "file" });
    qmp(vm, "blockdev-add", disk)?;
    let snapshot = json!({ "tag": "here", "vmstate": "disk", "devices": ["disk"] });
    plays_on(vm, 0)?;
    for time in 0..times {
        thread::sleep(legs.next().unwrap_or_default());
        qmp(vm, "stop", json!({}))?;
        let from = fetched(vm);
        job(vm, "snapshot-save", snapshot.clone())?;
        qmp(vm, "cont", json!({}))?;
        if time % 2 == 0 {
            plays_on(vm, from)?;
        }
        thread::sleep(legs.next().unwrap_or_default());
        qmp(vm, "stop", json!({}))?;
        twice.push(from..fetched(vm));
        job(vm, "snapshot-load", snapshot.clone())?;
        qmp(vm, "cont", json!({}))?;
        job(
            vm,
            "snapshot-delete",
            json!({ "tag": "here", "devices": ["disk"] }),
        )?;
    }
    Ok(twice)
}

/// The machine stands still for as long as it has run.
fn stop(vm: &mut Vm, times: u64, mut legs: Legs) -> Result<Vec<Range<usize>>, String> {
    let mut from = 0;
    for time in 0..times {
        if time % 2 == 0 {
            plays_on(vm, from)?;
        }
        let leg = legs.next().unwrap_or_default();
        thread::sleep(leg);
        qmp(vm, "stop", json!({}))?;
        from = fetched(vm);
        thread::sleep(leg);
        if fetched(vm) != from {
            return Err(format!("stop {time}: the card plays on, from byte {from}"));
        }
        qmp(vm, "cont", json!({}))?;
    }
    Ok(Vec::new())
}

/// Waits until more is in the tap than `from` bytes.
fn plays_on(vm: &mut Vm, from: usize) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while fetched(vm) <= from {
        if Instant::now() >= deadline {
            return Err(format!("the guest plays no more, at byte {from}"));
        }
        vm.nudge();
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Pulls the plug, which ends the guest's program.
fn unplug(vm: &mut Vm) -> Result<(), String> {
    let plug = json!({ "path": "card", "property": "jack0", "value": false });
    qmp(vm, "qom-set", plug).map(drop)
}

/// A command that goes on behind its answer, to its end.
fn job(vm: &mut Vm, command: &str, mut arguments: Value) -> Result<(), String> {
    arguments["job-id"] = json!("job");
    qmp(vm, command, arguments)?;
    let qmp = vm.qmp().map_err(|e| e.to_string())?;
    let jobs = loop {
        let jobs = qmp
            .execute("query-jobs", json!({}))
            .map_err(|e| e.to_string())?;
        if jobs[0]["status"] == "concluded" {
            break jobs;
        }
        thread::sleep(Duration::from_millis(1));
    };
    qmp.execute("job-dismiss", json!({ "id": "job" }))
        .map_err(|e| e.to_string())?;
    match jobs[0]["error"].as_str() {
        None => Ok(()),
        Some(error) => Err(format!("{command}: {error}")),
    }
}

/// Demands that `fetched` is `clip`, `rounds` times.
fn only(fetched: &[u8], clip: &[u8], rounds: usize) -> Result<(), String> {
    if rounds == 0 {
        return Err("nothing was played".to_owned());
    }
    for (round, heard) in fetched.chunks(clip.len()).enumerate() {
        let wrong = heard
            .chunks(FRAME)
            .zip(clip.chunks(FRAME))
            .position(|(heard, played)| heard != played);
        if let Some(frame) = wrong {
            return Err(format!("round {round}: frame {frame} of {FRAMES} is wrong"));
        }
    }
    let expected = rounds * clip.len();
    if fetched.len() != expected {
        return Err(format!("{} bytes, not {expected}", fetched.len()));
    }
    Ok(())
}
