// SPDX-License-Identifier: MIT OR Apache-2.0
//! Journeys: from the host through VM, driver and card, and back as a capture.
//!
//! Every one of them boots its own VM; those that see into it look at its
//! kernel's log and taint besides what they are about.

mod accel;
mod apps;
mod asked;
mod bench;
mod cards;
mod channels;
mod cpal;
mod desktop;
mod errors;
mod exact;
mod examples;
mod faults;
mod formats;
mod hear;
mod held_up;
mod jack;
mod legs;
mod levels;
mod machine;
mod many;
mod memory;
mod module;
mod moved;
mod player;
mod product;
mod reboot;
mod recorded;
mod selftests;
mod sleep;
mod steady;
mod tight;
mod timeline;
mod tools;
mod trouble;
mod unplug;
mod wav;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use sgring_vm::recording::Recording;
use sgring_vm::{Layout, Outcome, Vm, dmesg};

use crate::report::{Planned, Recorder, Verdict};
use crate::{Context, Unit};

/// On the debug kernel, those that are about the driver.
pub fn units(layout: &Layout) -> Vec<Unit> {
    let mut units = exact::units();
    units.extend(steady::units());
    units.extend(module::units());
    units.extend(memory::units());
    units.extend(unplug::units());
    units.extend(sleep::units());
    units.extend(jack::units());
    units.extend(moved::units());
    units.extend(errors::units());
    units.extend(faults::units());
    if layout.on_debug() {
        return units;
    }
    units.extend(player::units());
    units.extend(formats::units());
    units.extend(channels::units());
    units.extend(levels::units());
    units.extend(wav::units());
    units.extend(recorded::units());
    units.extend(tools::units());
    units.extend(hear::units());
    units.extend(cards::units());
    units.extend(cpal::units());
    units.extend(examples::units());
    units.extend(product::units());
    units.extend(tight::units());
    units.extend(many::units());
    units.extend(held_up::units());
    units.extend(reboot::units());
    units.extend(bench::units());
    units.extend(selftests::units());
    units.extend(desktop::units());
    units.extend(apps::units());
    units.extend(accel::units());
    units.extend(trouble::units());
    units
}

/// Why a case has not passed.
pub enum Miss {
    /// The behaviour is wrong.
    Wrong(String),
    /// There was none to be seen: no VM.
    NoVm(String),
}

impl From<String> for Miss {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

impl From<&str> for Miss {
    fn from(why: &str) -> Self {
        Self::Wrong(why.to_owned())
    }
}

/// Records a case of a journey that starts a program of ours.
fn case(rec: &mut Recorder<'_>, name: &str, result: Result<(), Miss>) {
    let verdict = match result {
        Ok(()) => Verdict::Pass,
        Err(Miss::Wrong(why)) => Verdict::Fail(why),
        Err(Miss::NoVm(why)) => Verdict::Error(why),
    };
    rec.verdict(name, "", verdict);
}

/// What a program of ours left, against the status and the words expected of it.
/// 125 where something else was expected is no behaviour of what is tested.
fn expect(output: &Output, code: i32, words: &[&str]) -> Result<(), Miss> {
    let said = String::from_utf8_lossy(&output.stderr);
    let missing: Vec<_> = words.iter().filter(|w| !said.contains(**w)).collect();
    if output.status.code() == Some(code) && missing.is_empty() {
        return Ok(());
    }
    let why = format!(
        "{}, expected {code}; not said: {missing:?}\nstdout: {}\nstderr: {said}",
        output.status,
        String::from_utf8_lossy(&output.stdout)
    );
    Err(if code != 125 && output.status.code() == Some(125) {
        Miss::NoVm(why)
    } else {
        Miss::Wrong(why)
    })
}

/// The case that closes each journey on a VM with our card.
fn clean(name: &str) -> Planned {
    Planned::new(
        format!("{name}-clean"),
        "nothing in the kernel's log, taint exactly O and E",
    )
}

fn check_clean(name: &str, outcome: &Outcome, rec: &mut Recorder<'_>) {
    rec.case(&format!("{name}-clean"), dmesg::check(outcome, true));
}

/// A folder for a journey's input files, empty.
fn folder(context: &Context, name: &str) -> Result<PathBuf, String> {
    let dir = context
        .layout
        .build()
        .join("tmp")
        .join(format!("journey-{name}"));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    Ok(dir)
}

/// A recording in which each frame says which one it is.
fn seeded(seed: u64, rate: u32, channels: u16, frames: u64) -> Recording {
    Recording {
        rate,
        channels,
        samples: sgring_signal::Generator::new(seed, usize::from(channels)).samples(frames),
    }
}

/// A clip as the guest's `sgring_suite::clip` takes it, `clip.raw` in `dir`: its path, and its bytes.
fn raw_clip(dir: &Path, seed: u64, frames: u64) -> Result<(PathBuf, Vec<u8>), String> {
    let samples = seeded(seed, 48_000, 2, frames).samples;
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    let path = dir.join("clip.raw");
    std::fs::write(&path, &bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok((path, bytes))
}

/// A command to QEMU, and its answer.
fn qmp(vm: &mut Vm, command: &str, arguments: Value) -> Result<Value, String> {
    let qmp = vm.qmp().map_err(|e| e.to_string())?;
    qmp.execute(command, arguments).map_err(|e| e.to_string())
}

/// Bytes that are in the tap so far.
fn fetched(vm: &Vm) -> usize {
    let tap = vm.dir().join("tap.raw");
    std::fs::metadata(tap).map_or(0, |file| file.len() as usize)
}

/// Exact, or the judge's words.
fn exact(what: &str, played: &Recording, piece: Option<&Recording>) -> Result<(), String> {
    let Some(piece) = piece else {
        return Err(format!("{what}: nothing of it was found"));
    };
    match played.judge(piece) {
        Ok(verdict) if verdict.is_bit_exact() => Ok(()),
        Ok(verdict) => Err(format!("{what}: {verdict}")),
        Err(e) => Err(format!("{what}: {e}")),
    }
}

/// The tap of a run, as frames.
fn tap(outcome: &Outcome, rate: u32, channels: u16) -> Result<Recording, String> {
    let path = outcome.dir.join("tap.raw");
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(Recording::from_raw(&bytes, rate, channels))
}

/// The number after a word of a trace line.
fn value(line: &str, name: &str) -> Option<u64> {
    let mut words = line.split_whitespace().skip_while(|w| *w != name);
    words.nth(1)?.parse().ok()
}
