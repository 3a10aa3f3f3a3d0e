// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the setting up of a stream writes: its registers and its table.

use crate::arena;
use crate::model::REGISTERS;
use crate::ops::{Place, Seg, Setup, Table};
use crate::regs::*;

/// Bytes, a word more than CAP_SEG_MAX.
const LONG: u32 = (64 << 20) + 4;

/// Where a register of stream `n` is, and how wide.
#[must_use]
pub fn register(n: u32, register: u32) -> (u32, u32) {
    let size = REGISTERS
        .iter()
        .find(|(at, _)| *at == register)
        .map_or(4, |(_, size)| *size);
    let offset = SGRING_STREAM_BASE + SGRING_STREAM_STRIDE * n + register;
    (offset, size)
}

/// Sound, of a kind.
#[must_use]
pub fn noise(seed: u8, len: usize) -> Vec<u8> {
    let mut x = u32::from(seed) * 2 + 1;
    std::iter::repeat_with(|| {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 24) as u8
    })
    .take(len)
    .collect()
}

impl Table {
    /// What is written where it is: 16 bytes a descriptor.
    #[must_use]
    pub fn raw(&self, stream: u32) -> Vec<u8> {
        let mut raw = Vec::new();
        let mut add = |addr: u64, len: u32, flags: u32| {
            raw.extend_from_slice(&addr.to_le_bytes());
            raw.extend_from_slice(&len.to_le_bytes());
            raw.extend_from_slice(&flags.to_le_bytes());
        };
        for seg in &self.segs {
            let (addr, len, flags) = descriptor(stream, seg);
            add(addr, len, flags);
        }
        if self.fit {
            for _ in self.segs.len()..arena::TABLE_MAX {
                add(arena::data(stream), arena::PART, 0);
            }
        }
        raw
    }
}

impl Setup {
    /// Registers of stream `n` and what they are given, in this order.
    #[must_use]
    pub fn values(&self, n: u32) -> [(u32, u64); 14] {
        let ring = self.period * self.periods;
        let count = self.table.raw(n).len() as u64 / u64::from(SGRING_SEG_SIZE);
        let burst = match self.burst {
            0 => self.period.min((self.rate / 1000).max(1)),
            b => b,
        };
        let (periods, bursts, far) = self.begin;
        let begin = u64::from(self.period) * u64::from(periods)
            + u64::from((burst * bursts).min((self.period - 1) / burst * burst))
            + if far {
                (1 << 61) / u64::from(self.period) * u64::from(self.period)
            } else {
                0
            };
        let flags = if n >= arena::PLAYBACK {
            self.flags
        } else {
            self.flags & SGRING_FLAG_PERIOD_IRQ
        };
        let appl = if self.appl { arena::appl(n) } else { 0 };
        let values = [
            (SGRING_S_FORMAT, self.format.into()),
            (SGRING_S_RATE, self.rate.into()),
            (SGRING_S_CHANNELS, self.channels.into()),
            (SGRING_S_PERIOD, self.period.into()),
            (SGRING_S_RING, ring.into()),
            (SGRING_S_BURST, self.burst.into()),
            (SGRING_S_SGT_ADDR, arena::table(self.table.number)),
            (SGRING_S_SGT_COUNT, count),
            (SGRING_S_VECTOR, self.vector.into()),
            (SGRING_S_STATUS_ADDR, arena::status(n)),
            (SGRING_S_FLAGS, flags.into()),
            (SGRING_S_GROUP, self.group.into()),
            (SGRING_S_APPL_ADDR, appl),
            (SGRING_S_BEGIN, begin),
        ];
        values.map(|(register, value)| match self.spoil {
            Some((spoiled, other)) if spoiled == register => (register, other),
            _ => (register, value),
        })
    }
}

/// Address, length and flags.
fn descriptor(stream: u32, seg: &Seg) -> (u64, u32, u32) {
    let within = |part: u32| {
        let at = seg.at * 4 % part;
        (at, (seg.len * 4).min(part - at))
    };
    let (at, len) = within(arena::PART);
    let ram = arena::data(stream) + u64::from(at);
    let (sram_at, sram_len) = within(arena::SRAM_PART);
    let sram = u64::from(arena::SRAM_PART * stream + sram_at);
    match seg.place {
        Place::Ram => (ram, len, 0),
        Place::Sram => (sram, sram_len, SGRING_SEG_SRAM),
        Place::Bad(i) => (arena::BAD[i % arena::BAD.len()], len.min(4096), 0),
        Place::Odd => (ram + 2, len, 0),
        Place::OddLength => (ram, len + 1, 0),
        Place::Empty => (ram, 0, 0),
        Place::Long => (ram, LONG, 0),
        Place::Past => (u64::MAX - 3, 8, 0),
        Place::Last => (u64::MAX - 3, 4, 0),
        Place::Flag => (ram, len, 2),
        Place::PastSram => (arena::SRAM as u64 - 4, 8, SGRING_SEG_SRAM),
    }
}
