// SPDX-License-Identifier: GPL-2.0-only

//! How far a page fault maps ahead.
//!
//! A client that touches one page here and there pays for one page. One that goes through the ring page
//! by page takes its next fault where the last one stopped mapping: it is then given eight times as many
//! pages as last time, up to a limit, so that a whole ring costs few faults more than mapping it at
//! once.
//!
//! One guess serves all mappings of a ring: they are of one client, and a wrong guess costs time only.
//!
//! Pure: pages are counted, not touched.

/// Pages of a fault times this are the pages of the next.
const GROWTH: usize = 8;

/// Where the next fault would be, were the ring gone through in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    /// Page index behind the last one mapped; no page of a ring before the first fault.
    next: usize,
    /// Pages that were mapped last.
    mapped: usize,
}

impl Ahead {
    pub(crate) fn new() -> Self {
        Self {
            next: usize::MAX,
            mapped: 0,
        }
    }

    /// How many pages a fault at page `index` should map, itself included: 1 to `most`.
    pub(crate) fn pages(&self, index: usize, most: usize) -> usize {
        match index == self.next {
            true => self.mapped.saturating_mul(GROWTH).min(most).max(1),
            false => 1,
        }
    }

    /// A fault at page `index` has mapped `pages` pages.
    pub(crate) fn mapped(&mut self, index: usize, pages: usize) {
        self.next = index.saturating_add(pages);
        self.mapped = pages;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Goes through `pages` pages in order. Returns how many each fault mapped.
    fn in_order(pages: usize, most: usize) -> Vec<usize> {
        let mut ahead = Ahead::new();
        let mut faults = Vec::new();
        let mut index = 0;
        while index < pages {
            let count = ahead.pages(index, most).min(pages - index);
            ahead.mapped(index, count);
            faults.push(count);
            index += count;
        }
        faults
    }

    #[test]
    fn grows_to_the_limit_and_stays_there() {
        assert_eq!(in_order(200, 64), [1, 8, 64, 64, 63]);
        assert_eq!(in_order(5, 1), [1; 5]);
        assert_eq!(in_order(20, 3), [1, 3, 3, 3, 3, 3, 3, 1]);
    }

    #[test]
    fn a_limit_of_none_is_one() {
        assert_eq!(in_order(3, 0), [1; 3]);
    }

    #[test]
    fn the_first_fault_maps_one_page_wherever_it_is() {
        for index in [0, 1, 7, usize::MAX - 1] {
            assert_eq!(Ahead::new().pages(index, 64), 1);
        }
    }

    proptest! {
        #[test]
        fn elsewhere_one_page(
            at in 0usize..1000, mapped in 1usize..100, index in 0usize..2000, most in 0usize..100,
        ) {
            let mut ahead = Ahead::new();
            ahead.mapped(at, mapped);
            let pages = ahead.pages(index, most);
            prop_assert!(pages >= 1 && pages <= most.max(1));
            if index != at + mapped {
                prop_assert_eq!(pages, 1);
            }
        }

        #[test]
        fn in_order_all_are_mapped_once(pages in 1usize..5000, most in 1usize..600) {
            let faults = in_order(pages, most);
            prop_assert_eq!(faults.iter().sum::<usize>(), pages);
            // Three small ones at most before the limit: 1, 8, 64, 512.
            prop_assert!(faults.len() <= pages.div_ceil(most) + 4);
        }
    }
}
