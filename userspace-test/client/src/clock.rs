// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the hardware's position and its timestamp to the time when a frame is heard, or was recorded.

use std::time::Duration;

/// The clock of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Frames per second.
    rate: u32,
    /// Frames in the ring.
    buffer: u64,
    /// When the position was last updated.
    last: Option<Duration>,
    /// No time below this has been given out.
    floor: Duration,
}

/// The time that `frames` frames take.
pub(crate) fn duration(frames: u64, rate: u32) -> Duration {
    let rate = u64::from(rate.max(1));
    let (sec, rest) = (frames / rate, frames % rate);
    // The rest is below the rate, which has 32 bits.
    Duration::from_secs(sec) + Duration::from_nanos(rest * 1_000_000_000 / rate)
}

/// The frames that fit into `time`, rounded down.
fn frames(time: Duration, rate: u32) -> u64 {
    let frames = time.as_nanos() * u128::from(rate) / 1_000_000_000;
    u64::try_from(frames).unwrap_or(u64::MAX)
}

impl Clock {
    pub(crate) fn new(rate: u32, buffer: u64) -> Self {
        Self {
            rate,
            buffer,
            last: None,
            floor: Duration::ZERO,
        }
    }

    /// Forgets the last update: the hardware was stopped.
    pub(crate) fn restart(&mut self) {
        self.last = None;
    }

    /// Takes note that the hardware moved `moved` frames up to `tstamp`, and returns the frames
    /// that it must have moved beyond that: the kernel sees the position within the ring, and
    /// when a whole turn goes by between two looks, it is lost.
    pub(crate) fn update(&mut self, moved: u64, tstamp: Duration) -> u64 {
        // The record holds zero until the first update, and an old time until the first one after PREPARE.
        if moved == 0 && self.last.is_none() {
            return 0;
        }
        let Some(last) = self.last.replace(tstamp).filter(|last| !last.is_zero()) else {
            return 0;
        };
        let passed = frames(tstamp.saturating_sub(last), self.rate);
        let missing = passed.saturating_sub(moved);
        // The position may lag by a burst, and the clocks of card and machine differ; neither
        // comes near a quarter of the ring between two looks that are less than many turns apart.
        missing.saturating_add(self.buffer / 4) / self.buffer * self.buffer
    }

    /// When a frame that is `ahead` frames after the hardware's position at `tstamp`, or before it where that is
    /// negative, passes the converter. Never earlier than any time given before.
    pub(crate) fn at(&mut self, tstamp: Duration, ahead: i64) -> Duration {
        let way = duration(ahead.unsigned_abs(), self.rate);
        let time = match ahead < 0 {
            true => tstamp.saturating_sub(way),
            false => tstamp + way,
        };
        self.floor = self.floor.max(time);
        self.floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        assert_eq!(duration(44_100 * 7, 44_100), Duration::from_secs(7));
        assert_eq!(duration(1, 48_000), Duration::from_nanos(20_833));
        let day = duration(86_400 * 384_000 + 1, 384_000);
        assert_eq!(day, Duration::new(86_400, 2604));
        assert_eq!(frames(duration(12_345, 8_000), 8_000), 12_345);
        assert_eq!(duration(5, 0), Duration::from_secs(5));
    }

    #[test]
    fn a_turn_that_nobody_saw_is_found() {
        let mut clock = Clock::new(48_000, 1024);
        let at = |frames| Duration::from_secs(1) + duration(frames, 48_000);
        assert_eq!(clock.update(0, at(0)), 0);
        assert_eq!(clock.update(256, at(256)), 0);
        // 12 frames and 24 turns passed, 12 frames were seen.
        assert_eq!(clock.update(12, at(256 + 12 + 24 * 1024)), 24 * 1024);
        assert_eq!(clock.update(256, at(512 + 12 + 24 * 1024)), 0);
        // A position that lags by up to half the ring is none.
        assert_eq!(clock.update(0, at(1024 + 12 + 24 * 1024)), 0);
    }

    #[test]
    fn a_clock_without_a_past_misses_nothing() {
        let mut clock = Clock::new(48_000, 1024);
        assert_eq!(clock.update(0, Duration::ZERO), 0);
        assert_eq!(clock.update(100, Duration::from_secs(1000)), 0);
        clock.restart();
        assert_eq!(clock.update(0, Duration::from_secs(2000)), 0);
    }

    #[test]
    fn times_never_go_back() {
        let mut clock = Clock::new(1000, 100);
        let first = clock.at(Duration::from_secs(10), 50);
        assert_eq!(first, Duration::from_millis(10_050));
        assert_eq!(clock.at(Duration::from_secs(10), 20), first);
        assert_eq!(
            clock.at(Duration::from_secs(11), 0),
            Duration::from_secs(11)
        );
        // Recorded before the position was seen.
        let then = Duration::from_millis(11_950);
        assert_eq!(clock.at(Duration::from_secs(12), -50), then);
    }
}
