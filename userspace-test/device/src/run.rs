// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program, given to the card and to the model; after each operation everything
//! that a guest can see of the two is compared.
//!
//! Many programs share one QEMU, for it takes longer to start than a program to run.
//! Between two the card is reset and memory is cleared; a card that is not then as at
//! power-on fails the next program's first look.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::arena;
use crate::card::Card;
use crate::model::{Model, REGISTERS};
use crate::ops::{Fault, Op, Setup, Step, Table};
use crate::qtest::{from_base64, letter, parse, to_base64};
use crate::regs::*;
use crate::setup;

/// Deadlines in one step of the clock after which each interrupt is looked for.
const LOOKS: usize = 100;

/// Programs that one QEMU gets: its tap grows with each.
const PROGRAMS: u32 = 2000;

/// Why a program has come to no good end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The card and the model differ, or QEMU has ended by itself.
    Differs(String),
    /// It could not be tried.
    Broke(String),
}

/// What most of this says.
pub type Result<T> = std::result::Result<T, Wrong>;

impl Wrong {
    /// The words for it.
    #[must_use]
    pub fn words(&self) -> &str {
        let (Self::Differs(words) | Self::Broke(words)) = self;
        words
    }

    /// The same with more words.
    fn with(self, words: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::Differs(said) => Self::Differs(words(&said)),
            Self::Broke(said) => Self::Broke(words(&said)),
        }
    }
}

impl From<String> for Wrong {
    fn from(words: String) -> Self {
        Self::Broke(words)
    }
}

impl From<Wrong> for String {
    fn from(wrong: Wrong) -> Self {
        wrong.words().to_owned()
    }
}

fn differs<T>(words: String) -> Result<T> {
    Err(Wrong::Differs(words))
}

/// What a read is expected to say.
#[derive(Debug)]
struct Expected {
    what: String,
    want: Option<u64>,
}

/// A fault that the model is not told of: the value of a property.
pub type Planted = (&'static str, serde_json::Value);

/// A card and its model, side by side.
#[derive(Debug)]
pub struct Pair {
    qemu: PathBuf,
    planted: Option<Planted>,
    card: Option<Card>,
    model: Model,
    reads: Vec<Expected>,
    tapped: u64,
    programs: u32,
    /// Operations done, for whoever counts.
    pub done: u64,
}

impl Pair {
    /// With QEMU started when the first program comes.
    #[must_use]
    pub fn new(qemu: &Path, planted: Option<Planted>) -> Self {
        Self {
            qemu: qemu.to_owned(),
            planted,
            card: None,
            model: Model::new(0),
            reads: Vec::new(),
            tapped: 0,
            programs: 0,
            done: 0,
        }
    }

    /// The card, once a program has come.
    ///
    /// # Errors
    /// When there is none.
    pub fn card(&mut self) -> Result<&mut Card> {
        let none = || Wrong::Broke("no QEMU".to_owned());
        self.card.as_mut().ok_or_else(none)
    }

    /// Runs a program from a card at power-on.
    ///
    /// # Errors
    /// The first difference, in words; or the end of QEMU and what it said.
    pub fn run(&mut self, program: &[Op]) -> Result<()> {
        let end = self.leave(program).and_then(|()| self.end());
        let end = end.map_err(|e| self.judged(e));
        if end.is_err() {
            self.reads.clear();
            if self.recover().is_err() {
                self.card = None; // in whatever state it is
            }
        }
        end
    }

    /// `wrong`, and what QEMU has said. A QEMU that has ended is no trouble of the search: the program did it.
    fn judged(&mut self, wrong: Wrong) -> Wrong {
        let text = self.with_words(wrong.words());
        let has_ended = self.card.as_mut().is_some_and(|c| c.qtest.has_ended());
        match wrong {
            Wrong::Broke(_) if !has_ended => Wrong::Broke(text),
            _ => Wrong::Differs(text),
        }
    }

    /// `error`, and what QEMU has said.
    #[must_use]
    pub fn with_words(&self, error: &str) -> String {
        let said = self.card.as_ref().map(|c| c.qtest.said());
        let text = format!("{error}\n{}", said.unwrap_or_default());
        text.trim_end().to_owned()
    }

    /// The next program gets another QEMU.
    pub fn give_up(&mut self) {
        self.reads.clear();
        self.card = None;
    }

    /// Ends QEMU.
    ///
    /// # Errors
    /// When it has something to say at its end.
    pub fn quit(mut self) -> Result<()> {
        Ok(self.card.take().map_or(Ok(()), |card| card.qtest.quit())?)
    }

    /// Runs a program from a card at power-on, and leaves the card where it is then.
    ///
    /// # Errors
    /// The first difference, in words.
    pub fn leave(&mut self, program: &[Op]) -> Result<()> {
        if self.programs == PROGRAMS {
            self.card.take().map_or(Ok(()), |card| card.qtest.quit())?;
        }
        self.programs += 1;
        if self.card.is_none() {
            self.programs = 0;
            let mut card = Card::start(&self.qemu, &[])?;
            card.enable()?;
            self.card = Some(card);
            self.tapped = 0;
        }
        let zeros = to_base64(&vec![0; arena::SIZE]);
        let no_sram = to_base64(&vec![0; arena::SRAM]);
        let qtest = &mut self.card()?.qtest;
        qtest.line(&format!(
            "b64write {:#x} {:#x} {zeros}",
            arena::BASE,
            arena::SIZE
        ));
        qtest.line(&format!(
            "b64write {:#x} {:#x} {no_sram}",
            arena::BARS[1].1,
            arena::SRAM
        ));
        let clock = arena::BARS[0].1 + u64::from(SGRING_CLOCK);
        let now = qtest.number(&format!("readq {clock:#x}"))?;
        self.model = Model::new(now);
        self.look("at the beginning")?;
        self.all_registers();
        self.answers("at the beginning")?;
        if let Some((property, value)) = self.planted.clone() {
            self.card()?.set(property, &value)?;
        }
        for (i, op) in program.iter().enumerate() {
            let what = format!("operation {}, {op:?}", i + 1);
            self.step(op)
                .map_err(|e| e.with(|words| format!("{what}: {words}")))?;
            self.look(&what)?;
            self.done += 1;
        }
        self.answers("behind the last operation")
    }

    fn end(&mut self) -> Result<()> {
        self.all_registers();
        self.answers("at the end")?;
        self.tap()?;
        self.elsewhere()?;
        self.tidy()
    }

    /// What random addresses have had the card write outside the arena, and on both sides of that.
    fn elsewhere(&mut self) -> Result<()> {
        const GUARD: u64 = 4096;
        let end = arena::BASE + arena::SIZE as u64;
        let guards = (arena::BASE - GUARD..arena::BASE).chain(end..end + GUARD);
        let mut bytes: BTreeMap<u64, u8> = guards.map(|addr| (addr, 0)).collect();
        bytes.extend(&self.model.mem.elsewhere);
        let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
        for (addr, byte) in bytes {
            match runs.last_mut() {
                Some((from, run)) if *from + run.len() as u64 == addr => run.push(byte),
                _ => runs.push((addr, vec![byte])),
            }
        }
        let qtest = &mut self.card()?.qtest;
        for (addr, run) in &runs {
            qtest.line(&format!("b64read {addr:#x} {:#x}", run.len()));
        }
        for ((addr, want), answer) in runs.iter().zip(qtest.ask()?) {
            compare("at the end", "memory", &from_base64(&answer)?, want, *addr)?;
        }
        Ok(())
    }

    /// Makes a card as at power-on of one that no model knows. After a difference QEMU
    /// can mostly go on, and much faster than a new one.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn recover(&mut self) -> Result<()> {
        self.card()?.qtest.forget();
        self.tidy()?;
        let path = self.card()?.qtest.dir().join("tap");
        self.tapped = path.metadata().map_err(|e| format!("tap: {e}"))?.len();
        Ok(())
    }

    /// Leaves a card as at power-on behind.
    fn tidy(&mut self) -> Result<()> {
        let elsewhere = std::mem::take(&mut self.model.mem.elsewhere);
        let card = self.card()?;
        for addr in elsewhere.keys() {
            card.qtest.line(&format!("writeb {addr:#x} 0"));
        }
        let control = arena::BARS[0].1 + u64::from(SGRING_GCTL);
        card.qtest.line(&format!("writel {control:#x} 1"));
        card.qtest.ask()?;
        card.set_master(true)?;
        for fault in Fault::ALL {
            let off = if fault == Fault::Frozen {
                json!(false)
            } else {
                json!(0)
            };
            card.set(fault.property(), &off)?;
        }
        card.set("jack0", &json!(true))?;
        Ok(card.set("jack1", &json!(true))?)
    }

    // ---- the two at once -----------------------------------------------------

    fn write(&mut self, offset: u32, size: u32, value: u64) -> Result<()> {
        let letter = letter(size);
        let value = if size == 8 {
            value
        } else {
            value & ((1 << (8 * size)) - 1)
        };
        let addr = arena::BARS[0].1 + u64::from(offset);
        self.card()?
            .qtest
            .line(&format!("write{letter} {addr:#x} {value:#x}"));
        self.reads.push(Expected {
            what: String::new(),
            want: None,
        });
        self.model.write(offset, size, value);
        Ok(())
    }

    fn read(&mut self, offset: u32, size: u32) {
        let letter = letter(size);
        let addr = arena::BARS[0].1 + u64::from(offset);
        let want = self.model.read(offset, size);
        if let Some(card) = &mut self.card {
            card.qtest.line(&format!("read{letter} {addr:#x}"));
            self.reads.push(Expected {
                what: name(offset, size),
                want,
            });
        }
    }

    fn stream(&mut self, n: u32, register: u32, value: u64) -> Result<()> {
        let (offset, size) = setup::register(n, register);
        self.write(offset, size, value)
    }

    fn poke(&mut self, addr: u64, bytes: &[u8]) -> Result<()> {
        let text = to_base64(bytes);
        self.card()?
            .qtest
            .line(&format!("b64write {addr:#x} {:#x} {text}", bytes.len()));
        self.reads.push(Expected {
            what: String::new(),
            want: None,
        });
        self.model.mem.poke(addr, bytes);
        Ok(())
    }

    /// Sends what has gathered, and compares what was read.
    fn answers(&mut self, what: &str) -> Result<()> {
        let answers = self.card()?.qtest.ask()?;
        for (read, answer) in std::mem::take(&mut self.reads).iter().zip(&answers) {
            if let Some(want) = read.want {
                let got = parse(answer)?;
                if got != want {
                    return differs(format!(
                        "{what}: {}: {got:#x}, expected {want:#x}",
                        read.what
                    ));
                }
            }
        }
        Ok(())
    }

    // ---- looks -----------------------------------------------------------------

    fn all_registers(&mut self) {
        for n in 0..arena::STREAMS {
            for (register, size) in REGISTERS {
                self.read(
                    SGRING_STREAM_BASE + SGRING_STREAM_STRIDE * n + register,
                    size,
                );
            }
        }
        for offset in (0..0x100).step_by(4) {
            self.read(offset, 4);
        }
    }

    /// Everything that can change by itself.
    fn look(&mut self, what: &str) -> Result<()> {
        for n in 0..arena::STREAMS {
            for (register, size) in [
                (SGRING_S_STATE, 4),
                (SGRING_S_ERR, 4),
                (SGRING_S_ERR_INDEX, 4),
                (SGRING_S_ERR_ADDR, 8),
                (SGRING_S_HW_PTR, 8),
            ] {
                self.read(
                    SGRING_STREAM_BASE + SGRING_STREAM_STRIDE * n + register,
                    size,
                );
            }
        }
        for (register, size) in [
            (SGRING_GERR, 4),
            (SGRING_CLOCK, 8),
            (SGRING_EVENT_COUNT, 4),
            (SGRING_EVENT_LAST, 8),
            (SGRING_JACKS, 4),
        ] {
            self.read(register, size);
        }
        self.answers(what)?;
        let qtest = &mut self.card()?.qtest;
        qtest.line(&format!("b64read {:#x} {:#x}", arena::BASE, arena::SIZE));
        qtest.line(&format!(
            "b64read {:#x} {:#x}",
            arena::BARS[1].1,
            arena::SRAM
        ));
        let answers = qtest.ask()?;
        let arena = from_base64(&answers[0])?;
        let sram = from_base64(&answers[1])?;
        let model = &mut self.model;
        for range in model.loose.drain(..) {
            let range = range.start..range.end.min(arena::SIZE);
            model.mem.arena[range.clone()].copy_from_slice(&arena[range]);
        }
        for range in model.loose_sram.drain(..) {
            model.mem.sram[range.clone()].copy_from_slice(&sram[range]);
        }
        model.settle();
        compare(what, "memory", &arena, &model.mem.arena, arena::BASE)?;
        compare(what, "SRAM", &sram, &model.mem.sram, 0)?;
        self.forget_messages()
    }

    /// The interrupts that have been seen.
    fn forget_messages(&mut self) -> Result<()> {
        let (addr, len) = (arena::message(0), 4 * arena::VECTORS as usize);
        let at = (addr - arena::BASE) as usize;
        if self.model.mem.arena[at..at + len].iter().any(|b| *b != 0) {
            self.poke(addr, &vec![0; len])?;
        }
        Ok(())
    }

    /// [D-75] What stream 0 has moved in this program.
    fn tap(&mut self) -> Result<()> {
        let path = self.card()?.qtest.dir().join("tap");
        let mut file = std::fs::File::open(path).map_err(|e| format!("tap: {e}"))?;
        let mut got = Vec::new();
        file.seek(SeekFrom::Start(self.tapped))
            .and_then(|_| file.read_to_end(&mut got))
            .map_err(|e| format!("tap: {e}"))?;
        self.tapped += got.len() as u64;
        if got.len() != self.model.tap.len() {
            let want = self.model.tap.len();
            return differs(format!("the tap has {} bytes, expected {want}", got.len()));
        }
        compare("at the end", "tap", &got, &self.model.tap, 0)
    }

    // ---- operations ----------------------------------------------------------------

    fn step(&mut self, op: &Op) -> Result<()> {
        match *op {
            Op::Setup { stream, ref setup } => self.setup(stream, setup),
            Op::Play { stream, ref setup } => {
                self.setup(stream, setup)?;
                self.stream(stream, SGRING_S_CMD, SGRING_CMD_PREPARE.into())?;
                self.stream(stream, SGRING_S_CMD, SGRING_CMD_START.into())
            }
            Op::Command { stream, command } => self.stream(stream, SGRING_S_CMD, command.into()),
            Op::Drain { stream, ahead } => {
                let at = self.model.streams[stream as usize].hw_ptr;
                let end = at.saturating_add_signed(ahead.into());
                self.stream(stream, SGRING_S_DRAIN_END, end)?;
                self.stream(stream, SGRING_S_CMD, SGRING_CMD_DRAIN.into())
            }
            Op::Swap {
                stream,
                ref table,
                spoil,
            } => {
                let count = self.table(stream, table)?;
                self.stream(stream, SGRING_S_SWAP_ADDR, arena::table(table.number))?;
                self.stream(stream, SGRING_S_SWAP_COUNT, count)?;
                if let Some((register, value)) = spoil {
                    self.stream(stream, register, value)?;
                }
                self.stream(stream, SGRING_S_CMD, SGRING_CMD_SWAP.into())
            }
            Op::Group { value } => self.write(SGRING_GROUP_CMD, 4, value.into()),
            Op::Register {
                stream,
                register,
                value,
            } => self.stream(stream, register, value),
            Op::Write {
                offset,
                size,
                value,
            } => self.write(offset, size, value),
            Op::Read { offset, size } => {
                self.read(offset, size);
                Ok(())
            }
            Op::Events {
                addr,
                count,
                vector,
            } => {
                self.write(SGRING_EVENT_ADDR, 8, addr)?;
                self.write(SGRING_EVENT_VECTOR, 4, vector.into())?;
                self.write(SGRING_EVENT_COUNT, 4, count.into())
            }
            Op::Jack { jack, plugged } => {
                self.answers("before a jack")?;
                let property = if jack == 0 { "jack0" } else { "jack1" };
                self.model.plug(jack, plugged);
                Ok(self.card()?.set(property, &json!(plugged))?)
            }
            Op::Control { value } => self.write(SGRING_GCTL, 4, value.into()),
            Op::Appl { stream, ahead } => {
                let at = self.model.streams[stream as usize].hw_ptr;
                let value = at.wrapping_add_signed(ahead);
                self.poke(arena::appl(stream), &value.to_le_bytes())
            }
            Op::Data { stream, seed } => {
                let bytes = setup::noise(seed, arena::PART as usize);
                self.poke(arena::data(stream), &bytes)
            }
            Op::Clock(step) => self.clock(step),
            Op::Master(on) => {
                self.answers("before bus mastering")?;
                self.model.mem.master = on;
                Ok(self.card()?.set_master(on)?)
            }
            Op::Sleep => {
                self.answers("before sleep")?;
                self.model.reset(); // [D-140]
                Ok(self.card()?.sleep()?)
            }
            Op::Fault { fault, value } => {
                self.answers("before a fault")?;
                self.model.fault(fault, value);
                let value = if fault == Fault::Frozen {
                    json!(value > 0)
                } else {
                    json!(value)
                };
                Ok(self.card()?.set(fault.property(), &value)?)
            }
        }
    }

    /// Writes a table; how many descriptors it has.
    fn table(&mut self, stream: u32, table: &Table) -> Result<u64> {
        let raw = table.raw(stream);
        self.poke(arena::table(table.number), &raw)?;
        Ok(raw.len() as u64 / u64::from(SGRING_SEG_SIZE))
    }

    fn setup(&mut self, n: u32, setup: &Setup) -> Result<()> {
        self.table(n, &setup.table)?;
        for (register, value) in setup.values(n) {
            self.stream(n, register, value)?;
        }
        Ok(())
    }

    /// Moves the clock, and looks for the interrupts of each burst's end.
    fn clock(&mut self, step: Step) -> Result<()> {
        self.answers("before the clock")?;
        let mut stops = Vec::new();
        let (mut left, end) = match step {
            Step::Bursts(n) => (n, None),
            Step::Before => match self.model.next() {
                Some(t) => (0, Some(t - 1)),
                None => (0, Some(self.model.now + 1)),
            },
            Step::Ns(ns) => (u32::MAX, Some(self.model.now + u64::from(ns))),
        };
        while left > 0 && stops.len() < LOOKS {
            left -= 1;
            match self.model.next() {
                Some(t) if end.is_none_or(|end| t <= end) => stops.push(self.to(t)),
                _ => break,
            }
        }
        if let Some(end) = end.filter(|_| stops.len() < LOOKS) {
            stops.push(self.to(end));
        }
        let answers = self.card()?.qtest.ask()?;
        for ((t, want), answers) in stops.iter().zip(answers.chunks(3)) {
            let got = from_base64(&answers[1])?;
            if got != *want {
                return differs(format!("at {t} ns: messages {got:x?}, expected {want:x?}"));
            }
        }
        Ok(())
    }

    /// To `t`, and the messages that have come by then.
    fn to(&mut self, t: u64) -> (u64, Vec<u8>) {
        self.model.advance(t);
        let (addr, len) = (arena::message(0), 4 * arena::VECTORS as usize);
        let at = (addr - arena::BASE) as usize;
        let want = self.model.mem.arena[at..at + len].to_vec();
        self.model.mem.arena[at..at + len].fill(0);
        if let Some(card) = &mut self.card {
            let none = to_base64(&vec![0; len]);
            card.qtest.line(&format!("clock_set {t}"));
            card.qtest.line(&format!("b64read {addr:#x} {len:#x}"));
            card.qtest
                .line(&format!("b64write {addr:#x} {len:#x} {none}"));
        }
        (t, want)
    }
}

fn name(offset: u32, size: u32) -> String {
    let bits = 8 * size;
    if (SGRING_STREAM_BASE..SGRING_STREAM_BASE + 4 * SGRING_STREAM_STRIDE).contains(&offset) {
        let n = (offset - SGRING_STREAM_BASE) / SGRING_STREAM_STRIDE;
        let register = offset % SGRING_STREAM_STRIDE;
        format!("stream {n}, register {register:#04x}, {bits} bits")
    } else {
        format!("register {offset:#05x}, {bits} bits")
    }
}

fn compare(what: &str, where_: &str, got: &[u8], want: &[u8], base: u64) -> Result<()> {
    let Some(at) = got.iter().zip(want).position(|(g, w)| g != w) else {
        return Ok(());
    };
    let word = at & !7;
    let end = (word + 8).min(got.len()).min(want.len());
    let (g, w) = (&got[word..end], &want[word..end]);
    let addr = base + word as u64;
    let place = if base == arena::BASE && (0x1000..0x1200).contains(&word) {
        let n = (word - 0x1000) / 0x80;
        format!(" (status line {n} at {:#x})", word % 0x80)
    } else {
        String::new()
    };
    differs(format!(
        "{what}: {where_} at {addr:#x}{place}: {g:02x?}, expected {w:02x?}"
    ))
}
