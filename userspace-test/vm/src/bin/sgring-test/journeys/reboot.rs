// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that reboots, crashes or is reset while it plays and records: QEMU runs on, and what the guest finds
//! when it is up again is a card as new.
//!
//! Each boot runs the same job, which asks the host what to do. Before it has loaded the driver, the card's
//! registers have to be what they were at power-on; after that the clip has to be played to the bit. What was
//! under way at the reset must have ended with it: what the card moves is held against a trace. The guest's side is
//! `userspace-test/suite/src/tools/reboots.rs`.
//!
//! `SGRING_SEED` is which instants.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sgring_vm::{Config, Outcome, Stdin, Vm, dmesg};

use super::legs::{legs, seed};
use super::timeline::{self, Run, Timeline};
use super::{fetched, folder, qmp, raw_clip};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const PATIENCE: Duration = Duration::from_secs(300);
/// 0.15 s, and no whole number of any period.
const FRAMES: u64 = 7_207;
const FRAME: usize = 4;
/// Host time between the beginning of the second run and a reset, at most, us.
const LEG: u64 = 120_000;
/// Periods until the guest goes down, at most.
const PERIODS: u64 = 60;

/// How the guest goes down, boot after boot; the last one ends well.
const DOWN: [(&str, &str); 3] = [
    ("reboot", "D-7: a card as new after a reboot"),
    ("crash", "D-7: a card as new after a crash"),
    ("reset", "D-7: a card as new after a reset from outside"),
];

pub fn units() -> Vec<Unit> {
    let mut planned: Vec<_> = DOWN
        .iter()
        .map(|(how, proves)| Planned::new(format!("reboot-after_{how}"), *proves))
        .collect();
    planned.extend([
        Planned::new(
            "reboot-nothing_moves",
            "D-7: nothing of the old streams touches memory or interrupts after a reset",
        ),
        Planned::new(
            "reboot-exact",
            "D-75: the clip in every boot, and the beginning of what was under way",
        ),
        Planned::new(
            "reboot-clean",
            "nothing in any kernel's log but the crash that was asked for",
        ),
    ]);
    vec![Unit::new(
        Shard::Journey,
        "reboot",
        planned,
        |context, rec| {
            if let Err(e) = journey(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let seed = seed()?;
    let dir = folder(context, "reboot")?;
    let (path, clip) = raw_clip(&dir, 24, FRAMES)?;
    let config = Config::new([
        "read -r how && modprobe snd-sgring && exec /opt/reboots /clips/clip.raw $how",
    ])
    .name("reboot")
    .icount(true)
    .reboots(true)
    .load_driver(false)
    .stdin(Stdin::Live)
    .timeout(PATIENCE)
    .trace(timeline::TRACE)
    .file(path, "/clips/clip.raw")
    .file(context.layout.programs().join("reboots"), "/opt/reboots");
    let mut vm =
        Vm::start(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    let run = format!("SGRING_SEED={seed}; run: {}", vm.dir().path().display());
    let fail = |e: String| format!("{e}; {run}");
    let mut instants = legs(seed, LEG);
    let new = registers(&mut vm).map_err(fail)?;
    for (how, _) in DOWN {
        let instant = instants.next().unwrap_or_default();
        go_down(&mut vm, how, instant).map_err(fail)?;
        vm.boots_again().map_err(|e| fail(e.to_string()))?;
        let now = registers(&mut vm).map_err(fail)?;
        let name = format!("reboot-after_{how}");
        rec.case(&name, same(&new, &now).map_err(fail));
    }
    vm.tell("last").map_err(|e| e.to_string())?;
    let outcome = vm.wait().map_err(|e| fail(e.to_string()))?;
    if outcome.status != 0 {
        return Err(fail(outcome.stdout()));
    }
    let all = Timeline::read(&outcome.qemu_log());
    let moves = all.as_ref().map(drop).map_err(Clone::clone);
    rec.case("reboot-nothing_moves", moves.map_err(fail));
    let fetched = fs::read(outcome.dir.join("tap.raw")).map_err(|e| e.to_string())?;
    let exact = all.and_then(|all| twice_each(&fetched, &clip, &all.runs_of(0)?));
    rec.case("reboot-exact", exact.map_err(fail));
    rec.case("reboot-clean", clean(&outcome).map_err(fail));
    Ok(())
}

/// Has the guest play, and brings it down.
fn go_down(vm: &mut Vm, how: &str, instant: Duration) -> Result<(), String> {
    let clip = FRAMES as usize * FRAME;
    let before = fetched(vm);
    let periods = 1 + instant.as_micros() as u64 % PERIODS;
    let order = if how == "reset" {
        how.to_owned()
    } else {
        format!("{how} {periods}")
    };
    vm.tell(&order).map_err(|e| e.to_string())?;
    if how == "reset" {
        let deadline = Instant::now() + PATIENCE;
        while fetched(vm) <= before + clip {
            if Instant::now() >= deadline {
                return Err("the guest does not play".to_owned());
            }
            vm.nudge();
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(instant);
        qmp(vm, "system_reset", json!({}))?;
    }
    let said = vm.dir().join("stdout");
    let qmp = vm.qmp().map_err(|e| e.to_string())?;
    qmp.event("RESET", PATIENCE).map(drop).map_err(|e| {
        let said = fs::read_to_string(said).unwrap_or_default();
        format!("{order}: {e}; the guest has said:\n{said}")
    })
}

/// The card's registers, the clock left out: offset and value.
fn registers(vm: &mut Vm) -> Result<Vec<(u64, u32)>, String> {
    const CLOCK: u64 = 0x90;
    let mut all = Vec::new();
    let base = bar(vm)?;
    // Four playback streams and four capture streams. Word by word, as the card wants it [D-1].
    let blocks = [0].into_iter().chain((0x1000..0x1800).step_by(0x100));
    for offset in blocks.flat_map(|block| (block..block + 0x100).step_by(4)) {
        let look = format!("xp /1wx {:#x}", base + offset);
        let said = qmp(vm, "human-monitor-command", json!({ "command-line": look }))?;
        let text = said.as_str().unwrap_or_default();
        let word = text.split_once("0x").map(|(_, word)| word.trim());
        let word = word.and_then(|word| u32::from_str_radix(word, 16).ok());
        all.push((offset, word.ok_or_else(|| format!("{look}: {text}"))?));
    }
    all.retain(|(offset, _)| !(CLOCK..CLOCK + 8).contains(offset));
    match all.first() {
        Some((0, 0x4752_4753)) => Ok(all),
        other => Err(format!("no card at {base:#x}: {other:x?}")),
    }
}

/// Where they are.
fn bar(vm: &mut Vm) -> Result<u64, String> {
    fn find(devices: &Value) -> Option<u64> {
        devices.as_array()?.iter().find_map(|device| {
            if device["qdev_id"] == "card" {
                let regions = device["regions"].as_array()?;
                return regions.iter().find(|r| r["bar"] == 0)?["address"].as_u64();
            }
            find(&device["pci_bridge"]["devices"])
        })
    }
    let buses = qmp(vm, "query-pci", json!({}))?;
    let mut buses = buses.as_array().into_iter().flatten();
    buses
        .find_map(|bus| find(&bus["devices"]))
        .ok_or_else(|| "no card in query-pci".to_owned())
}

fn same(new: &[(u64, u32)], now: &[(u64, u32)]) -> Result<(), String> {
    let others: Vec<_> = new
        .iter()
        .zip(now)
        .filter(|(new, now)| new != now)
        .map(|((offset, new), (_, now))| format!("{offset:#x}: {now:#x}, as new {new:#x}"))
        .collect();
    match others.is_empty() {
        true => Ok(()),
        false => Err(others.join("; ")),
    }
}

/// Demands that `fetched` is the clip in each boot, then the beginning of the clip over and over in each but the
/// last.
fn twice_each(fetched: &[u8], clip: &[u8], runs: &[Run]) -> Result<(), String> {
    if runs.len() != 2 * DOWN.len() + 1 {
        return Err(format!("{} runs", runs.len()));
    }
    let mut frames = fetched.chunks(FRAME);
    let clip: Vec<_> = clip.chunks(FRAME).collect();
    for (number, run) in runs.iter().enumerate() {
        if number % 2 == 0 && run.frames != FRAMES {
            return Err(format!("run {number}: {} frames", run.frames));
        }
        for frame in 0..run.frames {
            if frames.next().as_ref() != clip.get(frame as usize % clip.len()) {
                let of = run.frames;
                return Err(format!("run {number}: frame {frame} of {of} is wrong"));
            }
        }
    }
    match frames.count() {
        0 => Ok(()),
        more => Err(format!("{more} frames more")),
    }
}

/// The kernels' logs, one a boot.
fn clean(outcome: &Outcome) -> Result<(), String> {
    let log = outcome.serial();
    let boots: Vec<_> = log.split("Linux version ").skip(1).collect();
    if boots.len() != DOWN.len() + 1 {
        return Err(format!("{} boots", boots.len()));
    }
    for (number, boot) in boots.iter().enumerate() {
        let asked = DOWN.get(number).map_or("last", |(how, _)| how);
        let (before, crash) = boot
            .split_once("sysrq: Trigger a crash")
            .map_or((*boot, ""), |parts| parts);
        let trouble = dmesg::trouble(before);
        if !trouble.is_empty() {
            return Err(format!("before {asked}: {}", trouble.join("\n")));
        }
        if (asked == "crash") != crash.contains("Kernel panic - not syncing: sysrq triggered crash")
        {
            return Err(format!("{asked}: {crash}"));
        }
    }
    Ok(())
}
