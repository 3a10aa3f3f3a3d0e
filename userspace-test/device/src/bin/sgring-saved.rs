// SPDX-License-Identifier: MIT OR Apache-2.0
//! Saved machines whose card is damaged, and what QEMU does with them. TAP comes out.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use sgring_device::ops::Op;
use sgring_device::restore::{self, Attack, Fate, Machine};
use sgring_device::saved::Saved;

/// Give QEMU saved machines whose card is damaged: it refuses, or goes on with a card
/// that works.
#[derive(Debug, Parser)]
#[command(name = "sgring-saved", max_term_width = 90)]
struct Args {
    /// QEMU with the card
    #[arg(
        long,
        value_name = "FILE",
        default_value = "build/qemu/bin/qemu-system-x86_64"
    )]
    qemu: PathBuf,

    /// How many damaged states
    #[arg(long, value_name = "N", env = "SGRING_STATES", default_value_t = 120)]
    states: u32,

    /// How many of them by a migration into a QEMU of its own
    #[arg(long, value_name = "N", default_value_t = 8)]
    incoming: u32,

    /// Where they come from: a seed gives the same ones again
    #[arg(long, value_name = "N", env = "SGRING_SEED", default_value_t = 1)]
    seed: u64,
}

impl Args {
    fn runner(&self, cases: u32) -> TestRunner {
        TestRunner::new(Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: 300,
            max_shrink_time: 30_000,
            rng_seed: RngSeed::Fixed(self.seed),
            ..Config::default()
        })
    }
}

type Done = Result<String, String>;

/// Cards of every kind, and some random ones.
fn programs(args: &Args) -> (Vec<String>, Vec<Vec<Op>>) {
    let mut runner = args.runner(0);
    let random = (0..3).filter_map(|i| {
        let tree = restore::programs().new_tree(&mut runner);
        Some((format!("random-{i}"), tree.ok()?.current()))
    });
    let kinds = restore::situations();
    let kinds = kinds.into_iter().map(|(name, p)| (name.to_owned(), p));
    kinds.chain(random).unzip()
}

/// Saves them; undamaged, each is taken.
fn save(machine: &mut Machine, names: &[String]) -> Result<Vec<Saved>, String> {
    let all = machine.save()?;
    for (i, (name, saved)) in names.iter().zip(&all).enumerate() {
        if machine.attack(i, &(Vec::new(), Vec::new()))? != Fate::Taken {
            return Err(format!("{name}: refused without damage"));
        }
        println!(
            "# {name}: {} bytes, {} fields, {} subsections",
            saved.section().len(),
            saved.fields.len(),
            saved.subsections.len()
        );
    }
    Ok(all)
}

/// Runs `attack` on many a damage of every state.
fn attacks(
    args: &Args,
    cases: u32,
    names: &[String],
    attacks: impl Strategy<Value = Attack>,
    attack: impl Fn(usize, &Attack) -> Result<Fate, String>,
) -> Done {
    let told = Cell::new(Instant::now());
    let count = Cell::new([0_u32; 2]);
    let strategy = (0..names.len(), attacks);
    let end = args.runner(cases).run(&strategy, |(which, what)| {
        let name = &names[which];
        let fate = attack(which, &what);
        let fate = fate.map_err(|e| TestCaseError::fail(format!("{name}: {e}")))?;
        let mut so_far = count.get();
        so_far[usize::from(fate == Fate::Refused)] += 1;
        count.set(so_far);
        if told.get().elapsed().as_secs() >= 20 {
            println!("# {} states", so_far[0] + so_far[1]);
            told.set(Instant::now());
        }
        Ok(())
    });
    let [taken, refused] = count.get();
    match end {
        Ok(()) if cases >= 50 && (taken == 0 || refused == 0) => Err(format!(
            "{taken} taken, {refused} refused: not both ways were tried"
        )),
        Ok(()) => Ok(format!("{refused} states refused, {taken} taken")),
        Err(TestError::Fail(why, (_, what))) => Err(format!("{why}\n{what:?}")),
        Err(e) => Err(e.to_string()),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if !args.qemu.is_file() {
        eprintln!("sgring-saved: there is no {}", args.qemu.display());
        return ExitCode::from(2);
    }
    println!("1..4\n# seed {}, {} states", args.seed, args.states);
    let mut failed = false;
    let mut number = 0;
    let mut case = |name: &str, done: Done| {
        number += 1;
        let (ok, text) = match done {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        failed |= !ok;
        for line in text.lines() {
            println!("# {line}");
        }
        println!("{} {number} {name}", if ok { "ok" } else { "not ok" });
    };

    let (names, programs) = programs(&args);
    let mut machine = Machine::new(&args.qemu, programs);
    let all = save(&mut machine, &names);
    let done = all
        .as_ref()
        .map(|all| format!("{} states taken", all.len()));
    case("undamaged", done.map_err(Clone::clone));
    if let Ok(all) = all {
        let mut done = Ok(String::new());
        for (name, which, attack, expected) in restore::known() {
            let fate = match machine.attack(which, &attack) {
                Ok(fate) if fate == expected => Ok(format!("{name}: {fate:?}\n")),
                Ok(fate) => Err(format!("{name}: {fate:?}, not {expected:?}\n")),
                Err(e) => Err(format!("{name}: {e}\n")),
            };
            done = match (done, fate) {
                (Ok(so_far), Ok(text)) => Ok(so_far + &text),
                (Err(so_far), Err(text)) => Err(so_far + &text),
                (Err(text), _) | (_, Err(text)) => Err(text),
            };
        }
        case("known", done);
        let machine = RefCell::new(machine);
        let done = attacks(
            &args,
            args.states,
            &names,
            restore::attack(),
            |which, what| machine.borrow_mut().attack(which, what),
        );
        let done = done.and_then(|text| machine.into_inner().quit().map(|()| text));
        case("damaged", done);
        let files = restore::attack_on_file();
        let done = attacks(&args, args.incoming, &names, files, |which, what| {
            restore::incoming(&args.qemu, &all[which], what)
        });
        case("incoming", done);
    }
    if failed {
        let (seed, states) = (args.seed, args.states);
        println!("# Again: SGRING_SEED={seed} SGRING_STATES={states}");
    }
    ExitCode::from(u8::from(failed))
}
