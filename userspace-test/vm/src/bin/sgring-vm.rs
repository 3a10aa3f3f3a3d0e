// SPDX-License-Identifier: MIT OR Apache-2.0
//! `scripts/vm`: one command in a guest with the card.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sgring_vm::{Accel, Card, Config, Error, Kernel, Layout, Sink, Stdin, Stopper, Vm};

const AFTER_HELP: &str = "\
COMMAND runs as root; one word is a line of shell, more are a program and its
arguments. Without COMMAND you get a shell. Standard input, output and error are
the command's own, live and apart.

The guest runs under KVM where /proc/cpuinfo shows vmx or svm and /dev/kvm opens,
else, and with --icount, under TCG. A KVM on which the guest shows no sign of life
is given up for TCG, with a word about it.

Exit status: the command's; 124 after --timeout; 125 when the VM itself failed
(did not boot, panicked, a missing part, a bad option, no memory, a full disk); 130
after Ctrl-C.

Left behind in build/vm/last/ (older runs beside it):
  capture.wav     what the card played, as the audio backend got it
  tap.raw         the frames that the card fetched, untouched (sgring only)
  serial.log      the guest kernel's log
  qemu.log        what QEMU said, trace events among it
  qemu.cmd        QEMU's command line
  stdout, stderr, status

Examples:
  scripts/vm -- aplay -l
  scripts/vm --share ~/music -- sgring-play album/song.flac
  scripts/vm --icount -- 'aplay -M -D hw:0,0 -r 48000 -f S16_LE -c 2 -d 1 /dev/zero'
  scripts/vm --card hda --audiodev pipewire -- speaker-test -c 2 -l 1
  scripts/vm --share . --trace 'sgring_*' --modparam max_ring_bytes=65536 -- ./my-test
  scripts/vm --sound-server --icount --share ~/music -- with-sound pw-play song.wav
  scripts/vm                                   # a shell with the card";

/// Run COMMAND in a VM with the sgring sound card, or another.
#[derive(Debug, Parser)]
#[command(name = "scripts/vm", bin_name = "scripts/vm", after_help = AFTER_HELP, max_term_width = 90)]
struct Args {
    /// The sound card in the guest
    #[arg(long, value_enum, default_value_t, value_name = "CARD")]
    card: Card,

    /// The kernel that the guest boots: Debian's own, or ours that looks for mistakes
    /// (stock, debug and kasan are built so far)
    #[arg(long, value_enum, default_value_t, value_name = "KERNEL")]
    kernel: Kernel,

    /// Guest time counts instructions, 1 ns each, and skips idle time: exact
    /// and repeatable, as fast as this machine can
    #[arg(long)]
    icount: bool,

    /// A folder of this machine, at /share in the guest; COMMAND starts there
    #[arg(long, value_name = "DIR")]
    share: Option<PathBuf>,

    /// A sound server in the guest, as a desktop has it: `with-sound COMMAND` starts
    /// PipeWire there, and then COMMAND
    #[arg(long)]
    sound_server: bool,

    /// A parameter of the card's driver
    #[arg(long = "modparam", value_name = "NAME=VALUE")]
    modparams: Vec<String>,

    /// Where the sound goes, as QEMU's -audiodev without id=
    /// [default: a wav file in build/vm/last/]
    #[arg(long, value_name = "OPTS")]
    audiodev: Option<String>,

    /// The rate of the wav file; play at this rate to get the frames unchanged
    #[arg(long, value_name = "HZ", default_value_t = 48000,
          value_parser = clap::value_parser!(u32).range(8000..=384_000))]
    rate: u32,

    /// More arguments for QEMU, split at blanks
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    qemu: Vec<String>,

    /// QEMU trace events to write to qemu.log, such as 'sgring_*'
    #[arg(long, value_name = "PATTERN")]
    trace: Vec<String>,

    /// A file or folder of this machine and its place in the guest
    #[arg(long, value_name = "HOST:GUEST")]
    file: Vec<String>,

    /// The guest's processors
    #[arg(long, value_name = "N", default_value_t = 1)]
    smp: u32,

    /// The guest's memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 768)]
    mem: u32,

    /// More words for the kernel's command line
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    append: Vec<String>,

    /// Translate the guest's code even where KVM works
    #[arg(long)]
    tcg: bool,

    /// End the VM when COMMAND takes longer, in seconds of this machine's time
    #[arg(long, value_name = "S")]
    timeout: Option<u64>,

    /// End the VM when it shows no sign of life for so long before COMMAND starts,
    /// or is not up after ten times that; in seconds of this machine's time
    #[arg(long, value_name = "S", default_value_t = 60)]
    boot_timeout: u64,

    /// Take TCG when a guest under KVM shows no sign of life for so long before
    /// COMMAND starts: no word, no new memory; in seconds of this machine's time
    #[arg(long, value_name = "S", default_value = "15", env = "SGRING_KVM_PATIENCE",
          value_parser = seconds)]
    kvm_patience: Duration,

    /// Run COMMAND on a terminal, joined to this one
    #[arg(long, short)]
    tty: bool,

    /// An interactive shell, the same as no COMMAND
    #[arg(long, conflicts_with = "command")]
    shell: bool,

    /// Do not load the card's driver before COMMAND
    #[arg(long)]
    no_driver: bool,

    /// What to run
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Seconds, with a fraction or without.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

fn config(args: &Args) -> Result<Config, Error> {
    let mut config = Config::new(args.command.iter().cloned())
        .card(args.card)
        .kernel(args.kernel)
        .icount(args.icount)
        .rate(args.rate)
        .smp(args.smp)
        .mem_mib(args.mem)
        .sound_server(args.sound_server)
        .load_driver(!args.no_driver)
        .boot_timeout(Duration::from_secs(args.boot_timeout))
        .kvm_patience(args.kvm_patience)
        .stdin(Stdin::Inherit)
        .stdout(Sink::to(std::io::stdout()))
        .stderr(Sink::to(std::io::stderr()))
        .notice(|line| eprintln!("scripts/vm: {line}"));
    if args.tty || args.command.is_empty() {
        config = config.tty(true);
    }
    if args.tcg {
        config = config.accel(Accel::Tcg);
    }
    if let Some(dir) = &args.share {
        config = config.share(dir);
    }
    if let Some(seconds) = args.timeout {
        config = config.timeout(Duration::from_secs(seconds));
    }
    if let Some(options) = &args.audiodev {
        config = config.audiodev(options);
    }
    for param in &args.modparams {
        config = config.modparam(param);
    }
    for pattern in &args.trace {
        config = config.trace(pattern);
    }
    for word in args.qemu.iter().flat_map(|words| words.split_whitespace()) {
        config = config.qemu_arg(word);
    }
    for word in &args.append {
        config = config.kernel_arg(word);
    }
    for pair in &args.file {
        let (host, guest) = pair
            .rsplit_once(':')
            .filter(|(host, guest)| !host.is_empty() && guest.starts_with('/'))
            .ok_or_else(|| {
                Error::setup(format!(
                    "--file {pair}: not HOST:GUEST with an absolute GUEST"
                ))
            })?;
        config = config.file(host, guest);
    }
    Ok(config)
}

fn run(args: &Args) -> Result<u8, Error> {
    let config = config(args)?;
    let layout = Layout::find()?;
    let stopper = Stopper::on_signals()?;
    // Where nobody watches, standard error is the command's own.
    let watched = std::io::stderr().is_terminal();
    let interactive = args.command.is_empty() && watched;
    if watched {
        eprintln!("scripts/vm: boots the guest with {}", config.accelerator());
    }
    if interactive {
        eprintln!("scripts/vm: exit or Ctrl-D ends the guest");
    }
    let outcome = Vm::run(&layout, &config, &stopper)?;
    if interactive {
        eprintln!(
            "\r\nscripts/vm: logs and capture are in {}",
            outcome.dir.path().display()
        );
    }
    Ok(outcome.status)
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 125 } else { 0 });
        }
    };
    match run(&args) {
        Ok(status) => ExitCode::from(status),
        Err(e) => {
            let _ = std::io::stdout().flush();
            eprintln!("scripts/vm: {e}");
            ExitCode::from(e.kind.exit_code())
        }
    }
}
