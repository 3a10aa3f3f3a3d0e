// SPDX-License-Identifier: GPL-2.0-only

//! Frame positions: the card's, the sound core's, and from one to the other.
//!
//! The card counts frames since PREPARE in 64 bits and never goes back. The sound core counts modulo
//! `boundary`, the largest power-of-two multiple of the ring that fits a `long`, and asks a driver
//! for the position modulo the ring. A user program may write `appl_ptr` itself, so that value is
//! only ever used after it was bounded here.
//!
//! Units are frames everywhere.

/// The position within a ring of `ring` frames; 0 for a ring that does not exist.
pub(crate) fn in_ring(hw_ptr: u64, ring: u32) -> u32 {
    // CAST: the remainder is smaller than `ring`, a u32.
    hw_ptr.checked_rem(u64::from(ring)).unwrap_or(0) as u32
}

/// The card's position at which a drain ends (`SGRING_S_DRAIN_END`): behind all that user space has written.
///
/// `reported` is the card's position that the sound core's `hw_ptr` was last updated from, and `now` where the
/// card is by now, which may be a long time and up to the whole of a ring later. `appl_ptr` and `hw_ptr` are
/// the sound core's, modulo `boundary`.
///
/// An `appl_ptr` behind `hw_ptr` (an underrun in free-running mode), or a scribbled one, ends it at `reported`,
/// which for the card is at once, as is every end that it has passed.
pub(crate) fn drain_end(
    reported: u64,
    now: u64,
    appl_ptr: u64,
    hw_ptr: u64,
    boundary: u64,
    ring: u32,
) -> u64 {
    if appl_ptr >= boundary || hw_ptr >= boundary {
        return reported;
    }
    let ahead = match appl_ptr.checked_sub(hw_ptr) {
        Some(ahead) => ahead,
        // No overflow: hw_ptr - appl_ptr is in 1..boundary.
        None => boundary - (hw_ptr - appl_ptr),
    };
    // A ring holds no more than a ring.
    let most = now.saturating_sub(reported).saturating_add(ring.into());
    match ahead <= most {
        true => reported.saturating_add(ahead),
        false => reported,
    }
}

/// The card's position, never going back.
///
/// A card that lies about its position must not make the sound core see time run backwards, which
/// it would take for a whole lap of the ring. What is 2^63 ahead or more is a position that went back below 0.
pub(crate) fn monotonic(last: u64, now: u64) -> u64 {
    match now.checked_sub(last) {
        // CAST: To see the sign.
        Some(ahead) if ahead as i64 >= 0 => now,
        _ => last,
    }
}

/// Whether the sound core can do without period wakeups in a ring of `ring` frames: it finds laps by its clock then,
/// and divides by the ticks that one takes (`snd_pcm_update_hw_ptr0()`), of which there are 100 in a second at least.
pub(crate) fn is_countable(rate: u32, ring: u32) -> bool {
    u64::from(ring).saturating_mul(100) >= rate.into()
}

/// The most frames that a report may move the sound core's position by, in a ring of `ring` frames.
///
/// The sound core goes by the position within the ring: of a report that moves it by a lap, it sees nothing.
pub(crate) fn longest_step(ring: u32) -> u32 {
    ring.saturating_sub(1).max(1)
}

/// What to report of a position `now`, at least `last`, which is what was reported last: all of it, or as much
/// as is one step. The rest is for the next report.
pub(crate) fn report(last: u64, now: u64, longest_step: u32) -> u64 {
    now.min(last.saturating_add(longest_step.into()))
}

/// How many of the frames before `appl_ptr` user space has written since `appl_ptr` was `before`, 0 to `ring`.
///
/// Both are the sound core's, modulo `boundary`. None after a rewind: what is written then is told by the
/// next step forward.
pub(crate) fn written(before: u64, appl_ptr: u64, boundary: u64, ring: u32) -> u32 {
    if appl_ptr >= boundary || before >= boundary {
        return ring;
    }
    let distance = match appl_ptr.checked_sub(before) {
        Some(distance) => distance,
        // No overflow: the difference is in 1..boundary.
        None => boundary - (before - appl_ptr),
    };
    if distance > boundary / 2 {
        return 0;
    }
    u32::try_from(distance).unwrap_or(ring).min(ring)
}

/// Where the frames from position `from` up to `end` are in a ring of `ring` frames: (first frame, frames), in
/// one or two pieces.
///
/// No more than a ring: of what is older nothing is left. Nothing for a ring of no frames, and where `end` is
/// not behind `from`.
pub(crate) fn spans(from: u64, end: u64, ring: u32) -> impl Iterator<Item = (u32, u32)> {
    let count = end.saturating_sub(from).min(ring.into()) as u32;
    let first = in_ring(end.saturating_sub(count.into()), ring);
    let to_end = count.min(ring.saturating_sub(first));
    [(first, to_end), (0, count - to_end)]
        .into_iter()
        .filter(|&(_, frames)| frames != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the sound core computes it in hw_params.
    fn boundary(ring: u32) -> u64 {
        let ring = u64::from(ring);
        let mut boundary = ring;
        while boundary * 2 <= i64::MAX as u64 - ring {
            boundary *= 2;
        }
        boundary
    }

    #[test]
    fn a_ring_of_nothing_has_only_position_zero() {
        assert_eq!(in_ring(12345, 0), 0);
    }

    proptest! {
        #[test]
        fn no_lap_is_lost(ring in 2u32..1 << 24, begin: u32, far in 0u64..1 << 32) {
            let step = longest_step(ring);
            let (begin, far) = (u64::from(begin), far % (u64::from(ring) * 32));
            let (mut told, mut seen) = (begin, begin);
            while told != begin + far {
                let next = report(told, begin + far, step);
                let moved = (in_ring(next, ring) + ring - in_ring(told, ring)) % ring;
                prop_assert!(moved != 0);
                seen += u64::from(moved);
                told = next;
            }
            prop_assert_eq!(seen, begin + far);
        }

        #[test]
        fn written_is_the_step_forward(ring in 1u32..1 << 24, at: u64, step in 0u32..1 << 25, back: bool) {
            let boundary = boundary(ring);
            let before = at % boundary;
            let after = (before + u64::from(step)) % boundary;
            if back && step != 0 {
                prop_assert_eq!(written(after, before, boundary, ring), 0);
            } else {
                prop_assert_eq!(written(before, after, boundary, ring), step.min(ring));
            }
        }

        #[test]
        fn position_is_always_inside_the_ring(hw_ptr: u64, ring in 1u32..) {
            prop_assert!(in_ring(hw_ptr, ring) < ring);
        }

        #[test]
        fn a_drain_ends_behind_what_was_written(
            ring in 1u32..1 << 24, start: u64, reported: u32, stale in 0u32..1 << 24, ahead: u32,
        ) {
            let boundary = boundary(ring);
            let hw_ptr = start % boundary;
            let now = u64::from(reported) + u64::from(stale);
            let ahead = u64::from(ahead) % (u64::from(stale) + u64::from(ring) + 1);
            let appl_ptr = (hw_ptr + ahead) % boundary;
            let end = drain_end(reported.into(), now, appl_ptr, hw_ptr, boundary, ring);
            prop_assert_eq!(end, u64::from(reported) + ahead);
        }

        #[test]
        fn a_scribbled_appl_ptr_ends_a_drain_within_a_ring(
            ring in 1u32..1 << 24, appl_ptr: u64, hw_ptr: u64, reported: u32, stale in 0u32..1 << 24,
        ) {
            let boundary = boundary(ring);
            let now = u64::from(reported) + u64::from(stale);
            let end = drain_end(reported.into(), now, appl_ptr, hw_ptr, boundary, ring);
            prop_assert!(end >= reported.into() && end <= now + u64::from(ring));
        }

        #[test]
        fn an_appl_ptr_behind_the_card_ends_a_drain_at_once(
            ring in 1u32..1 << 24, start: u64, reported: u32, behind in 1u32..1 << 24,
        ) {
            let boundary = boundary(ring);
            let appl_ptr = start % boundary;
            let hw_ptr = (appl_ptr + u64::from(behind)) % boundary;
            // A boundary is at least 2^39 rings of this size: no lap hides the sign.
            let reported = u64::from(reported);
            prop_assert_eq!(drain_end(reported, reported, appl_ptr, hw_ptr, boundary, ring), reported);
        }

        #[test]
        fn the_position_never_goes_back(last: u64, now: u64) {
            prop_assert!(monotonic(last, now) >= last);
        }

        #[test]
        fn the_position_goes_on(last in 0..1u64 << 62, ahead in 0..1u64 << 62) {
            prop_assert_eq!(monotonic(last, last + ahead), last + ahead);
        }

        #[test]
        fn a_position_below_zero_is_one_that_went_back(last in 0..1u64 << 62, back in 1..1u64 << 62) {
            prop_assert_eq!(monotonic(last, last.wrapping_sub(back)), last);
        }
    }

    proptest! {
        #[test]
        fn spans_are_the_frames_in_order(from in 0u64..10_000, count in 0u64..300, ring in 1u32..100) {
            let end = from + count;
            let seen: Vec<u32> = spans(from, end, ring).flat_map(|(at, n)| at..at + n).collect();
            let first = end - count.min(ring.into());
            let expected: Vec<u32> = (first..end).map(|p| (p % u64::from(ring)) as u32).collect();
            prop_assert_eq!(seen, expected);
            prop_assert!(spans(from, end, ring).count() <= 2);
        }
    }

    #[test]
    fn no_spans_without_a_ring_or_backwards() {
        assert_eq!(spans(0, 5, 0).count(), 0);
        assert_eq!(spans(5, 0, 8).count(), 0);
        assert_eq!(spans(u64::MAX - 1, u64::MAX, 8).count(), 1);
    }
}
