// SPDX-License-Identifier: GPL-2.0-only

//! Which interrupt vector serves which stream.
//!
//! Vector 0 is the card's own (events, and everything where it is the only one); the streams share
//! the others in turn. A machine may grant fewer vectors than were asked for, down to one.

/// The vector of stream `stream` when `vectors` were granted.
pub(crate) fn of_stream(stream: u32, vectors: u32) -> u32 {
    match vectors.checked_sub(1) {
        None | Some(0) => 0,
        // No overflow: the remainder is below `vectors - 1`.
        Some(shared) => 1 + stream % shared,
    }
}

/// How many vectors a card with `streams` streams and `available` vectors should ask for.
pub(crate) fn wanted(streams: u32, available: u32) -> u32 {
    streams.saturating_add(1).min(available).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_a_vector_that_exists() {
        for vectors in 1..=130 {
            for stream in 0..128 {
                assert!(of_stream(stream, vectors) < vectors);
            }
        }
        assert_eq!(of_stream(5, 0), 0);
    }

    #[test]
    fn streams_do_not_share_where_there_are_enough() {
        let vectors = wanted(64, 2048);
        assert_eq!(vectors, 65);
        for stream in 0..64 {
            assert_eq!(of_stream(stream, vectors), stream + 1);
        }
    }

    #[test]
    fn asks_for_at_least_one_and_at_most_what_there_is() {
        assert_eq!(wanted(128, 0), 1);
        assert_eq!(wanted(128, 3), 3);
        assert_eq!(wanted(u32::MAX, u32::MAX), u32::MAX);
    }
}
