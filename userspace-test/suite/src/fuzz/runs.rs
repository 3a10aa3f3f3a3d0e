// SPDX-License-Identifier: MIT OR Apache-2.0
//! M4, M5, M15, M17: whatever an ordinary user does to the card's nodes and mappings, the kernel, the card and
//! everybody else's memory are none the worse.
//!
//! The program `fuzz_user`. Without arguments: tests, as all here. With some (`NAME=VALUE`, HACKING.md tells): one
//! program, or its shrinking.

use super::draw;
use super::guard::{Guard, Ledger};
use super::op::{Kind, Op, Program};
use super::shrink;
use crate::card;
use crate::seed::Random;
use crate::tap::{self, Outcome, Stop, Test, note};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Programs of the default run.
const PROGRAMS: u64 = 150;
/// How many of them come before memory is weighed: caches and lists fill.
const WARM: u64 = 24;
/// How many come between two looks at memory and at what the card plays.
const PART: u64 = 400;

const USAGE: &str =
    "usage: fuzz_user [seed=N program=N | file=PATH] [keep=N,N-N,...] [says=1] [shrink=1] [list=1]";

/// What the program does: the tests, or what its arguments say.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    if words.is_empty() {
        return tap::run(&[
            Test(
                "sees_what_is_wrong",
                "the fuzzer's own fuses: a crash, a sight and a hang are found and shrunk to the operation",
                sees_what_is_wrong,
            ),
            Test(
                "any_program",
                "M4, M5, M15, M17: seeded programs of a hostile user, as many as asked for",
                any_program,
            ),
        ]);
    }
    match by_hand(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Fail(reason) | Stop::Skip(reason)) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn number(name: &str) -> Option<f64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

/// `SGRING_FUZZ_PROGRAMS` many, or for `SGRING_FUZZ_SECONDS` of the guest's time.
fn any_program() -> Outcome {
    let seconds = number("SGRING_FUZZ_SECONDS");
    let programs = number("SGRING_FUZZ_PROGRAMS").map(|count| count as u64);
    let programs = programs.unwrap_or(if seconds.is_some() {
        u64::MAX
    } else {
        PROGRAMS
    });
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    let random = Random::new();
    let mut guard = Guard::new(false)?;
    let mut ledger = None;
    let mut done = 0;
    while done < programs && end.is_none_or(|end| Instant::now() < end) {
        let program = draw::program(&mut random.branch(done));
        if let Err(stop) = guard.run(&format!("program {done}"), &program) {
            note(format_args!("program {done}:\n{program}"));
            note(format_args!(
                "again: fuzz_user seed=SGRING_SEED program={done}; with fewer operations: shrink=1"
            ));
            return Err(stop);
        }
        done += 1;
        if done == WARM {
            guard.plays()?;
            ledger = Some(Ledger::new()?);
        }
        if done % PART == 0 {
            guard.plays()?;
            if let Some(ledger) = &ledger {
                ledger.balances()?;
            }
            note(format_args!("{done} programs"));
        }
    }
    guard.plays()?;
    if let Some(ledger) = &ledger {
        ledger.balances()?;
    }
    let mut text = String::new();
    for (name, done, succeeded) in guard.counts() {
        text += &format!(" {name} {succeeded}/{done}");
    }
    note(format_args!("{done} programs, done and successful:{text}"));
    note(format_args!(
        "{} began to run, {} programs gave up",
        guard.started(),
        guard.lost()
    ));
    // Fewer may be unlucky.
    match done {
        0..PROGRAMS => Ok(()),
        _ => guard.has_attacked(done),
    }
}

fn sees_what_is_wrong() -> Outcome {
    let mut guard = Guard::new(false)?;
    let held = card::open()?;
    expect_failure(
        guard.run("fuse", &Program::default()),
        "status: state: OPEN",
    )?;
    drop(held);
    for (kind, sign) in [
        (Kind::Blame, "it saw"),
        (Kind::Crash, "ended by Signal(11)"),
        (Kind::Hang, "not at its end"),
    ] {
        let mut program = draw::program(&mut Random::from_seed(3));
        let (before, op) = (program.0.len() / 2, Op { kind, args: [0; 4] });
        program.0.insert(before, (0, op));
        // A hang takes its time: not often.
        let least = match kind {
            Kind::Hang => {
                expect_failure(guard.run("fuse", &program), sign)?;
                vec![before]
            }
            _ => shrink::least(program.0.len(), |keep| {
                expect_failure(guard.run("fuse", &program.only(keep)), sign).is_ok()
            }),
        };
        if least != [before] {
            return Err(Stop::Fail(format!("{kind:?}: {least:?}, not [{before}]")));
        }
    }
    Ok(())
}

fn expect_failure(outcome: Outcome, sign: &str) -> Outcome {
    match outcome {
        Err(Stop::Fail(reason)) if reason.contains(sign) => Ok(()),
        outcome => Err(Stop::Fail(format!("{outcome:?}, not {sign:?}"))),
    }
}

/// What was asked for.
#[derive(Default)]
struct Asked {
    program: Program,
    keep: Option<Vec<usize>>,
    says: bool,
    shrink: bool,
    list: bool,
}

fn wrong(what: &str) -> Stop {
    Stop::Fail(format!("{what}\n{USAGE}"))
}

/// Numbers and ranges of them, between commas.
fn numbers(text: &str) -> Result<Vec<usize>, Stop> {
    let mut all = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<usize>().map_err(|_| wrong(part));
        all.extend(number(first)?..=number(last)?);
    }
    Ok(all)
}

fn asked(words: &[String]) -> Result<Asked, Stop> {
    let (mut seed, mut which) = (None, 0);
    let mut asked = Asked::default();
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| wrong(word))?;
        let number = || value.parse::<u64>().map_err(|_| wrong(word));
        match name {
            "seed" => seed = Some(number()?),
            "program" => which = number()?,
            "file" => {
                let text = std::fs::read_to_string(value)?;
                asked.program = text.parse().map_err(|e: String| wrong(&e))?;
            }
            "keep" => asked.keep = Some(numbers(value)?),
            "says" => asked.says = number()? != 0,
            "shrink" => asked.shrink = number()? != 0,
            "list" => asked.list = number()? != 0,
            _ => return Err(wrong(word)),
        }
    }
    if let Some(seed) = seed {
        asked.program = draw::program(&mut Random::from_seed(seed).branch(which));
    }
    if asked.program.0.is_empty() {
        return Err(wrong("no program"));
    }
    Ok(asked)
}

/// Runs one program, three times, since what it does to others may come late; or shrinks it.
fn by_hand(words: &[String]) -> Outcome {
    let asked = asked(words)?;
    let whole = match &asked.keep {
        Some(keep) => asked.program.only(keep),
        None => asked.program,
    };
    if asked.list {
        print!("{whole}");
        return Ok(());
    }
    let mut guard = Guard::new(asked.says)?;
    println!("{} operations\n{whole}", whole.0.len());
    let mut run = |program: &Program| -> Outcome {
        for _ in 0..3 {
            guard.run("by hand", program)?;
        }
        guard.plays()
    };
    let outcome = run(&whole);
    if outcome.is_ok() {
        println!("nothing was wrong");
    }
    if !asked.shrink || outcome.is_ok() {
        return outcome;
    }
    let mut reason = String::new();
    let least = shrink::least(whole.0.len(), |keep| match run(&whole.only(keep)) {
        Err(Stop::Fail(text)) => {
            reason = text;
            true
        }
        _ => false,
    });
    let least = whole.only(&least);
    println!("{} operations are enough:\n{least}", least.0.len());
    Err(Stop::Fail(reason))
}
