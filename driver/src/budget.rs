// SPDX-License-Identifier: GPL-2.0-only

//! How much ring memory a card may have in all (`max_card_bytes`).
//!
//! Pure: bytes are counted, not allocated. All rings count as long as their memory is there, in whole pages.

/// Rings of the largest size that fit where no limit was given.
pub(crate) const RINGS: u64 = 16;

/// The limit that holds: `wanted` bytes, or, for 0, room for [`RINGS`] rings of `ring` bytes.
pub(crate) fn limit(wanted: u64, ring: u64) -> u64 {
    match wanted {
        0 => ring.saturating_mul(RINGS),
        wanted => wanted,
    }
}

/// `bytes` in whole pages of `page` bytes; `None` where that is no number.
pub(crate) fn in_pages(bytes: u64, page: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(page)
}

/// The bytes in use when a ring of `bytes` joins those of `used` bytes; `None` where they would be more than
/// `limit` once the ring of `old` bytes that it takes the place of (0 for none) has gone, or no number before.
///
/// The result still has the old ring in it, which gives its bytes back itself.
pub(crate) fn joined(used: u64, limit: u64, bytes: u64, old: u64) -> Option<u64> {
    let after = used.saturating_sub(old).checked_add(bytes)?;
    if after > limit {
        return None;
    }
    used.checked_add(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_limit_of_nothing_is_sixteen_rings() {
        assert_eq!(limit(0, 2 << 20), 32 << 20);
        assert_eq!(limit(0, u64::MAX), u64::MAX);
        assert_eq!(limit(1, 2 << 20), 1);
    }

    #[test]
    fn the_last_byte_fits_and_the_next_does_not() {
        assert_eq!(joined(0, 4096, 4096, 0), Some(4096));
        assert_eq!(joined(1, 4096, 4096, 0), None);
        assert_eq!(joined(4096, 4096, 0, 0), Some(4096));
        assert_eq!(joined(0, u64::MAX, u64::MAX, 0), Some(u64::MAX));
        assert_eq!(joined(1, u64::MAX, u64::MAX, 0), None);
        assert_eq!(joined(u64::MAX, u64::MAX, 1, 1), None);
    }

    #[test]
    fn pages_are_whole() {
        assert_eq!(in_pages(0, 4096), Some(0));
        assert_eq!(in_pages(1, 4096), Some(4096));
        assert_eq!(in_pages(4096, 4096), Some(4096));
        assert_eq!(in_pages(u64::MAX, 4096), None);
    }

    proptest! {
        #[test]
        fn agrees_with_wide_arithmetic(used: u64, limit: u64, bytes: u64, old: u64) {
            let old = old.min(used);
            let [u, l, b, o] = [used, limit, bytes, old].map(u128::from);
            let fits = u - o + b <= l && u + b <= u64::MAX.into();
            prop_assert_eq!(joined(used, limit, bytes, old).map(u128::from), fits.then_some(u + b));
        }

        /// Streams that change their rings at will never hold more than the limit, and all is given back.
        #[test]
        fn streams_stay_within_the_limit(
            limit in 0u64..1000,
            steps in proptest::collection::vec((0usize..4, 0u64..400), 0..100),
        ) {
            let (mut used, mut rings) = (0, [0; 4]);
            for (stream, bytes) in steps {
                if let Some(joined) = joined(used, limit, bytes, rings[stream]) {
                    used = joined - rings[stream];
                    rings[stream] = bytes;
                }
                prop_assert!(used <= limit);
                prop_assert_eq!(used, rings.iter().sum::<u64>());
            }
        }
    }
}
