// SPDX-License-Identifier: MIT OR Apache-2.0
//! What became of a stream, seen from the card: its trace says when which frames were fetched, its tap what they were.
//!
//! A program in the guest says when its callbacks began, by the clock that the trace goes by too, and which signal
//! they wrote. Nothing else of what it says is believed here.

use std::collections::HashMap;

use sgring_bench::series::Series;
use sgring_signal::Generator;

use crate::outcome::Outcome;

/// Bytes in a frame: 16 bits, two channels.
const FRAME: usize = 4;
const SECOND: u128 = 1_000_000_000;

/// The trace events that are read; without bursts, what needs them is left out.
pub const EVENTS: [&str; 3] = ["sgring_prepare", "sgring_start", "sgring_stop"];
pub const BURSTS: &str = "sgring_burst";

/// From a START to the next STOP.
#[derive(Clone, Debug, Default)]
struct Segment {
    /// When, ns.
    start: u64,
    /// PREPAREs since the last STOP.
    prepares: u64,
    /// The first of its frames in the tap, and how many there are.
    at: usize,
    frames: usize,
    /// Frames fetched so far, and when.
    bursts: Vec<(usize, u64)>,
}

/// The number after a word of a trace line.
fn value(line: &str, name: &str) -> Option<u64> {
    let mut words = line.split_whitespace().skip_while(|word| *word != name);
    words.nth(1)?.parse().ok()
}

/// All segments of a log, in order.
fn segments(log: &str) -> Vec<Segment> {
    let (mut all, mut prepares, mut at) = (Vec::new(), 0, 0);
    let mut open: Option<Segment> = None;
    for line in log.lines() {
        if line.contains("sgring_prepare ") {
            prepares += 1;
        } else if line.contains("sgring_start ") {
            open = Some(Segment {
                start: value(line, "t0").unwrap_or(0),
                prepares: std::mem::take(&mut prepares),
                at,
                ..Segment::default()
            });
        } else if let (true, Some(segment)) = (line.contains("sgring_burst "), &mut open) {
            if let (Some(frames), Some(due), Some(late)) = (
                value(line, "hw_ptr"),
                value(line, "due"),
                value(line, "lateness"),
            ) {
                segment.bursts.push((frames as usize, due + late));
            }
        } else if line.contains("sgring_stop ") {
            if let Some(mut segment) = open.take() {
                segment.frames = value(line, "hw_ptr").unwrap_or(0) as usize;
                at += segment.frames;
                all.push(segment);
            }
        }
    }
    all
}

/// What became of one stream.
#[derive(Clone, Debug, Default)]
struct Fate {
    /// For each frame of the signal when it was fetched first, 0 where the trace does not say; `None`: never.
    fetched: Vec<Option<u64>>,
    silence: u64,
    /// Frames that came again, or are none of the signal's.
    stale: u64,
    /// The longest time from one frame of the signal to the next one that was fetched, ns.
    gap: u64,
}

impl Fate {
    fn of(signal: &[u32], segments: &[Segment], tap: &[u32]) -> Self {
        let index: HashMap<u32, usize> = signal.iter().copied().zip(0..).collect();
        let mut fate = Self {
            fetched: vec![None; signal.len()],
            ..Self::default()
        };
        let (mut silence, mut before) = (0, None);
        for segment in segments {
            let mut bursts = segment.bursts.iter().peekable();
            let frames = tap.get(segment.at..segment.at + segment.frames);
            for (place, value) in frames.unwrap_or_default().iter().enumerate() {
                while bursts.next_if(|(end, _)| *end <= place).is_some() {}
                if *value == 0 {
                    silence += 1;
                    continue;
                }
                // Silence counts where something follows it.
                fate.silence += std::mem::take(&mut silence);
                let when = bursts.peek().map_or(0, |(_, when)| *when);
                fate.gap = fate
                    .gap
                    .max(when.saturating_sub(before.replace(when).unwrap_or(when)));
                match index.get(value) {
                    Some(&frame) if fate.fetched[frame].is_none() => {
                        fate.fetched[frame] = Some(when);
                    }
                    _ => fate.stale += 1,
                }
            }
        }
        fate
    }

    fn lost(&self) -> u64 {
        self.fetched.iter().filter(|frame| frame.is_none()).count() as u64
    }

    fn when(&self, frame: usize) -> Option<u64> {
        *self.fetched.get(frame)?
    }
}

/// For how long the card's clock stood still between the first START and the last segment, ns.
fn stood_still(segments: &[Segment], rate: u64) -> u64 {
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return 0;
    };
    let before: usize = segments[..segments.len() - 1]
        .iter()
        .map(|segment| segment.frames)
        .sum();
    let (frames, until) = match last.bursts.last() {
        Some((frames, when)) => (before + frames, *when),
        None => (before, last.start),
    };
    // The card rounds its deadlines up.
    let due = (frames as u128 * SECOND).div_ceil(u128::from(rate.max(1)));
    (until - first.start).saturating_sub(due as u64)
}

/// One more series with the labels of another.
fn beside(like: &Series, name: &str, unit: &str, values: Vec<u64>) -> Series {
    let mut series = Series::new(name, unit);
    for (label, value) in like.labels() {
        series = series.label(label, value);
    }
    values.into_iter().for_each(|value| series.push(value));
    series
}

/// The series about the streams of which `all` says when their callbacks began.
///
/// # Errors
/// A trace, a tap and a series that do not fit together.
pub fn series(outcome: &Outcome, all: &[Series]) -> Result<Vec<Series>, String> {
    let path = outcome.dir.join("tap.raw");
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let tap: Vec<u32> = bytes
        .chunks_exact(FRAME)
        .map(|frame| u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]))
        .collect();
    let segments = segments(&outcome.qemu_log());
    let traced: usize = segments.iter().map(|segment| segment.frames).sum();
    if traced != tap.len() {
        return Err(format!(
            "{traced} frames by the trace, {} in the tap",
            tap.len()
        ));
    }
    let mut found = Vec::new();
    for calls in all.iter().filter(|s| s.name() == "cpal.callback_at") {
        found.extend(of_stream(calls, &segments, &tap)?);
    }
    Ok(found)
}

fn of_stream(calls: &Series, segments: &[Segment], tap: &[u32]) -> Result<Vec<Series>, String> {
    let number = |label: &str| -> Result<u64, String> {
        let value = calls.get(label).and_then(|value| value.parse().ok());
        value.ok_or(format!("cpal.callback_at: no number {label}"))
    };
    let (period, rate) = (number("period")? as usize, number("rate")?);
    let times = calls.values();
    let (Some(&first), Some(&last)) = (times.first(), times.last()) else {
        return Ok(Vec::new());
    };
    let own: Vec<Segment> = segments
        .iter()
        .filter(|segment| (first..=last).contains(&segment.start))
        .cloned()
        .collect();
    if own.is_empty() {
        return Err(format!("{calls}: no START in the trace at that time"));
    }
    let signal: Vec<i16> =
        Generator::new(number("signal")?, FRAME / 2).samples((period * times.len()) as u64);
    let signal: Vec<u32> = signal
        .chunks_exact(2)
        .map(|frame| u32::from(frame[0] as u16) | u32::from(frame[1] as u16) << 16)
        .collect();
    let fate = Fate::of(&signal, &own, tap);
    let one = |name, unit, value| beside(calls, name, unit, vec![value]);
    let mut found = vec![
        one("cpal.starts", "starts", own.len() as u64),
        one(
            "cpal.prepares",
            "prepares",
            own.iter().map(|s| s.prepares).sum(),
        ),
        one("cpal.silence", "frames", fate.silence),
        one("cpal.lost", "frames", fate.lost()),
        one("cpal.stale", "frames", fate.stale),
        one("cpal.stood_still", "ns", stood_still(&own, rate)),
    ];
    if own.iter().all(|segment| segment.bursts.is_empty()) {
        return Ok(found);
    }
    found.push(one("cpal.gap", "ns", fate.gap));
    // How late frames are is about a stream that nobody held up.
    if calls.get("stall_ms") == Some("0") {
        found.extend(latencies(calls, period, &own, &fate)?);
    }
    Ok(found)
}

/// How long a callback comes before its frames are fetched, and after the period's end that woke it up.
fn latencies(
    calls: &Series,
    period: usize,
    segments: &[Segment],
    fate: &Fate,
) -> Result<Vec<Series>, String> {
    let bursts: Vec<u64> = segments
        .iter()
        .flat_map(|segment| segment.bursts.iter().map(|(_, when)| *when))
        .collect();
    let (mut to_first, mut to_last, mut since) = (Vec::new(), Vec::new(), Vec::new());
    for (number, &at) in calls.values().iter().enumerate() {
        // Those before the first end of a period fill the ring.
        let Some(woken) = bursts.partition_point(|&when| when <= at).checked_sub(1) else {
            continue;
        };
        let (Some(first), Some(last)) = (
            fate.when(number * period),
            fate.when((number + 1) * period - 1),
        ) else {
            return Err(format!(
                "{calls}: call {number}: its frames were not fetched"
            ));
        };
        to_first.push(first.saturating_sub(at));
        to_last.push(last.saturating_sub(at));
        since.push(at - bursts[woken]);
    }
    let to_tap =
        |frame, values| beside(calls, "cpal.callback_to_tap", "ns", values).label("frame", frame);
    Ok(vec![
        to_tap("first", to_first),
        to_tap("last", to_last),
        beside(calls, "cpal.period_to_callback", "ns", since),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
sgring_prepare stream 0 format 2 rate 1000 channels 2 period 2 ring 4 burst 1 segments 1
sgring_stop stream 0 hw_ptr 0
sgring_start stream 0 hw_ptr 0 t0 100
sgring_burst stream 0 hw_ptr 2 due 2000100 lateness 0 ns
sgring_burst stream 0 hw_ptr 4 due 4000100 lateness 5 ns
sgring_stop stream 0 hw_ptr 4
sgring_stop stream 0 hw_ptr 4
sgring_prepare stream 0 format 2 rate 1000 channels 2 period 2 ring 4 burst 1 segments 1
sgring_start stream 0 hw_ptr 0 t0 9000100
sgring_burst stream 0 hw_ptr 3 due 12000100 lateness 0 ns
sgring_stop stream 0 hw_ptr 3
";

    #[test]
    fn a_log_is_cut_into_segments() {
        let all = segments(LOG);
        let seen: Vec<_> = all
            .iter()
            .map(|s| (s.start, s.prepares, s.at, s.frames))
            .collect();
        assert_eq!(seen, [(100, 1, 0, 4), (9_000_100, 1, 4, 3)]);
        assert_eq!(all[0].bursts, [(2, 2_000_100), (4, 4_000_105)]);
        // Seven frames of a millisecond, in twelve milliseconds.
        assert_eq!(stood_still(&all, 1000), 5_000_000);
        assert_eq!(stood_still(&all[..1], 1000), 5);
    }

    #[test]
    fn the_fate_of_each_frame_is_told() {
        let all = segments(LOG);
        // The third frame is lost, the second comes twice, and the end is silent.
        let fate = Fate::of(&[1, 2, 3, 4], &all, &[1, 2, 0, 0, 2, 4, 0]);
        assert_eq!((fate.silence, fate.lost(), fate.stale), (2, 1, 1));
        assert_eq!(fate.gap, 12_000_100 - 2_000_100);
        assert_eq!(fate.when(1), Some(2_000_100));
        assert_eq!(fate.when(2), None);
        assert_eq!(fate.when(3), Some(12_000_100));
    }
}
