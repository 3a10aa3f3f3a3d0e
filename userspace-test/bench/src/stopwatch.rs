// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stopwatch: how long something takes, without the reading of the clock.

use std::hint::black_box;
use std::time::Instant;

/// Rounds that the clock's own cost is taken from.
const ROUNDS: usize = 64;

/// A stopwatch that knows what it costs itself.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    own: u64,
    counted: bool,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self::new()
    }
}

impl Stopwatch {
    /// One that is calibrated now.
    #[must_use]
    pub fn new() -> Self {
        let own = (0..ROUNDS).map(|_| nanoseconds(|| ())).min().unwrap_or(0);
        Self {
            own,
            counted: sgring_suite::clock::is_counted(),
        }
    }

    /// How long `work` takes, ns.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> (u64, T) {
        let mut result = None;
        let time = nanoseconds(|| result = Some(black_box(work())));
        let result = result.unwrap_or_else(|| unreachable!("the work was done"));
        (time.saturating_sub(self.own), result)
    }

    /// The clock's name in a series: `icount`, where a ns is an instruction of the guest, or `host`.
    #[must_use]
    pub fn clock(&self) -> &'static str {
        if self.counted { "icount" } else { "host" }
    }
}

fn nanoseconds(work: impl FnOnce()) -> u64 {
    let start = Instant::now();
    work();
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
