// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes wrong around a run: no disk, no memory, a QEMU or a guest that
//! dies, a part that is broken or not there. Each ends with the documented
//! status and a sentence that says what to do, and leaves nothing running.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::machine::Machine;
use super::{Miss, case, expect};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

type Body = fn(&Context, &str) -> Result<(), Miss>;

const CASES: [(&str, &str, Body); 15] = [
    (
        "trouble-disk-full",
        "no space for the guest's files: refused, what to do, nothing half-made left",
        disk_full,
    ),
    (
        "trouble-disk-fills",
        "no space for the recording while it grows: an error, not a short recording",
        disk_fills,
    ),
    (
        "trouble-guest-memory",
        "a guest too small for its files is refused, and says how much it needs",
        guest_memory,
    ),
    (
        "trouble-host-memory",
        "a machine without that much memory is told so before the boot",
        host_memory,
    ),
    (
        "trouble-memory-limit",
        "memory that QEMU cannot get is named as such",
        memory_limit,
    ),
    (
        "trouble-qemu-killed",
        "a QEMU killed mid-run: an error at once, that says how",
        |context, name| dies(context, name, Signal::KILL, "QEMU was killed (SIGKILL)"),
    ),
    (
        "trouble-qemu-crashed",
        "a QEMU that crashes mid-run: an error at once, that says how",
        |context, name| dies(context, name, Signal::SEGV, "QEMU crashed (signal 11)"),
    ),
    (
        "trouble-guest-panic",
        "a guest that panics mid-run: an error with the kernel's words",
        guest_panic,
    ),
    (
        "trouble-boot-panic",
        "a guest that panics before the command: an error with the kernel's words",
        boot_panic,
    ),
    (
        "trouble-kernel-garbage",
        "a kernel image that is none: an error that says how to get another",
        kernel_garbage,
    ),
    (
        "trouble-kernel-cut",
        "a kernel image cut in half: an error that says how to get another",
        kernel_cut,
    ),
    (
        "trouble-module-foreign",
        "a driver of another kernel: an error with the kernel's reason",
        module_foreign,
    ),
    (
        "trouble-module-parameter",
        "a parameter that the driver refuses: an error",
        module_parameter,
    ),
    (
        "trouble-part-missing",
        "a build/ without one of its parts: which, and the command that makes it",
        part_missing,
    ),
    (
        "trouble-is-error",
        "a VM that did not boot is an ERROR among the tests' results, and counts as failed",
        is_error,
    ),
];

pub fn units() -> Vec<Unit> {
    let unit = |(name, proves, body): (&'static str, &'static str, Body)| {
        let planned = vec![Planned::new(name, proves)];
        Unit::new(
            Shard::Journey,
            name,
            planned,
            move |context, rec: &mut Recorder<'_>| {
                case(rec, name, body(context, name));
            },
        )
    };
    CASES.into_iter().map(unit).collect()
}

/// Gives `build/vm` a disk of its own.
fn disk(machine: &mut Machine, mib: u64) {
    machine.change(&format!(
        "mount -t tmpfs -o size={mib}m disk \"$here/build/vm\""
    ));
}

/// MiB of the guest's own files.
fn guest_files(context: &Context) -> Result<u64, String> {
    let release = context.layout.release().map_err(|e| e.to_string())?;
    let size = |path: &Path| {
        path.metadata()
            .map(|m| m.len())
            .map_err(|e| format!("{}: {e}", path.display()))
    };
    let guest = context.layout.build().join("guest");
    let sum = size(&guest.join("base.cpio"))? + size(&guest.join(release).join("modules.cpio"))?;
    Ok(sum.div_ceil(1 << 20))
}

fn disk_full(context: &Context, name: &str) -> Result<(), Miss> {
    let mut machine = Machine::new(context, name)?;
    disk(&mut machine, 8);
    // What is left on that disk can be seen in its namespace alone.
    let program = context.layout.programs().join("sgring-vm");
    let look = format!(
        "'{}' --card none -- true && status=0 || status=$?; ls \"$SGRING_BUILD/vm/last/\"; exit $status",
        program.display()
    );
    let output = machine
        .program("sh".as_ref(), &["-c", &look])
        .output()
        .map_err(|e| e.to_string())?;
    machine.nothing_runs()?;
    expect(
        &output,
        125,
        &["no space left", "free some", "build/vm", "logs: "],
    )?;
    let left = String::from_utf8_lossy(&output.stdout);
    if left.split_whitespace().eq(["status"]) {
        Ok(())
    } else {
        Err(format!("left behind: {left}").into())
    }
}

fn disk_fills(context: &Context, name: &str) -> Result<(), Miss> {
    let mut machine = Machine::new(context, name)?;
    disk(&mut machine, guest_files(context)? + 16);
    let play = "echo started; read -r _; aplay -q -D hw:0,0 -f dat -d 2 /dev/zero";
    let mut child = machine
        .vm(&["--icount", "--", play])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    // The rest of that disk is taken once the guest is up, through its namespace.
    let started = first_line(&mut child);
    let ballast = format!(
        "/proc/{}/root{}/vm/ballast",
        child.id(),
        machine.build().display()
    );
    let filled =
        std::fs::File::create(&ballast).map(|mut file| while file.write_all(&[0; 4096]).is_ok() {});
    drop(child.stdin.take());
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    started?;
    filled.map_err(|e| format!("{ballast}: {e}"))?;
    machine.nothing_runs()?;
    expect(
        &output,
        125,
        &["no space left", "free some", "cut short", "logs: "],
    )
}

/// The first line that the command writes.
fn first_line(child: &mut Child) -> Result<String, String> {
    let stdout = child.stdout.take().ok_or("no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .map_err(|e| e.to_string())?;
    Ok(line)
}

fn guest_memory(context: &Context, name: &str) -> Result<(), Miss> {
    let machine = Machine::new(context, name)?;
    let big = machine.dir().join("big");
    let file = std::fs::File::create(&big).map_err(|e| e.to_string())?;
    file.set_len(300 << 20).map_err(|e| e.to_string())?;
    let file = format!("{}:/big", big.display());
    let args = [
        "--card", "none", "--mem", "512", "--file", &file, "--", "true",
    ];
    let output = machine.output(&args)?;
    expect(
        &output,
        125,
        &["512 MiB of memory are too little", "by --mem"],
    )?;
    // What it says that it needs is enough.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let needed = said
        .split_once("give it ")
        .and_then(|(_, rest)| rest.split_once(','))
        .map(|(mib, _)| mib.to_owned())
        .ok_or(said)?;
    let check = "test $(stat -c %s /big) = 314572800";
    let args = [
        "--card", "none", "--mem", &needed, "--file", &file, "--", check,
    ];
    expect(&machine.output(&args)?, 0, &[])
}

fn host_memory(context: &Context, name: &str) -> Result<(), Miss> {
    let mut machine = Machine::new(context, name)?;
    machine.instead(
        "/proc/meminfo",
        "MemTotal: 4000000 kB\nMemAvailable: 512000 kB\nSwapFree: 0 kB\n",
    )?;
    let output = machine.output(&["--card", "none", "--", "true"])?;
    expect(
        &output,
        125,
        &[
            "500 MiB of memory available",
            "the guest wants 768",
            "--mem",
        ],
    )
}

fn memory_limit(context: &Context, name: &str) -> Result<(), Miss> {
    let mut machine = Machine::new(context, name)?;
    machine.change("ulimit -v 2000000");
    let output = machine.output(&["--card", "none", "--tcg", "--mem", "2000", "--", "true"])?;
    expect(
        &output,
        125,
        &["cannot get the guest's 2000 MiB of memory", "by --mem"],
    )
}

/// QEMU is sent a signal once the command has started.
fn dies(context: &Context, name: &str, signal: Signal, words: &str) -> Result<(), Miss> {
    let mut machine = Machine::new(context, name)?;
    // Its core would be left in the folder of whoever calls.
    machine.change("ulimit -c 0");
    let mut child = machine
        .vm(&["--tcg", "--card", "none", "--", "echo started; sleep 1000"])
        .spawn()
        .map_err(|e| e.to_string())?;
    let line = first_line(&mut child)?;
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let qemu = std::fs::read_to_string(children).unwrap_or_default();
    let sent = match qemu.trim().parse().ok().and_then(Pid::from_raw) {
        Some(qemu) => kill_process(qemu, signal).map_err(|e| e.to_string()),
        None => Err(format!("said {line:?}; children: {qemu:?}")),
    };
    if sent.is_err() {
        let _ = child.kill();
    }
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    sent?;
    machine.nothing_runs()?;
    expect(
        &output,
        125,
        &[words, "before the command was done", "logs: "],
    )
}

fn guest_panic(context: &Context, name: &str) -> Result<(), Miss> {
    let machine = Machine::new(context, name)?;
    let command = "echo c >/proc/sysrq-trigger; sleep 100";
    let output = machine.output(&["--tcg", "--card", "none", "--", command])?;
    expect(
        &output,
        125,
        &[
            "the guest's kernel panicked before the command was done",
            "Kernel panic - not syncing: sysrq triggered crash",
            "logs: ",
        ],
    )
}

fn boot_panic(context: &Context, name: &str) -> Result<(), Miss> {
    let machine = Machine::new(context, name)?;
    let append = "rdinit=/none root=/dev/none";
    let output = machine.output(&["--tcg", "--card", "none", "--append", append, "--", "true"])?;
    expect(
        &output,
        125,
        &[
            "the guest's kernel panicked before the command started",
            "Unable to mount root fs",
            "logs: ",
        ],
    )
}

/// The name of the kernel's image in `build/`.
fn image(context: &Context) -> Result<String, String> {
    let release = context.layout.release().map_err(|e| e.to_string())?;
    Ok(format!("kernel/{release}/vmlinuz"))
}

fn kernel_garbage(context: &Context, name: &str) -> Result<(), Miss> {
    let machine = Machine::new(context, name)?;
    let path = machine.without(&image(context)?)?;
    std::fs::write(path, vec![0x5a; 1 << 20]).map_err(|e| e.to_string())?;
    let output = machine.output(&["--tcg", "--card", "none", "--", "true"])?;
    expect(&output, 125, &["kernel", "make setup", "logs: "])
}

fn kernel_cut(context: &Context, name: &str) -> Result<(), Miss> {
    let machine = Machine::new(context, name)?;
    let image = image(context)?;
    let path = machine.without(&image)?;
    let whole = std::fs::read(context.layout.build().join(&image)).map_err(|e| e.to_string())?;
    std::fs::write(path, &whole[..whole.len() / 2]).map_err(|e| e.to_string())?;
    let args = [
        "--tcg",
        "--card",
        "none",
        "--boot-timeout",
        "10",
        "--",
        "true",
    ];
    let output = machine.output(&args)?;
    expect(&output, 125, &["make setup", "logs: "])
}

/// The name of the driver in `build/`.
fn module(context: &Context) -> Result<String, String> {
    let release = context.layout.release().map_err(|e| e.to_string())?;
    Ok(format!("driver/{release}/snd-sgring.ko"))
}

fn module_foreign(context: &Context, name: &str) -> Result<(), Miss> {
    let machine = Machine::new(context, name)?;
    let module = module(context)?;
    let path = machine.without(&module)?;
    let mut bytes =
        std::fs::read(context.layout.build().join(&module)).map_err(|e| e.to_string())?;
    let magic = b"vermagic=";
    let at = bytes
        .windows(magic.len())
        .position(|w| w == magic)
        .ok_or("the module has no vermagic")?;
    bytes[at + magic.len()] = b'6';
    std::fs::write(path, bytes).map_err(|e| e.to_string())?;
    let output = machine.output(&["--tcg", "--", "true"])?;
    expect(
        &output,
        125,
        &[
            "does not load the module snd-sgring",
            "make driver",
            "version magic",
            "logs: ",
        ],
    )
}

fn module_parameter(context: &Context, name: &str) -> Result<(), Miss> {
    let machine = Machine::new(context, name)?;
    let output = machine.output(&["--tcg", "--modparam", "max_ring_bytes=much", "--", "true"])?;
    expect(
        &output,
        125,
        &[
            "does not load the module snd-sgring max_ring_bytes=much",
            "logs: ",
        ],
    )
}

fn part_missing(context: &Context, name: &str) -> Result<(), Miss> {
    let release = context.layout.release().map_err(|e| e.to_string())?;
    let parts = [
        (image(context)?, "the kernel is not set up", "make kernel"),
        (
            "qemu/bin/qemu-system-x86_64".to_owned(),
            "the QEMU is not set up",
            "make qemu",
        ),
        (
            "guest/base.cpio".to_owned(),
            "the guest image is not set up",
            "make guest",
        ),
        (
            format!("guest/{release}/modules.cpio"),
            "the guest image is not set up",
            "make guest",
        ),
        (module(context)?, "the driver is not set up", "make driver"),
    ];
    for (part, what, mend) in parts {
        let machine = Machine::new(context, name)?;
        machine.without(&part)?;
        let output = machine.output(&["--tcg", "--", "true"])?;
        expect(&output, 125, &[what, mend, &part])?;
    }
    Ok(())
}

fn is_error(context: &Context, name: &str) -> Result<(), Miss> {
    let machine = Machine::new(context, name)?;
    let path = machine.without(&image(context)?)?;
    std::fs::write(path, vec![0x5a; 1 << 20]).map_err(|e| e.to_string())?;
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    // One that boots by the fixture, one by the program of `scripts/vm`, and the suite's.
    for (test, shard) in [
        ("card-hda", "journey"),
        ("vm-streams-and-status", "journey"),
        ("guest-clean", "guest"),
    ] {
        let output = machine
            .program(&program, &["--only", test, "--shard", shard])
            .output()
            .map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout);
        let tap =
            std::fs::read_to_string(machine.build().join("results/tests.tap")).unwrap_or_default();
        if output.status.code() != Some(1)
            || !said.contains("\n0 passed, ")
            || !tap.contains(&format!(" {test} # ERROR"))
        {
            return Err(format!("{}\n{said}{tap}", output.status).into());
        }
    }
    Ok(machine.nothing_runs()?)
}
