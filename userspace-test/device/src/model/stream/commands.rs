// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands: what they demand, and what they do.

use super::*;

impl Model {
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

    pub(in crate::model) fn command(&mut self, n: usize, command: u32) {
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
    pub(in crate::model) fn group(&mut self, value: u32) -> u32 {
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
