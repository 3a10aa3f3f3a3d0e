// SPDX-License-Identifier: GPL-2.0-only

//! The sample clock as a time: how long a stream has played or recorded, to the nanosecond.
//!
//! The card stamps each position with the time at which it was true ([`Stamp`]). Between two of them the
//! stream goes on by the same clock, so that the time of any moment follows from the last stamp.

/// How far from a stamp a stream is believed to be, ns. A burst is 1 ms; a host may have been held up.
const BEYOND_MAX: u64 = 1_000_000_000;

const NS_PER_S: u64 = 1_000_000_000;

/// A position and when it was true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Frames since PREPARE.
    pub(crate) hw_ptr: u64,
    /// The card's clock, ns.
    pub(crate) tstamp: u64,
    /// The stream goes on by itself.
    pub(crate) runs: bool,
}

/// How long `frames` frames last at `rate` Hz, ns, rounded down; 0 for a rate of 0.
pub(crate) fn frames_ns(frames: u64, rate: u32) -> u64 {
    // In two parts: the kernel has no division of 128 bits.
    let rate = u64::from(rate);
    let (Some(seconds), Some(rest)) = (frames.checked_div(rate), frames.checked_rem(rate)) else {
        return 0;
    };
    // No overflow in the second: `rest` is below a rate of 32 bits. No division by 0 either.
    let part = (rest * NS_PER_S).checked_div(rate).unwrap_or(0);
    seconds.saturating_mul(NS_PER_S).saturating_add(part)
}

/// For how long a stream has gone since frame 0, ns, when the card's clock says `clock`.
///
/// The stamp may be of after that: then less than its frames.
pub(crate) fn ns(stamp: Stamp, rate: u32, clock: u64) -> u64 {
    let to_stamp = frames_ns(stamp.hw_ptr, rate);
    if !stamp.runs {
        return to_stamp;
    }
    match clock.checked_sub(stamp.tstamp) {
        Some(beyond) => to_stamp.saturating_add(beyond.min(BEYOND_MAX)),
        None => {
            // No overflow: `clock` is less.
            let before = stamp.tstamp - clock;
            to_stamp.saturating_sub(before.min(BEYOND_MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAMP: Stamp = Stamp {
        hw_ptr: 48_000,
        tstamp: 5_000_000_000,
        runs: true,
    };

    #[test]
    fn goes_on_around_the_stamp() {
        assert_eq!(ns(STAMP, 48_000, STAMP.tstamp), 1_000_000_000);
        assert_eq!(ns(STAMP, 48_000, STAMP.tstamp + 77), 1_000_000_077);
        assert_eq!(ns(STAMP, 48_000, STAMP.tstamp - 77), 999_999_923);
    }

    #[test]
    fn stands_where_the_stream_stands() {
        let stamp = Stamp {
            runs: false,
            ..STAMP
        };
        assert_eq!(ns(stamp, 48_000, STAMP.tstamp + 77), 1_000_000_000);
    }

    #[test]
    fn a_card_that_has_lost_its_clock_is_not_followed() {
        assert_eq!(ns(STAMP, 48_000, u64::MAX), 1_000_000_000 + BEYOND_MAX);
        assert_eq!(ns(STAMP, 48_000, 0), 0);
        assert_eq!(ns(STAMP, 0, STAMP.tstamp), 0);
        let last = Stamp {
            hw_ptr: u64::MAX,
            ..STAMP
        };
        assert_eq!(ns(last, 1, u64::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn never_goes_back(rate in 1u32..=384_000, from: u32, step: u32, gap in 0u64..10_000_000) {
            // The stamp of the next burst is where this one would have come to, or a ns before [D-30].
            let (from, to) = (u64::from(from), u64::from(from) + u64::from(step % rate));
            let first = Stamp { hw_ptr: from, tstamp: 0, runs: true };
            let next = Stamp { hw_ptr: to, tstamp: frames_ns(to - from, rate) + 1, runs: true };
            prop_assert!(ns(next, rate, next.tstamp + gap) + 2 >= ns(first, rate, next.tstamp + gap));
        }
    }
}
