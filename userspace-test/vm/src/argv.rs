// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a [`Config`] to QEMU's command line.

use std::ffi::OsString;
use std::path::Path;

use crate::accel::Accel;
use crate::config::{Card, Config, Kernel, Machine};
use crate::error::Error;

/// The numbers of the file descriptors that QEMU is given, in this order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fds {
    pub initrd: i32,
    pub qmp: i32,
    pub control: i32,
    pub stdin: i32,
    pub stdout: i32,
    pub stderr: i32,
    pub tty: i32,
}

/// The files of one run that QEMU reads and writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files<'a> {
    pub kernel: &'a Path,
    pub release: &'a str,
    pub dir: &'a Path,
    /// QEMUs that had the guest before this one: what they have written is gone on with.
    pub hops: u32,
}

/// Of what the guest takes for random, under icount.
pub(crate) const SEED: &str = "1";

/// The file in which one QEMU hands a guest on to the next.
pub(crate) const HOP_STATE: &str = "hop.state";

/// The folders in which Debian's packages put the firmware.
const FIRMWARE: [&str; 2] = ["/usr/share/seabios", "/usr/share/qemu"];

pub(crate) fn build(
    config: &Config,
    accel: Accel,
    files: Files<'_>,
    fds: Fds,
) -> Result<Vec<OsString>, Error> {
    let mut argv = Argv(Vec::new());
    for dir in FIRMWARE {
        argv.pair("-L", dir);
    }
    argv.flag("-nodefaults");
    argv.flag("-no-user-config");
    if !config.reboots {
        argv.flag("-no-reboot");
    }
    argv.pair("-display", "none");
    let machine = match config.machine {
        Machine::Q35 => "q35,vmport=off,hpet=off,i8042=off,smbus=off,sata=off",
        // Without smbus it has no ACPI power management, and with that no hot-plug.
        Machine::I440fx => "pc,vmport=off,hpet=off,i8042=off",
    };
    argv.pair("-machine", machine);
    argv.pair("-smp", config.smp.to_string());
    argv.pair("-m", config.mem_mib.to_string());
    match accel {
        Accel::Kvm => {
            argv.pair("-accel", "kvm");
            argv.pair("-cpu", "host");
        }
        Accel::Tcg => {
            argv.pair("-accel", "tcg");
            // With these two the kernel copies by `rep movsb`, which icount
            // steps through byte by byte: 3 s more to boot.
            argv.pair("-cpu", "max,-erms,-fsrm");
        }
    }
    if config.icount {
        argv.pair("-icount", "shift=0,sleep=off");
        argv.pair("-seed", SEED);
        argv.pair("-rtc", "base=2026-01-01,clock=vm");
    }

    argv.pair("-kernel", files.kernel);
    argv.pair("-initrd", format!("/proc/self/fd/{}", fds.initrd));
    argv.pair("-append", kernel_line(config, files.release));
    argv.pair(
        "-chardev",
        log_file("serial", &files.dir.join("serial.log"), files.hops)?,
    );
    argv.pair("-serial", "chardev:serial");

    argv.pair("-chardev", format!("socket,id=qmp,fd={}", fds.qmp));
    argv.pair("-mon", "chardev=qmp,mode=control");
    // Without ioeventfd a port is served before the guest's next instruction:
    // what the guest has written is out, and under icount in the same order
    // each time.
    argv.pair(
        "-device",
        "virtio-serial-pci,id=ports,ioeventfd=off,max_ports=8",
    );
    for (number, id, fd) in [
        (1, "control", fds.control),
        (2, "stdin", fds.stdin),
        (3, "stdout", fds.stdout),
        (4, "stderr", fds.stderr),
    ] {
        argv.pair("-chardev", format!("socket,id={id},fd={fd}"));
        argv.pair(
            "-device",
            format!("virtserialport,bus=ports.0,nr={number},chardev={id},name=sgring.{id}"),
        );
    }
    if config.tty {
        argv.pair("-chardev", format!("socket,id=tty,fd={}", fds.tty));
        argv.pair("-device", "virtconsole,bus=ports.0,nr=0,chardev=tty");
    }
    if let Some(dir) = &config.share {
        let dir = dir
            .canonicalize()
            .map_err(|e| Error::setup(format!("share {}: {e}", dir.display())))?;
        argv.pair(
            "-fsdev",
            format!("local,id=share,security_model=none,path={}", escape(&dir)?),
        );
        argv.pair("-device", "virtio-9p-pci,fsdev=share,mount_tag=share");
    }
    sound(&mut argv, config, files)?;
    for pattern in &config.trace {
        argv.pair("-trace", pattern);
    }
    argv.0.extend(config.qemu_args.iter().cloned());
    if files.hops != 0 {
        let state = escape(&files.dir.join(HOP_STATE))?;
        argv.pair("-incoming", format!("file:{state}"));
    }
    Ok(argv.0)
}

fn kernel_line(config: &Config, release: &str) -> String {
    // A panic ends the VM (-no-reboot) or reboots it, and an oops is a panic: nothing after
    // it can be believed.
    let mut line = String::from("console=ttyS0 rdinit=/init panic=-1 oops=panic loglevel=7");
    // The kernel's tests of its own ciphers go on for a second of processor after the boot,
    // beside the first streams.
    line.push_str(" nokaslr norandmaps tsc=reliable cryptomgr.notests=1");
    line.push_str(Kernel::of(release).words());
    for arg in &config.kernel_args {
        line.push(' ');
        line.push_str(arg);
    }
    line
}

/// A character device whose output goes to a file, behind what an earlier QEMU has put there.
fn log_file(id: &str, path: &Path, hops: u32) -> Result<String, Error> {
    let append = if hops == 0 { "" } else { ",append=on" };
    Ok(format!("file,id={id},path={}{append}", escape(path)?))
}

fn sound(argv: &mut Argv, config: &Config, files: Files<'_>) -> Result<(), Error> {
    let dir = files.dir;
    if config.card == Card::None {
        return Ok(());
    }
    let options = match &config.audiodev {
        None => format!(
            "wav,id=snd,path={},out.frequency={},timer-period=1000",
            escape(&dir.join("capture.wav"))?,
            config.rate
        ),
        Some(options) => {
            let (driver, rest) = options.split_once(',').unwrap_or((options, ""));
            let mut full = format!("{driver},id=snd");
            if driver == "wav" && !rest.split(',').any(|o| o.starts_with("path=")) {
                full.push_str(&format!(",path={}", escape(&dir.join("capture.wav"))?));
            }
            if !rest.is_empty() {
                full.push(',');
                full.push_str(rest);
            }
            full
        }
    };
    argv.pair("-audiodev", options);
    let mut props = String::new();
    for prop in &config.device_props {
        props.push(',');
        props.push_str(prop);
    }
    match config.card {
        Card::Sgring => {
            argv.pair(
                "-chardev",
                log_file("tap", &dir.join("tap.raw"), files.hops)?,
            );
            let place = match config.machine {
                Machine::Q35 => {
                    // A port of its own, so that the card can be unplugged.
                    argv.pair("-device", "pcie-root-port,id=slot1,chassis=1,slot=1");
                    "bus=slot1"
                }
                Machine::I440fx => "bus=pci.0,addr=0x1e",
            };
            argv.pair(
                "-device",
                format!("sgring,id=card,{place},audiodev=snd,tap=tap{props}"),
            );
        }
        Card::Hda => {
            argv.pair("-device", "intel-hda,id=card");
            argv.pair(
                "-device",
                format!("hda-duplex,bus=card.0,audiodev=snd{props}"),
            );
        }
        Card::Ac97 => argv.pair("-device", format!("AC97,id=card,audiodev=snd{props}")),
        Card::Es1370 => argv.pair("-device", format!("ES1370,id=card,audiodev=snd{props}")),
        Card::Virtio => argv.pair(
            "-device",
            format!("virtio-sound-pci,id=card,audiodev=snd{props}"),
        ),
        Card::None => {}
    }
    Ok(())
}

/// A path as a value in one of QEMU's option lists, where a comma is doubled.
fn escape(path: &Path) -> Result<String, Error> {
    path.to_str()
        .map(|text| text.replace(',', ",,"))
        .ok_or_else(|| Error::setup(format!("{}: not UTF-8", path.display())))
}

struct Argv(Vec<OsString>);

impl Argv {
    fn flag(&mut self, name: &str) {
        self.0.push(name.into());
    }

    fn pair(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.push(name.into());
        self.0.push(value.into());
    }
}

/// A command line as a shell would read it, for `qemu.cmd`.
pub(crate) fn shell_line(program: &Path, args: &[OsString]) -> String {
    let mut text = quote(&program.to_string_lossy());
    for arg in args {
        let arg = arg.to_string_lossy();
        text.push_str(if arg.starts_with('-') { " \\\n  " } else { " " });
        text.push_str(&quote(&arg));
    }
    text.push('\n');
    text
}

/// One word of a POSIX shell.
pub(crate) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FDS: Fds = Fds {
        initrd: 9,
        qmp: 10,
        control: 11,
        stdin: 12,
        stdout: 13,
        stderr: 14,
        tty: 15,
    };

    fn line(config: &Config, accel: Accel) -> String {
        let files = Files {
            kernel: Path::new("/k"),
            release: "7.3.4+deb13-amd64",
            dir: Path::new("/run,1"),
            hops: 0,
        };
        let args = build(config, accel, files, FDS).unwrap();
        args.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn icount_brings_its_seed_and_its_clock() {
        let line = line(&Config::new(["true"]).icount(true), Accel::Tcg);
        assert!(line.contains("-icount shift=0,sleep=off -seed 1 -rtc base=2026-01-01,clock=vm"));
    }

    #[test]
    fn each_card_is_the_only_one() {
        let devices = [
            (
                Card::Sgring,
                "sgring,id=card,bus=slot1,audiodev=snd,tap=tap",
            ),
            (Card::Hda, "hda-duplex"),
            (Card::Ac97, "AC97,id=card"),
            (Card::Es1370, "ES1370,id=card"),
            (Card::Virtio, "virtio-sound-pci,id=card"),
        ];
        for (card, device) in devices {
            let line = line(&Config::new(["true"]).card(card), Accel::Tcg);
            for (other, theirs) in devices {
                assert_eq!(line.contains(theirs), other == card, "{device}: {line}");
            }
        }
        let none = line(&Config::new(["true"]).card(Card::None), Accel::Tcg);
        assert!(!none.contains("audiodev"));
    }

    #[test]
    fn a_comma_in_a_path_is_doubled() {
        let line = line(&Config::new(["true"]), Accel::Tcg);
        assert!(line.contains("path=/run,,1/capture.wav"), "{line}");
    }

    #[test]
    fn a_wav_of_ones_own_still_lands_in_the_run() {
        let config = Config::new(["true"]).audiodev("wav,out.frequency=96000");
        assert!(
            line(&config, Accel::Tcg)
                .contains("wav,id=snd,path=/run,,1/capture.wav,out.frequency=96000")
        );
        let config = Config::new(["true"]).audiodev("pipewire");
        assert!(line(&config, Accel::Tcg).contains("-audiodev pipewire,id=snd "));
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quote("a-b=c"), "a-b=c");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
