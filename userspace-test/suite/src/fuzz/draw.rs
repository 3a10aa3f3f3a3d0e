// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs from a seed.
//!
//! Operations alone hardly get past `open()`: most programs begin as clients do, with a ring that is set up, mapped
//! and perhaps running, and only then go astray.

use super::calls::{self, Node};
use super::op::{ANY, FILES, KINDS, Kind, MAPS, OPS, Op, Program, THREADS};
use crate::seed::Random;

/// What a program has by then: what is meant is mostly something that is there.
#[derive(Default)]
struct Had {
    files: Vec<u64>,
    /// Of each thread.
    maps: [Vec<u64>; THREADS],
}

fn one_of(random: &mut Random, had: &[u64], bound: u64) -> u64 {
    match random.below(8) {
        1.. if !had.is_empty() => had[random.below(had.len())],
        _ => random.below(bound as usize) as u64,
    }
}

impl Had {
    fn args(&self, random: &mut Random, thread: usize, bounds: [u64; 4]) -> [u64; 4] {
        bounds.map(|bound| match bound {
            ANY => random.next(),
            FILES => one_of(random, &self.files, bound),
            MAPS => one_of(random, &self.maps[thread], bound),
            _ => random.below(bound as usize) as u64,
        })
    }

    fn any(&self, random: &mut Random, thread: usize) -> Op {
        let weights: usize = KINDS.iter().map(|line| line.2).sum();
        let mut left = random.below(weights);
        for &(kind, _, weight, bounds) in KINDS {
            if left < weight {
                let mut args = self.args(random, thread, bounds);
                // Mostly a call that the slot's node knows.
                if kind == Kind::Ioctl && random.below(16) != 0 {
                    let node = Node::of_slot(args[0]);
                    args[1] = calls::of(node, random.next());
                }
                return Op { kind, args };
            }
            left -= weight;
        }
        unreachable!("less than the sum");
    }

    fn note(&mut self, thread: usize, op: Op) {
        match op.kind {
            Kind::Open => self.files.push(op.args[0]),
            Kind::Map => self.maps[thread].push(op.args[1]),
            _ => {}
        }
    }
}

/// What a client does first, with descriptor `slot` and mapping `map`.
fn client(random: &mut Random, slot: u64, map: u64) -> Vec<Op> {
    let op = |kind, args| Op { kind, args };
    let call = |name| op(Kind::Ioctl, [slot, calls::number(name), 0, 0]);
    let node = Node::of_slot(slot) as u64;
    let mut ops = vec![op(Kind::Open, [slot, node, random.below(8) as u64, 0])];
    if matches!(Node::of_slot(slot), Node::Control | Node::Mixer) {
        return ops;
    }
    ops.push(op(Kind::Setup, [slot, random.next(), 0, 0]));
    if random.below(2) == 0 {
        ops.push(op(Kind::Soften, [slot, random.next(), 0, 0]));
    }
    // From the start, whole, to be read and written.
    ops.push(op(Kind::Map, [slot, map, 0, 0]));
    if random.below(3) == 0 {
        // Its control record.
        ops.push(op(Kind::Map, [slot, (map + 1) % MAPS, 2, 0]));
    }
    ops.push(call("PREPARE"));
    ops.push(op(
        Kind::Touch,
        [map, random.below(8) as u64, random.next(), 0],
    ));
    if random.below(3) != 0 {
        let which = u64::from(Node::of_slot(slot) == Node::Capture);
        ops.push(op(Kind::Frames, [slot, which, 2000, 0]));
        ops.push(call("START"));
    }
    ops
}

/// The next program of `random`.
pub fn program(random: &mut Random) -> Program {
    let threads = 1 + random.below(THREADS);
    let mut had = Had::default();
    let mut ops = Vec::new();
    for _ in 0..1 + random.below(3) {
        let thread = random.below(threads);
        let slot = random.below(FILES as usize) as u64;
        let map = random.below(MAPS as usize) as u64;
        ops.extend(client(random, slot, map).into_iter().map(|op| (thread, op)));
    }
    for &(thread, op) in &ops {
        had.note(thread, op);
    }
    for _ in 0..6 + random.below(36) {
        let thread = random.below(threads);
        let op = had.any(random, thread);
        had.note(thread, op);
        ops.push((thread, op));
    }
    ops.truncate(OPS);
    Program(ops)
}
