// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the bus leads to, for DMA: memory, the firmware, or nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::arena;

/// Memory, bar holes: 64 MiB of the machine.
const RAM: [Range<u64>; 2] = [0..0xa_0000, 0x10_0000..64 << 20];

/// Memory as the card should see and leave it.
#[derive(Debug)]
pub struct Memory {
    /// All of the arena.
    pub arena: Vec<u8>,
    /// Bytes that were written outside it; all others are 0.
    pub elsewhere: BTreeMap<u64, u8>,
    /// BAR 2.
    pub sram: Vec<u8>,
    /// Bus mastering.
    pub master: bool,
}

impl Memory {
    /// All zeros.
    #[must_use]
    pub fn new() -> Self {
        Self {
            arena: vec![0; arena::SIZE],
            elsewhere: BTreeMap::new(),
            sram: vec![0; arena::SRAM],
            master: true,
        }
    }

    fn within(ranges: &[Range<u64>], addr: u64, len: u64) -> bool {
        addr.checked_add(len)
            .is_some_and(|end| ranges.iter().any(|r| r.start <= addr && end <= r.end))
    }

    /// [D-60] Whether DMA can read there.
    #[must_use]
    pub fn readable(&self, addr: u64, len: u64) -> bool {
        self.master && (Self::within(&RAM, addr, len) || Self::within(&[arena::ROM], addr, len))
    }

    /// [D-60] Whether DMA can write there.
    #[must_use]
    pub fn writable(&self, addr: u64, len: u64) -> bool {
        self.master && Self::within(&RAM, addr, len)
    }

    fn byte(&mut self, addr: u64) -> Option<&mut u8> {
        let at = addr.checked_sub(arena::BASE)?;
        self.arena.get_mut(usize::try_from(at).ok()?)
    }

    /// DMA of the card; `None` when it fails.
    #[must_use]
    pub fn read(&mut self, addr: u64, len: u64) -> Option<Vec<u8>> {
        self.readable(addr, len).then(|| {
            (addr..addr + len)
                .map(|a| match self.byte(a) {
                    Some(byte) => *byte,
                    None => self.elsewhere.get(&a).copied().unwrap_or(0),
                })
                .collect()
        })
    }

    /// DMA of the card; false when it fails.
    #[must_use]
    pub fn write(&mut self, addr: u64, bytes: &[u8]) -> bool {
        let ok = self.writable(addr, bytes.len() as u64);
        if ok {
            self.poke(addr, bytes);
        }
        ok
    }

    /// A write of the guest's own.
    pub fn poke(&mut self, addr: u64, bytes: &[u8]) {
        for (a, value) in (addr..).zip(bytes) {
            match self.byte(a) {
                Some(byte) => *byte = *value,
                None => drop(self.elsewhere.insert(a, *value)),
            }
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}
