// SPDX-License-Identifier: MIT OR Apache-2.0
//! The series as tables: medians, a column for each size.

use sgring_bench::series::Series;

use crate::found::{Found, Label, size, thousands};
use crate::through_cpal;

/// Tables: a series, labels that it must have, what it is, and whether all fault windows are shown.
const TABLES: [(&str, &[Label<'_>], &str, bool); 9] = [
    ("mmap.call", &[], "mmap()", false),
    (
        "mmap.first_touch",
        &[],
        "the first touch of a mapping",
        false,
    ),
    (
        "mmap.touch",
        &[],
        "one touch, where the page table is there",
        false,
    ),
    (
        "mmap.first_period",
        &[],
        "mmap() and 1 KiB written at the start",
        false,
    ),
    (
        "mmap.whole",
        &[],
        "mmap() and a byte written to every page, in order",
        true,
    ),
    (
        "mmap.faults",
        &[],
        "page faults of a touch of every page",
        true,
    ),
    (
        "mmap.per_fault",
        &[],
        "a fault, on average, of a touch of every page",
        true,
    ),
    (
        "mmap.munmap",
        &[("touched", "no")],
        "munmap() of what was not touched",
        false,
    ),
    (
        "mmap.munmap",
        &[("touched", "yes")],
        "munmap() of what was touched, every page",
        false,
    ),
];

/// What the rows of a table differ in.
const ROWS: [&str; 5] = ["card", "memory", "map_mode", "fault_window", "backing"];
const MOVES: [&str; 3] = ["stream", "writer", "direction"];

fn key<'a>(series: &'a Series, labels: &[&str]) -> Vec<Option<&'a str>> {
    labels.iter().map(|label| series.get(label)).collect()
}

/// The title of a row.
fn title(series: &Series) -> String {
    match (series.get("memory"), series.get("card")) {
        (Some("ring"), Some("hda")) => "intel-hda".into(),
        (Some("ring"), _) => {
            let mode = series.get("map_mode").unwrap_or_default();
            let window = series.get("fault_window");
            let window = window.map_or_else(String::new, |w| format!(", window {w}"));
            let home = match series.get("backing") {
                Some("sram") => ", on the card",
                _ => "",
            };
            format!("{mode}{window}{home}")
        }
        (Some(memory), _) => memory.to_owned(),
        (None, _) => {
            let words = MOVES.map(|label| series.get(label).unwrap_or_default());
            words.join(", ").replace('_', " ")
        }
    }
}

/// One table; nothing where there is no such series.
fn table(what: &str, rows: &[&Series], labels: &[&str], sizes: &[usize]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let values = first.values().len();
    let mut text = format!("\n{what}: {}, medians of {values}\n", first.unit());
    let mut seen: Vec<Vec<Option<&str>>> = Vec::new();
    let mut lines = vec![(String::new(), sizes.iter().map(|&s| size(s)).collect())];
    for series in rows {
        let key_of_row = key(series, labels);
        if seen.contains(&key_of_row) {
            continue;
        }
        let cells: Vec<String> = sizes
            .iter()
            .map(|bytes| {
                let bytes = bytes.to_string();
                rows.iter()
                    .filter(|s| key(s, labels) == key_of_row)
                    .find(|s| s.get("ring_bytes") == Some(&bytes))
                    .and_then(|s| s.median())
                    .map_or_else(|| "-".into(), thousands)
            })
            .collect();
        lines.push((title(series), cells));
        seen.push(key_of_row);
    }
    let first_width = lines.iter().map(|(t, _)| t.len()).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|(_, cells)| cells.get(column));
        cells.map(String::len).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..sizes.len()).map(width).collect();
    for (title, cells) in &lines {
        text.push_str(&format!("  {title:<first_width$}"));
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        text.push('\n');
    }
    text
}

/// All tables, and the clock that they were measured by.
pub fn tables(all: &[Series]) -> String {
    let found = Found(all);
    let window = found.default_window();
    let sizes = found.sizes("mmap.");
    let mut text = clock(found);
    for (name, labels, what, all_windows) in TABLES {
        let rows: Vec<_> = found
            .all(name, labels)
            .filter(|series| all_windows || series.get("fault_window").is_none_or(|w| w == window))
            .collect();
        text.push_str(&table(what, &rows, &ROWS, &sizes));
    }
    let rows: Vec<_> = found.all("move.hold_up", &[]).collect();
    text.push_str(&table(
        "longest time between two stores while the ring moves",
        &rows,
        &MOVES,
        &found.sizes("move."),
    ));
    text + &wakeups(found) + &through_cpal::tables(found)
}

/// How far wakeups are off their grid: half of them at most, all but one in a hundred, all.
fn wakeups(found: Found<'_>) -> String {
    let mut text = String::new();
    for series in found.all("wake.deviation", &[]) {
        if text.is_empty() {
            text.push_str(&format!(
                "\nwakeups at the ends of periods, off an even grid: {}, of {}\n  {:6}  {:9}  {:>9}  {:>9}  {:>9}\n",
                series.unit(),
                series.values().len(),
                "period",
                "client",
                "median",
                "99 %",
                "worst"
            ));
        }
        let mut values = series.values().to_vec();
        values.sort_unstable();
        let part = |percent: usize| {
            let at = (values.len() * percent).div_ceil(100).saturating_sub(1);
            values.get(at).copied().map_or_else(String::new, thousands)
        };
        text.push_str(&format!(
            "  {:>6}  {:9}  {:>9}  {:>9}  {:>9}\n",
            series.get("period").unwrap_or_default(),
            series.get("client").unwrap_or_default(),
            part(50),
            part(99),
            part(100)
        ));
    }
    text
}

fn clock(found: Found<'_>) -> String {
    let mut text = String::new();
    if let Some(first) = found.0.first() {
        let of = |label| first.get(label).unwrap_or("?");
        text.push_str(&format!(
            "\nkernel {}, QEMU {} with {}, clock {}, commit {}\n",
            of("kernel"),
            of("qemu"),
            of("accel"),
            of("clock"),
            of("commit")
        ));
    }
    let own = found.all("clock.own", &[]).next();
    let quantum = found.all("clock.quantum", &[]).next();
    if let (Some(own), Some(quantum)) = (own, quantum) {
        text.push_str(&format!(
            "the clock moves by {} at least; reading it costs {} {}, which are taken off\n",
            quantum.median().unwrap_or(0),
            own.values().iter().min().unwrap_or(&0),
            own.unit()
        ));
    }
    if !found.default_window().is_empty() {
        text.push_str(&format!(
            "the driver's fault window is {} pages\n",
            found.default_window()
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(mode: &str, bytes: u64, value: u64) -> Series {
        let mut series = Series::new("mmap.call", "instructions")
            .label("memory", "ring")
            .label("map_mode", mode)
            .label("ring_bytes", bytes);
        series.push(value);
        series
    }

    #[test]
    fn a_row_for_each_kind_and_a_column_for_each_size() {
        let all = [
            series("page", 4096, 1234),
            series("page", 1 << 20, 5),
            series("eager", 4096, 99),
        ];
        let text = tables(&all);
        let end = text.split("medians of 1\n").nth(1).unwrap();
        assert_eq!(
            end,
            "         4 KiB  1 MiB\n  page   1,234      5\n  eager     99      -\n"
        );
    }
}
