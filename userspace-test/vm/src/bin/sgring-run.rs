// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make run`: one recording through the card, and the verdict.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use sgring_vm::recording::{Recording, prepared};
use sgring_vm::{Config, Layout, Outcome, Sink, Stopper, Vm, dmesg};

const AFTER_HELP: &str = "\
The guest decodes FILE with our own player and plays it through the driver's
memory-mapped ring. What came out of the card is compared, frame by frame, with
what flac or sox decode from the same file: at the audio backend (capture.wav)
and as the card fetched it (tap.raw).

Exit status: 0 bit-exact; 1 not; 125 the VM failed, or FILE cannot be played;
130 Ctrl-C. All traces are in build/vm/last/.";

/// Play FILE in a guest through the sgring card and judge what came out.
#[derive(Debug, Parser)]
#[command(name = "make run", bin_name = "make run", after_help = AFTER_HELP, max_term_width = 90)]
struct Args {
    /// Where the sound goes; only wav can be judged, and is built so far
    #[arg(long, default_value = "wav", env = "AUDIO", value_name = "BACKEND")]
    audio: String,

    /// A FLAC or WAV file of 16 bits, one or two channels
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

fn guest_path(file: &Path) -> String {
    let flac = file
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("flac"));
    format!("/job/recording.{}", if flac { "flac" } else { "wav" })
}

fn play(layout: &Layout, file: &Path, reference: &Recording) -> Result<Outcome, Trouble> {
    let error = |e: sgring_vm::Error| {
        let code = e.kind.exit_code();
        Trouble::Error(e.to_string(), code)
    };
    let stopper = Stopper::on_signals().map_err(error)?;
    let inside = guest_path(file);
    let size = file.metadata().map_or(0, |m| m.len() >> 20);
    // The file is in the guest's memory twice while it is unpacked.
    let mem = 768 + 2 * u32::try_from(size).unwrap_or(u32::MAX / 4);
    let progress = if std::io::stderr().is_terminal() {
        "bar"
    } else {
        "plain"
    };
    let config = Config::new(["sgring-play", "--progress", progress, inside.as_str()])
        .name("run")
        .icount(true)
        .rate(reference.rate)
        .mem_mib(mem)
        .file(file, &inside)
        .trace("sgring_prepare")
        .stdout(Sink::to(std::io::stdout()))
        .stderr(Sink::to(std::io::stderr()));
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
    if outcome.status != 0 {
        return Err(Trouble::Wrong(format!(
            "the player failed with status {}; logs: {}",
            outcome.status,
            outcome.dir.path().display()
        )));
    }
    Ok(outcome)
}

fn verdict(reference: &Recording, outcome: &Outcome) -> Result<(), String> {
    let (rate, channels) = prepared(&outcome.qemu_log())?;
    let tap_path = outcome.dir.join("tap.raw");
    let tap = std::fs::read(&tap_path).map_err(|e| format!("{}: {e}", tap_path.display()))?;
    let captures = [
        (
            "capture.wav",
            Recording::from_capture(&outcome.dir.join("capture.wav"))?,
        ),
        ("tap.raw", Recording::from_raw(&tap, rate, channels)),
    ];
    let mut wrong = Vec::new();
    for (name, capture) in &captures {
        match reference.judge(capture) {
            Ok(verdict) => {
                println!("  {name:<12} {verdict}");
                if !verdict.is_bit_exact() {
                    wrong.push(*name);
                }
            }
            Err(e) => return Err(format!("{name}: {e}")),
        }
    }
    if let Err(lines) = dmesg::check(outcome, true) {
        println!(
            "  kernel log   {}",
            lines.replace('\n', "\n               ")
        );
        wrong.push("the kernel's log");
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("not as played: {}", wrong.join(", ")))
    }
}

fn run(args: &Args) -> Result<(), Trouble> {
    let setup = |text: String| Trouble::Error(text, 125);
    match args.audio.as_str() {
        "wav" | "" => {}
        "pipewire" | "pa" | "alsa" | "sdl" => {
            return Err(setup(format!(
                "AUDIO={}: sound to be heard is not built yet; only wav is",
                args.audio
            )));
        }
        other => {
            return Err(setup(format!(
                "AUDIO={other}: no such backend; wav is there"
            )));
        }
    }
    let layout = Layout::find().map_err(|e| setup(e.to_string()))?;
    let step = Step::begin("decoding the reference");
    let reference = Recording::decode(&args.file).map_err(|e| {
        println!();
        setup(e)
    })?;
    let about = format!(
        "{} Hz, {} channel{}, {} frames ({:.1} s)",
        reference.rate,
        reference.channels,
        if reference.channels == 1 { "" } else { "s" },
        reference.frames(),
        reference.seconds()
    );
    step.end("");
    println!("  {}", args.file.display());
    println!("  {about}");
    let outcome = play(&layout, &args.file, &reference)?;
    println!("judging:");
    let judged = verdict(&reference, &outcome);
    let capture = outcome.dir.join("capture.wav");
    match judged {
        Ok(()) => {
            println!(
                "bit-exact: {}: all {} frames, {} Hz",
                args.file.display(),
                reference.frames(),
                reference.rate
            );
            println!("capture: {}", capture.display());
            Ok(())
        }
        Err(e) => Err(Trouble::Wrong(format!(
            "NOT bit-exact: {}: {e}\ncapture: {}",
            args.file.display(),
            capture.display()
        ))),
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
