// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reference: a stream, its registers, its clock and its ring. What it does is below.

mod commands;
mod loopback;
mod status;
mod time;

use std::collections::BTreeMap;

use super::{Model, NONE, take};
use crate::arena;
use crate::regs::*;

/// Every register of a stream, and its bytes.
pub const REGISTERS: [(u32, u32); 26] = [
    (SGRING_S_CMD, 4),
    (SGRING_S_FORMAT, 4),
    (SGRING_S_RATE, 4),
    (SGRING_S_CHANNELS, 4),
    (SGRING_S_PERIOD, 4),
    (SGRING_S_RING, 4),
    (SGRING_S_BURST, 4),
    (SGRING_S_SGT_ADDR, 8),
    (SGRING_S_SGT_COUNT, 4),
    (SGRING_S_VECTOR, 4),
    (SGRING_S_STATUS_ADDR, 8),
    (SGRING_S_FLAGS, 4),
    (SGRING_S_GROUP, 4),
    (SGRING_S_APPL_ADDR, 8),
    (SGRING_S_DRAIN_END, 8),
    (SGRING_S_SWAP_ADDR, 8),
    (SGRING_S_SWAP_COUNT, 4),
    (SGRING_S_BEGIN, 8),
    (SGRING_S_GAIN_LEFT, 4),
    (SGRING_S_GAIN_RIGHT, 4),
    (SGRING_S_MUTE, 4),
    (SGRING_S_STATE, 4),
    (SGRING_S_ERR, 4),
    (SGRING_S_ERR_INDEX, 4),
    (SGRING_S_ERR_ADDR, 8),
    (SGRING_S_HW_PTR, 8),
];

const NS: u128 = 1_000_000_000;

/// A descriptor that has been checked.
#[derive(Clone, Copy, Debug)]
struct Segment {
    addr: u64,
    len: u32,
    sram: bool,
}

/// What a good PREPARE has taken.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    pub(super) vector: u32,
    format: u32,
    rate: u64,
    channels: u32,
    period: u64,
    ring: u64,
    burst: u64,
    frame: u64,
    status: u64,
    appl: u64,
    flags: u32,
}

/// What a recording gets of what its playback stream plays.
#[derive(Debug, Default)]
struct Loop {
    joined: bool,
    landed: bool,
    first: u64,
    at: u64,
    /// Frames on their way, by the capture frame that they are for.
    frames: BTreeMap<u64, Vec<u8>>,
}

/// A stream.
#[derive(Debug)]
pub struct Stream {
    index: u32,
    registers: BTreeMap<u32, u64>,
    pub(super) taken: Taken,
    /// What the status line says.
    pub state: u32,
    err: u32,
    err_index: u32,
    err_addr: u64,
    /// Frames.
    pub hw_ptr: u64,
    /// A refused PREPARE leaves no position.
    placed: bool,
    table: Vec<Segment>,
    t0: u64,
    f0: u64,
    tstamp: u64,
    drain_end: u64,
    seq: u32,
    /// SEQ after a line that could not be written: no one can know.
    lost: Lost,
    irqs: u32,
    underruns: u32,
    swaps: u32,
    swap_ptr: u64,
    /// What a position that is frozen stays at [D-156]; of an earlier program, unknown.
    shown: Option<u64>,
    pub(super) asked: bool,
    looped: Loop,
}

/// Whether SEQ is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Known,
    Unknown,
    /// As it will be in memory at the next look, that far into the arena.
    InLine(usize),
}

/// [D-31] What a BURST of 0 stands for.
fn burst(register: u64, period: u64, rate: u64) -> u64 {
    match register {
        0 => period.min((rate / 1000).max(1)),
        n => n,
    }
}

impl Stream {
    pub(super) fn new(index: u32) -> Self {
        let mut this = Self {
            index,
            registers: BTreeMap::new(),
            taken: Taken::default(),
            state: SGRING_STATE_IDLE,
            err: NONE,
            err_index: 0,
            err_addr: 0,
            hw_ptr: 0,
            placed: true,
            table: Vec::new(),
            t0: 0,
            f0: 0,
            tstamp: 0,
            drain_end: 0,
            seq: 0,
            lost: Lost::Known,
            irqs: 0,
            underruns: 0,
            swaps: 0,
            swap_ptr: 0,
            shown: None,
            asked: false,
            looped: Loop::default(),
        };
        this.power_on();
        this
    }

    /// [D-7] What the line showed last is remembered for [D-156] alone.
    pub(super) fn power_on(&mut self) {
        let gains = [SGRING_S_GAIN_LEFT, SGRING_S_GAIN_RIGHT];
        self.registers = gains.map(|g| (g, 0x10000)).into();
        self.taken = Taken::default();
        self.end();
        self.seq = 0;
        self.lost = Lost::Known;
    }

    /// [D-13] The command RESET.
    fn end(&mut self) {
        self.state = SGRING_STATE_IDLE;
        self.err = NONE;
        self.hw_ptr = 0;
        self.placed = true;
        self.table.clear();
        self.asked = false;
        self.looped = Loop::default();
    }

    fn capture(&self) -> bool {
        self.index >= arena::PLAYBACK
    }

    fn moving(&self) -> bool {
        [SGRING_STATE_RUNNING, SGRING_STATE_DRAINING].contains(&self.state)
    }

    fn get(&self, register: u32) -> u64 {
        self.registers.get(&register).copied().unwrap_or(0)
    }

    /// What a register reads.
    pub(super) fn register(&self, register: u32) -> u64 {
        match register {
            SGRING_S_STATE => self.state.into(),
            SGRING_S_ERR => self.err.into(),
            SGRING_S_ERR_INDEX => self.err_index.into(),
            SGRING_S_ERR_ADDR => self.err_addr,
            SGRING_S_HW_PTR => self.hw_ptr,
            _ => self.get(register),
        }
    }

    /// [D-12] Whether the sheet says what a register reads now.
    pub(super) fn tells(&self, register: u32) -> bool {
        let told = |errors: &[u32]| errors.contains(&self.err);
        match register {
            SGRING_S_ERR_INDEX => told(&[SGRING_ERR_BAD_SEGMENT, SGRING_ERR_DMA_DATA]),
            SGRING_S_ERR_ADDR => told(&[
                SGRING_ERR_BAD_SEGMENT,
                SGRING_ERR_BAD_APPL,
                SGRING_ERR_DMA_SGT,
                SGRING_ERR_DMA_DATA,
                SGRING_ERR_DMA_STATUS,
            ]),
            SGRING_S_HW_PTR => self.placed,
            _ => true,
        }
    }

    /// [D-4] A write to a register that takes one.
    pub(super) fn set(&mut self, register: u32, value: u64) {
        if register < SGRING_S_STATE {
            self.registers.insert(register, value);
        }
    }

    // ---- the clock ---------------------------------------------------------

    /// [D-30]
    fn deadline(&self, frame: u64) -> u64 {
        let ns = (u128::from(frame - self.f0) * NS).div_ceil(u128::from(self.taken.rate));
        self.t0 + ns as u64
    }

    /// [D-95]
    fn under_way(&self, t: u64) -> u64 {
        self.f0 + (u128::from(t - self.t0) * u128::from(self.taken.rate) / NS) as u64
    }

    /// [D-31] Where the burst under way ends.
    fn burst_end(&self) -> u64 {
        let period_end = (self.hw_ptr / self.taken.period + 1) * self.taken.period;
        let end = period_end.min(self.hw_ptr + self.taken.burst);
        if self.state == SGRING_STATE_DRAINING {
            end.min(self.drain_end)
        } else {
            end
        }
    }

    /// When the next burst is over.
    fn next(&self) -> Option<u64> {
        self.moving().then(|| self.deadline(self.burst_end()))
    }

    // ---- the ring ------------------------------------------------------------

    /// [D-24] The pieces that frames `from..to` are in: descriptor, address, bytes.
    fn pieces(&self, from: u64, to: u64) -> Vec<(u32, Segment)> {
        let ring = self.taken.ring * self.taken.frame;
        let mut at = from % self.taken.ring * self.taken.frame;
        let mut left = (to - from) * self.taken.frame;
        let mut pieces = Vec::new();
        while left > 0 {
            let mut begin = 0;
            for (i, seg) in (0..).zip(&self.table) {
                let end = begin + u64::from(seg.len);
                if (begin..end).contains(&at) {
                    let len = left.min(end - at).min(ring - at);
                    let piece = Segment {
                        addr: seg.addr + (at - begin),
                        len: len as u32,
                        sram: seg.sram,
                    };
                    pieces.push((i, piece));
                    left -= len;
                    at = (at + len) % ring;
                    break;
                }
                begin = end;
            }
        }
        pieces
    }

    /// [D-20] Up to where the table is read.
    fn check(&self) -> u32 {
        let get = |r| self.get(r);
        let rate = get(SGRING_S_RATE);
        let channels = get(SGRING_S_CHANNELS);
        let period = get(SGRING_S_PERIOD);
        let ring = get(SGRING_S_RING);
        let count = get(SGRING_S_SGT_COUNT);
        let begin = get(SGRING_S_BEGIN);
        let Some(sample) = sample_bytes(get(SGRING_S_FORMAT)) else {
            return SGRING_ERR_BAD_FORMAT;
        };
        if !(8000..=384_000).contains(&rate) {
            return SGRING_ERR_BAD_RATE;
        }
        if !(1..=32).contains(&channels) {
            return SGRING_ERR_BAD_CHANNELS;
        }
        if !(8..=1 << 20).contains(&period) {
            return SGRING_ERR_BAD_PERIOD;
        }
        if ring == 0 || ring % period != 0 || ring * channels * sample > 64 << 20 {
            return SGRING_ERR_BAD_RING;
        }
        if get(SGRING_S_BURST) > period.min(16384) {
            return SGRING_ERR_BAD_BURST;
        }
        let step = burst(get(SGRING_S_BURST), period, rate);
        if begin > 1 << 62 || begin % period % step != 0 {
            return SGRING_ERR_BAD_BEGIN;
        }
        if !(1..=16384).contains(&count) || get(SGRING_S_SGT_ADDR) % 16 != 0 {
            return SGRING_ERR_BAD_SGT;
        }
        if get(SGRING_S_VECTOR) >= u64::from(arena::VECTORS) {
            return SGRING_ERR_BAD_VECTOR;
        }
        if get(SGRING_S_STATUS_ADDR) % 64 != 0 {
            return SGRING_ERR_BAD_STATUS;
        }
        if get(SGRING_S_APPL_ADDR) % 8 != 0 {
            return SGRING_ERR_BAD_APPL;
        }
        // [D-94] As many streams record as play here.
        let flags = if self.capture() { 3 } else { 1 };
        if get(SGRING_S_FLAGS) & !flags != 0 {
            return SGRING_ERR_BAD_FLAGS;
        }
        if get(SGRING_S_GROUP) > 64 {
            return SGRING_ERR_BAD_GROUP;
        }
        NONE
    }
}

/// The bytes of a sample in a format that is offered.
fn sample_bytes(format: u64) -> Option<u64> {
    Some(match u32::try_from(format).ok()? {
        SGRING_FMT_U8 | SGRING_FMT_S8 => 1,
        SGRING_FMT_S16_LE => 2,
        SGRING_FMT_S24_3LE => 3,
        SGRING_FMT_S24_LE | SGRING_FMT_S32_LE | SGRING_FMT_FLOAT_LE => 4,
        _ => return None,
    })
}
