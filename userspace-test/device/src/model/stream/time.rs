// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens by itself: bursts, one after the other.

use super::*;

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

    /// [D-32] The burst under way is over.
    pub(super) fn burst(&mut self, n: usize) {
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
    pub(super) fn drained(&mut self, n: usize) {
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
}
