// SPDX-License-Identifier: MIT OR Apache-2.0
//! What to boot and what to run in it.

use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::ValueEnum;

use crate::accel::{Accel, Choice};
use crate::error::Error;

/// The sound card in the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Card {
    /// Ours, with its driver snd-sgring.
    #[default]
    Sgring,
    /// intel-hda with hda-duplex.
    Hda,
    /// Intel 82801AA AC97.
    Ac97,
    /// Ensoniq AudioPCI ES1370.
    Es1370,
    /// virtio-sound-pci.
    Virtio,
    /// No card.
    None,
}

impl Card {
    /// Its name as an option takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgring => "sgring",
            Self::Hda => "hda",
            Self::Ac97 => "ac97",
            Self::Es1370 => "es1370",
            Self::Virtio => "virtio",
            Self::None => "none",
        }
    }

    /// The driver that the guest loads, as modprobe knows it.
    #[must_use]
    pub fn driver(self) -> Option<&'static str> {
        match self {
            Self::Sgring => Some("snd-sgring"),
            Self::Hda => Some("snd-hda-intel"),
            Self::Ac97 => Some("snd-intel8x0"),
            Self::Es1370 => Some("snd-ens1370"),
            Self::Virtio => Some("virtio_snd"),
            Self::None => None,
        }
    }
}

/// The machine around the card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Machine {
    /// PCI Express; our card is in a slot.
    #[default]
    Q35,
    /// Conventional PCI; our card is on the root bus.
    I440fx,
}

/// The kernel that the guest boots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kernel {
    /// Debian's own, unchanged.
    #[default]
    Stock,
    /// Debian's realtime kernel.
    Rt,
    /// Our debug kernel D1, by `make test-debug`: lockdep, `DEBUG_VM`, DMA debugging,
    /// leaks, allocations that fail on request.
    Debug,
    /// Our debug kernel D2, by `make test-debug`: KASAN, by clang.
    Kasan,
}

impl Kernel {
    /// Of which kind the kernel of `release` is: ours say it behind their version.
    #[must_use]
    pub fn of(release: &str) -> Self {
        match release.rsplit_once('+') {
            Some((_, "debug")) => Self::Debug,
            Some((_, "kasan")) => Self::Kasan,
            _ => Self::Stock,
        }
    }

    /// The release of this kind beside the stock kernel of `release`: of the same
    /// version of Linux.
    #[must_use]
    pub(crate) fn beside(self, release: &str) -> String {
        let version = release.split('+').next().unwrap_or(release);
        match self {
            Self::Debug => format!("{version}+debug"),
            Self::Kasan => format!("{version}+kasan"),
            Self::Stock | Self::Rt => release.to_owned(),
        }
    }

    /// Whether we built it, to see mistakes.
    #[must_use]
    pub fn looks(self) -> bool {
        matches!(self, Self::Debug | Self::Kasan)
    }

    /// What it needs on its command line to see mistakes. What hangs is to be said
    /// before the host gives the guest up.
    pub(crate) fn words(self) -> &'static str {
        match self {
            // Off, or quieter, unless asked for.
            Self::Debug => {
                " page_poison=1 page_owner=on kmemleak=on hung_task_panic=1 sysctl.kernel.hung_task_timeout_secs=60"
            }
            // A second bad access is another test's, and is to be seen, too.
            Self::Kasan => {
                " kasan_multi_shot hung_task_panic=1 sysctl.kernel.hung_task_timeout_secs=60"
            }
            Self::Stock | Self::Rt => "",
        }
    }

    /// How many times as long as the stock kernel it may be silent: a debug kernel
    /// boots with some seconds of work between two lines.
    pub(crate) fn slowness(self) -> u32 {
        if self.looks() { 4 } else { 1 }
    }

    /// What makes it.
    pub(crate) fn made_by(self) -> &'static str {
        match self {
            Self::Debug => "make setup-debug",
            Self::Kasan => "make setup-kasan",
            Self::Stock | Self::Rt => "make kernel",
        }
    }
}

/// What the command reads from its standard input.
#[derive(Clone, Debug, Default)]
pub enum Stdin {
    /// Nothing: end of file at once.
    #[default]
    Null,
    /// These bytes.
    Bytes(Vec<u8>),
    /// Our own standard input.
    Inherit,
    /// What [`Vm::tell`](crate::Vm::tell) says while the command runs.
    Live,
}

/// Where a copy of the command's output goes, live, besides the run's folder.
#[derive(Clone, Default)]
pub struct Sink(pub(crate) Option<Arc<Mutex<dyn Write + Send>>>);

impl Sink {
    /// To the run's folder alone.
    #[must_use]
    pub fn file() -> Self {
        Self(None)
    }

    /// To a writer as well; each piece is flushed as it comes.
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        Self(Some(Arc::new(Mutex::new(writer))))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Sink(live)"
        } else {
            "Sink(file)"
        })
    }
}

/// One run of one VM.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) card: Card,
    pub(crate) machine: Machine,
    pub(crate) kernel: Kernel,
    pub(crate) release: Option<String>,
    pub(crate) accel: Option<Accel>,
    pub(crate) icount: bool,
    pub(crate) smp: u32,
    pub(crate) mem_mib: u32,
    pub(crate) share: Option<PathBuf>,
    pub(crate) sound_server: bool,
    pub(crate) modparams: Vec<String>,
    pub(crate) load_driver: bool,
    pub(crate) movable: bool,
    pub(crate) reboots: bool,
    pub(crate) audiodev: Option<String>,
    pub(crate) rate: u32,
    pub(crate) device_props: Vec<String>,
    pub(crate) qemu_args: Vec<OsString>,
    pub(crate) trace: Vec<String>,
    pub(crate) kernel_args: Vec<String>,
    pub(crate) files: Vec<(PathBuf, String)>,
    pub(crate) argv: Vec<String>,
    pub(crate) tty: bool,
    pub(crate) stdin: Stdin,
    pub(crate) stdout: Sink,
    pub(crate) stderr: Sink,
    pub(crate) boot_timeout: Duration,
    pub(crate) kvm_patience: Duration,
    pub(crate) timeout: Option<Duration>,
    pub(crate) name: Option<String>,
    pub(crate) notice: fn(&str),
}

/// `SGRING_KVM_PATIENCE` in seconds, or else 15. Nothing that KVM runs is silent
/// for as long.
fn kvm_patience() -> Duration {
    std::env::var("SGRING_KVM_PATIENCE")
        .ok()
        .and_then(|text| text.parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(Duration::from_secs(15))
}

impl Config {
    /// A run of `argv` in the guest, on a VM with our card.
    ///
    /// One word is a shell command line, more words are a program and its
    /// arguments, none is an interactive shell.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv: Vec<String> = argv.into_iter().map(Into::into).collect();
        Self {
            card: Card::default(),
            machine: Machine::default(),
            kernel: Kernel::default(),
            release: None,
            accel: None,
            icount: false,
            smp: 1,
            mem_mib: 768,
            share: None,
            sound_server: false,
            modparams: Vec::new(),
            load_driver: true,
            movable: false,
            reboots: false,
            audiodev: None,
            rate: 48_000,
            device_props: Vec::new(),
            qemu_args: Vec::new(),
            trace: Vec::new(),
            kernel_args: Vec::new(),
            files: Vec::new(),
            tty: argv.is_empty(),
            argv,
            stdin: Stdin::Null,
            stdout: Sink::file(),
            stderr: Sink::file(),
            boot_timeout: Duration::from_secs(60),
            kvm_patience: kvm_patience(),
            timeout: None,
            name: None,
            notice: |_| {},
        }
    }

    /// The sound card.
    #[must_use]
    pub fn card(mut self, card: Card) -> Self {
        self.card = card;
        self
    }

    /// Which card it has.
    #[must_use]
    pub fn card_of(&self) -> Card {
        self.card
    }

    /// The kind of kernel.
    #[must_use]
    pub fn kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = kernel;
        self
    }

    /// A kernel by its release, instead of the chosen one.
    #[must_use]
    pub fn release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// KVM or TCG; without this, what the machine can do.
    #[must_use]
    pub fn accel(mut self, accel: Accel) -> Self {
        self.accel = Some(accel);
        self
    }

    /// Guest time that counts instructions: 1 ns each, idle time skipped.
    #[must_use]
    pub fn icount(mut self, on: bool) -> Self {
        self.icount = on;
        self
    }

    /// The machine around the card.
    #[must_use]
    pub fn machine(mut self, machine: Machine) -> Self {
        self.machine = machine;
        self
    }

    /// The number of processors, 1 to 255.
    #[must_use]
    pub fn smp(mut self, n: u32) -> Self {
        self.smp = n;
        self
    }

    /// The guest's memory in MiB; the initramfs lives in it.
    #[must_use]
    pub fn mem_mib(mut self, mib: u32) -> Self {
        self.mem_mib = mib;
        self
    }

    /// A folder of the host, to be seen at `/share`.
    #[must_use]
    pub fn share(mut self, dir: impl Into<PathBuf>) -> Self {
        self.share = Some(dir.into());
        self
    }

    /// A sound server in the guest: `with-sound COMMAND` starts it and then COMMAND.
    #[must_use]
    pub fn sound_server(mut self, on: bool) -> Self {
        self.sound_server = on;
        self
    }

    /// A parameter `NAME=VALUE` of the card's driver.
    #[must_use]
    pub fn modparam(mut self, param: impl Into<String>) -> Self {
        self.modparams.push(param.into());
        self
    }

    /// Whether [`Vm::hop`](crate::Vm::hop) can move the guest to another QEMU.
    #[must_use]
    pub fn movable(mut self, movable: bool) -> Self {
        self.movable = movable;
        self
    }

    /// Whether a guest that reboots or panics boots again, see [`Vm::boots_again`](crate::Vm::boots_again), and
    /// does not end the VM.
    #[must_use]
    pub fn reboots(mut self, reboots: bool) -> Self {
        self.reboots = reboots;
        self
    }

    /// Whether the guest loads the card's driver before the command.
    #[must_use]
    pub fn load_driver(mut self, load: bool) -> Self {
        self.load_driver = load;
        self
    }

    /// A QEMU audio backend (`-audiodev` without `id=`) in place of the wav file.
    #[must_use]
    pub fn audiodev(mut self, options: impl Into<String>) -> Self {
        self.audiodev = Some(options.into());
        self
    }

    /// The rate of the wav capture in Hz.
    #[must_use]
    pub fn rate(mut self, hz: u32) -> Self {
        self.rate = hz;
        self
    }

    /// A property `NAME=VALUE` of the card as QEMU's `-device` takes it.
    #[must_use]
    pub fn device_prop(mut self, prop: impl Into<String>) -> Self {
        self.device_props.push(prop.into());
        self
    }

    /// One more argument for QEMU.
    #[must_use]
    pub fn qemu_arg(mut self, arg: impl Into<OsString>) -> Self {
        self.qemu_args.push(arg.into());
        self
    }

    /// QEMU trace events to log, such as `sgring_*`.
    #[must_use]
    pub fn trace(mut self, pattern: impl Into<String>) -> Self {
        self.trace.push(pattern.into());
        self
    }

    /// One more word on the kernel's command line.
    #[must_use]
    pub fn kernel_arg(mut self, arg: impl Into<String>) -> Self {
        self.kernel_args.push(arg.into());
        self
    }

    /// A file or folder of the host, to be found at a path in the guest.
    #[must_use]
    pub fn file(mut self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.files.push((host.into(), guest.into()));
        self
    }

    /// Runs the command on a terminal, joined to our own.
    #[must_use]
    pub fn tty(mut self, on: bool) -> Self {
        self.tty = on;
        self
    }

    /// The command's standard input.
    #[must_use]
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// A live copy of the command's standard output.
    #[must_use]
    pub fn stdout(mut self, sink: Sink) -> Self {
        self.stdout = sink;
        self
    }

    /// A live copy of the command's standard error.
    #[must_use]
    pub fn stderr(mut self, sink: Sink) -> Self {
        self.stderr = sink;
        self
    }

    /// How long the guest may be without a sign of life before the command
    /// starts, in host time; with signs it gets ten times as long.
    #[must_use]
    pub fn boot_timeout(mut self, time: Duration) -> Self {
        self.boot_timeout = time;
        self
    }

    /// How long a guest under KVM may be without a sign of life before its
    /// command starts, in host time; then TCG is taken.
    #[must_use]
    pub fn kvm_patience(mut self, time: Duration) -> Self {
        self.kvm_patience = time;
        self
    }

    /// The accelerator that the run begins with, and why it is that one.
    #[must_use]
    pub fn accelerator(&self) -> Choice {
        match self.accel {
            Some(accel) => Choice::new(accel, "as asked for"),
            None if self.icount => Choice::new(Accel::Tcg, "icount counts translated code"),
            None => Choice::detect(),
        }
    }

    /// How long the command may take, in host time.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// A word for the folder of the run.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Called with a line for the user, such as that KVM had to be given up.
    #[must_use]
    pub fn notice(mut self, show: fn(&str)) -> Self {
        self.notice = show;
        self
    }

    /// Refuses what QEMU or the guest would only stumble over.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.kernel == Kernel::Rt {
            return Err(Error::setup(
                "kernel rt is not built: stock, debug and kasan are, so far",
            ));
        }
        if self.icount && self.accel == Some(Accel::Kvm) {
            return Err(Error::setup("icount counts translated code: not with KVM"));
        }
        if !(1..=255).contains(&self.smp) {
            return Err(Error::setup(format!(
                "{} processors: 1 to 255 are",
                self.smp
            )));
        }
        if self.mem_mib < 256 {
            return Err(Error::setup(format!(
                "{} MiB of memory: the guest's file system alone needs 256",
                self.mem_mib
            )));
        }
        for param in &self.modparams {
            let name = param.split_once('=').map(|(name, _)| name);
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.is_some_and(|n| !n.is_empty() && n.chars().all(legal))
                || param.contains(|c: char| c.is_whitespace() || c.is_control())
            {
                return Err(Error::setup(format!(
                    "module parameter {param:?}: not NAME=VALUE"
                )));
            }
        }
        if !self.modparams.is_empty() && self.card == Card::None {
            return Err(Error::setup(
                "a module parameter, but no card and so no driver",
            ));
        }
        if let Some(dir) = &self.share {
            if !dir.is_dir() {
                return Err(Error::setup(format!(
                    "share {}: no such folder",
                    dir.display()
                )));
            }
        }
        if self.argv.iter().any(|arg| arg.contains('\0')) {
            return Err(Error::setup("a NUL in the command"));
        }
        Ok(())
    }
}
