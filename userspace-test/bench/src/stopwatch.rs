// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stopwatch: how long something takes, without the reading of the clock.
//!
//! The clock is `CLOCK_MONOTONIC`, read in user space (vDSO). In a guest under icount it counts the guest's
//! instructions, user space and kernel, 1 ns each; what QEMU does beside them, such as the card's DMA, takes no
//! time. Elsewhere it is the host's time, with the host's noise: compare only what was measured in one run.
//!
//! Two readings with nothing between them are apart by what a reading costs. A [`Stopwatch`] measures that when
//! it is made, and takes the least of it off each time; [`Stopwatch::series`] prints it and the quantum, the
//! least by which two readings differ at all.

use crate::series::Series;
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
        Self {
            own: idle().min().unwrap_or(0),
            counted: sgring_suite::clock::is_counted(),
        }
    }

    /// How long `work` takes, ns.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> (u64, T) {
        let start = Instant::now();
        let result = black_box(work());
        let time = since(start);
        (time.saturating_sub(self.own), result)
    }

    /// What is taken off each time, ns.
    #[must_use]
    pub fn own(&self) -> u64 {
        self.own
    }

    /// The clock's name in a series: `icount`, where a ns is an instruction of the guest, or `host`.
    #[must_use]
    pub fn clock(&self) -> &'static str {
        if self.counted { "icount" } else { "host" }
    }

    /// The unit of its times.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        if self.counted { "instructions" } else { "ns" }
    }

    /// Two series about the clock itself: `clock.own`, of what reading it costs, and `clock.quantum`.
    #[must_use]
    pub fn series(&self) -> [Series; 2] {
        let mut own = Series::new("clock.own", self.unit()).label("clock", self.clock());
        for time in idle() {
            own.push(time);
        }
        let mut quantum = Series::new("clock.quantum", self.unit()).label("clock", self.clock());
        quantum.push(least_step());
        [own, quantum]
    }
}

fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Times of nothing.
fn idle() -> impl Iterator<Item = u64> {
    (0..ROUNDS).map(|_| {
        let start = Instant::now();
        black_box(());
        since(start)
    })
}

/// The least difference but none between times of some pieces of work, each a little longer than the one before.
fn least_step() -> u64 {
    let mut times: Vec<u64> = (0..ROUNDS as u32)
        .map(|length| {
            let start = Instant::now();
            (0..length).for_each(|n| {
                black_box(n);
            });
            since(start)
        })
        .collect();
    times.sort_unstable();
    times.dedup();
    times
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .min()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn nothing_takes_less_than_something() {
        let watch = Stopwatch::new();
        let nothing = (0..ROUNDS).map(|_| watch.time(|| ()).0).min().unwrap();
        assert!(nothing <= watch.own(), "{nothing} of {}", watch.own());
        let pause = Duration::from_millis(2);
        let (time, result) = watch.time(|| {
            std::thread::sleep(pause);
            7
        });
        assert_eq!(result, 7);
        let least = pause.as_nanos() as u64 - watch.own();
        assert!(time >= least, "{time} of {least}");
    }

    #[test]
    fn it_says_what_its_clock_is_like() {
        let watch = Stopwatch::new();
        let [own, quantum] = watch.series();
        assert_eq!(own.values().len(), ROUNDS);
        assert!(quantum.values()[0] > 0, "a clock that never moves");
        for series in [own, quantum] {
            assert_eq!(series.unit(), watch.unit());
            assert_eq!(series.get("clock"), Some(watch.clock()));
            assert_eq!(Series::parse(&series.to_string()), Ok(series));
        }
    }
}
