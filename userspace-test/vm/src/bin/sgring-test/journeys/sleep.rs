// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine that is put to sleep (ACPI S3) while the card plays and records, and woken up again.
//!
//! The card loses all that it was told; not a frame may be lost or played twice. The guest's sides are
//! `userspace-test/suite/src/tools/sleep.rs`, and `cpal_sleep.rs` beside it for the cpal host.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::json;
use sgring_vm::{Config, Vm, dmesg};

use super::{clean, folder, raw_clip};
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

/// The same of the cpal host.
const CPAL_PLAYS: [&str; 4] = ["playing", "paused", "not_begun", "draining"];

pub fn units() -> Vec<Unit> {
    vec![unit("sleep", &PLAYS, &["recording"])]
}

/// Through the cpal host.
pub fn cpal() -> Unit {
    unit("cpal-sleep", &CPAL_PLAYS, &["recording", "duplex"])
}

/// The journey of the program `name`, which plays the clip once in each of `plays`.
fn unit(name: &'static str, plays: &'static [&'static str], others: &[&str]) -> Unit {
    let mut planned: Vec<_> = plays
        .iter()
        .chain(others)
        .map(|test| {
            Planned::new(
                format!("{name}-{test}"),
                "G-9: a stream goes on after the machine has slept",
            )
        })
        .collect();
    planned.push(Planned::new(
        format!("{name}-exact"),
        "G-9, D-75: what is played before and after is every frame, once",
    ));
    planned.push(clean(name));
    Unit::new(Shard::Journey, name, planned, move |context, rec| {
        if let Err(e) = journey(context, name, plays, rec) {
            rec.abort(e);
        }
    })
}

fn journey(
    context: &Context,
    name: &str,
    plays: &[&str],
    rec: &mut Recorder<'_>,
) -> Result<(), String> {
    let dir = folder(context, name)?;
    let (_, clip) = raw_clip(&dir, 21, FRAMES)?;
    // The channels that a guest's output takes are not to be relied on behind a sleep, nor is QEMU's way to
    // switch a machine off: what was said goes to the serial port, once all is over and the kernel says nothing
    // more. stty waits until all is out, and the host ends the machine.
    let script = "/opt/program /clips/clip.raw >/tmp/said 2>&1; echo \"# status $?\" >>/tmp/said\n\
                  cat /tmp/said >/dev/ttyS0; stty -F /dev/ttyS0 sane; sleep infinity";
    let config = Config::new([script])
        .name(name)
        .icount(true)
        .timeout(PATIENCE)
        .file(&dir, "/clips")
        .file(context.layout.programs().join(name), "/opt/program");
    let mut vm =
        Vm::start(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    let run = vm.dir().path().to_owned();
    let log = wake_up_to_the_end(&mut vm).map_err(|e| format!("{e}; run: {}", run.display()))?;
    // It was ended from outside, which is an error to who waits for its command.
    let _ = vm.wait();
    let mut tap = Tap::default();
    let said = |line: &&str| {
        ["TAP", "1..", "ok ", "not ok ", "# "]
            .iter()
            .any(|sign| line.starts_with(sign))
    };
    for line in log.lines().map(str::trim_end).filter(said) {
        tap.line(line, name, rec);
    }
    let good = log.lines().any(|line| line.trim_end() == "# status 0");
    tap.end(name, good, "not well", rec);
    let trouble = dmesg::trouble(&log);
    rec.case(
        &format!("{name}-clean"),
        if trouble.is_empty() {
            Ok(())
        } else {
            Err(trouble.join("\n"))
        },
    );
    let fetched = std::fs::read(run.join("tap.raw")).map_err(|e| e.to_string())?;
    rec.case(
        &format!("{name}-exact"),
        once_each(&fetched, &clip, plays).map_err(|e| format!("{e}\nrun: {}", run.display())),
    );
    Ok(())
}

/// Wakes the machine up whenever it is asleep, until the guest has said its last line, and ends it. What is in
/// its serial port's log.
fn wake_up_to_the_end(vm: &mut Vm) -> Result<String, String> {
    const GLANCE: Duration = Duration::from_millis(100);
    let serial = vm.dir().path().join("serial.log");
    let deadline = Instant::now() + PATIENCE;
    let qmp = vm.qmp().map_err(|e| e.to_string())?;
    while Instant::now() < deadline {
        match qmp.event("SUSPEND", GLANCE) {
            Ok(_) => {
                qmp.execute("system_wakeup", json!({}))
                    .map_err(|e| e.to_string())?;
                continue;
            }
            Err(e) if e.kind() == ErrorKind::TimedOut => {}
            Err(e) => return Err(e.to_string()),
        }
        let log = std::fs::read(&serial).map_err(|e| e.to_string())?;
        let log = String::from_utf8_lossy(&log).into_owned();
        // All of it: the guest may be writing it.
        let mut lines = log.split_inclusive('\n');
        if lines.any(|line| line.starts_with("# status ") && line.ends_with('\n')) {
            qmp.execute("quit", json!({})).map_err(|e| e.to_string())?;
            return Ok(log);
        }
    }
    Err("the machine has not come to an end".to_owned())
}

/// Demands that `fetched` is `clip` once for each of `plays`, with only silence between.
fn once_each(fetched: &[u8], clip: &[u8], plays: &[&str]) -> Result<(), String> {
    let mut at = 0;
    for name in plays {
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
