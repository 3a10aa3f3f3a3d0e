// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs for QEMU's generic fuzzer, `tests/qtest/fuzz/generic_fuzz.c`.
//!
//! It takes bytes for operations on a device that it knows nothing of, and changes
//! them at random. A card that checks all that it is told is safe from that: not one
//! stream ever runs. So it begins with the programs of [`crate::ops`], in its bytes.
//!
//! It has no operation that writes memory: whenever the card reads some, the next of
//! the patterns given before is put there. A table's pattern is so given right before
//! the command that reads it, and noise after it for the data.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::arena;
use crate::ops::{self, Op, Setup, Step, Table};
use crate::regs::*;
use crate::setup;

/// What is between two operations, and so within none.
const SEPARATOR: &[u8] = b"FUZZ";

/// Operations, by number.
const READ: u8 = 2;
const WRITE: u8 = 3;
const CONFIG_WRITE: u8 = 5;
const ADD_PATTERN: u8 = 7;
const CLEAR_PATTERNS: u8 = 8;
const CLOCK_STEP: u8 = 9;

/// The card's regions of registers, in the order of their addresses.
const REGISTERS: u8 = 0;
const VECTORS: u8 = 1;

/// In config space: the command, the words of MSI-X and of power management.
const COMMAND: u8 = 0x04;
const MSIX: u8 = 0x42;
const POWER: u8 = 0xc4;

/// How a size is said: 0 is a byte, 3 are eight of them.
const fn code(size: u32) -> u8 {
    size.trailing_zeros() as u8
}

#[derive(Debug, Default)]
struct Seed {
    bytes: Vec<u8>,
}

impl Seed {
    /// One operation, without what is behind a separator that it happens to have.
    fn op(&mut self, number: u8, parts: &[&[u8]]) {
        let whole = [&[number][..], &parts.concat()].concat();
        let end = whole.windows(SEPARATOR.len()).position(|w| w == SEPARATOR);
        self.bytes.extend(&whole[..end.unwrap_or(whole.len())]);
        self.bytes.extend(SEPARATOR);
    }

    fn read(&mut self, offset: u32, size: u32) {
        let head = [code(size), REGISTERS, 0, 0];
        self.op(READ, &[&head, &offset.to_le_bytes()]);
    }

    fn write_to(&mut self, region: u8, offset: u32, size: u32, value: u64) {
        let head = [code(size), region, 0, 0];
        let parts: [&[u8]; 3] = [&head, &offset.to_le_bytes(), &value.to_le_bytes()];
        self.op(WRITE, &parts);
    }

    fn write(&mut self, offset: u32, size: u32, value: u64) {
        self.write_to(REGISTERS, offset, size, value);
    }

    fn stream(&mut self, n: u32, register: u32, value: u64) {
        let (offset, size) = setup::register(n, register);
        self.write(offset, size, value);
    }

    fn config(&mut self, at: u8, size: u32, value: u32) {
        let head = [code(size), 0, at, 0];
        self.op(CONFIG_WRITE, &[&head, &value.to_le_bytes()]);
    }

    fn clock(&mut self, times: u32) {
        for _ in 0..times {
            self.op(CLOCK_STEP, &[]);
        }
    }

    /// What the card is to read next, and what then, in turns.
    fn memory(&mut self, patterns: &[&[u8]]) {
        self.op(CLEAR_PATTERNS, &[]);
        for pattern in patterns {
            self.op(ADD_PATTERN, &[&[0, 0], pattern]);
        }
    }

    fn table(&mut self, stream: u32, table: &Table) {
        let sound = setup::noise(table.number as u8, 96);
        self.memory(&[&table.raw(stream), &sound, &[0; 8]]);
    }

    fn setup(&mut self, n: u32, setup: &Setup) {
        for (register, value) in setup.values(n) {
            self.stream(n, register, value);
        }
        self.table(n, &setup.table);
    }

    /// What a driver does first. The last vector leads to a register of the card.
    fn begin(&mut self) {
        self.config(MSIX, 2, 0x8000);
        for v in 0..arena::VECTORS {
            let to = match v + 1 {
                arena::VECTORS => arena::BARS[0].1 + u64::from(SGRING_GCTL),
                _ => arena::message(v),
            };
            for (i, word) in [to, 0, 1, 0].into_iter().enumerate() {
                self.write_to(VECTORS, 16 * v + 4 * i as u32, 4, word);
            }
        }
    }

    fn add(&mut self, op: &Op) {
        match *op {
            Op::Setup { stream, ref setup } => self.setup(stream, setup),
            Op::Play { stream, ref setup } => {
                self.setup(stream, setup);
                self.stream(stream, SGRING_S_CMD, SGRING_CMD_PREPARE.into());
                self.stream(stream, SGRING_S_CMD, SGRING_CMD_START.into());
            }
            Op::Command { stream, command } => self.stream(stream, SGRING_S_CMD, command.into()),
            Op::Drain { stream, ahead } => {
                self.stream(stream, SGRING_S_DRAIN_END, ahead.unsigned_abs().into());
                self.stream(stream, SGRING_S_CMD, SGRING_CMD_DRAIN.into());
            }
            Op::Swap {
                stream,
                ref table,
                spoil,
            } => {
                let count = table.raw(stream).len() as u64 / u64::from(SGRING_SEG_SIZE);
                self.table(stream, table);
                self.stream(stream, SGRING_S_SWAP_ADDR, arena::table(table.number));
                self.stream(stream, SGRING_S_SWAP_COUNT, count);
                if let Some((register, value)) = spoil {
                    self.stream(stream, register, value);
                }
                self.stream(stream, SGRING_S_CMD, SGRING_CMD_SWAP.into());
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
            Op::Read { offset, size } => self.read(offset, size),
            Op::Events {
                addr,
                count,
                vector,
            } => {
                self.write(SGRING_EVENT_ADDR, 8, addr);
                self.write(SGRING_EVENT_VECTOR, 4, vector.into());
                self.write(SGRING_EVENT_COUNT, 4, count.into());
            }
            Op::Control { value } => self.write(SGRING_GCTL, 4, value.into()),
            Op::Appl { ahead, .. } => self.memory(&[&ahead.to_le_bytes()]),
            Op::Data { seed, .. } => self.memory(&[&setup::noise(seed, 64)]),
            Op::Clock(Step::Bursts(n)) => self.clock(n),
            Op::Clock(Step::Before | Step::Ns(_)) => self.clock(1),
            Op::Master(on) => self.config(COMMAND, 2, if on { 6 } else { 2 }),
            Op::Sleep => {
                self.config(POWER, 2, 3);
                self.config(POWER, 2, 0);
            }
            // The host's, who is nobody there.
            Op::Jack { .. } | Op::Fault { .. } => (),
        }
    }
}

/// A program in the fuzzer's bytes.
#[must_use]
pub fn encode(program: &[Op]) -> Vec<u8> {
    let mut seed = Seed::default();
    seed.begin();
    for op in program {
        seed.add(op);
    }
    seed.bytes
}

/// The first `count` programs of `seed`, in the fuzzer's bytes.
///
/// # Panics
/// Never: every program is one.
pub fn seeds(seed: u64, count: u32) -> impl Iterator<Item = Vec<u8>> {
    let mut runner = TestRunner::new(Config {
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    });
    (0..count).map(move |_| {
        let tree = ops::program().new_tree(&mut runner);
        encode(&tree.expect("nothing is filtered out").current())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The operations of a seed, as the fuzzer takes them apart.
    fn operations(bytes: &[u8]) -> Vec<&[u8]> {
        let mut left = bytes;
        let mut all = Vec::new();
        while let Some(at) = left.windows(4).position(|w| w == SEPARATOR) {
            all.push(&left[..at]);
            left = &left[at + 4..];
        }
        all
    }

    #[test]
    fn what_the_fuzzer_reads() {
        let mut seed = Seed::default();
        seed.write(0x1234, 8, 0x0102_0304_0506_0708);
        seed.read(0x90, 4);
        seed.config(MSIX, 2, 0x8000);
        seed.clock(1);
        assert_eq!(
            operations(&seed.bytes),
            [
                &[3, 3, 0, 0, 0, 0x34, 0x12, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1][..],
                &[2, 2, 0, 0, 0, 0x90, 0, 0, 0],
                &[5, 1, 0, 0x42, 0, 0, 0x80, 0, 0],
                &[9],
            ]
        );
    }

    #[test]
    fn a_separator_in_a_value_ends_no_other_operation() {
        let mut seed = Seed::default();
        seed.write(0, 8, u64::from_le_bytes(*b"..FUZZ.."));
        seed.clock(1);
        let all = operations(&seed.bytes);
        assert_eq!(all, [&[3, 3, 0, 0, 0, 0, 0, 0, 0, b'.', b'.'][..], &[9]]);
    }

    #[test]
    fn a_seed_gives_the_same_again() {
        let all: Vec<_> = seeds(7, 20).collect();
        assert_eq!(all, seeds(7, 20).collect::<Vec<_>>());
        assert_ne!(all, seeds(8, 20).collect::<Vec<_>>());
    }
}
