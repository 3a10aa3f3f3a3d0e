// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instants that are drawn from a seed: so long in host time, and what the guest has come to by then is as the
//! machine has it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sgring_signal::Generator;

/// How long, time after time.
pub type Legs = Box<dyn Iterator<Item = Duration>>;

/// A number that the environment may give.
pub fn number(name: &str, default: impl FnOnce() -> u64) -> Result<u64, String> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|e| format!("{name}={text}: {e}")),
        Err(_) => Ok(default()),
    }
}

/// The seed of a run: `SGRING_SEED`, or any.
pub fn seed() -> Result<u64, String> {
    number("SGRING_SEED", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| u64::from(now.subsec_micros()))
    })
}

/// Less than `most_us` microseconds each.
pub fn legs(seed: u64, most_us: u64) -> Legs {
    let legs = Generator::new(seed, 1).frames::<i32>(0, u64::MAX / 2);
    Box::new(legs.map(move |leg| Duration::from_micros(u64::from(leg.unsigned_abs()) % most_us)))
}
