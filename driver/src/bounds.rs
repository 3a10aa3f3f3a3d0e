// SPDX-License-Identifier: GPL-2.0-only

//! Which page of the ring a user mapping means, and whether there is one.
//!
//! The one rule, old as scatter-gather sound cards: a mapping of `len` pages at page offset `pgoff`
//! lies in a ring of `pages` pages when `len <= pages` and `pgoff <= pages - len`. Never
//! `pgoff + len <= pages`, which overflows for the offsets that a user program may pass.
//!
//! Pure: pages are counted, not touched. Units are pages everywhere.

/// Why a mapping or a fault was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no ring, or the mapping is empty.
    Empty,
    /// The mapping is larger than the ring.
    TooLong,
    /// The mapping would end behind the ring.
    PastEnd,
}

/// Checks a mapping of `len` pages at page offset `pgoff` against a ring of `pages` pages (M2).
///
/// # Errors
///
/// [`Refused`] names the first rule that is broken.
pub(crate) fn check_mapping(pgoff: usize, len: usize, pages: usize) -> Result<(), Refused> {
    if len == 0 || pages == 0 {
        return Err(Refused::Empty);
    }
    let Some(last_start) = pages.checked_sub(len) else {
        return Err(Refused::TooLong);
    };
    if pgoff > last_start {
        return Err(Refused::PastEnd);
    }
    Ok(())
}

/// The index of the ring page at page offset `pgoff`, or `None` behind the ring's end (M2, M3).
///
/// `pgoff` is relative to the ring and already holds the mapping's own offset: the mm core computes
/// it for each fault as `vm_pgoff + ((address - vm_start) >> PAGE_SHIFT)`, so that it stays right
/// for partial mappings and for those that `munmap()`, `mprotect()` or `mremap()` split or moved.
pub(crate) fn page_index(pgoff: usize, pages: usize) -> Option<usize> {
    (pgoff < pages).then_some(pgoff)
}

/// How many pages a fault maps, from the touched one on: at most `window`, and no more than the ring has
/// behind page `index` or the mapping has from the touched address on (`left`, pages, at least 1).
///
/// At least 1 for a page that [`page_index`] has found.
pub(crate) fn window(index: usize, pages: usize, left: usize, window: usize) -> usize {
    window.max(1).min(left).min(pages.saturating_sub(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum that must not be formed, in a width in which it cannot overflow.
    fn fits(pgoff: usize, len: usize, pages: usize) -> bool {
        len > 0 && pages > 0 && (pgoff as u128 + len as u128) <= pages as u128
    }

    #[test]
    fn agrees_with_wide_arithmetic_around_every_edge() {
        let edges = |n: usize| {
            [
                0,
                1,
                n.saturating_sub(1),
                n,
                n.saturating_add(1),
                usize::MAX / 2,
                usize::MAX - 1,
                usize::MAX,
                1 << 52,
                (1 << 52) - 1,
            ]
        };
        for pages in [0, 1, 2, 3, 4, 512, 16384, usize::MAX] {
            for len in edges(pages) {
                for pgoff in edges(pages) {
                    assert_eq!(
                        check_mapping(pgoff, len, pages).is_ok(),
                        fits(pgoff, len, pages),
                        "pgoff {pgoff} len {len} pages {pages}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_small_case() {
        for pages in 0..9 {
            for len in 0..11 {
                for pgoff in 0..11 {
                    assert_eq!(
                        check_mapping(pgoff, len, pages).is_ok(),
                        fits(pgoff, len, pages),
                        "pgoff {pgoff} len {len} pages {pages}"
                    );
                }
            }
        }
    }

    #[test]
    fn names_the_broken_rule() {
        assert_eq!(check_mapping(0, 0, 4), Err(Refused::Empty));
        assert_eq!(check_mapping(0, 1, 0), Err(Refused::Empty));
        assert_eq!(check_mapping(0, 5, 4), Err(Refused::TooLong));
        assert_eq!(check_mapping(1, 4, 4), Err(Refused::PastEnd));
        assert_eq!(check_mapping(usize::MAX, 1, 4), Err(Refused::PastEnd));
    }

    #[test]
    fn a_page_behind_the_end_has_no_index() {
        assert_eq!(page_index(3, 4), Some(3));
        assert_eq!(page_index(4, 4), None);
        assert_eq!(page_index(usize::MAX, 4), None);
        assert_eq!(page_index(0, 0), None);
    }

    #[test]
    fn a_window_stays_in_the_ring_and_in_the_mapping() {
        for pages in 1..9 {
            for index in 0..pages {
                for left in 1..11 {
                    for size in 0..11 {
                        let n = window(index, pages, left, size);
                        assert!(n >= 1 && n <= size.max(1));
                        assert!(n <= left && index + n <= pages);
                        let cut = n == left || index + n == pages;
                        assert!(n == size.max(1) || cut, "smaller than it could be");
                    }
                }
            }
        }
        assert_eq!(window(0, usize::MAX, usize::MAX, usize::MAX), usize::MAX);
    }
}
