// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the series stand against what the design asks for: met, or missed and by how much.
//!
//! All with the driver's default fault window. Nothing depends on it: it is read by people.

use sgring_bench::series::Series;

use crate::found::{Found, Label, size, thousands};
use crate::through_cpal;

const EAGER: [Label<'_>; 2] = [("memory", "ring"), ("map_mode", "eager")];
const MEMFD: [Label<'_>; 1] = [("memory", "memfd")];
const HDA: [Label<'_>; 2] = [("memory", "ring"), ("card", "hda")];
/// Bytes from which on a lazily mapped ring shall keep up with an eager one.
const LARGE: usize = 256 << 10;
/// Bytes of the largest ring that is asked for.
const LARGEST: usize = 64 << 20;
/// The most that `mmap()` may differ between sizes and count as flat.
const FLAT: f64 = 1.05;
/// Nanoseconds that a writer may be held up, and bytes of rings up to which.
const HOLD_UP: u64 = 5_000_000;
const HELD_UP: usize = 64 << 10;

/// One comparison: what, at which size, the value, and the limit it is held against.
pub struct Point {
    pub at: String,
    pub value: u64,
    pub limit: f64,
}

impl Point {
    fn new(bytes: usize, value: u64, limit: f64) -> Self {
        Self {
            at: size(bytes),
            value,
            limit,
        }
    }

    fn share(&self) -> f64 {
        self.value as f64 / self.limit.max(1.0)
    }
}

/// A line about the worst of `points`, each of which shall be at most its limit.
pub fn at_most(what: &str, unit: &str, points: &[Point]) -> String {
    let Some(worst) = points.iter().max_by(|a, b| a.share().total_cmp(&b.share())) else {
        return line("not measured", what, "");
    };
    let numbers = format!(
        "{} of {} {unit} allowed at {}",
        thousands(worst.value),
        thousands(worst.limit as u64),
        worst.at
    );
    let missed: Vec<_> = points
        .iter()
        .filter(|p| p.share() > 1.0)
        .map(|p| p.at.as_str())
        .collect();
    if missed.is_empty() {
        line(
            "met",
            what,
            &format!("at worst {:.2} of it: {numbers}", worst.share()),
        )
    } else {
        let over = 100.0 * (worst.share() - 1.0);
        line(
            "MISSED",
            what,
            &format!(
                "by {over:.0} % at worst, {numbers}; at {}",
                missed.join(", ")
            ),
        )
    }
}

fn line(verdict: &str, what: &str, detail: &str) -> String {
    let detail = match detail {
        "" => String::new(),
        _ => format!("\n                {detail}"),
    };
    format!("  {verdict:<12}  {what}{detail}\n")
}

/// All targets, a line or two each.
pub fn lines(all: &[Series]) -> String {
    let found = Found(all);
    let window = found.default_window();
    let ours = [
        ("memory", "ring"),
        ("map_mode", "fault"),
        ("fault_window", window.as_str()),
        ("backing", "ram"),
    ];
    let sizes: Vec<_> = found
        .sizes("mmap.")
        .into_iter()
        .filter(|&bytes| found.median("mmap.call", bytes, &ours).is_some())
        .collect();
    let mut unit = "";
    if let Some(series) = found.all("mmap.call", &ours).next() {
        unit = series.unit();
    }
    let get = |name: &str, bytes: usize, labels: &[Label<'_>]| found.median(name, bytes, labels);
    // Ours of one series against a limit that is made of another.
    let against = |name: &str, sizes: &[usize], limit: &dyn Fn(usize) -> Option<f64>| {
        let points = sizes
            .iter()
            .filter_map(|&bytes| Some(Point::new(bytes, get(name, bytes, &ours)?, limit(bytes)?)));
        points.collect::<Vec<_>>()
    };
    let large: Vec<_> = sizes.iter().copied().filter(|&s| s >= LARGE).collect();

    let mut text = match window.as_str() {
        "" => "\ntargets\n".to_owned(),
        _ => format!("\ntargets, with the default fault window of {window} pages\n"),
    };
    for (name, what) in [
        ("mmap.touch", "one fault costs no more than a memfd's"),
        (
            "mmap.first_touch",
            "so does the first of a mapping, with what page tables it takes",
        ),
    ] {
        let points = against(
            name,
            &sizes,
            &|bytes| Some(get(name, bytes, &MEMFD)? as f64),
        );
        text.push_str(&at_most(what, unit, &points));
    }
    let smallest = sizes.first().and_then(|&b| get("mmap.call", b, &ours));
    let points = against("mmap.call", &sizes, &|_| Some(smallest? as f64 * FLAT));
    text.push_str(&at_most("mmap() costs the same at any size", unit, &points));

    let points = against("mmap.first_period", &large, &|bytes| {
        let eager = get("mmap.first_period", bytes, &EAGER)?;
        Some((eager + get("mmap.touch", bytes, &ours)?) as f64)
    });
    text.push_str(&at_most(
        "from 256 KiB up the first period is ready no later than eagerly mapped, or by a fault",
        unit,
        &points,
    ));
    let points = against("mmap.first_period", &[LARGEST], &|bytes| {
        Some(get("mmap.first_period", bytes, &EAGER)? as f64 / 50.0)
    });
    text.push_str(&at_most(
        "at 64 MiB it is ready 50 times earlier",
        unit,
        &points,
    ));
    let points = against("mmap.whole", &large, &|bytes| {
        Some(get("mmap.whole", bytes, &EAGER)? as f64 * 1.25)
    });
    text.push_str(&at_most(
        "from 256 KiB up a whole ring, mapped and touched, costs at most 1.25 of eager",
        unit,
        &points,
    ));
    text.push_str(&largest(&sizes));
    text.push_str(&held_up(found));
    text.push_str(&punctual(found));
    text.push_str(&through_cpal::targets(found));
    text.push_str(&ratios(found, &ours, &sizes));
    text
}

fn largest(sizes: &[usize]) -> String {
    const WHAT: &str = "there are rings of 64 MiB";
    match sizes.last() {
        Some(&bytes) if bytes >= LARGEST => line("met", WHAT, &format!("{} mapped", size(bytes))),
        _ => line("not measured", WHAT, ""),
    }
}

/// Of every single move, not of medians.
fn held_up(found: Found<'_>) -> String {
    let points: Vec<_> = found
        .all("move.hold_up", &[])
        .filter_map(|series| {
            let bytes = series.get("ring_bytes")?.parse().ok()?;
            let worst = *series.values().iter().max()?;
            (bytes <= HELD_UP).then(|| Point::new(bytes, worst, HOLD_UP as f64))
        })
        .collect();
    at_most(
        "a ring of up to 64 KiB that moves holds its writer up for less than 5 ms",
        "ns",
        &points,
    )
}

/// The worst wakeup at each period, against a timer's worst on the same grid.
fn punctual(found: Found<'_>) -> String {
    const AT_ALL: u64 = 3_000;
    const BEYOND_A_TIMER: u64 = 1_000;
    let worst = |period: &str, client: &str| {
        let labels = [("period", period), ("client", client)];
        let series = found.all("wake.deviation", &labels).next()?;
        series.values().iter().max().copied()
    };
    let points: Vec<_> = found
        .all("wake.deviation", &[("client", "ring")])
        .filter_map(|series| {
            let period = series.get("period")?;
            let timer = worst(period, "nanosleep")?;
            Some(Point {
                at: format!("periods of {period}"),
                value: worst(period, "ring")?,
                limit: AT_ALL.max(timer + BEYOND_A_TIMER) as f64,
            })
        })
        .collect();
    at_most(
        "no wakeup is off by more than 3 us, or a timer's worst on the same grid and 1 us",
        "ns",
        &points,
    )
}

/// How dear we are beside others, without a target.
fn ratios(found: Found<'_>, ours: &[Label<'_>], sizes: &[usize]) -> String {
    let touched = [("touched", "yes")];
    let mut text = String::new();
    for (name, labels, what) in [
        ("mmap.whole", &[][..], "a whole ring, mapped and touched"),
        ("mmap.munmap", &touched[..], "munmap() of it"),
    ] {
        for (other, theirs) in [("intel-hda", &HDA[..]), ("a memfd", &MEMFD[..])] {
            let theirs = [theirs, labels].concat();
            let ours = [ours, labels].concat();
            let shares: Vec<_> = sizes
                .iter()
                .filter_map(|&bytes| {
                    let ours = found.median(name, bytes, &ours)?;
                    let theirs = found.median(name, bytes, &theirs)?;
                    Some(format!(
                        "{:.2} at {}",
                        ours as f64 / theirs as f64,
                        size(bytes)
                    ))
                })
                .collect();
            if !shares.is_empty() {
                let what = format!("{what}, in ratio to {other}");
                text.push_str(&line("", &what, &shares.join(", ")));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(value: u64, limit: f64) -> Point {
        Point::new(4096, value, limit)
    }

    #[test]
    fn the_worst_point_decides() {
        let text = at_most("it", "ns", &[point(50, 100.0), point(90, 100.0)]);
        assert!(text.trim_start().starts_with("met"), "{text}");
        assert!(text.contains("0.90 of it: 90 of 100 ns"), "{text}");
        let text = at_most("it", "ns", &[point(50, 100.0), point(150, 100.0)]);
        assert!(
            text.contains("MISSED") && text.contains("by 50 %"),
            "{text}"
        );
        assert!(at_most("it", "ns", &[]).contains("not measured"));
    }

    #[test]
    fn nothing_measured_is_nothing_met() {
        assert!(!lines(&[]).contains(" met"));
    }
}
