// SPDX-License-Identifier: MIT OR Apache-2.0
//! The series of one memory of one size. Each value is of a mapping of its own.

use crate::Label;
use sgring_bench::marker::Marker;
use sgring_bench::series::Series;
use sgring_bench::stopwatch::Stopwatch;
use sgring_suite::window::{Window, page};
use std::io;

/// Rounds before the first that counts: code and tables are then in place.
const WARM_UP: usize = 2;
/// Bytes: 256 frames of stereo.
const FIRST_PERIOD: usize = 1024;
/// Marks where a series begins and ends.
const BEGIN: u8 = 1;
const END: u8 = 2;

/// Maps the memory under test.
type Map<'a> = &'a dyn Fn() -> io::Result<Window>;

/// Writes a byte to each page, in order.
pub fn touch(window: &Window) {
    for at in (0..window.bytes()).step_by(page()) {
        window.set(at, 1);
    }
}

/// Measures.
pub struct Costs {
    stopwatch: Stopwatch,
    marker: Marker,
    kernel: String,
    rounds: usize,
}

impl Costs {
    /// Each series of `rounds` values. Prints those of the clock.
    pub fn new(rounds: usize) -> io::Result<Self> {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let costs = Self {
            stopwatch: Stopwatch::new(),
            marker: Marker::new(),
            kernel: release.trim().to_owned(),
            rounds,
        };
        for series in costs.stopwatch.series() {
            costs.of_program(series).print()?;
        }
        Ok(costs)
    }

    /// Prints a number that is no measurement.
    pub fn note(&self, name: &str, unit: &str, value: u64) -> io::Result<()> {
        let mut series = self.of_program(Series::new(name, unit));
        series.push(value);
        series.print()
    }

    fn of_program(&self, series: Series) -> Series {
        series
            .label("program", "mmap_cost")
            .label("clock", self.stopwatch.clock())
            .label("kernel", &self.kernel)
    }

    /// One series: `round` gives each value.
    fn each(
        &self,
        empty: Series,
        mut round: impl FnMut() -> io::Result<u64>,
    ) -> io::Result<Series> {
        let mut series = empty;
        for _ in 0..WARM_UP {
            round()?;
        }
        self.marker.mark(BEGIN)?;
        for _ in 0..self.rounds {
            series.push(round()?);
        }
        self.marker.mark(END)?;
        series.print()?;
        Ok(series)
    }

    /// All series of what `map` maps.
    pub fn all(&self, labels: &[Label], bytes: usize, map: Map<'_>) -> io::Result<()> {
        let unit = self.stopwatch.unit();
        let of = |name: &str, unit: &str| {
            let series = self
                .of_program(Series::new(name, unit))
                .label("ring_bytes", bytes);
            labels
                .iter()
                .fold(series, |series, (name, value)| series.label(*name, value))
        };
        let time = |work: &mut dyn FnMut()| self.stopwatch.time(work).0;

        // From the call on; what was mapped is unmapped outside the time.
        let mapped = |name: &str, work: &dyn Fn(&Window)| {
            self.each(of(name, unit), || {
                let (time, window) = self.stopwatch.time(|| {
                    let window = map();
                    if let Ok(window) = &window {
                        work(window);
                    }
                    window
                });
                window?;
                Ok(time)
            })
        };
        mapped("mmap.call", &|_| ())?;
        mapped("mmap.first_period", &|window| {
            for at in (0..FIRST_PERIOD).step_by(64) {
                window.set(at, 1);
            }
        })?;
        mapped("mmap.whole", &touch)?;

        self.each(of("mmap.first_touch", unit), || {
            let window = map()?;
            Ok(time(&mut || window.set(0, 1)))
        })?;
        self.each(of("mmap.touch", unit), || {
            let window = map()?;
            let middle = window.pages() / 2 * page();
            // The table of page numbers that it lies in is there then, and it is not next in order.
            window.set(middle + page(), 1);
            Ok(time(&mut || window.set(middle, 1)))
        })?;

        let sequential = self.each(of("mmap.sequential", unit), || {
            let window = map()?;
            Ok(time(&mut || touch(&window)))
        })?;
        let again = self.each(of("mmap.again", unit), || {
            let window = map()?;
            touch(&window);
            Ok(time(&mut || touch(&window)))
        })?;
        let faults = self.each(of("mmap.faults", "faults"), || {
            let window = map()?;
            let before = faults()?;
            touch(&window);
            Ok(faults()?.saturating_sub(before))
        })?;
        let mut per_fault = of("mmap.per_fault", unit);
        let values = sequential.values().iter().zip(again.values());
        for ((all, again), &faults) in values.zip(faults.values()) {
            per_fault.push(all.saturating_sub(*again) / faults.max(1));
        }
        per_fault.print()?;

        for touched in ["no", "yes"] {
            let empty = of("mmap.munmap", unit).label("touched", touched);
            self.each(empty, || {
                let window = map()?;
                if touched == "yes" {
                    touch(&window);
                }
                let (time, done) = self.stopwatch.time(|| window.unmap());
                done?;
                Ok(time)
            })?;
        }
        Ok(())
    }
}

/// Page faults of this process so far that needed no disk.
fn faults() -> io::Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The fields after the program's name: state, parent, group, session, terminal and its group, flags, faults.
    let field = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.split(' ').nth(7)?.parse().ok());
    field.ok_or_else(|| io::Error::other("/proc/self/stat: no count of faults"))
}
