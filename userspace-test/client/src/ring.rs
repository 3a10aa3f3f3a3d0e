// SPDX-License-Identifier: MIT OR Apache-2.0
//! The arithmetic of a ring.
//!
//! Positions run through `0..boundary` and wrap there; the boundary is a multiple of the ring's
//! size, so a position's place in the ring is the remainder by that. In playback the hardware's
//! position follows the application's, in capture it leads, and by a ring at most. A stream that runs on
//! whatever happens may leave that order: the application is late then, and takes up whole periods
//! further on.

/// The geometry of a ring, all in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    period: u64,
    buffer: u64,
    boundary: u64,
}

impl Ring {
    /// A ring of `buffer` frames in periods of `period`. `None` unless the ring is a whole number
    /// of periods, at least two, and the boundary a whole number of rings, at least two.
    pub(crate) fn new(period: u64, buffer: u64, boundary: u64) -> Option<Self> {
        let multiple = |whole: u64, part: u64| part > 0 && whole % part == 0 && whole / part >= 2;
        let good = multiple(buffer, period)
            && multiple(boundary, buffer)
            && i64::try_from(boundary).is_ok();
        good.then_some(Self {
            period,
            buffer,
            boundary,
        })
    }

    /// Frames in a period.
    pub(crate) fn period(&self) -> u64 {
        self.period
    }

    /// Frames in the ring.
    pub(crate) fn buffer(&self) -> u64 {
        self.buffer
    }

    /// A position that was told, inside of `0..boundary` whatever it was.
    pub(crate) fn inside(&self, position: u64) -> u64 {
        position % self.boundary
    }

    /// The position `frames` after `position`; at most a boundary.
    pub(crate) fn add(&self, position: u64, frames: u64) -> u64 {
        // Neither is above the boundary, which is below 2^63.
        (position + frames) % self.boundary
    }

    /// How far `to` is after `from`, negative if before: the shorter way round.
    pub(crate) fn distance(&self, from: u64, to: u64) -> i64 {
        let forward = (to + self.boundary - from % self.boundary) % self.boundary;
        if forward < self.boundary.div_ceil(2) {
            forward as i64
        } else {
            forward as i64 - self.boundary as i64
        }
    }

    /// Frames that may be written at the application's position.
    pub(crate) fn room(&self, hardware: u64, application: u64) -> u64 {
        let queued = self.distance(hardware, application).max(0) as u64;
        self.buffer.saturating_sub(queued)
    }

    /// How far the hardware has overtaken the application; 0 in time.
    pub(crate) fn late(&self, hardware: u64, application: u64) -> u64 {
        self.distance(application, hardware).max(0) as u64
    }

    /// Where a late application takes up again: whole periods on, and at least a period ahead of
    /// the hardware, which moves on while the application writes.
    pub(crate) fn take_up(&self, hardware: u64, application: u64) -> u64 {
        let periods = (self.late(hardware, application) + self.period).div_ceil(self.period);
        self.add(application, periods * self.period)
    }

    /// Frames that may be read at the application's position; more than the ring where the hardware
    /// has overwritten the first of them.
    pub(crate) fn ready(&self, hardware: u64, application: u64) -> u64 {
        self.distance(application, hardware).max(0) as u64
    }

    /// By how much a reader moves on, of which `ready` frames more are asked than the ring has: whole
    /// periods, and so many that the hardware has a period at least before it overwrites again. 0 in
    /// time.
    pub(crate) fn overrun(&self, ready: u64) -> u64 {
        match ready > self.buffer {
            true => (ready - (self.buffer - self.period)).next_multiple_of(self.period),
            false => 0,
        }
    }

    /// A position's place in the ring.
    pub(crate) fn place(&self, position: u64) -> usize {
        (position % self.buffer) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rings() -> impl Strategy<Value = Ring> {
        (1u64..5000, 2u64..40, 1u32..40).prop_map(|(period, periods, doublings)| {
            let buffer = period * periods;
            Ring::new(period, buffer, buffer << doublings).unwrap()
        })
    }

    #[test]
    fn a_ring_that_is_none_is_refused() {
        assert_eq!(Ring::new(0, 0, 0), None);
        assert_eq!(Ring::new(100, 100, 400), None);
        assert_eq!(Ring::new(100, 250, 1000), None);
        assert_eq!(Ring::new(100, 200, 200), None);
        assert_eq!(Ring::new(1 << 61, 1 << 62, 1 << 63), None);
        assert!(Ring::new(1 << 60, 1 << 61, 1 << 62).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn distance_undoes_add(ring in rings(), at: u64, ahead: u64) {
            let at = at % ring.boundary;
            let ahead = ahead % (ring.boundary / 2);
            let to = ring.add(at, ahead);
            prop_assert!(to < ring.boundary);
            prop_assert_eq!(ring.distance(at, to), ahead as i64);
            prop_assert_eq!(ring.late(to, at), ahead);
            if to != at && 2 * ahead != ring.boundary {
                prop_assert_eq!(ring.distance(to, at), -(ahead as i64));
            }
        }

        #[test]
        fn room_and_queue_make_the_ring(ring in rings(), at: u64, queued: u64) {
            let at = at % ring.boundary;
            let queued = queued % (ring.buffer + 1);
            let application = ring.add(at, queued);
            // Half a boundary is a ring here at least; the very half counts as behind.
            prop_assume!(2 * queued < ring.boundary);
            prop_assert_eq!(ring.room(at, application) + queued, ring.buffer);
            prop_assert_eq!(ring.late(at, application), 0);
        }

        #[test]
        fn a_late_reader_takes_up_in_time(ring in rings(), at: u64, ready in 0u64..100_000) {
            prop_assume!(ready < ring.boundary / 2);
            let application = at % ring.boundary;
            let hardware = ring.add(application, ready);
            prop_assert_eq!(ring.ready(hardware, application), ready);
            let skipped = ring.overrun(ready);
            prop_assert_eq!(skipped % ring.period, 0);
            if ready <= ring.buffer {
                prop_assert_eq!(skipped, 0);
            } else {
                let left = ready - skipped;
                let most = ring.buffer - ring.period;
                prop_assert!(left <= most && left + ring.period > most, "{} left", left);
            }
        }

        #[test]
        fn a_late_application_takes_up_in_time(ring in rings(), at: u64, late in 1u64..100_000) {
            prop_assume!(late + 2 * ring.period < ring.boundary / 2);
            let application = at % ring.boundary;
            let hardware = ring.add(application, late);
            let taken_up = ring.take_up(hardware, application);
            let ahead = ring.distance(hardware, taken_up);
            let period = ring.period as i64;
            prop_assert!((period..2 * period).contains(&ahead), "{} ahead", ahead);
            prop_assert_eq!(ring.distance(application, taken_up) % period, 0);
            // Whole periods from where it was: the next one lies in the ring in one piece.
            if application % ring.period == 0 {
                prop_assert!(ring.place(taken_up) as u64 + ring.period <= ring.buffer);
            }
        }
    }
}
