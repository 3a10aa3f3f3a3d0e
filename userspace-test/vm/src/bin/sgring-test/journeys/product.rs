// SPDX-License-Identifier: MIT OR Apache-2.0
//! `scripts/vm` as people use it: its program from outside, by streams and exit
//! codes.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{Miss, case, expect, folder};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

/// A journey and the exact words it proves.
type Journey = (&'static str, &'static str, fn(&Context) -> Result<(), Miss>);

const JOURNEYS: [Journey; 8] = [
    (
        "vm-streams-and-status",
        "stdin, stdout and stderr come apart and whole, the exit status through",
        streams,
    ),
    (
        "vm-missing-program",
        "a program that is not in the guest fails as in a shell",
        missing,
    ),
    (
        "vm-share-and-file",
        "--share is /share both ways, --file is in its place",
        share,
    ),
    (
        "vm-boot-watchdog",
        "a guest that does not come up is an error, with its last words",
        watchdog,
    ),
    ("vm-timeout", "--timeout ends the VM", timeout),
    (
        "vm-interrupt",
        "Ctrl-C ends the guest and QEMU cleanly",
        interrupt,
    ),
    (
        "vm-terminal",
        "without COMMAND: a shell on a terminal, its status through",
        terminal,
    ),
    (
        "vm-bad-options",
        "what cannot be is refused before a boot, and says why",
        refused,
    ),
];

pub fn units() -> Vec<Unit> {
    let unit = |(name, proves, body): Journey| {
        Unit::new(
            Shard::Journey,
            name,
            vec![Planned::new(name, proves)],
            move |context, rec: &mut Recorder<'_>| {
                case(rec, name, body(context));
            },
        )
    };
    JOURNEYS.into_iter().map(unit).collect()
}

fn vm(context: &Context, args: &[&str]) -> Command {
    let mut command = Command::new(context.layout.programs().join("sgring-vm"));
    command
        // The same on each machine.
        .arg("--tcg")
        .args(args)
        .env("SGRING_BUILD", context.layout.build())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn output(mut command: Command) -> Result<Output, String> {
    command.output().map_err(|e| format!("sgring-vm: {e}"))
}

fn streams(context: &Context) -> Result<(), Miss> {
    // More than any buffer on the way, with each byte and our mark's first.
    let input: Vec<u8> = (0..400_000u32).map(|n| (n % 256) as u8).collect();
    let mut child = vm(
        context,
        &["--card", "none", "--", "cat; echo err >&2; exit 7"],
    )
    .stdin(Stdio::piped())
    .spawn()
    .map_err(|e| e.to_string())?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    let copy = input.clone();
    let feeder = thread::spawn(move || stdin.write_all(&copy));
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    let fed = feeder.join();
    expect(&output, 7, &["err"])?;
    if output.stderr != b"err\n" {
        return Err(format!("stderr: {:?}", String::from_utf8_lossy(&output.stderr)).into());
    }
    if output.stdout != input {
        return Err(format!(
            "{} bytes out of {} in, or other ones; fed: {fed:?}",
            output.stdout.len(),
            input.len()
        )
        .into());
    }
    Ok(())
}

fn missing(context: &Context) -> Result<(), Miss> {
    let output = output(vm(
        context,
        &["--card", "none", "--", "no-such-program", "x"],
    ))?;
    expect(&output, 127, &["no-such-program"])
}

fn share(context: &Context) -> Result<(), Miss> {
    let dir = folder(context, "share")?;
    let write =
        |name: &str, text: &str| std::fs::write(dir.join(name), text).map_err(|e| e.to_string());
    write("here", "from the host\n")?;
    let host = dir.join("here");
    let file = format!("{}:/etc/there", host.display());
    let share = dir.display().to_string();
    let command = "pwd; cat here /etc/there; echo from the guest >back";
    let output = output(vm(
        context,
        &[
            "--card", "none", "--share", &share, "--file", &file, "--", command,
        ],
    ))?;
    expect(&output, 0, &[])?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let back = std::fs::read_to_string(dir.join("back")).unwrap_or_default();
    if stdout != "/share\nfrom the host\nfrom the host\n" || back != "from the guest\n" {
        return Err(format!("stdout: {stdout:?}, back: {back:?}").into());
    }
    Ok(())
}

fn watchdog(context: &Context) -> Result<(), Miss> {
    // A kernel that waits for a root device instead of running our init.
    let args = [
        "--card",
        "none",
        "--boot-timeout",
        "8",
        "--append",
        "rdinit=/none root=/dev/none rootwait",
        "--",
        "true",
    ];
    expect(
        &output(vm(context, &args))?,
        125,
        &[
            "the guest showed no sign of life for 8 s under TCG",
            "logs: ",
        ],
    )
}

fn timeout(context: &Context) -> Result<(), Miss> {
    let args = ["--card", "none", "--timeout", "2", "--", "sleep 1000"];
    expect(&output(vm(context, &args))?, 124, &["longer than 2 s"])
}

/// A VM whose command has started, and its QEMU's process.
fn started(context: &Context) -> Result<(Child, Pid), String> {
    let mut child = vm(
        context,
        &["--card", "none", "--", "echo started; sleep 1000"],
    )
    .spawn()
    .map_err(|e| e.to_string())?;
    let line = read_line(&mut child)?;
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let qemu = std::fs::read_to_string(children).unwrap_or_default();
    match qemu.trim().parse().ok().and_then(Pid::from_raw) {
        Some(qemu) if line == "started" => Ok((child, qemu)),
        _ => Err(format!("said {line:?}; children: {qemu:?}")),
    }
}

fn send(pid: Pid, signal: Signal) -> Result<(), String> {
    kill_process(pid, signal).map_err(|e| e.to_string())
}

fn interrupt(context: &Context) -> Result<(), Miss> {
    let (child, qemu) = started(context)?;
    let ours = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    send(ours.ok_or("no process")?, Signal::INT)?;
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    expect(&output, 130, &["interrupted"])?;
    if test_kill_process(qemu).is_ok() {
        return Err(format!("QEMU, process {qemu:?}, is still there").into());
    }
    Ok(())
}

fn read_line(child: &mut Child) -> Result<String, String> {
    use std::io::Read;
    let stdout = child.stdout.as_mut().ok_or("no stdout")?;
    let mut line = Vec::new();
    let mut byte = [0];
    while stdout.read(&mut byte).map_err(|e| e.to_string())? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn terminal(context: &Context) -> Result<(), Miss> {
    let mut child = vm(context, &["--card", "none"])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    stdin
        .write_all(b"tty; stty -a | grep -c isig; exit 5\n")
        .map_err(|e| e.to_string())?;
    drop(stdin);
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    expect(&output, 5, &[])?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if stdout.contains("/dev/hvc0\r\n1\r\n") {
        Ok(())
    } else {
        Err(format!("{stdout:?}").into())
    }
}

fn refused(context: &Context) -> Result<(), Miss> {
    let cases: [(&[&str], &str); 6] = [
        (&["--kernel", "rt", "--", "true"], "not built"),
        (&["--modparam", "x y=1", "--", "true"], "not NAME=VALUE"),
        (&["--share", "/nowhere", "--", "true"], "no such folder"),
        (&["--file", "/etc/passwd", "--", "true"], "not HOST:GUEST"),
        (&["--card", "gus", "--", "true"], "invalid value"),
        (&["--rate", "1", "--", "true"], "invalid value"),
    ];
    for (args, words) in cases {
        expect(&output(vm(context, args))?, 125, &[words])?;
    }
    Ok(())
}
