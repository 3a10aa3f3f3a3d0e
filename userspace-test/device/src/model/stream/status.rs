// SPDX-License-Identifier: MIT OR Apache-2.0
//! The status line, and what it tells: [D-40] to [D-48].

use super::*;

impl Model {
    /// [D-40] [D-42] False when it cannot be written.
    pub(super) fn publish(&mut self, n: usize) -> bool {
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
    pub(super) fn ask(&mut self, n: usize) {
        let s = &mut self.streams[n];
        s.irqs += u32::from(!s.asked);
        s.asked = true;
    }

    /// [D-60] A stream that was prepared goes to ERROR.
    pub(super) fn fail(&mut self, n: usize, err: u32) {
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

    pub(super) fn publish_or_fail(&mut self, n: usize) {
        if !self.publish(n) {
            self.streams[n].err_addr = self.streams[n].taken.status;
            self.fail(n, SGRING_ERR_DMA_STATUS);
        }
    }
}
