// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this machine's clock is good for.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

fn spin() -> Duration {
    let start = Instant::now();
    let mut value = 1u32;
    for _ in 0..5000 {
        value = black_box(value.wrapping_mul(0x915f_77f5));
    }
    start.elapsed()
}

/// Whether the clock counts instructions, as under QEMU's icount: then the same code takes the same time, and
/// the card's deadlines are met to the nanosecond. Elsewhere the host may hold up any of them.
#[must_use]
pub fn is_counted() -> bool {
    const SAMPLES: usize = 64;
    let mut times = BTreeMap::new();
    for _ in 0..SAMPLES {
        *times.entry(spin()).or_insert(0) += 1;
    }
    times.values().any(|&count| count >= SAMPLES / 2)
}
