// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shards that other programs do: cargo, the device's test program, scripts,
//! and kselftest's runner in a guest.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sgring_vm::{Config, Layout, Vm, dmesg};

use crate::collection::{self, Program};
use crate::musts::Musts;
use crate::parse::{self, Tap};
use crate::report::{Planned, Recorder, Verdict};
use crate::{Context, Shard, Unit};

/// Host time for one unit of this kind; a debug kernel takes several times as long.
const PATIENCE: Duration = Duration::from_secs(1800);

pub fn units(layout: &Layout) -> Vec<Unit> {
    let mut units = vec![
        Unit::new(Shard::Unit, "unit", Vec::new(), unit),
        Unit::new(Shard::Unit, "unit-loom", Vec::new(), |context, rec| {
            checked(context, "loom", rec);
        }),
        Unit::new(Shard::Unit, "unit-memory", Vec::new(), |context, rec| {
            checked(context, "memory", rec);
        }),
        Unit::new(Shard::Device, "device", Vec::new(), device),
        Unit::new(Shard::Device, "device-model", Vec::new(), |context, rec| {
            device_program(context, "model", rec);
        }),
        Unit::new(Shard::Device, "device-saved", Vec::new(), |context, rec| {
            device_program(context, "saved", rec);
        }),
    ];
    let mut scripts: Vec<_> = std::fs::read_dir(layout.checkout().join("scripts/tests"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "test"))
        .collect();
    scripts.sort();
    for path in scripts {
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let label = format!("scripts-{stem}");
        let prefix = label.clone();
        units.push(Unit::new(
            Shard::Scripts,
            label,
            Vec::new(),
            move |context, rec| {
                let mut command = Command::new(&path);
                command.current_dir(context.layout.checkout());
                tap_program(context, command, Tap::default(), &prefix, rec);
            },
        ));
    }
    units.push(Unit::new(Shard::Guest, "guest", Vec::new(), guest));
    units.push(Unit::new(
        Shard::Guest,
        "guest-runner",
        [
            (
                "guest-runner-absent",
                "a missing guest program counts as failed",
            ),
            (
                "guest-runner-killed",
                "a crashed guest program counts as failed",
            ),
            (
                "guest-runner-silent",
                "a guest program without results counts as failed",
            ),
            (
                "guest-runner-healthy",
                "and a healthy one beside them does not",
            ),
        ]
        .map(|(name, proves)| Planned::new(name, proves))
        .to_vec(),
        runner,
    ));
    units
}

/// Runs a command with both streams in one log, killed after [`PATIENCE`] or
/// when the user is. `line` gets each line as it comes.
fn logged(
    context: &Context,
    mut command: Command,
    log: &Path,
    mut line: impl FnMut(&str),
) -> Result<(ExitStatus, String), String> {
    let file = File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
    let copy = file.try_clone().map_err(|e| e.to_string())?;
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(copy)
        .spawn()
        .map_err(|e| format!("{name}: {e}"))?;
    let deadline = Instant::now() + PATIENCE;
    let mut reader = BufReader::new(File::open(log).map_err(|e| e.to_string())?);
    let mut part = Vec::new();
    let mut lines = |end: bool| {
        while reader.read_until(b'\n', &mut part).is_ok_and(|n| n > 0) || (end && !part.is_empty())
        {
            if end || part.ends_with(b"\n") {
                line(String::from_utf8_lossy(&part).trim_end());
                part.clear();
            }
        }
    };
    let status = loop {
        lines(false);
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break status,
            None if context.stopper.stopped() || Instant::now() >= deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{name}: not done after {} s", PATIENCE.as_secs()));
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    lines(true);
    let text = std::fs::read(log).map_err(|e| e.to_string())?;
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}

fn last_lines(text: &str, n: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(n)..].join("\n")
}

/// The guest programs are tests themselves: what of them can be tested here is
/// in the suite's library, and to build all of them once more takes long.
fn unit(context: &Context, rec: &mut Recorder<'_>) {
    for (log, packages) in [
        ("unit", ["--workspace", "--exclude=sgring-suite"]),
        ("unit-suite", ["--package=sgring-suite", "--lib"]),
    ] {
        let mut cargo = Command::new("cargo");
        cargo
            .args(["test", "--locked", "--no-fail-fast", "--color=never"])
            .args(packages)
            .current_dir(context.layout.checkout());
        cargo_test(context, cargo, "unit", log, rec);
    }
}

/// The cpal host's own tests under the checker `kind`.
fn checked(context: &Context, kind: &str, rec: &mut Recorder<'_>) {
    let mut command = Command::new(context.layout.checkout().join("scripts/checked"));
    command.arg(kind).arg("--no-fail-fast");
    let name = format!("unit-{kind}");
    cargo_test(context, command, &name, &name, rec);
}

fn cargo_test(
    context: &Context,
    command: Command,
    prefix: &str,
    log: &str,
    rec: &mut Recorder<'_>,
) {
    let log = context.layout.results().join(format!("{log}.log"));
    match logged(context, command, &log, |_| {}) {
        Ok((status, text)) => {
            parse::libtest(&text, prefix, rec);
            let failed_as_expected = text.contains("test result: FAILED");
            if !status.success() && !failed_as_expected {
                rec.abort(format!(
                    "cargo test ended with {status}:\n{}",
                    last_lines(&text, 15)
                ));
            } else if !text.contains("test result: ") {
                rec.abort("cargo test ran no tests");
            }
        }
        Err(e) => rec.abort(e),
    }
}

fn device(context: &Context, rec: &mut Recorder<'_>) {
    let program = context.layout.build().join("qemu/tests/sgring-test");
    let mut command = Command::new(program);
    command
        .args(["--tap", "-k"])
        .env("QTEST_QEMU_BINARY", context.layout.qemu())
        .env("G_TEST_DBUS_DAEMON", "/bin/false");
    let sources = context.layout.checkout().join("qemu-device/tests/sgring");
    let tap = Tap::with_musts(Musts::read(&sources));
    tap_program(context, command, tap, "device", rec);
}

/// Random programs for the card, held against the model of its data sheet; or saved
/// machines whose card is damaged.
fn device_program(context: &Context, name: &str, rec: &mut Recorder<'_>) {
    let mut command = Command::new(context.layout.programs().join(format!("sgring-{name}")));
    command.arg("--qemu").arg(context.layout.qemu());
    tap_program(
        context,
        command,
        Tap::default(),
        &format!("device-{name}"),
        rec,
    );
}

fn tap_program(
    context: &Context,
    command: Command,
    mut tap: Tap,
    prefix: &str,
    rec: &mut Recorder<'_>,
) {
    let log = context.layout.results().join(format!("{prefix}.log"));
    let ended = logged(context, command, &log, |line| {
        // glib's grouping and its paths are no part of a test's name.
        let line = line.trim_start().replace("/x86_64/sgring/", "");
        if ![
            "# Start of ",
            "# End of ",
            "# random seed",
            "# starting QEMU",
        ]
        .iter()
        .any(|p| line.starts_with(p))
        {
            tap.line(&line, prefix, rec);
        }
    });
    match ended {
        Ok((status, _)) => tap.end(prefix, status.success(), &format!("with {status}"), rec),
        Err(e) => rec.abort(e),
    }
}

/// What is left of kernel memory that nobody points to any more, on a kernel that
/// can tell. The first scan only sees what may be lost, the next one says so.
const LOST: &str = "
    lost=/sys/kernel/debug/kmemleak
    [ ! -e $lost ] || { echo scan >$lost; sleep 6; echo scan >$lost; cat $lost >&2; }";

/// Boots a guest on a collection and hands back what its runner printed, whether
/// the VM survived or not, and how the VM was: an error when it did not survive.
fn collection(context: &Context, dir: &Path, name: &str) -> (String, Verdict) {
    let config = Config::new([format!("/opt/sgring/run_kselftest.sh{LOST}")])
        .name(name)
        .icount(true)
        .file(dir, "/opt/sgring")
        .timeout(PATIENCE);
    match Vm::run(&context.layout, &config, &context.stopper) {
        Ok(outcome) => {
            let log = outcome.stdout();
            let clean = dmesg::check(&outcome, true).and_then(|()| nothing_lost(&outcome.stderr()));
            (log, clean.map_or_else(Verdict::Fail, |()| Verdict::Pass))
        }
        Err(e) => {
            let log = e
                .dir
                .as_ref()
                .and_then(|d| std::fs::read(d.join("stdout")).ok());
            (
                String::from_utf8_lossy(&log.unwrap_or_default()).into_owned(),
                Verdict::Error(e.to_string()),
            )
        }
    }
}

/// Whether kmemleak has said nothing of memory that was lost.
fn nothing_lost(said: &str) -> Result<(), String> {
    if said.contains("unreferenced object") {
        Err(said.lines().take(40).collect::<Vec<_>>().join("\n"))
    } else {
        Ok(())
    }
}

fn guest(context: &Context, rec: &mut Recorder<'_>) {
    let programs = collection::programs(&context.layout);
    let programs = rec.report().wanted(&programs);
    if programs.is_empty() {
        return rec.abort("the suite has no programs");
    }
    let dir = collection::place(&context.layout);
    let parts: Vec<_> = programs.iter().map(|p| Program::Built(p)).collect();
    if let Err(e) = collection::pack(&context.layout, &dir, &parts) {
        return rec.abort(e);
    }
    let (output, end) = collection(context, &dir, "suite");
    let _ = std::fs::write(context.layout.results().join("guest.log"), &output);
    parse::kselftest(&output, &programs, rec);
    rec.verdict(
        "guest-clean",
        "M5: nothing in the kernel's log, taint exactly O and E, no memory lost, over the whole suite",
        end,
    );
}

/// The suite's own fuses: programs that must be seen to fail.
fn runner(context: &Context, rec: &mut Recorder<'_>) {
    let parts = [
        Program::Absent("absent"),
        Program::Script(
            "killed",
            "#!/bin/sh\necho 1..2\necho ok 1 one\nkill -9 $$\n",
        ),
        Program::Script("silent", "#!/bin/sh\n"),
        Program::Script("healthy", "#!/bin/sh\necho 1..1\necho ok 1 one\n"),
    ];
    let dir = context.layout.results().join("guest-runner");
    if let Err(e) = collection::pack(&context.layout, &dir, &parts) {
        return rec.abort(e);
    }
    let (output, end) = collection(context, &dir, "runner");
    if let Verdict::Fail(e) | Verdict::Error(e) = end {
        return rec.abort(e);
    }
    let names = ["absent", "killed", "silent", "healthy"];
    let report = crate::report::Report::quiet();
    let mut inner = Recorder::new(&report, "inner", Vec::new());
    parse::kselftest(&output, &names, &mut inner);
    inner.finish();
    let tap = report.tap();
    for name in &names[..3] {
        let seen = tap
            .lines()
            .any(|l| l.starts_with("not ok") && l.contains(&format!(" {name}-complete")));
        let result = if seen {
            Ok(())
        } else {
            Err(format!("not seen:\n{tap}"))
        };
        rec.case(&format!("guest-runner-{name}"), result);
    }
    let healthy = tap
        .lines()
        .any(|l| l.starts_with("ok ") && l.ends_with(" healthy-one"))
        && !tap
            .lines()
            .any(|l| l.starts_with("not ok") && l.contains("healthy"));
    rec.case(
        "guest-runner-healthy",
        if healthy { Ok(()) } else { Err(tap) },
    );
}
