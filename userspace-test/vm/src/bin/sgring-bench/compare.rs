// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two sets of series beside each other.

use std::collections::BTreeMap;
use std::fmt;

use sgring_bench::series::Series;

/// Differences that are named one by one.
const NAMED: usize = 20;

/// A series but for its values, and for the commit.
type Key = (String, BTreeMap<String, String>);

/// What differs.
#[derive(Debug)]
pub struct Comparison {
    equal: usize,
    /// Label text, and both medians.
    moved: Vec<(String, u64, u64)>,
    only_old: usize,
    only_new: usize,
}

fn keyed(all: &[Series]) -> BTreeMap<Key, &Series> {
    all.iter()
        .map(|series| {
            let mut labels = series.labels().clone();
            labels.remove("commit");
            ((series.name().to_owned(), labels), series)
        })
        .collect()
}

/// A series' name and the labels that its likes differ in.
fn text((name, labels): &Key) -> String {
    const SHOWN: [&str; 17] = [
        "program",
        "card",
        "memory",
        "map_mode",
        "fault_window",
        "backing",
        "touched",
        "stream",
        "writer",
        "direction",
        "ring_bytes",
        "client",
        "host",
        "period",
        "stall_ms",
        "call",
        "frame",
    ];
    let shown = SHOWN
        .iter()
        .filter_map(|label| Some(format!(" {label}={}", labels.get(*label)?)));
    name.clone() + &shown.collect::<String>()
}

impl Comparison {
    /// Value by value.
    pub fn of(old: &[Series], new: &[Series]) -> Self {
        let (old, new) = (keyed(old), keyed(new));
        let mut comparison = Self {
            equal: 0,
            moved: Vec::new(),
            only_old: old.keys().filter(|key| !new.contains_key(key)).count(),
            only_new: new.keys().filter(|key| !old.contains_key(key)).count(),
        };
        for (key, before) in &old {
            let Some(after) = new.get(key) else { continue };
            if before.values() == after.values() && before.unit() == after.unit() {
                comparison.equal += 1;
            } else {
                let median = |series: &Series| series.median().unwrap_or(0);
                comparison
                    .moved
                    .push((text(key), median(before), median(after)));
            }
        }
        comparison
    }

    /// Whether there is no difference.
    pub fn is_equal(&self) -> bool {
        self.moved.is_empty() && self.only_old == 0 && self.only_new == 0
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_equal() {
            return writeln!(f, "all {} series are equal, value by value", self.equal);
        }
        let medians = self.moved.iter().filter(|(_, old, new)| old != new).count();
        writeln!(
            f,
            "{} series are equal, value by value; {} differ in a value, {medians} of them in the median; \
             {} only in the old, {} only in the new",
            self.equal,
            self.moved.len(),
            self.only_old,
            self.only_new
        )?;
        let mut worst: Vec<_> = self.moved.iter().collect();
        let change = |old: u64, new: u64| (new as f64 - old as f64) / (old.max(1) as f64);
        worst.sort_by(|a, b| change(b.1, b.2).abs().total_cmp(&change(a.1, a.2).abs()));
        for (text, old, new) in worst.iter().take(NAMED) {
            let percent = 100.0 * change(*old, *new);
            writeln!(f, "  {text}: {old} to {new}, {percent:+.2} %")?;
        }
        if worst.len() > NAMED {
            writeln!(f, "  and {} more, each by less", worst.len() - NAMED)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, commit: &str, values: &[u64]) -> Series {
        let mut series = Series::new(name, "ns").label("commit", commit);
        values.iter().for_each(|&value| series.push(value));
        series
    }

    #[test]
    fn another_commit_is_compared() {
        let comparison = Comparison::of(&[series("a", "1", &[1, 2])], &[series("a", "2", &[1, 2])]);
        assert!(comparison.is_equal());
        assert_eq!(
            comparison.to_string(),
            "all 1 series are equal, value by value\n"
        );
    }

    #[test]
    fn a_value_that_differs_is_seen_and_so_is_a_series_that_is_gone() {
        let old = [series("a", "1", &[1, 2, 3]), series("b", "1", &[4])];
        let new = [series("a", "1", &[1, 2, 4]), series("c", "1", &[4])];
        let comparison = Comparison::of(&old, &new);
        assert!(!comparison.is_equal());
        let said = comparison.to_string();
        assert!(
            said.starts_with("0 series are equal, value by value; 1 differ in a value, 0 of them"),
            "{said}"
        );
        assert!(
            said.contains("1 only in the old, 1 only in the new"),
            "{said}"
        );
    }
}
