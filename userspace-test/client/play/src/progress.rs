// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where it is, for people and for programs.
//!
//! Progress goes to stderr, the summary to stdout. With `json` all lines are objects on stdout.

use crate::Progress;
use cpal_alsa_mmap::Stats;
use std::fmt;
use std::io::Write as _;

/// Columns of the bar itself.
const BAR: u64 = 30;

/// Seconds of audio between two plain lines.
const PLAIN: u64 = 5;

/// Seconds of audio between two objects.
const JSON: u64 = 1;

/// A line on stdout, as far as somebody still reads it.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on stderr, likewise.
pub(crate) fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Shows one stream.
pub(crate) struct Display {
    how: Progress,
    /// Frames per second.
    rate: u32,
    /// Frames in the file, if known.
    total: Option<u64>,
    /// The bar's line is on the screen.
    open: bool,
    /// The frame at which the next line is due.
    due: u64,
}

/// Minutes, seconds and milliseconds of `frames`.
pub(crate) fn time(frames: u64, rate: u32) -> String {
    let millis = u128::from(frames) * 1000 / u128::from(rate.max(1));
    format!(
        "{}:{:02}.{:03}",
        millis / 60_000,
        millis / 1000 % 60,
        millis % 1000
    )
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

impl Display {
    pub(crate) fn new(how: Progress, rate: u32, total: Option<u64>) -> Self {
        Self {
            how,
            rate,
            total,
            open: false,
            due: 0,
        }
    }

    fn position(&self, stats: &Stats) -> String {
        let at = time(stats.played, self.rate);
        let xruns = match stats.xruns {
            1 => "1 xrun".to_owned(),
            n => format!("{n} xruns"),
        };
        match self.total {
            Some(total) => format!("{at} / {}  {xruns}", time(total, self.rate)),
            None => format!("{at}  {xruns}"),
        }
    }

    /// Whether the next line is due at `frame`; then the one after it is `seconds` later.
    fn is_due(&mut self, frame: u64, seconds: u64) -> bool {
        let step = seconds * u64::from(self.rate);
        let due = frame >= self.due;
        if due {
            self.due = (frame / step + 1) * step;
        }
        due
    }

    /// Shows where the stream is.
    pub(crate) fn show(&mut self, stats: &Stats) {
        // What comes after the last frame is not of the file.
        let mut stats = *stats;
        stats.played = stats.played.min(self.total.unwrap_or(u64::MAX));
        match self.how {
            Progress::Plain => {
                if self.is_due(stats.played, PLAIN) {
                    tell(format_args!("{}", self.position(&stats)));
                }
            }
            Progress::Bar => {
                let full = self.total.map_or(0, |total| {
                    (u128::from(stats.played) * u128::from(BAR) / u128::from(total.max(1))) as u64
                });
                let bar: String = (0..BAR).map(|i| if i < full { '#' } else { '.' }).collect();
                let position = self.position(&stats);
                let _ = write!(std::io::stderr(), "\r[{bar}] {position}");
                self.open = true;
            }
            Progress::Json => {
                if self.is_due(stats.played, JSON) {
                    say(format_args!(
                        "{{\"position\":{},\"total\":{},\"rate\":{},\"xruns\":{}}}",
                        stats.played,
                        self.total.map_or("null".into(), |t| t.to_string()),
                        self.rate,
                        stats.xruns
                    ));
                }
            }
        }
    }

    /// Ends the bar's line, so that other text can follow.
    pub(crate) fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            tell(format_args!(""));
        }
    }

    /// The last words about a stream. `end` is how it ended, in a word; `trouble` why it is no
    /// success.
    pub(crate) fn summary(
        &mut self,
        end: &str,
        stats: &Stats,
        digest: Option<u128>,
        trouble: Option<&str>,
    ) {
        self.close();
        let digest = digest.map(|d| format!("{d:032x}"));
        if self.how == Progress::Json {
            say(format_args!(
                "{{\"end\":{},\"frames\":{},\"played\":{},\"xruns\":{},\"silent\":{},\
                 \"callbacks\":{},\"polls\":{},\"syncs\":{},\"starts\":{},\"syscalls\":{},\
                 \"digest\":{},\"error\":{}}}",
                quoted(end),
                stats.frames,
                stats.played,
                stats.xruns,
                stats.missed,
                stats.callbacks,
                stats.polls,
                stats.syncs,
                stats.starts,
                stats.syscalls(),
                digest.as_deref().map_or("null".into(), quoted),
                trouble.map_or("null".into(), quoted)
            ));
            return;
        }
        say(format_args!(
            "{end}: {} frames in {} callbacks, {} xruns; {} polls, {} starts, {} system calls in \
             the audio thread",
            stats.frames,
            stats.callbacks,
            stats.xruns,
            stats.polls,
            stats.starts,
            stats.syscalls()
        ));
        if let Some(digest) = digest {
            say(format_args!(
                "handed over: {} frames, xxh3 {digest}",
                stats.frames
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_such() {
        assert_eq!(time(0, 48_000), "0:00.000");
        assert_eq!(time(48_000 * 75 + 24, 48_000), "1:15.000");
        assert_eq!(time(48_000 * 75 + 24_000, 48_000), "1:15.500");
    }

    #[test]
    fn text_is_quoted_for_json() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000a""#);
    }
}
