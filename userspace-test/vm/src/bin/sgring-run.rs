// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make run`: one recording through the card, and the verdict.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use sgring_vm::recording::Recording;
use sgring_vm::reference::{Handed, Reference, Stream, Tap};
use sgring_vm::{Accel, Backend, Config, Layout, Outcome, Sink, Stopper, Vm, dmesg};

const AFTER_HELP: &str = "\
The guest decodes FILE with our own player and plays it through the driver's
memory-mapped ring. What came out of the card is judged at the audio backend
(capture.wav) and as the card fetched it (tap.raw):

  WAV, FLAC     bit by bit what flac or sox decode from the same file
  MP3, Vorbis   bit by bit what the player handed to cpal, and that within one
                step of 16 bits of what mpg123 or oggdec decode
  3..8 channels mixed down to two; bit by bit what the player handed over, and
                that within one step of sox's mix

With another AUDIO than wav the guest keeps real time and the sound is for the
ear: tap.raw alone is judged. Without KVM the guest may be too slow for that.

Exit status: 0 as it should be; 1 not; 125 the VM failed, or FILE cannot be
played; 130 Ctrl-C. All traces are in build/vm/last/.";

/// Play FILE in a guest through the sgring card and judge what came out.
#[derive(Debug, Parser)]
#[command(name = "make run", bin_name = "make run", after_help = AFTER_HELP, max_term_width = 90)]
struct Args {
    /// Where the sound goes
    #[arg(
        long,
        value_enum,
        default_value = "wav",
        env = "AUDIO",
        value_name = "BACKEND"
    )]
    audio: Backend,

    /// A WAV, FLAC, Ogg Vorbis or MP3 file, 8 to 384 kHz, 1 to 8 channels
    #[arg(env = "FILE", value_name = "FILE")]
    file: PathBuf,
}

/// How a run of this program ends, when not well.
enum Trouble {
    /// The card did not play what it was given.
    Wrong(String),
    /// Nothing could be judged; with the exit code.
    Error(String, u8),
}

/// One line per step, with its time when it is done.
struct Step {
    since: Instant,
}

impl Step {
    fn begin(what: &str) -> Self {
        print!("{what} ... ");
        let _ = std::io::stdout().flush();
        Self {
            since: Instant::now(),
        }
    }

    fn end(self, result: &str) {
        println!("{result}{:.1} s", self.since.elapsed().as_secs_f64());
    }
}

/// Where the file is in the guest. Its name there says nothing about it.
const INSIDE: &str = "/job/recording";

/// What a run may write besides the sound and the guest's file system, in bytes:
/// logs, and room to spare.
const LOGS: u64 = 16 << 20;

/// Refuses to begin what would end for want of disk or memory.
fn check_room(layout: &Layout, file: &Path, reference: &Reference) -> Result<u32, String> {
    let size = |path: &Path| path.metadata().map_or(0, |m| m.len());
    let release = layout.release().map_err(|e| e.to_string())?;
    let image = [layout.base(), layout.modules(&release), file.to_owned()];
    let image: u64 = image.iter().map(|path| size(path)).sum();
    // Two copies of the sound, of at most 4 bytes a sample.
    let sound = 2 * 8 * reference.frames() as u64;
    let need = image + sound + LOGS;
    std::fs::create_dir_all(layout.runs())
        .map_err(|e| format!("{}: {e}", layout.runs().display()))?;
    let disk = rustix::fs::statvfs(layout.runs())
        .map_err(|e| format!("{}: {e}", layout.runs().display()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < need {
        return Err(format!(
            "{} has {} MB of disk left, this takes {} MB: make room there, for example by 'make clean'",
            layout.runs().display(),
            free >> 20,
            need.div_ceil(1 << 20)
        ));
    }
    // The file is in the guest's memory twice while it is unpacked.
    let memory = 768 + 2 * (size(file) >> 20);
    let available = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(u64::MAX, |kib| kib >> 10);
    if memory > available {
        return Err(format!(
            "{}: a guest that holds it takes {memory} MB of memory, this machine has {available} MB \
             available: end other programs or play a shorter file",
            file.display()
        ));
    }
    u32::try_from(memory).map_err(|_| format!("{}: larger than any guest", file.display()))
}

fn play(
    layout: &Layout,
    file: &Path,
    reference: &Reference,
    audio: Backend,
) -> Result<Outcome, Trouble> {
    let error = |e: sgring_vm::Error| {
        let code = e.kind.exit_code();
        Trouble::Error(e.to_string(), code)
    };
    let memory = check_room(layout, file, reference).map_err(|e| Trouble::Error(e, 125))?;
    let stopper = Stopper::on_signals().map_err(error)?;
    let progress = if std::io::stderr().is_terminal() {
        "bar"
    } else {
        "plain"
    };
    let rate = reference.file.rate;
    let mut player = vec!["sgring-play", "--digest", "--progress", progress];
    let period = (rate / 25).to_string();
    if audio != Backend::Wav {
        // Room for a guest that is late now and then: 320 ms.
        player.extend(["--period", &period, "--periods", "8"]);
    }
    player.push(INSIDE);
    let mut config = Config::new(player)
        .name("run")
        .icount(audio == Backend::Wav)
        .rate(rate)
        .mem_mib(memory)
        .file(file, INSIDE)
        .trace("sgring_prepare")
        .trace("sgring_fifo_drop")
        .notice(|line| eprintln!("make run: {line}"))
        .stdout(Sink::to(std::io::stdout()))
        .stderr(Sink::to(std::io::stderr()));
    if let Some(options) = audio.audiodev(rate, reference.file.bits != 16) {
        config = config.audiodev(options);
    }
    let step = Step::begin("booting the guest");
    let vm = Vm::start(layout, &config, &stopper).map_err(|e| {
        println!();
        error(e)
    })?;
    step.end("");
    let since = Instant::now();
    let outcome = vm.wait().map_err(error)?;
    println!("played in {:.1} s", since.elapsed().as_secs_f64());
    if let Some(first) = outcome.first_audio {
        println!(
            "first audio frame {:.1} s after power on",
            first.as_secs_f64()
        );
    }
    if let Some(line) = no_space(&outcome) {
        return Err(Trouble::Error(line, 125));
    }
    if outcome.status != 0 {
        let slow = if audio != Backend::Wav && outcome.accel == Accel::Tcg {
            "; without KVM this machine may be too slow for real time: leave AUDIO= out"
        } else {
            ""
        };
        return Err(Trouble::Wrong(format!(
            "the player failed with status {}; logs: {}{slow}",
            outcome.status,
            outcome.dir.path().display()
        )));
    }
    Ok(outcome)
}

/// What is said when the disk was full before the end.
fn no_space(outcome: &Outcome) -> Option<String> {
    let disk = rustix::fs::statvfs(outcome.dir.path()).ok()?;
    (disk.f_bavail == 0).then(|| {
        format!(
            "{}: the disk is full, so the recording is not whole: make room there, for example by \
             'make clean'",
            outcome.dir.path().display()
        )
    })
}

/// Judges what came out; the error names what is wrong.
fn verdict(reference: &Reference, outcome: &Outcome, audio: Backend) -> Result<(), String> {
    let streams = Stream::all(&outcome.qemu_log())?;
    let [stream] = streams[..] else {
        return Err(format!("{} streams were set up, not one", streams.len()));
    };
    let tap_path = outcome.dir.join("tap.raw");
    let tap = std::fs::read(&tap_path).map_err(|e| format!("{}: {e}", tap_path.display()))?;
    let tap = Tap::new(stream, tap);
    let handed = Handed::all(&outcome.stdout());
    let backend = if audio == Backend::Wav {
        let capture = Recording::from_capture(&outcome.dir.join("capture.wav"))?;
        ("capture.wav", tap.judge(&capture))
    } else {
        (audio.name(), heard(&outcome.qemu_log()))
    };
    let judged = [
        ("tap.raw", reference.judge(&tap, handed.first())),
        backend,
        (
            "kernel log",
            dmesg::check(outcome, true).map(|()| "nothing to complain about".to_owned()),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, result) in judged {
        let (Ok(text) | Err(text)) = &result;
        println!("  {name:<12} {}", text.replace('\n', "\n               "));
        if result.is_err() {
            wrong.push(name);
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("not as played: {}", wrong.join(", ")))
    }
}

/// What is known of sound that no file holds.
fn heard(qemu_log: &str) -> Result<String, String> {
    if qemu_log.contains("playing without sound") {
        return Err("took no stream, so nothing was to be heard".to_owned());
    }
    let drops = qemu_log
        .lines()
        .filter(|l| l.contains("sgring_fifo_drop "))
        .count();
    Ok(match drops {
        0 => "for the ear, not judged: the card dropped nothing on the way to it".to_owned(),
        n => format!("for the ear, not judged: it was late {n} times, and frames were dropped"),
    })
}

fn run(args: &Args) -> Result<(), Trouble> {
    let setup = |text: String| Trouble::Error(text, 125);
    // The file first: what is wrong with it needs no VM to be said.
    let step = Step::begin("decoding the reference");
    let reference = Reference::decode(&args.file).map_err(|e| {
        println!();
        setup(e)
    })?;
    step.end("");
    let layout = Layout::find().map_err(|e| setup(e.to_string()))?;
    args.audio.check(&layout).map_err(setup)?;
    println!("  {}", args.file.display());
    println!(
        "  {}, {} frames ({:.1} s)",
        reference.file.about(),
        reference.frames(),
        reference.seconds()
    );
    let outcome = play(&layout, &args.file, &reference, args.audio)?;
    println!("judging:");
    let judged = verdict(&reference, &outcome, args.audio);
    let file = args.file.display();
    let word = if reference.is_exact() {
        "bit-exact"
    } else {
        "exact"
    };
    let left = if args.audio == Backend::Wav {
        format!("capture: {}", outcome.dir.join("capture.wav").display())
    } else {
        format!("tap: {}", outcome.dir.join("tap.raw").display())
    };
    match judged {
        Ok(()) => {
            let (frames, rate) = (reference.frames(), reference.file.rate);
            println!("{word}: {file}: all {frames} frames, {rate} Hz\n{left}");
            Ok(())
        }
        Err(e) => Err(Trouble::Wrong(format!("NOT {word}: {file}: {e}\n{left}"))),
    }
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
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::Wrong(text)) => {
            println!("{text}");
            ExitCode::from(1)
        }
        Err(Trouble::Error(text, code)) => {
            let _ = std::io::stdout().flush();
            eprintln!("make run: {text}");
            ExitCode::from(code)
        }
    }
}
