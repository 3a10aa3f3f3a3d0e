// SPDX-License-Identifier: GPL-2.0-only

//! From DMA segments to the card's scatter-gather table.
//!
//! A descriptor is two little-endian 64-bit words: the address, then the length in bytes in the low
//! half and the flags in the high half (`sgring.rst`, "Scatter-gather table"). The DMA layer may hand
//! out segments longer than one descriptor may be; those are cut.

/// What the card accepts in one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most descriptors in a table (`SGRING_CAP_SGT_MAX`).
    pub(crate) entries: u32,
    /// Most bytes in one descriptor (`SGRING_CAP_SEG_MAX`).
    pub(crate) segment: u32,
}

/// Why a table cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableError {
    /// It would need more descriptors than the card takes.
    TooMany,
    /// A segment's address or length is no multiple of four.
    Unaligned,
}

/// Cuts `segments` (address, bytes) into descriptors and hands each to `put`, in order.
///
/// Returns how many there were.
///
/// # Errors
///
/// [`TableError`]; `put` may have been called for the part before it.
pub(crate) fn for_each(
    segments: impl Iterator<Item = (u64, u64)>,
    limits: Limits,
    mut put: impl FnMut(u32, [u64; 2]),
) -> Result<u32, TableError> {
    // The cut must keep every piece a multiple of four.
    let longest = u64::from(limits.segment & !3);
    let mut count = 0u32;

    for (mut address, mut left) in segments {
        if (address | left) % 4 != 0 || longest == 0 {
            return Err(TableError::Unaligned);
        }
        while left > 0 {
            if count >= limits.entries {
                return Err(TableError::TooMany);
            }
            let bytes = left.min(longest);
            // The flags, the high half of the second word, are 0: system memory.
            put(count, [address, bytes]);
            count += 1;
            left -= bytes;
            address = address.wrapping_add(bytes);
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(segments: &[(u64, u64)], limits: Limits) -> Result<Vec<[u64; 2]>, TableError> {
        let mut all = Vec::new();
        let count = for_each(segments.iter().copied(), limits, |i, d| {
            assert_eq!(i as usize, all.len());
            all.push(d);
        })?;
        assert_eq!(count as usize, all.len());
        Ok(all)
    }

    #[test]
    fn refuses_what_the_card_would() {
        let limits = Limits {
            entries: 2,
            segment: 4096,
        };
        assert_eq!(table(&[(2, 4096)], limits), Err(TableError::Unaligned));
        assert_eq!(table(&[(0, 4095)], limits), Err(TableError::Unaligned));
        assert_eq!(table(&[(0, 3 * 4096)], limits), Err(TableError::TooMany));
        assert_eq!(table(&[(0, 2 * 4096)], limits).map(|t| t.len()), Ok(2));
        assert_eq!(
            table(
                &[(0, 4)],
                Limits {
                    entries: 1,
                    segment: 3
                }
            ),
            Err(TableError::Unaligned)
        );
    }

    proptest! {
        #[test]
        fn covers_every_byte_once_in_order(
            segments in prop::collection::vec((0u64..1 << 40, 1u64..1 << 20), 0..40),
            segment in 4u32..1 << 18,
        ) {
            let segments: Vec<_> = segments.iter().map(|&(a, l)| (a * 4, l * 4)).collect();
            let limits = Limits { entries: u32::MAX, segment };
            let table = table(&segments, limits).unwrap();
            // Walk both side by side.
            let mut at = table.iter();
            for (address, bytes) in segments {
                let mut done = 0;
                while done < bytes {
                    let &[a, l] = at.next().unwrap();
                    prop_assert_eq!(a, address + done);
                    prop_assert!(l > 0 && l % 4 == 0 && l <= u64::from(segment));
                    done += l;
                }
                prop_assert_eq!(done, bytes);
            }
            prop_assert!(at.next().is_none());
        }
    }
}
