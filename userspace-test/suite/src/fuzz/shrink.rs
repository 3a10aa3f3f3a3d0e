// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fewer operations that still fail.

/// The operations of `0..count` that are left when none of them can be taken away without `fails` being false:
/// runs of half of them first, then of a quarter, down to single ones, until nothing changes (after Zeller and
/// Hildebrandt 2002). `fails` is asked about numbers in order.
pub fn least(count: usize, mut fails: impl FnMut(&[usize]) -> bool) -> Vec<usize> {
    let mut left: Vec<_> = (0..count).collect();
    let mut run = count.div_ceil(2).max(1);
    loop {
        let mut smaller = false;
        let mut at = 0;
        while at < left.len() {
            let mut without = left.clone();
            without.drain(at..(at + run).min(left.len()));
            if fails(&without) {
                left = without;
                smaller = true;
            } else {
                at += run;
            }
        }
        match (run, smaller) {
            (1, false) => return left,
            (1, true) => {}
            _ => run = run.div_ceil(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_left_and_nothing_else() {
        for needed in [
            vec![],
            vec![0],
            vec![63],
            vec![3, 4, 40],
            vec![0, 1, 62, 63],
        ] {
            let mut asked = 0;
            let left = least(64, |keep| {
                asked += 1;
                needed.iter().all(|n| keep.contains(n))
            });
            assert_eq!(left, needed);
            assert!(asked < 400, "{asked} tries");
        }
    }

    #[test]
    fn one_that_stands_in_for_another_goes() {
        let left = least(10, |keep| keep.contains(&2) || keep.contains(&7));
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(least(0, |_| true), Vec::<usize>::new());
    }
}
