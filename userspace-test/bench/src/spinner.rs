// SPDX-License-Identifier: MIT OR Apache-2.0
//! The spinner: takes what the rest of the machine leaves, so that the rest can be told.
//!
//! A thread behind all others counts turns of a loop whose length in instructions is known. On one processor, under
//! icount, the time between two instants less the spinner's is what everything else has executed: user space, kernel,
//! interrupts, to the instruction. The price: the processor never goes idle, so a wakeup comes out of a program and
//! not out of the kernel's idle loop, and the timer's tick goes on. Compare what was measured so with its like.

use crate::tsc;
use sgring_suite::priority;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

/// Turns of the loop by which its length is found, and how often.
const TURNS: u64 = 10_000;
const ROUNDS: usize = 32;

#[derive(Debug, Default)]
struct Shared {
    turns: AtomicU64,
    stop: AtomicBool,
}

/// A thread that spins until this is dropped.
#[derive(Debug)]
pub struct Spinner {
    shared: Arc<Shared>,
    length: u64,
    thread: Option<JoinHandle<()>>,
}

/// Reads it from any thread.
#[derive(Clone, Debug)]
pub struct Reading {
    shared: Arc<Shared>,
    length: u64,
}

/// Counts up to `until` or the end.
#[inline(never)]
fn spin(shared: &Shared, until: u64) {
    let mut turns = 0;
    while turns < until && !shared.stop.load(Relaxed) {
        turns += 1;
        shared.turns.store(turns, Relaxed);
    }
}

/// Instructions of a turn: the least of some rounds, which has no interrupt in it.
fn length() -> u64 {
    let shared = Shared::default();
    let times = (0..ROUNDS).map(|_| {
        let start = tsc::read();
        spin(&shared, TURNS);
        tsc::read() - start
    });
    // The call and the readings are a few dozen, of ten thousand turns.
    times.min().unwrap_or(0) / TURNS
}

impl Spinner {
    /// Begins to spin.
    ///
    /// # Errors
    ///
    /// Those of starting a thread.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let spun = shared.clone();
        let length = length();
        let thread = std::thread::Builder::new()
            .name("spinner".into())
            .spawn(move || {
                if priority::last().is_ok() {
                    spin(&spun, u64::MAX);
                }
            })?;
        Ok(Self {
            shared,
            length,
            thread: Some(thread),
        })
    }

    /// For whoever wants to know how far it is.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading {
            shared: self.shared.clone(),
            length: self.length,
        }
    }
}

impl Reading {
    /// What the rest of the machine has executed so far, from an instant that is the same for all readings.
    #[must_use]
    pub fn others(&self) -> u64 {
        let spun = self.shared.turns.load(Relaxed) * self.length;
        tsc::read().wrapping_sub(spun)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
