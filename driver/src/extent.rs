// SPDX-License-Identifier: GPL-2.0-only

//! Where in a row of pages there is room.
//!
//! The card's own memory is handed out in contiguous extents, few and long-lived: first fit over a sorted list
//! is all that takes.
//!
//! Pure: pages are counted, not touched.

/// Pages of the row that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: usize,
    pub(crate) pages: usize,
}

impl Extent {
    fn end(self) -> usize {
        self.first.saturating_add(self.pages)
    }
}

/// The first place for `pages` pages in a row of `total`, and its index among `taken`.
///
/// `taken` is sorted and its extents do not overlap. `None` for no pages, and where there is no room.
pub(crate) fn first_fit(
    taken: impl Iterator<Item = Extent>,
    total: usize,
    pages: usize,
) -> Option<(usize, Extent)> {
    if pages == 0 {
        return None;
    }
    let (mut first, mut count) = (0, 0);
    for (index, extent) in taken.enumerate() {
        if extent.first.checked_sub(first)? >= pages {
            return Some((index, Extent { first, pages }));
        }
        first = extent.end();
        count = index + 1;
    }
    (total.checked_sub(first)? >= pages).then_some((count, Extent { first, pages }))
}

/// What a stretch of `length` bytes from `start` on has in common with one of `bytes` bytes from `at` on: how
/// far into the first it begins, and how long it is. `None` for nothing.
pub(crate) fn overlap(
    start: usize,
    length: usize,
    at: usize,
    bytes: usize,
) -> Option<(usize, usize)> {
    let first = start.max(at);
    let end = start.saturating_add(length).min(at.saturating_add(bytes));
    let count = end.checked_sub(first).filter(|&count| count != 0)?;
    Some((first.checked_sub(start)?, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_row_is_filled_from_its_start() {
        assert_eq!(
            first_fit([].into_iter(), 4, 4),
            Some((0, Extent { first: 0, pages: 4 }))
        );
        assert_eq!(first_fit([].into_iter(), 4, 5), None);
        assert_eq!(first_fit([].into_iter(), 4, 0), None);
        assert_eq!(first_fit([].into_iter(), 0, 1), None);
    }

    proptest! {
        #[test]
        fn overlap_is_what_both_have(start in 0usize..50, length in 0usize..50, at in 0usize..50, bytes in 0usize..50) {
            let both: Vec<usize> = (start..start + length).filter(|b| (at..at + bytes).contains(b)).collect();
            let said = overlap(start, length, at, bytes).map(|(skip, count)| (start + skip, count));
            prop_assert_eq!(said, both.first().map(|&first| (first, both.len())));
        }

        /// Random taking and giving back, beside a row of flags.
        #[test]
        fn never_twice_and_never_refused_without_cause(
            total in 1usize..64,
            steps in prop::collection::vec((any::<bool>(), 1usize..20, any::<prop::sample::Index>()), 1..100),
        ) {
            let mut taken: Vec<Extent> = Vec::new();
            let mut row = vec![false; total];
            for (take, pages, which) in steps {
                if take {
                    let room = row.windows(pages).any(|w| w.iter().all(|&used| !used));
                    match first_fit(taken.iter().copied(), total, pages) {
                        Some((index, extent)) => {
                            prop_assert_eq!(extent.pages, pages);
                            for used in &mut row[extent.first..extent.end()] {
                                prop_assert!(!*used);
                                *used = true;
                            }
                            taken.insert(index, extent);
                            prop_assert!(taken.windows(2).all(|w| w[0].end() <= w[1].first));
                        }
                        None => prop_assert!(!room),
                    }
                } else if !taken.is_empty() {
                    let extent = taken.remove(which.index(taken.len()));
                    row[extent.first..extent.end()].fill(false);
                }
            }
        }
    }
}
