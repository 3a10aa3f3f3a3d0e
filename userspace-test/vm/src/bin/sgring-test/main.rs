// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make test`: every test of the project, one report.
//!
//! A unit is what runs at a time: all host-side unit tests, the device's tests,
//! a script, the collection in a guest, one journey. Units that need no order
//! run side by side; each reports its cases itself.

mod collection;
mod journeys;
mod musts;
mod parse;
mod planted;
mod report;
mod shards;

use std::collections::VecDeque;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use rustix::fs::{FlockOperation, flock};
use sgring_vm::{Error, Layout, Stopper};

use report::{Planned, Recorder, Report};

const AFTER_HELP: &str = "\
Shards: unit (cargo test of every crate), device (the card without a guest),
scripts (scripts/tests), guest (the driver's suite in a VM), journey (from the
host through VM, driver and card), planted (on the debug kernel: bugs on request,
each to be seen by its detector).

A test fails by a wrong behaviour (FAIL) or because it could not be done (ERROR:
no VM, a crash, a missing program, no result). Both count as failed.

Left behind in build/results/: tests.tap, junit.xml, each unit's log and what it
took (times.txt); the VM runs themselves in build/vm/.

Exit status: 0 all passed, 1 something failed, 125 bad options, 130 Ctrl-C.";

/// Run the tests; the last line counts them.
#[derive(Debug, Parser)]
#[command(name = "scripts/test", bin_name = "scripts/test", after_help = AFTER_HELP, max_term_width = 90)]
struct Args {
    /// Only tests with this in their names, such as ring_pgoff or aplay-m-48000; several times: with any of them
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,

    /// Only these shards
    #[arg(long, value_enum, value_name = "NAME")]
    shard: Vec<Shard>,

    /// Print the names of the units and of the tests known before they run
    #[arg(long)]
    list: bool,

    /// Units at a time; one more than processors, since some of them wait for time to pass
    #[arg(long, value_name = "N", default_value_t = jobs(), value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
}

fn jobs() -> u32 {
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(processors).map_or(64, |n| (n + 1).min(64))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shard {
    Unit,
    Device,
    Scripts,
    Guest,
    Journey,
    Planted,
}

/// What all units share.
struct Context {
    layout: Layout,
    stopper: Stopper,
}

type Body = Box<dyn Fn(&Context, &mut Recorder<'_>) + Send>;

/// One thing to run.
struct Unit {
    shard: Shard,
    label: String,
    planned: Vec<Planned>,
    body: Body,
}

impl Unit {
    fn new(
        shard: Shard,
        label: impl Into<String>,
        planned: Vec<Planned>,
        body: impl Fn(&Context, &mut Recorder<'_>) + Send + 'static,
    ) -> Self {
        Self {
            shard,
            label: label.into(),
            planned,
            body: Box::new(body),
        }
    }

    /// Whether it may have a test that was asked for. Units that do not know
    /// their tests beforehand run, and what was not asked for is left out.
    fn may_have(&self, report: &Report) -> bool {
        if self.planned.is_empty() {
            return report.wants(&self.label)
                || matches!(
                    self.shard,
                    Shard::Unit | Shard::Device | Shard::Scripts | Shard::Guest
                );
        }
        report.wants(&self.label) || self.planned.iter().any(|p| report.wants(&p.name))
    }
}

fn work(
    queue: &Mutex<VecDeque<Unit>>,
    running: &Mutex<Vec<String>>,
    report: &Report,
    context: &Context,
) {
    loop {
        let unit = queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let Some(unit) = unit else { return };
        if context.stopper.stopped() {
            return;
        }
        let lock = || running.lock().unwrap_or_else(PoisonError::into_inner);
        lock().push(unit.label.clone());
        let began = Instant::now();
        let mut rec = Recorder::new(report, &unit.label, unit.planned);
        if catch_unwind(AssertUnwindSafe(|| (unit.body)(context, &mut rec))).is_err() {
            rec.abort("the test itself panicked");
        }
        if !context.stopper.stopped() {
            rec.finish();
            report.took(&unit.label, began.elapsed());
        }
        lock().retain(|label| *label != unit.label);
    }
}

fn junit(context: &Context, tap: &Path) -> Result<(), String> {
    let release = context.layout.release().map_err(|e| e.to_string())?;
    let tool = context
        .layout
        .kernel(&release)
        .join("tree/tools/testing/kunit/kunit.py");
    let out = context.layout.results().join("junit.xml");
    let output = Command::new("python3")
        .arg(tool)
        .arg("parse")
        .arg(format!("--junit={}", out.display()))
        .arg(tap)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("python3: {e}"))?;
    // It fails when a test did; a file says that it has done its work.
    if out.metadata().is_ok_and(|m| m.len() > 0) {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// One run at a time: the results have one place.
fn alone(layout: &Layout) -> Result<File, Error> {
    let path = layout.build().join("results.lock");
    let broken = |e: std::io::Error| Error::setup(format!("{}: {e}", path.display()));
    let file = File::create(&path).map_err(broken)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| Error::setup("the tests are running already, in another terminal"))?;
    Ok(file)
}

/// What other commands leave among the results.
const OF_OTHERS: [&str; 6] = [
    "debug",
    "kasan",
    "checked",
    "fuzz",
    "bench.txt",
    "metrics.jsonl",
];

/// Removes the results of the last run.
fn clear(results: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(results)? {
        let entry = entry?;
        if OF_OTHERS.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn run(args: &Args) -> Result<ExitCode, Error> {
    let context = Context {
        layout: Layout::find()?,
        stopper: Stopper::on_signals()?,
    };
    let report = Report::new(&args.only);
    let mut units = shards::units(&context.layout);
    units.extend(journeys::units(&context.layout));
    if context.layout.on_debug() {
        units.extend(planted::units(context.layout.kind()));
    }
    // Who names units means them, not what others may have of that name.
    let named = !args.only.is_empty()
        && args
            .only
            .iter()
            .all(|p| units.iter().any(|u| u.label == *p));
    units.retain(|u| {
        (args.shard.is_empty() || args.shard.contains(&u.shard))
            && if named {
                report.wants(&u.label)
            } else {
                u.may_have(&report)
            }
    });
    if args.list {
        for unit in &units {
            println!("{}", unit.label);
            for planned in unit.planned.iter().filter(|p| report.wants(&p.name)) {
                println!("  {:<34} {}", planned.name, planned.proves);
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let _lock = alone(&context.layout)?;
    let results = context.layout.results();
    let broken = |e: std::io::Error| Error::setup(format!("{}: {e}", results.display()));
    std::fs::create_dir_all(&results).map_err(broken)?;
    clear(&results).map_err(broken)?;

    let queue = Mutex::new(VecDeque::from(units));
    let running = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..args.jobs)
            .map(|_| scope.spawn(|| work(&queue, &running, &report, &context)))
            .collect();
        // A sign of life for whoever watches.
        while workers.iter().any(|w| !w.is_finished()) {
            thread::sleep(Duration::from_millis(100));
            if report.silent_for() >= 30 {
                let names = running
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .join(", ");
                report.say(&format!("...   at {names}"));
            }
        }
    });
    if context.stopper.stopped() {
        return Err(Error::new(sgring_vm::Kind::Interrupted, "interrupted"));
    }

    let tap = results.join("tests.tap");
    std::fs::write(&tap, report.tap()).map_err(broken)?;
    if let Err(e) = junit(&context, &tap) {
        println!("junit.xml could not be made: {e}");
    }
    std::fs::write(results.join("times.txt"), report.times()).map_err(broken)?;
    println!("results: {}", results.display());
    print!("{}", report.failures());
    let (passed, failed, skipped) = report.counts();
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(ExitCode::from(u8::from(failed > 0)))
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
        eprintln!("make test: {e}");
        ExitCode::from(e.kind.exit_code())
    })
}
