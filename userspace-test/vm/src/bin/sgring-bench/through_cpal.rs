// SPDX-License-Identifier: MIT OR Apache-2.0
//! The streams through cpal, host by host: tables, and what is asked of ours.

use sgring_bench::series::Series;

use crate::found::{Found, Label, thousands};
use crate::targets::{Point, at_most};

/// The share of the other host's instructions that ours may take.
const SHARE: f64 = 0.6;
/// The period of which a ring of two shall last.
const SMALL: usize = 32;
const STALLED: Label<'static> = ("stall_ms", "50");
const FREE: Label<'static> = ("stall_ms", "0");

/// Columns of a stream's fate.
const FATE: [(&str, &str); 8] = [
    ("cpal.xruns", "underruns told"),
    ("cpal.starts", "starts"),
    ("cpal.prepares", "prepares"),
    ("cpal.silence", "silent frames"),
    ("cpal.lost", "lost"),
    ("cpal.stale", "wrong"),
    ("cpal.stood_still", "clock stood still, ns"),
    ("cpal.gap", "longest gap, ns"),
];

/// Periods and hosts of which there is this series, in order, each once.
fn streams<'a>(found: Found<'a>, name: &str, labels: &[Label<'_>]) -> Vec<[Label<'a>; 2]> {
    let mut all = Vec::new();
    for series in found.all(name, labels) {
        let (Some(period), Some(host)) = (series.get("period"), series.get("host")) else {
            continue;
        };
        let stream = [("period", period), ("host", host)];
        if !all.contains(&stream) {
            all.push(stream);
        }
    }
    all
}

fn median(found: Found<'_>, name: &str, labels: &[Label<'_>]) -> Option<u64> {
    found.all(name, labels).next()?.median()
}

fn cell(value: Option<u64>) -> String {
    value.map_or_else(|| "-".into(), thousands)
}

/// The first row names the columns; all but the first are aligned to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(String::len).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            text.push_str(&match column {
                0 => format!("  {cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            });
        }
        text.push('\n');
    }
    text
}

fn words(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// What a period takes.
fn costs(found: Found<'_>) -> String {
    let streams = streams(found, "cpal.instructions", &[]);
    let Some(first) = found.all("cpal.instructions", &[]).next() else {
        return String::new();
    };
    let mut rows = vec![words(&[
        "period",
        "host",
        "writes to",
        "system calls",
        "frames copied",
        "instructions",
        "beyond a timer's",
        "first frame in tap, ns",
        "last",
        "after the wakeup's cause, ns",
    ])];
    let mut calls = String::new();
    for stream in streams {
        let [period, (_, host)] = stream;
        let of = |name: &str, more: &[Label<'_>]| median(found, name, &[&stream, more].concat());
        let all = of("cpal.instructions", &[]);
        let timer = median(found, "timer.instructions", &[period]);
        let place = found.all("cpal.copied", &stream).next();
        let place = place.and_then(|series| series.get("callback_writes_to"));
        let place = place.unwrap_or("-");
        let beyond = all.zip(timer).map(|(all, timer)| all.saturating_sub(timer));
        rows.push(vec![
            period.1.into(),
            host.into(),
            place.into(),
            cell(of("cpal.calls", &[("call", "all")])),
            cell(of("cpal.copied", &[])),
            cell(all),
            cell(beyond),
            cell(of("cpal.callback_to_tap", &[("frame", "first")])),
            cell(of("cpal.callback_to_tap", &[("frame", "last")])),
            cell(of("cpal.period_to_callback", &[])),
        ]);
        let names = found.all("cpal.calls", &stream);
        let names: Vec<_> = names
            .filter(|series| series.median().is_some_and(|calls| calls > 0))
            .filter_map(|series| series.get("call"))
            .filter(|&name| name != "all")
            .collect();
        let line = format!("  calls of {host}: {}\n", names.join(", "));
        if !calls.contains(&line) {
            calls.push_str(&line);
        }
    }
    format!(
        "\nplaying through cpal, 16-bit stereo at 48 kHz from rings of two periods: medians of {} periods; \
         instructions are the whole machine's\n{}{calls}",
        first.values().len(),
        aligned(&rows)
    )
}

/// What became of streams.
fn fates(found: Found<'_>, title: &str, labels: &[Label<'_>]) -> String {
    let mut rows = vec![words(&["period", "host"])];
    rows[0].extend(FATE.map(|(_, what)| what.to_owned()));
    for stream in streams(found, "cpal.xruns", labels) {
        let labels = [&stream, labels].concat();
        let mut row: Vec<String> = stream.iter().map(|(_, value)| (*value).into()).collect();
        row.extend(FATE.map(|(name, _)| cell(median(found, name, &labels))));
        rows.push(row);
    }
    match rows.len() {
        1 => String::new(),
        _ => format!("\n{title}\n{}", aligned(&rows)),
    }
}

/// All tables.
pub fn tables(found: Found<'_>) -> String {
    let long = found
        .all("cpal.xruns", &[("measure", "endurance")])
        .next()
        .and_then(|series| series.get("seconds"))
        .unwrap_or_default();
    costs(found)
        + &fates(
            found,
            "the same, undisturbed",
            &[FREE, ("measure", "times")],
        )
        + &fates(
            found,
            "a callback takes 50 ms for itself",
            &[STALLED, ("measure", "stall")],
        )
        + &fates(
            found,
            &format!("rings of two small periods, for {long} s"),
            &[("measure", "endurance")],
        )
}

/// A point for each stream of ours.
fn points(
    found: Found<'_>,
    name: &str,
    labels: &[Label<'_>],
    limit: &dyn Fn(&str) -> Option<f64>,
) -> Vec<Point> {
    let ours = [labels, &[("host", "ring")]].concat();
    let point = |series: &Series| {
        let period = series.get("period")?;
        Some(Point {
            at: format!("periods of {period}"),
            value: series.median()?,
            limit: limit(period)?,
        })
    };
    found.all(name, &ours).filter_map(point).collect()
}

/// What is asked of our host.
pub fn targets(found: Found<'_>) -> String {
    let none = |_: &str| Some(0.0);
    let one = |_: &str| Some(1.0);
    let calls = points(found, "cpal.calls", &[("call", "all")], &one);
    let copied = points(found, "cpal.copied", &[], &none);
    let instructions = points(found, "cpal.instructions", &[], &|period| {
        let theirs = [("period", period), ("host", "alsa")];
        Some(median(found, "cpal.instructions", &theirs)? as f64 * SHARE)
    });
    let mut glitches = Vec::new();
    for (name, _) in &FATE[..6] {
        let allowed = match *name {
            "cpal.starts" => one,
            "cpal.prepares" => continue,
            _ => |_: &str| Some(0.0),
        };
        let small = |period: &str| {
            let frames: usize = period.parse().ok()?;
            (frames >= SMALL).then(|| allowed(period))?
        };
        glitches.extend(points(found, name, &[("measure", "endurance")], &small));
    }
    // Rounding to a nanosecond.
    let clock = points(found, "cpal.stood_still", &[STALLED], &one);
    at_most("through cpal a period is one system call", "calls", &calls)
        + &at_most("and no frame is copied", "frames", &copied)
        + &at_most(
            "and takes at most 0.6 of the instructions of cpal's own host",
            "instructions",
            &instructions,
        )
        + &at_most(
            "two periods of 32 frames last: started once, no underrun, no frame wrong",
            "in all",
            &glitches,
        )
        + &at_most(
            "a callback that takes 50 ms does not stop the card's clock",
            "ns",
            &clock,
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, host: &str, value: u64) -> Series {
        let mut series = Series::new(name, "x")
            .label("host", host)
            .label("period", 64)
            .label("call", "all");
        series.push(value);
        series
    }

    #[test]
    fn hosts_are_side_by_side_and_ours_is_held_against_the_other() {
        let mut all = vec![
            series("cpal.instructions", "ring", 59),
            series("cpal.instructions", "alsa", 100),
            series("cpal.calls", "ring", 1),
            series("cpal.copied", "ring", 0),
        ];
        let text = tables(Found(&all));
        for words in [
            "64      ring          -             1",
            "64      alsa          -             -",
        ] {
            assert!(text.contains(words), "{text}");
        }
        let met = |all: &[Series]| targets(Found(all)).matches("  met").count();
        assert_eq!(met(&all), 3);
        all[0] = series("cpal.instructions", "ring", 61);
        all[2] = series("cpal.calls", "ring", 2);
        all[3] = series("cpal.copied", "ring", 64);
        assert_eq!(met(&all), 0);
    }
}
