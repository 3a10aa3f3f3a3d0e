// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bench: measuring programs, each in a guest of its own, and the series that must come of each.
//!
//! The guests run under icount, so what a program measures depends on nothing but what is labelled. Whether a
//! number is good is not said here.

mod cpal;
mod seen;

use std::time::Duration;

use sgring_bench::series::{self, Series};

use crate::config::{Card, Config, Sink};
use crate::error::{Error, Kind};
use crate::layout::Layout;
use crate::outcome::Outcome;
use crate::stopper::Stopper;
use crate::vm::Vm;
use crate::{argv, dmesg};

/// The files of the bench among the results.
pub const FILES: [&str; 2] = ["metrics.jsonl", "bench.txt"];

/// Labels that every series has.
pub const LABELS: [&str; 10] = [
    "accel",
    "card",
    "clock",
    "commit",
    "guest_mib",
    "kernel",
    "processors",
    "program",
    "qemu",
    "seed",
];

/// Host time for one guest.
const PATIENCE: Duration = Duration::from_secs(1800);
const GUEST_MIB: u32 = 768;
/// The kernel's own crypto tests go on for seconds after boot, on the processor that is measured.
const QUIET: &str = "cryptomgr.notests=1";
/// The largest ring that `intel-hda` offers, and the largest size whose rings fit the card's memory here, bytes.
const HDA_LARGEST: usize = 2 << 20;
const SRAM_LARGEST: usize = 2 << 20;

/// From a run and the series of its program to more series.
type Seen = fn(&Outcome, &[Series]) -> Result<Vec<Series>, String>;
/// A parameter and its value.
type Label = (&'static str, String);

/// A series that must come, by its name and some of its labels.
#[derive(Clone, Debug)]
struct Expected(&'static str, Vec<Label>);

impl Expected {
    fn is(&self, series: &Series) -> bool {
        series.name() == self.0
            && self
                .1
                .iter()
                .all(|(name, value)| series.get(name) == Some(value))
    }

    fn text(&self) -> String {
        let labels: Vec<_> = self.1.iter().map(|(n, v)| format!("{n}={v}")).collect();
        format!("{} {}", self.0, labels.join(" "))
    }
}

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Extent {
    /// Bytes of the mapped rings.
    pub rings: Vec<usize>,
    /// Bytes of the moved rings.
    pub moved: Vec<usize>,
    /// Fault windows in pages, besides the default.
    pub windows: Vec<usize>,
    /// Values of a series.
    pub rounds: usize,
    /// Frames of the periods at whose ends a client is woken up.
    pub periods: Vec<usize>,
    /// How often.
    pub wakeups: usize,
    /// Frames of the periods that are played through cpal.
    pub cpal_periods: Vec<usize>,
    /// How many of them are measured.
    pub cpal_rounds: usize,
    /// Frames of the periods that are played for long.
    pub endured: Vec<usize>,
    /// For how many seconds.
    pub endurance: usize,
}

impl Extent {
    /// All of it.
    #[must_use]
    pub fn full() -> Self {
        const KIB: usize = 1 << 10;
        Self {
            rings: [16, 64, 256, 1024, 2048, 8192, 65536]
                .map(|n| n * KIB)
                .to_vec(),
            moved: [4, 16, 64, 256, 1024].map(|n| n * KIB).to_vec(),
            windows: vec![1, 16, 256, 16384],
            rounds: 7,
            periods: vec![32, 64, 128, 240, 256, 441, 480, 512, 1000, 1024],
            wakeups: 1000,
            cpal_periods: vec![64, 240],
            cpal_rounds: 200,
            endured: vec![16, 32],
            endurance: 20,
        }
    }

    /// In a minute or two.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            rings: vec![16 << 10, 256 << 10, 2 << 20],
            moved: vec![4 << 10, 64 << 10],
            windows: Vec::new(),
            rounds: 3,
            periods: vec![32, 441, 1024],
            wakeups: 100,
            cpal_periods: vec![240],
            cpal_rounds: 50,
            endured: vec![32],
            endurance: 5,
        }
    }

    /// The least that has every kind of series.
    #[must_use]
    pub fn least() -> Self {
        Self {
            rings: vec![16 << 10],
            moved: vec![4 << 10],
            windows: Vec::new(),
            rounds: 2,
            periods: vec![240],
            wakeups: 4,
            cpal_periods: vec![240],
            cpal_rounds: 20,
            endured: vec![32],
            endurance: 1,
        }
    }
}

/// One guest, one program.
#[derive(Clone, Debug)]
pub struct Part {
    /// What is measured, for people.
    pub about: &'static str,
    name: &'static str,
    card: Card,
    program: &'static str,
    words: Vec<String>,
    modparam: Option<String>,
    /// Trace events of QEMU's.
    traces: Vec<&'static str>,
    /// Makes more series, of what was seen from outside.
    seen: Option<Seen>,
    /// Values of a series, where all have as many.
    rounds: Option<usize>,
    expected: Vec<Expected>,
}

fn list<T: ToString>(values: &[T]) -> String {
    let words: Vec<_> = values.iter().map(ToString::to_string).collect();
    words.join(",")
}

/// The series of `mmap_cost` for one kind of memory.
fn costs(sizes: &[usize], labels: &[Label]) -> Vec<Expected> {
    const NAMES: [&str; 9] = [
        "mmap.call",
        "mmap.first_period",
        "mmap.whole",
        "mmap.first_touch",
        "mmap.touch",
        "mmap.sequential",
        "mmap.again",
        "mmap.faults",
        "mmap.per_fault",
    ];
    let mut all = Vec::new();
    for size in sizes {
        let mut labels = labels.to_vec();
        labels.push(("ring_bytes", size.to_string()));
        all.extend(NAMES.map(|name| Expected(name, labels.clone())));
        for touched in ["no", "yes"] {
            let mut labels = labels.clone();
            labels.push(("touched", touched.into()));
            all.push(Expected("mmap.munmap", labels));
        }
    }
    all
}

fn clock() -> [Expected; 2] {
    ["clock.own", "clock.quantum"].map(|name| Expected(name, Vec::new()))
}

impl Part {
    /// Our rings in each mode, beside other memory.
    #[must_use]
    pub fn rings(extent: &Extent) -> Self {
        let sizes = &extent.rings;
        let mut windows = vec!["default".to_owned()];
        windows.extend(extent.windows.iter().map(ToString::to_string));
        let label = |name, value: &str| (name, value.to_owned());
        let mut expected = Vec::from(clock());
        expected.push(Expected("driver.fault_window", Vec::new()));
        for memory in ["anonymous", "memfd"] {
            expected.extend(costs(sizes, &[label("memory", memory)]));
        }
        let ring = label("memory", "ring");
        for mode in ["page", "eager"] {
            expected.extend(costs(sizes, &[ring.clone(), label("map_mode", mode)]));
        }
        let fault = [ring, label("map_mode", "fault")];
        let small: Vec<_> = sizes
            .iter()
            .copied()
            .filter(|&s| s <= SRAM_LARGEST)
            .collect();
        for (backing, sizes) in [("ram", sizes), ("sram", &small)] {
            let mut labels = fault.to_vec();
            labels.push(label("backing", backing));
            // With the default window, whatever it is.
            expected.extend(costs(sizes, &labels));
            for window in &extent.windows {
                labels.push(("fault_window", window.to_string()));
                expected.extend(costs(sizes, &labels));
                labels.pop();
            }
        }
        Self {
            about: "sgring's rings beside anonymous memory and a memfd",
            name: "rings",
            card: Card::Sgring,
            program: "mmap_cost",
            words: vec![
                format!("sizes={}", list(sizes)),
                format!("rounds={}", extent.rounds),
                "beside=anonymous,memfd".into(),
                "modes=page,eager,fault".into(),
                format!("windows={}", windows.join(",")),
                "backings=ram,sram".into(),
            ],
            modparam: sizes
                .iter()
                .max()
                .map(|largest| format!("max_ring_bytes={largest}")),
            traces: Vec::new(),
            seen: None,
            rounds: Some(extent.rounds),
            expected,
        }
    }

    /// The ring of a card that is not ours.
    #[must_use]
    pub fn hda(extent: &Extent) -> Self {
        let sizes: Vec<_> = extent
            .rings
            .iter()
            .copied()
            .filter(|&s| s <= HDA_LARGEST)
            .collect();
        let mut expected = Vec::from(clock());
        expected.extend(costs(&sizes, &[("memory", "ring".into())]));
        Self {
            about: "intel-hda's rings",
            name: "hda",
            card: Card::Hda,
            program: "mmap_cost",
            words: vec![
                format!("sizes={}", list(&sizes)),
                format!("rounds={}", extent.rounds),
            ],
            modparam: None,
            traces: Vec::new(),
            seen: None,
            rounds: Some(extent.rounds),
            expected,
        }
    }

    /// Our rings, moved between main memory and the card's.
    #[must_use]
    pub fn moves(extent: &Extent) -> Self {
        let (streams, writers) = (["prepared", "running"], ["mmap", "write"]);
        let mut expected = Vec::new();
        for stream in streams {
            for writer in writers {
                for size in &extent.moved {
                    for direction in ["none", "ram_to_sram", "sram_to_ram"] {
                        expected.push(Expected(
                            "move.hold_up",
                            vec![
                                ("stream", stream.into()),
                                ("writer", writer.into()),
                                ("ring_bytes", size.to_string()),
                                ("direction", direction.into()),
                            ],
                        ));
                    }
                }
            }
        }
        Self {
            about: "rings that move to the card and back",
            name: "moves",
            card: Card::Sgring,
            program: "move_cost",
            words: vec![
                format!("sizes={}", list(&extent.moved)),
                format!("rounds={}", extent.rounds),
                format!("streams={}", list(&streams)),
                format!("writers={}", list(&writers)),
            ],
            modparam: None,
            traces: Vec::new(),
            seen: None,
            rounds: Some(extent.rounds),
            expected,
        }
    }

    /// How evenly a client is woken up.
    #[must_use]
    pub fn wakeups(extent: &Extent) -> Self {
        let mut expected = Vec::from(clock());
        for period in &extent.periods {
            for client in ["ring", "nanosleep"] {
                expected.push(Expected(
                    "wake.deviation",
                    vec![("period", period.to_string()), ("client", client.into())],
                ));
            }
        }
        Self {
            about: "wakeups at the ends of periods, beside a timer's",
            name: "wakeups",
            card: Card::Sgring,
            program: "wake_deviation",
            words: vec![
                format!("periods={}", list(&extent.periods)),
                format!("wakeups={}", extent.wakeups),
            ],
            modparam: None,
            traces: Vec::new(),
            seen: None,
            rounds: Some(extent.wakeups),
            expected,
        }
    }

    /// A word for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What to boot: the program is in the guest's memory, and so is all that it reads.
    #[must_use]
    pub fn config(&self, layout: &Layout) -> Config {
        let program = format!("/bench/{}", self.program);
        let command = std::iter::once(program.clone()).chain(self.words.iter().cloned());
        let config = Config::new(command)
            .name(format!("bench-{}", self.name))
            .card(self.card)
            .icount(true)
            .mem_mib(GUEST_MIB)
            .timeout(PATIENCE)
            .kernel_arg(QUIET)
            .file(layout.programs().join(self.program), program);
        let config = self
            .traces
            .iter()
            .fold(config, |config, event| config.trace(*event));
        match &self.modparam {
            Some(param) => config.modparam(param),
            None => config,
        }
    }

    /// Runs it. `labels` are the run's: the commit, QEMU's version. `said` is told what the program says.
    ///
    /// # Errors
    /// A guest that failed; a program that failed, or whose series are not all there; trouble in the kernel's
    /// log.
    pub fn run(
        &self,
        layout: &Layout,
        stopper: &Stopper,
        labels: &[(&str, String)],
        said: Sink,
    ) -> Result<Vec<Series>, Error> {
        let config = self.config(layout).stderr(said);
        let outcome = Vm::run(layout, &config, stopper)?;
        self.series(&outcome, labels)
            .map_err(|e| Error::new(Kind::Died, e).of(outcome.dir.path()))
    }

    /// The series of a run, with all their labels.
    ///
    /// # Errors
    /// What is wrong with the run.
    pub fn series(
        &self,
        outcome: &Outcome,
        labels: &[(&str, String)],
    ) -> Result<Vec<Series>, String> {
        if outcome.status != 0 {
            return Err(format!(
                "{}: {} ended with status {}: {}",
                self.about,
                self.program,
                outcome.status,
                outcome.stderr().lines().last().unwrap_or_default()
            ));
        }
        dmesg::check(outcome, self.card == Card::Sgring)?;
        let mut all = series::read(&outcome.stdout())
            .map_err(|e| format!("{}: {}: {e}", self.about, self.program))?;
        if let Some(seen) = self.seen {
            let more = seen(outcome, &all).map_err(|e| format!("{}: {e}", self.about))?;
            all.extend(more);
        }
        let all: Vec<_> = all
            .into_iter()
            .map(|series| {
                let series = series
                    .label("card", self.card.name())
                    .label("accel", outcome.accel.to_string().to_lowercase())
                    .label("guest_mib", GUEST_MIB)
                    .label("processors", 1)
                    .label("seed", argv::SEED);
                labels
                    .iter()
                    .fold(series, |series, (name, value)| series.label(*name, value))
            })
            .collect();
        self.check(&all).map(|()| all)
    }

    /// Whether `all` has every series of this part, each with all values.
    fn check(&self, all: &[Series]) -> Result<(), String> {
        if let Some(missing) = self
            .expected
            .iter()
            .find(|expected| !all.iter().any(|series| expected.is(series)))
        {
            return Err(format!("{}: no series {}", self.about, missing.text()));
        }
        for series in all {
            if let Some(label) = LABELS.iter().find(|label| series.get(label).is_none()) {
                return Err(format!("{series}: no label {label}"));
            }
            let about_the_run = ["clock.", "driver."]
                .iter()
                .any(|kind| series.name().starts_with(kind));
            match self.rounds {
                Some(rounds) if !about_the_run && series.values().len() != rounds => {
                    return Err(format!("{series}: not {rounds} values"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(part: &Part) -> Vec<Series> {
        part.expected
            .iter()
            .map(|Expected(name, labels)| {
                let mut series = Series::new(*name, "ns");
                for label in LABELS {
                    series = series.label(label, "x");
                }
                for (label, value) in labels {
                    series = series.label(*label, value);
                }
                (0..part.rounds.unwrap_or(1) as u64).for_each(|value| series.push(value));
                series
            })
            .collect()
    }

    #[test]
    fn a_series_that_is_missing_is_missed() {
        let extent = Extent::least();
        for part in [
            Part::rings(&extent),
            Part::hda(&extent),
            Part::moves(&extent),
            Part::wakeups(&extent),
            Part::cpal(&extent),
            Part::endurance(&extent),
        ] {
            let all = whole(&part);
            assert_eq!(part.check(&all), Ok(()));
            for left_out in 0..all.len() {
                let mut some = all.clone();
                let gone = some.remove(left_out);
                let error = part.check(&some).unwrap_err();
                assert!(error.contains(gone.name()), "{error}");
            }
        }
    }

    #[test]
    fn a_series_without_a_label_or_a_value_is_refused() {
        let part = Part::hda(&Extent::least());
        let mut all = whole(&part);
        all[3].push(1);
        assert!(part.check(&all).unwrap_err().contains("not 2 values"));
        let mut all = whole(&part);
        let line = all[3].to_string().replace("\"seed\"", "\"sown\"");
        all[3] = Series::parse(&line).unwrap();
        assert!(part.check(&all).unwrap_err().contains("no label seed"));
    }
}
