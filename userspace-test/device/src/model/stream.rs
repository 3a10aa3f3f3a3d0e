// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reference: streams, their commands and what they do in time.

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

impl Model {
    /// When the next burst of any stream is over.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.streams.iter().filter_map(Stream::next).min()
    }

    /// Lets all happen that is due at `t`, and nothing is due before.
    pub fn advance(&mut self, t: u64) {
        self.now = t;
        for n in 0..self.streams.len() {
            while self.streams[n].next().is_some_and(|due| due <= t) {
                self.burst(n);
                self.send_asked(n);
            }
        }
    }

    /// What was loose has been taken over from the card.
    pub fn settle(&mut self) {
        for s in &mut self.streams {
            if let Lost::InLine(o) = s.lost {
                let word = self.mem.arena[o..o + 4].try_into().unwrap_or_default();
                s.seq = u32::from_le_bytes(word).next_multiple_of(2);
                s.lost = Lost::Known;
            }
        }
    }

    // ---- the status line -----------------------------------------------------

    /// [D-40] [D-42] False when it cannot be written.
    fn publish(&mut self, n: usize) -> bool {
        let at = self.streams[n].taken.status;
        if take(&mut self.faults.status_errors) || !self.mem.writable(at, 64) {
            self.streams[n].lost = Lost::Unknown;
            return false;
        }
        let delay = self.loop_delay(n);
        let s = &mut self.streams[n];
        let own = at
            .checked_sub(arena::BASE)
            .and_then(|o| usize::try_from(o).ok())
            .filter(|o| *o < arena::SIZE);
        if let (Lost::Unknown | Lost::InLine(_), Some(o)) = (s.lost, own) {
            self.loose.push(o..o + 4);
            s.lost = Lost::InLine(o);
        }
        s.seq = s.seq.wrapping_add(2);
        let torn = take(&mut self.faults.torn);
        if !self.faults.frozen && !torn {
            s.shown = Some(s.hw_ptr.wrapping_add(self.faults.offset));
        }
        let mut line = self.mem.read(at, 64).unwrap_or_default();
        let mut put = |offset: u32, bytes: &[u8]| {
            let offset = offset as usize;
            line[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        let seq = if torn { s.seq - 1 } else { s.seq };
        put(SGRING_STATUS_SEQ, &seq.to_le_bytes());
        put(SGRING_STATUS_STATE, &s.state.to_le_bytes());
        put(SGRING_STATUS_TSTAMP, &s.tstamp.to_le_bytes());
        if !torn {
            let err = if s.state == SGRING_STATE_ERROR {
                s.err
            } else {
                NONE
            };
            put(
                SGRING_STATUS_HW_PTR,
                &s.shown.unwrap_or_default().to_le_bytes(),
            );
            if let (None, Some(o)) = (s.shown, own) {
                let at = o + SGRING_STATUS_HW_PTR as usize;
                self.loose.push(at..at + 8);
            }
            put(SGRING_STATUS_IRQS, &s.irqs.to_le_bytes());
            put(SGRING_STATUS_ERR, &err.to_le_bytes());
            put(SGRING_STATUS_LATE, &0_u32.to_le_bytes());
            put(SGRING_STATUS_UNDERRUNS, &s.underruns.to_le_bytes());
            put(SGRING_STATUS_SWAPS, &s.swaps.to_le_bytes());
            put(SGRING_STATUS_SWAP_PTR, &s.swap_ptr.to_le_bytes());
            match (delay, own) {
                (Some(delay), _) => {
                    put(SGRING_STATUS_DROPS, &0_u32.to_le_bytes());
                    put(SGRING_STATUS_DELAY, &delay.to_le_bytes());
                }
                (None, Some(o)) => {
                    let drops = o + SGRING_STATUS_DROPS as usize;
                    self.loose.push(drops..drops + 12);
                }
                (None, None) => (),
            }
        }
        self.mem.write(at, &line)
    }

    /// [D-45] One event is one interrupt.
    fn ask(&mut self, n: usize) {
        let s = &mut self.streams[n];
        s.irqs += u32::from(!s.asked);
        s.asked = true;
    }

    /// [D-60] A stream that was prepared goes to ERROR.
    fn fail(&mut self, n: usize, err: u32) {
        self.end_run(n);
        let s = &mut self.streams[n];
        s.state = SGRING_STATE_ERROR;
        s.err = err;
        s.table.clear();
        self.ask(n);
        if err != SGRING_ERR_DMA_STATUS {
            self.publish(n);
        }
        self.event(SGRING_EVENT_ERROR, n as u32, err);
    }

    fn publish_or_fail(&mut self, n: usize) {
        if !self.publish(n) {
            self.streams[n].err_addr = self.streams[n].taken.status;
            self.fail(n, SGRING_ERR_DMA_STATUS);
        }
    }

    // ---- loopback ------------------------------------------------------------

    fn player(n: usize) -> usize {
        n % arena::PLAYBACK as usize
    }

    fn recorder(n: usize) -> usize {
        Self::player(n) + arena::PLAYBACK as usize
    }

    fn is_loop(&self, n: usize) -> bool {
        self.streams[n].capture() && self.streams[n].taken.flags & SGRING_FLAG_LOOPBACK != 0
    }

    /// [D-99]; `None` where a backend is asked.
    fn loop_delay(&self, n: usize) -> Option<u64> {
        self.is_loop(n).then(|| {
            if self.streams[n].looped.joined {
                self.streams[Self::player(n)].taken.burst
            } else {
                0
            }
        })
    }

    /// [D-95] A run of stream `n` has begun.
    fn begin_run(&mut self, n: usize) {
        let (p, r) = (Self::player(n), Self::recorder(n));
        if n == r {
            self.streams[r].looped = Loop::default();
        }
        self.streams[r].looped.joined = false;
        let (play, rec) = (&self.streams[p], &self.streams[r]);
        let same = |f: fn(&Taken) -> u64| f(&play.taken) == f(&rec.taken);
        if !self.is_loop(r)
            || !rec.moving()
            || !play.moving()
            || !same(|t| t.format.into())
            || !same(|t| t.rate)
            || !same(|t| t.channels.into())
        {
            return;
        }
        let t = self.streams[n].t0;
        let (first, at) = (play.under_way(t), rec.under_way(t) + play.taken.burst);
        let l = &mut self.streams[r].looped;
        (l.joined, l.landed, l.first, l.at) = (true, false, first, at);
    }

    /// [D-97] A run of stream `n` has ended.
    fn end_run(&mut self, n: usize) {
        let r = Self::recorder(n);
        self.streams[r].looped.joined = false;
        if n == r {
            self.streams[r].looped.frames.clear();
        }
    }

    /// Frames from `from` on have been fetched by playback stream `n`.
    fn play_into_loop(&mut self, n: usize, from: u64, bytes: &[u8]) {
        let frame = self.streams[n].taken.frame as usize;
        let l = &mut self.streams[Self::recorder(n)].looped;
        if !l.joined {
            return;
        }
        for (number, bytes) in (from..).zip(bytes.chunks(frame)) {
            if number >= l.first {
                let place = l.at + (number - l.first);
                if !std::mem::replace(&mut l.landed, true) {
                    drop(l.frames.split_off(&place)); // [D-97]
                }
                l.frames.insert(place, bytes.to_vec());
            }
        }
    }

    /// What capture stream `n` records as frames `from..to`; a backend that has no
    /// input gives silence [D-93].
    fn recorded(&mut self, n: usize, from: u64, to: u64) -> Vec<u8> {
        let s = &mut self.streams[n];
        let silence = match s.taken.format {
            SGRING_FMT_U8 => 0x80,
            _ => 0,
        };
        let mut bytes = Vec::new();
        for frame in from..to {
            match s.looped.frames.remove(&frame) {
                Some(frame) => bytes.extend(frame),
                None => bytes.resize(bytes.len() + s.taken.frame as usize, silence),
            }
        }
        bytes
    }

    // ---- time ------------------------------------------------------------------

    /// [D-32] The burst under way is over.
    fn burst(&mut self, n: usize) {
        let (from, to) = (self.streams[n].hw_ptr, self.streams[n].burst_end());
        let s = &self.streams[n];
        let due = s.deadline(to);
        let late = s.taken.appl != 0 && {
            let slack = if s.capture() { s.taken.ring } else { 0 };
            let appl = self.mem.read(s.taken.appl, 8);
            appl.is_some_and(|a| {
                let appl = u64::from_le_bytes(a.try_into().unwrap_or_default());
                u128::from(to) > u128::from(appl) + u128::from(slack)
            })
        };
        if to > from && !self.transfer(n, from, to) {
            return;
        }
        let s = &mut self.streams[n];
        s.underruns += u32::from(late);
        s.hw_ptr = to;
        s.tstamp = due;
        if s.state == SGRING_STATE_DRAINING && to == s.drain_end {
            self.drained(n);
        } else if s.taken.flags & SGRING_FLAG_PERIOD_IRQ != 0
            && to / s.taken.period != from / s.taken.period
        {
            self.ask(n);
        }
        self.publish_or_fail(n);
    }

    /// [D-50] At its end the state is IDLE.
    fn drained(&mut self, n: usize) {
        self.streams[n].state = SGRING_STATE_IDLE;
        self.end_run(n);
        self.streams[n].table.clear();
        self.ask(n);
    }

    /// The data of a burst; false when the stream has failed.
    fn transfer(&mut self, n: usize, from: u64, to: u64) -> bool {
        let capture = self.streams[n].capture();
        let pieces = self.streams[n].pieces(from, to);
        let bad = take(&mut self.faults.data_errors);
        let mut bytes = if capture {
            self.recorded(n, from, to)
        } else {
            Vec::new()
        };
        let mut done = 0;
        for (index, piece) in &pieces {
            let len = piece.len as usize;
            let at = piece.addr as usize;
            let ok = match (piece.sram && !bad, capture) {
                _ if bad => false,
                (true, true) => {
                    self.mem.sram[at..at + len].copy_from_slice(&bytes[done..done + len]);
                    true
                }
                (true, false) => {
                    bytes.extend_from_slice(&self.mem.sram[at..at + len]);
                    true
                }
                (false, true) => self.mem.write(piece.addr, &bytes[done..done + len]),
                (false, false) => self
                    .mem
                    .read(piece.addr, u64::from(piece.len))
                    .map(|read| bytes.extend(read))
                    .is_some(),
            };
            if !ok {
                let s = &mut self.streams[n];
                (s.err_index, s.err_addr) = (*index, piece.addr);
                if capture {
                    self.undefined(&pieces);
                }
                self.fail(n, SGRING_ERR_DMA_DATA);
                return false;
            }
            done += len;
        }
        if n == 0 {
            self.tap.extend_from_slice(&bytes);
        }
        if !capture {
            self.play_into_loop(n, from, &bytes);
        }
        true
    }

    /// [D-32] What a failed burst leaves there.
    fn undefined(&mut self, pieces: &[(u32, Segment)]) {
        for (_, piece) in pieces {
            let len = piece.len as usize;
            let base = if piece.sram { 0 } else { arena::BASE };
            let at = piece.addr.wrapping_sub(base) as usize;
            if piece.sram {
                self.loose_sram.push(at..at + len);
            } else if at < arena::SIZE {
                self.loose.push(at..at + len);
            }
        }
    }

    // ---- commands ----------------------------------------------------------------

    /// [D-10] Whether the state allows it.
    fn allowed(&self, n: usize, command: u32) -> u32 {
        use crate::regs::{
            SGRING_STATE_DRAINING as DRAINING, SGRING_STATE_ERROR as ERROR,
            SGRING_STATE_IDLE as IDLE, SGRING_STATE_PAUSED as PAUSED,
            SGRING_STATE_PREPARED as PREPARED, SGRING_STATE_RUNNING as RUNNING,
        };
        let s = &self.streams[n];
        let from: &[u32] = match command {
            SGRING_CMD_RESET => &[IDLE, PREPARED, RUNNING, PAUSED, DRAINING, ERROR],
            SGRING_CMD_PREPARE => &[IDLE, PREPARED, ERROR],
            SGRING_CMD_START => &[PREPARED, PAUSED],
            SGRING_CMD_STOP => &[IDLE, PREPARED, RUNNING, PAUSED, DRAINING],
            SGRING_CMD_PAUSE => &[RUNNING],
            SGRING_CMD_DRAIN if s.capture() => &[],
            SGRING_CMD_DRAIN => &[RUNNING],
            SGRING_CMD_SWAP => &[PREPARED, RUNNING, PAUSED, DRAINING],
            _ => return SGRING_ERR_BAD_COMMAND,
        };
        if from.contains(&s.state) {
            NONE
        } else {
            SGRING_ERR_BAD_STATE
        }
    }

    pub(super) fn command(&mut self, n: usize, command: u32) {
        let mut err = self.allowed(n, command);
        if err == NONE {
            err = self.execute(n, command);
        }
        let s = &mut self.streams[n];
        if err != NONE && s.state != SGRING_STATE_ERROR {
            s.err = err;
        }
        self.send_asked(n);
    }

    fn execute(&mut self, n: usize, command: u32) -> u32 {
        match command {
            SGRING_CMD_RESET => {
                self.end_run(n);
                self.streams[n].end();
            }
            SGRING_CMD_PREPARE => {
                let err = self.prepare(n);
                if err != NONE {
                    let s = &mut self.streams[n];
                    s.state = SGRING_STATE_ERROR;
                    s.err = err;
                    s.placed = false;
                    s.table.clear();
                }
            }
            SGRING_CMD_START => {
                let s = &mut self.streams[n];
                s.state = SGRING_STATE_RUNNING;
                (s.t0, s.f0, s.tstamp) = (self.now, s.hw_ptr, self.now);
                self.begin_run(n);
                self.publish_or_fail(n);
            }
            SGRING_CMD_PAUSE => {
                self.streams[n].state = SGRING_STATE_PAUSED;
                self.end_run(n);
                self.publish_or_fail(n);
            }
            SGRING_CMD_STOP => {
                let idle = self.streams[n].state == SGRING_STATE_IDLE;
                self.streams[n].state = SGRING_STATE_IDLE;
                self.end_run(n);
                self.streams[n].table.clear();
                if !idle {
                    self.publish_or_fail(n);
                }
            }
            SGRING_CMD_DRAIN => return self.drain(n),
            SGRING_CMD_SWAP => return self.swap(n),
            _ => (),
        }
        NONE
    }

    /// [D-20] [D-21]
    fn prepare(&mut self, n: usize) -> u32 {
        let s = &mut self.streams[n];
        let err = s.check();
        if err != NONE {
            if err == SGRING_ERR_BAD_APPL {
                s.err_addr = s.get(SGRING_S_APPL_ADDR);
            }
            return err;
        }
        let get = |r| s.get(r);
        let rate = get(SGRING_S_RATE);
        let period = get(SGRING_S_PERIOD);
        let format = get(SGRING_S_FORMAT);
        let channels = get(SGRING_S_CHANNELS);
        let taken = Taken {
            vector: get(SGRING_S_VECTOR) as u32,
            format: format as u32,
            rate,
            channels: channels as u32,
            period,
            ring: get(SGRING_S_RING),
            burst: burst(get(SGRING_S_BURST), period, rate),
            frame: channels * sample_bytes(format).unwrap_or(0),
            status: get(SGRING_S_STATUS_ADDR),
            appl: get(SGRING_S_APPL_ADDR),
            flags: get(SGRING_S_FLAGS) as u32,
        };
        let begin = get(SGRING_S_BEGIN);
        let (addr, count) = (get(SGRING_S_SGT_ADDR), get(SGRING_S_SGT_COUNT));
        let bytes = taken.ring * taken.frame;
        s.taken = taken;
        match self.read_table(n, addr, count, bytes) {
            Ok(table) => self.streams[n].table = table,
            Err(e) => return e,
        }
        let s = &mut self.streams[n];
        if s.taken.appl != 0 && !self.mem.readable(s.taken.appl, 8) {
            s.err_addr = s.taken.appl;
            return SGRING_ERR_BAD_APPL;
        }
        s.state = SGRING_STATE_PREPARED;
        s.err = NONE;
        s.placed = true;
        s.hw_ptr = begin;
        (s.t0, s.f0, s.tstamp) = (self.now, begin, self.now);
        (s.irqs, s.underruns, s.swaps, s.swap_ptr) = (0, 0, 0, 0);
        if !self.publish(n) {
            self.streams[n].err_addr = self.streams[n].taken.status;
            return SGRING_ERR_DMA_STATUS;
        }
        NONE
    }

    /// [D-22] [D-23] [D-25]
    fn read_table(
        &mut self,
        n: usize,
        addr: u64,
        count: u64,
        ring: u64,
    ) -> Result<Vec<Segment>, u32> {
        if !(1..=16384).contains(&count) || addr % 16 != 0 {
            return Err(SGRING_ERR_BAD_SGT);
        }
        if take(&mut self.faults.sgt_errors) || !self.mem.readable(addr, 16 * count) {
            self.streams[n].err_addr = addr;
            return Err(SGRING_ERR_DMA_SGT);
        }
        let mut table = Vec::new();
        for i in 0..count {
            let raw = self.mem.read(addr + 16 * i, 16).unwrap_or_default();
            let word =
                |at: usize| u32::from_le_bytes(raw[at..at + 4].try_into().unwrap_or_default());
            let addr = u64::from(word(0)) | u64::from(word(4)) << 32;
            let (len, flags) = (word(8), word(12));
            let sram = flags & SGRING_SEG_SRAM != 0;
            let end = u128::from(addr) + u128::from(len);
            let limit = if sram {
                arena::SRAM as u128
            } else {
                u64::MAX.into()
            };
            if flags & !SGRING_SEG_SRAM != 0
                || len == 0
                || len % 4 != 0
                || len > 64 << 20
                || addr % 4 != 0
                || end > limit
            {
                let s = &mut self.streams[n];
                (s.err_index, s.err_addr) = (i as u32, addr);
                return Err(SGRING_ERR_BAD_SEGMENT);
            }
            table.push(Segment { addr, len, sram });
        }
        if table.iter().map(|s| u64::from(s.len)).sum::<u64>() < ring {
            return Err(SGRING_ERR_SHORT_SGT);
        }
        Ok(table)
    }

    /// [D-56] [D-58] [D-59]
    fn swap(&mut self, n: usize) -> u32 {
        let s = &self.streams[n];
        let bytes = s.taken.ring * s.taken.frame;
        let (addr, count) = (s.get(SGRING_S_SWAP_ADDR), s.get(SGRING_S_SWAP_COUNT));
        match self.read_table(n, addr, count, bytes) {
            Err(e) => e,
            Ok(table) => {
                let s = &mut self.streams[n];
                s.table = table;
                s.swaps += 1;
                s.swap_ptr = s.hw_ptr;
                self.publish_or_fail(n);
                NONE
            }
        }
    }

    /// [D-50] [D-51] [D-52]
    fn drain(&mut self, n: usize) -> u32 {
        let s = &mut self.streams[n];
        let end = s.get(SGRING_S_DRAIN_END).max(s.hw_ptr);
        if end - s.hw_ptr > s.taken.ring {
            return SGRING_ERR_BAD_DRAIN;
        }
        s.state = SGRING_STATE_DRAINING;
        s.drain_end = end;
        if end == s.hw_ptr {
            self.drained(n);
            self.publish_or_fail(n);
        } else if s.deadline(end) <= self.now {
            self.burst(n); // its time has come before that of the burst under way
        } else {
            self.publish_or_fail(n);
        }
        NONE
    }

    /// [D-55] The result is GERR.
    pub(super) fn group(&mut self, value: u32) -> u32 {
        let (command, group) = (value & 0xffff, u64::from(value >> 16));
        if ![SGRING_CMD_START, SGRING_CMD_STOP, SGRING_CMD_PAUSE].contains(&command) {
            return SGRING_ERR_BAD_COMMAND;
        }
        if !(1..=64).contains(&group) {
            return SGRING_ERR_BAD_GROUP;
        }
        let members: Vec<usize> = (0..self.streams.len())
            .filter(|n| self.streams[*n].get(SGRING_S_GROUP) == group)
            .collect();
        if members.is_empty() {
            return SGRING_ERR_BAD_GROUP;
        }
        let stopped = |s: &Stream| command == SGRING_CMD_STOP && s.state == SGRING_STATE_ERROR;
        let members: Vec<usize> = members
            .into_iter()
            .filter(|n| !stopped(&self.streams[*n]))
            .collect();
        if members.iter().any(|n| self.allowed(*n, command) != NONE) {
            return SGRING_ERR_BAD_STATE;
        }
        for n in &members {
            self.execute(*n, command);
        }
        for n in members {
            self.send_asked(n);
        }
        NONE
    }
}
