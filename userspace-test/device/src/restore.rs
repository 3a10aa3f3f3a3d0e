// SPDX-License-Identifier: MIT OR Apache-2.0
//! Machines that are given a saved card with damage.
//!
//! QEMU either refuses, in words that name the card, or goes on with a card whose
//! streams are in states that there are, and whose positions do not go back. After
//! either, time goes on, commands come, a sound state is taken, and a reset makes a
//! card as at power-on of it, held against the model.
//!
//! One QEMU takes many: it has a disk with a snapshot of itself, whose bytes are
//! damaged before each `loadvm`. [`incoming`] is a migration into a QEMU of its own,
//! which goes on in the same way and ends; only there a file can end early.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::arena;
use crate::card::Card;
use crate::model::REGISTERS;
use crate::ops::{self, Op, Place, Seg, Setup, Step, Table};
use crate::qtest::{PATIENCE, Qtest, Result, letter, parse};
use crate::regs::*;
use crate::run::Pair;
use crate::saved::{Damage, Saved};
use crate::setup;

/// The card's name in a saved machine.
const DEVICE: &str = "0000:00:04.0/sgring";
/// More memory than any card takes, in bytes.
const MEMORY: u64 = 512 << 20;

/// What is done to one saved card, and what comes then: commands, and time in ns.
pub type Attack = (Vec<Damage>, Vec<(u32, u32, u32)>);

/// A stream that would play or record for long.
fn setup(format: u32, rate: u32, channels: u32, flags: u32) -> Setup {
    let seg = |at, len, place| Seg { at, len, place };
    Setup {
        format,
        rate,
        channels,
        period: 48,
        periods: 4,
        burst: 20,
        vector: 1,
        flags,
        group: 1,
        appl: true,
        begin: (1, 1, false),
        table: Table {
            number: 0,
            segs: vec![
                seg(3, 50, Place::Ram),
                seg(8, 30, Place::Sram),
                seg(100, 7, Place::Ram),
            ],
            fit: true,
        },
        spoil: None,
    }
}

fn play(stream: u32, setup: Setup) -> Op {
    Op::Play { stream, setup }
}

fn command(stream: u32, command: u32) -> Op {
    Op::Command { stream, command }
}

/// Cards whose states have everything that states can have.
#[must_use]
pub fn situations() -> Vec<(&'static str, Vec<Op>)> {
    let stereo = setup(SGRING_FMT_S16_LE, 48_000, 2, SGRING_FLAG_PERIOD_IRQ);
    let looped = Setup {
        flags: SGRING_FLAG_LOOPBACK,
        ..stereo.clone()
    };
    let odd = setup(SGRING_FMT_S24_3LE, 44_100, 3, SGRING_FLAG_PERIOD_IRQ);
    let bursts = |n| Op::Clock(Step::Bursts(n));
    let events = Op::Events {
        addr: arena::EVENTS,
        count: 5,
        vector: 2,
    };
    let loud = Op::Register {
        stream: 0,
        register: SGRING_S_GAIN_LEFT,
        value: 0x8000,
    };
    let swap = Op::Swap {
        stream: 0,
        table: Table {
            number: 1,
            ..stereo.table.clone()
        },
        spoil: None,
    };
    let failing = Setup {
        table: Table {
            segs: vec![Seg {
                at: 0,
                len: 400,
                place: Place::Bad(0),
            }],
            ..stereo.table.clone()
        },
        ..stereo.clone()
    };
    let drain = Op::Drain {
        stream: 1,
        ahead: 100,
    };
    vec![
        ("new", vec![]),
        (
            "loopback",
            vec![
                events,
                loud,
                play(0, stereo.clone()),
                play(2, looped),
                bursts(5),
                swap,
                bursts(3),
                play(1, odd.clone()),
                Op::Jack {
                    jack: 0,
                    plugged: false,
                },
                bursts(4),
            ],
        ),
        (
            "every-state",
            vec![
                play(0, stereo),
                play(1, odd.clone()),
                play(2, odd),
                play(3, failing),
                bursts(9),
                command(0, SGRING_CMD_PAUSE),
                drain,
                bursts(2),
            ],
        ),
    ]
}

/// Attacks that have once succeeded, each on a situation, and what must become of them.
#[must_use]
pub fn known() -> Vec<(&'static str, usize, Attack, Fate)> {
    let set = |name, value| (vec![Damage::Named(name, value)], vec![]);
    vec![
        (
            "a loopback refused half way, and going on",
            1,
            set("streams[0].sgt.len", 0x0400_0001),
            Fate::Refused,
        ),
        (
            "an interrupt pin that the card does not have",
            0,
            set("parent_obj[0].irq_state", 1),
            Fate::Refused,
        ),
        (
            "an old version of the PCI function",
            0,
            set("parent_obj[0].version_id", 0),
            Fate::Taken,
        ),
    ]
}

/// Values at which a field may have its limits.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        select(
            &[
                0_u64,
                1,
                2,
                3,
                4,
                5,
                6,
                7,
                8,
                31,
                32,
                33,
                64,
                0x7f,
                0x80,
                0xff,
                7999,
                8000,
                384_000,
                384_001,
                4096,
                4097,
                16383,
                16384,
                16385,
                65535,
                65536,
                65537,
                (1 << 20) + 1,
                64 << 20,
                (64 << 20) + 1,
                0x7fff_ffff,
                0x8000_0000,
                0xffff_fffc,
                0xffff_ffff,
                1 << 32,
                1 << 61,
                1 << 62,
                (1 << 62) + 1,
                i64::MAX as u64 - 1,
                i64::MAX as u64,
                1 << 63,
                (1 << 63) + 1,
                u64::MAX - 3,
                u64::MAX,
            ][..]
        ),
        0..1000_u64,
        any::<u64>(),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || any::<u32>();
    prop_oneof![
        12 => (any::<u16>(), number()).prop_map(|(n, v)| Damage::Set(n, v)),
        4 => (any::<u16>(), any::<i8>()).prop_map(|(n, by)| Damage::Add(n, by)),
        4 => (any::<u16>(), any::<u16>()).prop_map(|(n, from)| Damage::Copy(n, from)),
        4 => byte().prop_map(Damage::Flip),
        1 => (byte(), 1..40_u8).prop_map(|(at, n)| Damage::Remove(at, n)),
        1 => (byte(), vec(any::<u8>(), 1..40)).prop_map(|(at, b)| Damage::Insert(at, b)),
        1 => any::<u8>().prop_map(Damage::Without),
        1 => any::<u8>().prop_map(Damage::Twice),
    ]
}

fn then() -> impl Strategy<Value = Vec<(u32, u32, u32)>> {
    vec((0..arena::STREAMS, 1..8_u32, 0..5_000_000_u32), 0..6)
}

/// An attack on what is on a disk, where all is as long as it was.
pub fn attack() -> impl Strategy<Value = Attack> {
    (vec(damage(), 1..3), then())
}

/// An attack on a file; every other one is that it ends early.
pub fn attack_on_file() -> impl Strategy<Value = Attack> {
    let cut = any::<u32>().prop_map(|n| vec![Damage::Cut(n)]);
    (prop_oneof![cut, vec(damage(), 1..3)], then())
}

/// The damages done to the saved card, in words, and the damaged section.
fn damaged(saved: &Saved, damages: &[Damage]) -> (Vec<String>, Vec<u8>, bool) {
    let mut section = saved.section().to_vec();
    let mut words = Vec::new();
    for damage in damages {
        let (what, cut) = saved.damage(&mut section, damage);
        words.push(what);
        if cut {
            return (words, section, true);
        }
    }
    (words, section, false)
}

/// What became of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// QEMU goes on with it.
    Taken,
    /// QEMU does not want it, and says so.
    Refused,
}

/// A machine that is given one state after another.
#[derive(Debug)]
pub struct Machine {
    pair: Pair,
    programs: Vec<Vec<Op>>,
    states: Vec<(Saved, Disk)>,
}

impl Machine {
    /// With QEMU started when it is needed, and a state after each of `programs`.
    #[must_use]
    pub fn new(qemu: &Path, programs: Vec<Vec<Op>>) -> Self {
        Self {
            pair: Pair::new(qemu, None),
            programs,
            states: Vec::new(),
        }
    }

    /// Runs each program, and saves the machine then.
    ///
    /// # Errors
    /// When one shows a difference, or QEMU does not save.
    pub fn save(&mut self) -> Result<Vec<Saved>> {
        self.save_all().inspect_err(|_| {
            self.pair.give_up();
            self.states.clear();
        })?;
        Ok(self.states.iter().map(|s| s.0.clone()).collect())
    }

    fn save_all(&mut self) -> Result<()> {
        self.pair.leave(&[])?;
        add_disk(&mut self.pair.card()?.qtest)?;
        for i in 0..self.programs.len() {
            self.renew()?;
            self.pair.leave(&self.programs[i])?;
            let state = save(&mut self.pair.card()?.qtest, i)?;
            self.states.push(state);
        }
        self.renew()
    }

    /// Gives it a state with damage, lets it go on, and resets it.
    ///
    /// # Errors
    /// What it should not have done.
    pub fn attack(&mut self, which: usize, attack: &Attack) -> Result<Fate> {
        if self.states.is_empty() {
            self.save()?;
        }
        let saved = &self.states[which].0;
        if let Some(strange) = attack.0.iter().find(|damage| !saved.knows(damage)) {
            return Err(format!("a saved card has no such field: {strange:?}"));
        }
        let (words, section, _) = damaged(saved, &attack.0);
        let end = self.load(which, &section).and_then(|fate| {
            go_on(&mut self.pair.card()?.qtest, &attack.1)?;
            let sound = self.states[which].0.section().to_vec();
            if self.load(which, &sound)? == Fate::Refused {
                return Err("a sound state is refused from then on".to_owned());
            }
            self.renew()?;
            Ok(fate)
        });
        end.map_err(|e| {
            let words = words.join(", then ");
            let text = self.pair.with_words(&format!("{words}: {e}"));
            self.pair.give_up();
            self.states.clear();
            text
        })
    }

    fn load(&mut self, which: usize, section: &[u8]) -> Result<Fate> {
        let qtest = &mut self.pair.card()?.qtest;
        let (saved, disk) = &self.states[which];
        disk.write(section)?;
        let answer = human(qtest, &format!("loadvm state{which}"));
        disk.write(saved.section())?;
        match answer {
            Ok(()) => Ok(Fate::Taken),
            Err(e) if !e.starts_with("loadvm") => Err(e),
            Err(e) if named(&e) => Ok(Fate::Refused),
            Err(e) => Err(format!("{e}, and no word of the card")),
        }
    }

    /// A reset, after which the card is as at power-on.
    fn renew(&mut self) -> Result<()> {
        let card = self.pair.card()?;
        let qtest = &mut card.qtest;
        qtest.qmp("stop", &json!({}))?;
        qtest.qmp("system_reset", &json!({}))?;
        qtest.event("RESET")?;
        qtest.qmp("cont", &json!({}))?;
        card.enable()?;
        let peak = card.qtest.peak();
        if peak > MEMORY {
            return Err(format!("QEMU has taken {} MiB", peak >> 20));
        }
        self.pair.recover()?;
        Ok(self.pair.run(&[])?)
    }

    /// Ends QEMU.
    ///
    /// # Errors
    /// When it has something to say at its end.
    pub fn quit(self) -> Result<()> {
        Ok(self.pair.quit()?)
    }
}

/// Each stream's state and position.
fn look(qtest: &mut Qtest) -> Result<Vec<(u64, u64)>> {
    for n in 0..arena::STREAMS {
        for (register, size) in [(SGRING_S_STATE, 4), (SGRING_S_HW_PTR, 8)] {
            let at = arena::BARS[0].1 + u64::from(setup::register(n, register).0);
            qtest.line(&format!("read{} {at:#x}", letter(size)));
        }
    }
    let answers = qtest.ask()?;
    answers
        .chunks_exact(2)
        .map(|pair| Ok((parse(&pair[0])?, parse(&pair[1])?)))
        .collect()
}

/// What a guest does then. Also where the state was refused: whoever has asked for it
/// may let the machine go on.
fn go_on(qtest: &mut Qtest, then: &[(u32, u32, u32)]) -> Result<()> {
    qtest.qmp("cont", &json!({}))?;
    let registers = arena::BARS[0].1;
    for n in 0..arena::STREAMS {
        for (register, size) in REGISTERS {
            let at = registers + u64::from(setup::register(n, register).0);
            qtest.line(&format!("read{} {at:#x}", letter(size)));
        }
    }
    qtest.ask()?;
    let before = look(qtest)?;
    qtest.tell("clock_step 1000000")?;
    for (n, (before, now)) in before.iter().zip(look(qtest)?).enumerate() {
        if now.0 > SGRING_STATE_ERROR.into() {
            return Err(format!("stream {n} is in state {}", now.0));
        }
        if now.1 < before.1 {
            return Err(format!("stream {n} goes from {} to {}", before.1, now.1));
        }
    }
    for (n, command, ns) in then {
        let at = registers + u64::from(setup::register(*n, SGRING_S_CMD).0);
        qtest.line(&format!("writel {at:#x} {command}"));
        qtest.line(&format!("clock_step {ns}"));
    }
    qtest.line("clock_step 20000000");
    qtest.ask()?;
    match look(qtest)?
        .iter()
        .find(|s| s.0 > SGRING_STATE_ERROR.into())
    {
        None => Ok(()),
        Some((state, _)) => Err(format!("a stream is in state {state}")),
    }
}

/// A place on a disk where a card is.
#[derive(Debug)]
struct Disk {
    path: PathBuf,
    at: u64,
    /// What follows, up to the state's end.
    rest: Vec<u8>,
}

impl Disk {
    /// Where the newest state has what the file has.
    fn find(path: &Path, saved: &Saved) -> Result<Self> {
        let whole = read(path)?;
        let card = saved.named_section();
        let end = whole
            .windows(card.len())
            .rposition(|w| w == card)
            .map(|at| at + card.len())
            .ok_or("the card is not on the disk as it is in the file")?;
        let last = whole.len().min(end + saved.after());
        Ok(Self {
            path: path.to_owned(),
            at: (end - saved.section().len()) as u64,
            rest: whole[end..last].to_vec(),
        })
    }

    /// Puts another section there; what follows moves along.
    fn write(&self, section: &[u8]) -> Result<()> {
        let all = [section, &self.rest].concat();
        let file = File::options().write(true).open(&self.path);
        file.and_then(|file| file.write_all_at(&all, self.at))
            .map_err(|e| format!("{}: {e}", self.path.display()))
    }
}

/// Saves the machine as it is: as a snapshot, and once more as a file that tells what
/// is where.
fn save(qtest: &mut Qtest, number: usize) -> Result<(Saved, Disk)> {
    qtest.qmp("stop", &json!({}))?;
    human(qtest, &format!("savevm state{number}"))?;
    qtest.qmp("migrate", &json!({ "uri": "file:saved" }))?;
    wait_for(qtest, "the migration", |qtest| {
        Ok(migrated(qtest)? == "completed")
    })?;
    let saved = Saved::new(read(&qtest.dir().join("saved"))?, DEVICE)?;
    let disk = Disk::find(&qtest.dir().join("disk"), &saved)?;
    Ok((saved, disk))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// A command of QEMU's monitor for people, which says nothing when it has worked.
fn human(qtest: &mut Qtest, command: &str) -> Result<()> {
    let line = json!({ "command-line": command });
    let said = qtest.qmp("human-monitor-command", &line)?;
    match said.as_str().map(str::trim) {
        Some("") => Ok(()),
        Some(text) => Err(format!("{command}: {text}")),
        None => Err(format!("{command}: {said}")),
    }
}

/// An empty disk of its own, which belongs to no device.
fn add_disk(qtest: &mut Qtest) -> Result<()> {
    let file = json!({ "driver": "file", "filename": "disk", "size": 0 });
    create(qtest, &file)?;
    let file = json!({ "driver": "file", "filename": "disk", "node-name": "file" });
    qtest.qmp("blockdev-add", &file)?;
    let clusters = 2 << 20; // a state in one piece
    create(
        qtest,
        &json!({ "driver": "qcow2", "file": "file", "size": 1 << 20, "cluster-size": clusters }),
    )?;
    let disk = json!({ "driver": "qcow2", "file": "file", "node-name": "disk" });
    qtest.qmp("blockdev-add", &disk).map(drop)
}

fn create(qtest: &mut Qtest, options: &Value) -> Result<()> {
    let job = json!({ "job-id": "create", "options": options });
    qtest.qmp("blockdev-create", &job)?;
    wait_for(qtest, "a disk", |qtest| {
        let jobs = qtest.qmp("query-jobs", &json!({}))?;
        if jobs[0]["status"] != "concluded" {
            return Ok(false);
        }
        qtest.qmp("job-dismiss", &json!({ "id": "create" }))?;
        match jobs[0]["error"].as_str() {
            Some(error) => Err(format!("a disk: {error}")),
            None => Ok(true),
        }
    })
}

/// Asks until `what` is done, for as long as QEMU may be silent otherwise.
fn wait_for(
    qtest: &mut Qtest,
    what: &str,
    mut is_done: impl FnMut(&mut Qtest) -> Result<bool>,
) -> Result<()> {
    let begun = Instant::now();
    while !is_done(qtest)? {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{what} does not end"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn named(said: &str) -> bool {
    said.contains("sgring")
}

fn migrated(qtest: &mut Qtest) -> Result<String> {
    let all = qtest.qmp("query-migrate", &json!({}))?;
    let status = all["status"].as_str().unwrap_or_default();
    if ["failed", "cancelled"].contains(&status) {
        return Err(format!("the migration has {status}"));
    }
    Ok(status.to_owned())
}

/// Moves a damaged machine into a QEMU that waits for one, as users do.
///
/// # Errors
/// What that should not have done: end by a signal, or without a word of the card.
pub fn incoming(qemu: &Path, saved: &Saved, attack: &Attack) -> Result<Fate> {
    let (words, section, cut) = damaged(saved, &attack.0);
    let mut file = saved.machine(&section);
    if cut {
        file.truncate(saved.before() + section.len());
    }
    try_incoming(qemu, &file, &attack.1).map_err(|e| format!("{}: {e}", words.join(", then ")))
}

fn try_incoming(qemu: &Path, file: &[u8], then: &[(u32, u32, u32)]) -> Result<Fate> {
    let mut card = Card::start(qemu, &["-incoming", "defer"])?;
    let path = card.qtest.dir().join("saved");
    std::fs::write(&path, file).map_err(|e| format!("{}: {e}", path.display()))?;
    let come = json!({ "uri": "file:saved" });
    // It ends by itself when it refuses, before or after its answer.
    let asked = card.qtest.qmp("migrate-incoming", &come).map(drop);
    let come = asked.and_then(|()| {
        wait_for(&mut card.qtest, "the migration", |qtest| {
            Ok(migrated(qtest)? == "completed")
        })
    });
    if come.is_ok() {
        go_on(&mut card.qtest, then)?;
        card.qtest.quit()?;
        return Ok(Fate::Taken);
    }
    match card.qtest.ended()? {
        (true, said) if named(&said) => Ok(Fate::Refused),
        (true, said) => Err(format!("no word of the card: {said}")),
        (false, said) => Err(said),
    }
}

/// Programs that are as good as any to be saved in the middle of.
pub fn programs() -> impl Strategy<Value = Vec<Op>> {
    vec(ops::op(), 5..40)
}
