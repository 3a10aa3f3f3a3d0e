// SPDX-License-Identifier: MIT OR Apache-2.0
//! The values that code gets wrong.

use crate::seed::Random;

/// Around nothing, around sizes that rings have, at the ends of types, or anything.
pub fn value(random: &mut Random) -> u64 {
    let near = (random.below(5) as u64).wrapping_sub(2);
    let base = match random.below(10) {
        0 | 1 => 0,
        2 => 1 << random.below(64),
        3 => 240 << random.below(6),
        4 => 4096 << random.below(10),
        5 => i32::MAX as u64 + 1,
        6 => 1 << 32,
        7 => 1 << 63,
        8 => return random.below(64) as u64,
        _ => return random.next(),
    };
    base.wrapping_add(near)
}

/// A number of frames: most of them fit into a ring.
pub fn frames(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => value(random),
        1 => random.below(8) as u64,
        _ => random.below(5000) as u64,
    }
}

/// A page range within `pages` pages: all of it, one page, or any; at least one page.
pub fn range(random: &mut Random, pages: usize) -> (usize, usize) {
    let pages = pages.max(1);
    match random.below(4) {
        0 => (0, pages),
        1 => (random.below(pages), 1),
        _ => {
            let first = random.below(pages);
            (first, 1 + random.below(pages - first))
        }
    }
}
