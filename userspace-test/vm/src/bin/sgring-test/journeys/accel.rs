// SPDX-License-Identifier: MIT OR Apache-2.0
//! KVM where it works, and never a hang where it does not: machines that show a
//! KVM, and QEMUs on which it fails in each way that it can.
//!
//! Translation stands in for a KVM that works: what is shown is the choice, the
//! watchdog and the way back, on any machine.

use std::process::Output;

use sgring_vm::recording::Recording;

use super::machine::Machine;
use super::{Miss, case, exact, expect, seeded};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

/// Seconds without a sign of life; a guest that is alive gives one much sooner.
const PATIENCE: &str = "3";
const RATE: u32 = 48_000;
/// Fits into the ring, so that a guest that is late in real time plays it whole.
const FRAMES: u64 = 9_001;

/// How a QEMU asked for KVM ends, or does not; `$kvm` is set when it is.
const HANGS: &str = "[ -z \"$kvm\" ] || exec sleep infinity";
const REFUSES: &str =
    "[ -z \"$kvm\" ] || { echo 'Could not access KVM kernel module: No such device' >&2
    echo 'qemu-system-x86_64: failed to initialize kvm: No such device' >&2; exit 1; }";
/// The guest stands still from its first instruction on; QEMU answers.
const STANDS: &str = "[ -z \"$kvm\" ] || set -- \"$@\" -S";

/// Asked for KVM, translates; what it was asked for is left in `$here/asked`.
const PRELUDE: &str = "\
kvm= args=()
for arg; do
    case $arg in
    kvm) kvm=1; arg=tcg ;;
    host) arg=max,-erms,-fsrm ;;
    esac
    args+=(\"$arg\")
done
set -- \"${args[@]}\"
echo \"${kvm:-0}\" >>\"$(dirname \"$0\")/asked\"
";

type Body = fn(&Context, &str) -> Result<(), Miss>;

const CASES: [(&str, &str, Body); 7] = [
    (
        "accel-qemu-hangs",
        "a QEMU that hangs over KVM is given up, the run goes on with TCG, bit-exact",
        |context, name| falls_back(context, name, HANGS, "no sign of life"),
    ),
    (
        "accel-kvm-refuses",
        "a KVM that QEMU cannot use is given up at once, the run is bit-exact",
        |context, name| falls_back(context, name, REFUSES, "failed to initialize kvm"),
    ),
    (
        "accel-guest-hangs",
        "a guest that stands still under KVM is given up, the run is bit-exact",
        |context, name| falls_back(context, name, STANDS, "no sign of life"),
    ),
    (
        "accel-slow-guest",
        "a guest under KVM that is slow and alive is not given up",
        slow,
    ),
    (
        "accel-rule",
        "KVM is asked for only with vmx or svm and a /dev/kvm that opens; the line says why",
        rule,
    ),
    (
        "accel-guest-error",
        "what the guest itself cannot do is not blamed on KVM",
        guest_error,
    ),
    (
        "accel-this-machine",
        "what this machine offers is taken, or given up, and the run is bit-exact",
        this_machine,
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

/// What `/dev/kvm` is on a machine.
#[derive(Clone, Copy)]
enum Device {
    Opens,
    Closed,
    Absent,
}

/// A machine with this processor and this device, and a QEMU that does `script`.
fn machine(
    context: &Context,
    name: &str,
    flags: &str,
    device: Device,
    script: &str,
) -> Result<Machine, String> {
    let mut machine = Machine::new(context, name)?;
    machine.qemu(&format!("{PRELUDE}{script}\nexec \"$real\" \"$@\""))?;
    machine.instead(
        "/proc/cpuinfo",
        &format!("processor\t: 0\nflags\t\t: fpu {flags} sse2\n"),
    )?;
    machine.change(
        "mkdir -p \"$here/dev\"; mount --rbind /dev \"$here/dev\"\n\
         mount -t tmpfs -o mode=755 dev /dev\n\
         for node in null zero full random urandom tty; do\n\
         : >/dev/$node; mount --bind \"$here/dev/$node\" /dev/$node\n\
         done\n\
         mkdir /dev/pts /dev/shm; mount --bind \"$here/dev/pts\" /dev/pts; ln -s pts/ptmx /dev/ptmx",
    );
    match device {
        Device::Opens => machine.change(": >/dev/kvm"),
        // Root may open anything unless it gives that up.
        Device::Closed => machine.change(
            ": >/dev/kvm; chmod 0 /dev/kvm; set -- setpriv --bounding-set -dac_override -- \"$@\"",
        ),
        Device::Absent => {}
    }
    Ok(machine)
}

/// Whether each QEMU that was started was asked for KVM.
fn asked(machine: &Machine) -> String {
    std::fs::read_to_string(machine.build().join("qemu/bin/asked"))
        .unwrap_or_default()
        .replace('\n', " ")
        .trim()
        .to_owned()
}

/// Plays a clip and judges what the card fetched.
fn play(machine: &Machine, args: &[&str]) -> Result<Output, Miss> {
    let clip = seeded(3, RATE, 2, FRAMES);
    let wav = machine.dir().join("clip.wav");
    clip.write_wav(&wav)?;
    let file = format!("{}:/clip.wav", wav.display());
    let mut all = vec!["--kvm-patience", PATIENCE, "--file", &file];
    all.extend(args);
    all.extend(["--", "aplay -q -M -D hw:0,0 /clip.wav"]);
    let output = machine.output(&all)?;
    expect(&output, 0, &[])?;
    let said = text(&output.stderr);
    let path = machine.build().join("vm/last/tap.raw");
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}\n{said}", path.display()))?;
    let clips = [clip];
    let tap = Recording::from_raw(&bytes, RATE, 2).cut(&clips);
    exact("tap.raw", &clips[0], tap[0].as_ref()).map_err(|e| format!("{e}\n{said}"))?;
    Ok(output)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn falls_back(context: &Context, name: &str, script: &str, why: &str) -> Result<(), Miss> {
    let machine = machine(context, name, "vmx", Device::Opens, script)?;
    let output = play(&machine, &[])?;
    let said = text(&output.stderr);
    let one = said.lines().count() == 1;
    if asked(&machine) != "1 0" || !one || !said.contains("goes on with TCG") || !said.contains(why)
    {
        return Err(format!(
            "asked for KVM: {:?}, not \"1 0\", or not one line with {why:?}: {said:?}",
            asked(&machine)
        )
        .into());
    }
    Ok(())
}

fn slow(context: &Context, name: &str) -> Result<(), Miss> {
    let machine = machine(context, name, "svm", Device::Opens, "")?;
    let output = play(&machine, &["--append", "initcall_debug ignore_loglevel"])?;
    if asked(&machine) != "1" || !output.stderr.is_empty() {
        return Err(format!(
            "asked for KVM: {:?}, not \"1\", or said: {}",
            asked(&machine),
            text(&output.stderr)
        )
        .into());
    }
    Ok(())
}

fn rule(context: &Context, name: &str) -> Result<(), Miss> {
    let cases = [
        ("vmx", Device::Opens, "1", "KVM (the processor has it"),
        ("svm", Device::Opens, "1", "KVM (the processor has it"),
        (
            "vmx_not",
            Device::Opens,
            "0",
            "TCG (no KVM: /proc/cpuinfo shows neither vmx nor svm)",
        ),
        (
            "vmx",
            Device::Absent,
            "0",
            "TCG (no KVM: there is no /dev/kvm",
        ),
        (
            "vmx",
            Device::Closed,
            "0",
            "TCG (no KVM: /dev/kvm may not be opened",
        ),
    ];
    for (flags, device, expected, line) in cases {
        // On a terminal the line is there; what is asked of QEMU is all there is to see of it.
        let machine = machine(context, name, flags, device, "exit 3")?;
        let program = context.layout.programs().join("sgring-vm");
        let command = format!("exec '{}' --card none -- true", program.display());
        let output = machine
            .program("script".as_ref(), &["-qec", &command, "/dev/null"])
            .output()
            .map_err(|e| e.to_string())?;
        let said = text(&output.stdout);
        let asked = asked(&machine);
        if !asked.starts_with(expected) || !said.contains(line) {
            return Err(format!(
                "{flags}: asked for KVM: {asked:?}, expected {expected:?} and {line:?}:\n{said}{}",
                text(&output.stderr)
            )
            .into());
        }
    }
    Ok(())
}

fn guest_error(context: &Context, name: &str) -> Result<(), Miss> {
    let machine = machine(context, name, "vmx", Device::Opens, "")?;
    let output = machine.output(&["--modparam", "max_ring_bytes=much", "--", "true"])?;
    expect(&output, 125, &["does not load the module"])?;
    if asked(&machine) != "1" {
        return Err(format!("asked for KVM: {:?}", asked(&machine)).into());
    }
    Ok(())
}

fn this_machine(context: &Context, name: &str) -> Result<(), Miss> {
    let machine = Machine::new(context, name)?;
    play(&machine, &[])?;
    Ok(())
}
