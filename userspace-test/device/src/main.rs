// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random programs for the card, each step held against the model of its data sheet.
//! TAP comes out: one test of the sound card, and one for each fault that is planted
//! in it without the model's knowledge, which must be found.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use serde_json::json;
use sgring_device::ops::{self, Op};
use sgring_device::run::{Pair, Planted, Wrong};

/// Give random programs to the card and to a model of its data sheet, and compare
/// the two after every operation.
#[derive(Debug, Parser)]
#[command(name = "sgring-model", max_term_width = 90)]
struct Args {
    /// QEMU with the card
    #[arg(
        long,
        value_name = "FILE",
        default_value = "build/qemu/bin/qemu-system-x86_64"
    )]
    qemu: PathBuf,

    /// How many programs
    #[arg(long, value_name = "N", env = "SGRING_PROGRAMS", default_value_t = 500)]
    programs: u32,

    /// Where they come from: a seed gives the same ones again
    #[arg(long, value_name = "N", env = "SGRING_SEED", default_value_t = 1)]
    seed: u64,
}

/// What a look for a difference has come to.
enum Found {
    /// None, in so many operations.
    Nothing(u64),
    /// It, and the shortest program for it.
    Difference(String, Vec<Op>),
    /// The look itself went wrong.
    Trouble(String),
}

/// Runs programs until one shows a difference, and makes that one short.
fn search(args: &Args, planted: Option<Planted>) -> Found {
    let config = Config {
        cases: args.programs,
        failure_persistence: None,
        max_shrink_iters: if planted.is_some() { 60 } else { 100_000 },
        max_shrink_time: if planted.is_some() { 0 } else { 60_000 },
        rng_seed: RngSeed::Fixed(args.seed),
        ..Config::default()
    };
    let pair = RefCell::new(Pair::new(&args.qemu, planted));
    let count = Cell::new(0_u32);
    let told = Cell::new(Instant::now());
    let broke = RefCell::new(None);
    let result = TestRunner::new(config).run(&ops::program(), |program| {
        count.set(count.get() + 1);
        if told.get().elapsed().as_secs() >= 20 {
            println!("# at program {}", count.get());
            told.set(Instant::now());
        }
        // What could not be tried is no difference, and nothing to make short.
        if broke.borrow().is_some() {
            return Ok(());
        }
        match pair.borrow_mut().run(&program) {
            Ok(()) => Ok(()),
            Err(Wrong::Differs(words)) => Err(TestCaseError::fail(words)),
            Err(Wrong::Broke(words)) => {
                broke.replace(Some(words));
                Ok(())
            }
        }
    });
    if let Some(words) = broke.into_inner() {
        return Found::Trouble(words);
    }
    let pair = pair.into_inner();
    let done = pair.done;
    match result {
        Err(TestError::Fail(why, program)) => Found::Difference(why.to_string(), program),
        Err(e) => Found::Trouble(e.to_string()),
        Ok(()) => match pair.quit() {
            Ok(()) => Found::Nothing(done),
            Err(e) => Found::Trouble(e.into()),
        },
    }
}

fn say(lines: &str) {
    for line in lines.lines() {
        println!("# {line}");
    }
}

fn sound(args: &Args) -> bool {
    match search(args, None) {
        Found::Nothing(operations) => {
            println!("# {operations} operations, no difference");
            true
        }
        Found::Difference(why, program) => {
            say(&why);
            println!("# The shortest program that was found:");
            for op in program {
                println!("#   {op:?}");
            }
            let (seed, programs) = (args.seed, args.programs);
            println!("# Again: SGRING_SEED={seed} SGRING_PROGRAMS={programs}");
            false
        }
        Found::Trouble(why) => {
            say(&why);
            false
        }
    }
}

fn planted(args: &Args, plant: Planted) -> bool {
    match search(args, Some(plant)) {
        Found::Difference(why, program) => {
            let first = why.lines().next().unwrap_or_default();
            let difference = first.rsplit_once(" }: ").map_or(first, |(_, d)| d);
            println!("# {} operations show it: {difference}", program.len());
            true
        }
        Found::Nothing(operations) => {
            println!("# not found in {operations} operations");
            false
        }
        Found::Trouble(why) => {
            say(&why);
            false
        }
    }
}

fn exists(qemu: &Path) -> bool {
    let there = qemu.is_file();
    if !there {
        eprintln!(
            "sgring-model: there is no {}: run `make qemu`",
            qemu.display()
        );
    }
    there
}

fn main() -> ExitCode {
    let args = Args::parse();
    if !exists(&args.qemu) {
        return ExitCode::from(2);
    }
    let ever = u32::MAX;
    let plants: [Planted; 8] = [
        ("fault-irqs-lost", json!(ever)),
        ("fault-irqs-late", json!(1)),
        ("fault-position-offset", json!(1)),
        ("fault-position-frozen", json!(true)),
        ("fault-status-torn", json!(ever)),
        ("fault-data-offset", json!(4)),
        ("fault-stuck", json!(true)),
        ("fault-event-overflows", json!(ever)),
    ];
    println!("1..{}", 1 + plants.len());
    println!("# seed {}, {} programs", args.seed, args.programs);
    let mut failed = false;
    let mut number = 0;
    let mut case = |name: &str, ok: bool| {
        number += 1;
        failed |= !ok;
        println!("{} {number} {name}", if ok { "ok" } else { "not ok" });
    };
    case("data-sheet", sound(&args));
    for plant in plants {
        let name = plant.0.replacen("fault", "planted", 1);
        case(&name, planted(&args, plant));
    }
    ExitCode::from(u8::from(failed))
}
