// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make bench`: measures in guests, keeps the series, says where they stand.
//!
//! That a target is missed is a result like any other: the exit status says whether everything was measured.

mod compare;
mod found;
mod table;
mod targets;
mod through_cpal;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Parser;
use rustix::fs::{FlockOperation, flock};
use sgring_bench::series::{self, Series};
use sgring_vm::bench::{Extent, FILES, Part};
use sgring_vm::{Error, Kind, Layout, Sink, Stopper};

const AFTER_HELP: &str = "\
Each part boots a guest under icount and runs one measuring program in it: the
guest counts instructions, 1 ns each, so that a run can be had again, to the
instruction, on any machine. docs/bench.md says what is measured and how.

Left behind in build/results/: metrics.jsonl, one series a line, and bench.txt,
what is printed at the end; the VM runs themselves in build/vm/.

Exit status: 0 everything was measured, whatever came out; 1 a comparison found
a difference; 125 something was not measured, or bad options; 130 Ctrl-C.";

/// Measure what the driver's rings cost, beside other memory and another card, and
/// what our cpal host does, beside cpal's own.
#[derive(Debug, Parser)]
#[command(name = "scripts/bench", bin_name = "scripts/bench", after_help = AFTER_HELP, max_term_width = 90)]
struct Args {
    /// Few sizes, few values: for a look while you work
    #[arg(long)]
    quick: bool,

    /// Measure all of it so many times and say whether the series are equal; the
    /// first time's are kept
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,

    /// Only the parts with this in their names: rings, hda, moves, wakeups, cpal,
    /// endurance
    #[arg(long, value_name = "NAME", conflicts_with = "compare")]
    only: Option<String>,

    /// Measure nothing: compare the series of FILE with those in build/results/
    /// or of a second FILE
    #[arg(long, value_name = "FILE", num_args = 1..=2, conflicts_with_all = ["quick", "runs"])]
    compare: Vec<PathBuf>,
}

/// What the program in the guest says, under the part that it belongs to.
struct Indented {
    fresh: bool,
}

impl Write for Indented {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut out = std::io::stdout().lock();
        for &byte in bytes {
            if self.fresh {
                out.write_all(b"    ")?;
            }
            out.write_all(&[byte])?;
            self.fresh = byte == b'\n';
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stdout().flush()
    }
}

/// One run at a time: the results have one place.
fn alone(layout: &Layout) -> Result<File, Error> {
    let path = layout.build().join("bench.lock");
    let broken = |e: std::io::Error| Error::setup(format!("{}: {e}", path.display()));
    let file = File::create(&path).map_err(broken)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Error::setup("the bench is running already, in another terminal: wait for it or stop it")
    })?;
    Ok(file)
}

/// Of the checkout, and of QEMU.
fn labels(layout: &Layout) -> Result<[(&'static str, String); 2], Error> {
    let commit = std::env::var("SGRING_COMMIT").unwrap_or_else(|_| "unknown".into());
    let qemu = layout.qemu();
    let output = Command::new(&qemu).arg("--version").output();
    let output = output.map_err(|e| {
        Error::setup(format!(
            "{}: {e}: QEMU is not set up: run `make qemu`",
            qemu.display()
        ))
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.split_whitespace().nth(3).unwrap_or("unknown");
    Ok([("commit", commit), ("qemu", version.to_owned())])
}

fn measure(
    layout: &Layout,
    stopper: &Stopper,
    extent: &Extent,
    only: &str,
) -> Result<Vec<Series>, Error> {
    let labels = labels(layout)?;
    let mut parts = vec![
        Part::rings(extent),
        Part::hda(extent),
        Part::moves(extent),
        Part::wakeups(extent),
        Part::cpal(extent),
        Part::endurance(extent),
    ];
    parts.retain(|part| part.name().contains(only));
    if parts.is_empty() {
        return Err(Error::setup(format!(
            "--only {only}: no part has this in its name"
        )));
    }
    let mut all = Vec::new();
    for (number, part) in (1..).zip(&parts) {
        println!("{number} of {}: {}", parts.len(), part.about);
        let since = Instant::now();
        let said = Sink::to(Indented { fresh: true });
        let series = part.run(layout, stopper, &labels, said)?;
        println!(
            "    {} series in {:.0} s",
            series.len(),
            since.elapsed().as_secs_f64()
        );
        all.extend(series);
    }
    Ok(all)
}

/// Writes a file of results whole or not at all.
fn keep(layout: &Layout, name: &str, text: &str) -> Result<PathBuf, Error> {
    let results = layout.results();
    let path = results.join(name);
    let broken = |e: std::io::Error| Error::setup(format!("{}: {e}", path.display()));
    std::fs::create_dir_all(&results).map_err(broken)?;
    let aside = results.join(format!(".{name}.new"));
    let written = std::fs::write(&aside, text).and_then(|()| std::fs::rename(&aside, &path));
    if written.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    written.map_err(broken)?;
    Ok(path)
}

fn read(path: &Path) -> Result<Vec<Series>, Error> {
    let wrong = |e: String| Error::setup(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    series::read(&text).map_err(wrong)
}

fn compared(layout: &Layout, files: &[PathBuf]) -> Result<ExitCode, Error> {
    let results = layout.results().join(FILES[0]);
    let new = files.get(1).unwrap_or(&results);
    let comparison = compare::Comparison::of(&read(&files[0])?, &read(new)?);
    print!("{comparison}");
    Ok(ExitCode::from(u8::from(!comparison.is_equal())))
}

fn run(args: &Args) -> Result<ExitCode, Error> {
    let layout = Layout::find()?;
    if !args.compare.is_empty() {
        return compared(&layout, &args.compare);
    }
    let stopper = Stopper::on_signals()?;
    let _lock = alone(&layout)?;
    let extent = if args.quick {
        Extent::quick()
    } else {
        Extent::full()
    };
    let only = args.only.as_deref().unwrap_or_default();
    let since = Instant::now();
    let first = measure(&layout, &stopper, &extent, only)?;
    let lines: Vec<_> = first.iter().map(|series| format!("{series}\n")).collect();
    let path = keep(&layout, FILES[0], &lines.concat())?;
    // What is shown is what others will read.
    let all = read(&path)?;
    let mut report = table::tables(&all) + &targets::lines(&all);
    for number in 2..=args.runs {
        println!("once more, {number} of {}", args.runs);
        let again = measure(&layout, &stopper, &extent, only)?;
        let comparison = compare::Comparison::of(&first, &again);
        report.push_str(&format!("\nrun 1 and run {number}: {comparison}"));
    }
    keep(&layout, FILES[1], &report)?;
    print!("{report}");
    println!(
        "\n{} series in {:.0} s: {}",
        all.len(),
        since.elapsed().as_secs_f64(),
        path.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 125 } else { 0 });
        }
    };
    run(&args).unwrap_or_else(|e| {
        let _ = std::io::stdout().flush();
        eprintln!("make bench: {e}");
        ExitCode::from(match e.kind {
            Kind::Interrupted => 130,
            _ => 125,
        })
    })
}
