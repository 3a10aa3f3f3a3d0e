// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory that programs work in, and places that are none.
//!
//! Small, so that all of it can be compared after every step. Each stream has a
//! part for its data alone: which of two streams that are due at one time is the
//! first is nowhere said.

/// Where it begins, in bytes.
pub const BASE: u64 = 0x0200_0000;
/// Bytes.
pub const SIZE: usize = 0x6000;
/// Streams: two that play, then two that record.
pub const STREAMS: u32 = 4;
/// Those that play.
pub const PLAYBACK: u32 = 2;
/// Interrupt vectors.
pub const VECTORS: u32 = 3;
/// Memory on the card, in bytes.
pub const SRAM: usize = 4096;
/// A stream's part of the SRAM, in bytes.
pub const SRAM_PART: u32 = 1024;

/// Tables, and descriptors in each at most.
pub const TABLES: u32 = 8;
/// Descriptors.
pub const TABLE_MAX: usize = 32;

/// Table `i`.
#[must_use]
pub const fn table(i: u32) -> u64 {
    BASE + 0x200 * (i % TABLES) as u64
}

/// The status line of stream `n`.
#[must_use]
pub const fn status(n: u32) -> u64 {
    BASE + 0x1000 + 0x80 * n as u64
}

/// What `S_APPL_ADDR` of stream `n` points to.
#[must_use]
pub const fn appl(n: u32) -> u64 {
    BASE + 0x1400 + 8 * n as u64
}

/// Where the message of vector `v` is written: `v + 1`.
#[must_use]
pub const fn message(v: u32) -> u64 {
    BASE + 0x1800 + 4 * v as u64
}

/// A ring of events.
pub const EVENTS: u64 = BASE + 0x1c00;

/// A stream's part of the data, in bytes.
pub const PART: u32 = 0x1000;

/// The data of stream `n`.
#[must_use]
pub const fn data(n: u32) -> u64 {
    BASE + 0x2000 + (PART * n) as u64
}

/// The BARs: registers, SRAM, vectors.
pub const BARS: [(u32, u64); 3] = [(0, 0xe000_0000), (2, 0xe010_0000), (4, 0xe020_0000)];

/// The firmware: zeros that can be read and not be written.
pub const ROM: std::ops::Range<u64> = 0xffff_0000..0x1_0000_0000;

/// Addresses that no DMA reaches, and one that none writes.
pub const BAD: [u64; 6] = [
    0x0000_7fff_ffff_f000, // nothing
    0xfec0_0000,           // registers of another device
    0xe000_0000,           // the card's own
    0xe010_0000,           // its SRAM, by its address on the bus
    0xffff_0000,           // the firmware
    0xffff_ffff_ffff_f000, // near the end
];
