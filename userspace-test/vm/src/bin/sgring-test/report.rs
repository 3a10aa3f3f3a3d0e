// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests said: one line each as they end, and the files at the end.
//!
//! A test that was promised and never reported has not been skipped, it is an
//! error; so is a unit in which no test ran at all.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The behaviour is right.
    Pass,
    /// The behaviour is wrong; why, in lines.
    Fail(String),
    /// The test could not be done: no VM, no program, no result; why, in lines.
    Error(String),
    /// This machine cannot show the behaviour; why.
    Skip(String),
}

/// One test that was done.
#[derive(Clone, Debug)]
pub struct Case {
    /// `[a-z0-9_-]`, unique.
    pub name: String,
    /// The row or rule that it proves.
    pub proves: String,
    /// How it ended.
    pub verdict: Verdict,
}

/// A test that a unit will do.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// The row or rule that it proves.
    pub proves: String,
}

impl Planned {
    /// Both, of anything printable.
    pub fn new(name: impl Into<String>, proves: impl Into<String>) -> Self {
        Self {
            name: clean(&name.into()),
            proves: proves.into(),
        }
    }
}

/// The name of a test in the characters that every reader of TAP keeps.
pub fn clean(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '_') => out.push(c),
            _ if out.ends_with('-') || out.is_empty() => {}
            _ => out.push('-'),
        }
    }
    out.trim_end_matches('-').to_owned()
}

/// Collects the cases of all units; shared by the workers.
#[derive(Debug)]
pub struct Report {
    cases: Mutex<Vec<Case>>,
    units: Mutex<Vec<(String, Duration)>>,
    only: Vec<String>,
    quiet: bool,
    began: Instant,
    last: Mutex<Instant>,
}

impl Report {
    /// With `only`, tests whose name contains none of these are left out.
    pub fn new(only: &[String]) -> Self {
        Self {
            cases: Mutex::default(),
            units: Mutex::default(),
            only: only.iter().map(|p| p.to_lowercase()).collect(),
            quiet: false,
            began: Instant::now(),
            last: Mutex::new(Instant::now()),
        }
    }

    /// One that prints nothing.
    pub fn quiet() -> Self {
        Self {
            quiet: true,
            ..Self::new(&[])
        }
    }

    /// Whether this test was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|p| name.contains(p))
    }

    /// Those of `programs` that may have a test that was asked for: the names of their tests begin with theirs. All
    /// of them where that is none, since a test may be asked for by what stands behind.
    pub fn wanted<'p>(&self, programs: &'p [String]) -> Vec<&'p str> {
        let all = || programs.iter().map(String::as_str);
        let of = |pattern: &String, name: &str| name.contains(pattern) || pattern.starts_with(name);
        let some = all().filter(|name| self.only.iter().any(|p| of(p, name)));
        let some: Vec<_> = some.collect();
        if some.is_empty() {
            all().collect()
        } else {
            some
        }
    }

    /// Seconds since something was printed.
    pub fn silent_for(&self) -> u64 {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed().as_secs()
    }

    /// Prints a line for people.
    pub fn say(&self, line: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        println!("[{:4}] {line}", self.began.elapsed().as_secs());
        *last = Instant::now();
    }

    fn add(&self, mut case: Case) {
        let mut cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        if cases.iter().any(|c| c.name == case.name) {
            let double = format!("{}: two tests of this name", case.name);
            case.verdict = Verdict::Error(double);
            let n = cases
                .iter()
                .filter(|c| c.name.starts_with(&case.name))
                .count();
            write!(case.name, "-double{n}").ok();
        }
        let (word, why) = match &case.verdict {
            Verdict::Pass => ("ok   ", ""),
            Verdict::Fail(why) => ("FAIL ", why.as_str()),
            Verdict::Error(why) => ("ERROR", why.as_str()),
            Verdict::Skip(why) => ("skip ", why.as_str()),
        };
        if !self.quiet {
            let mut text = format!("{word} {}", case.name);
            for line in why.lines() {
                text.push_str("\n         ");
                text.push_str(line);
            }
            self.say(&text);
        }
        cases.push(case);
    }

    /// A unit has ended and took this long on the host's clock.
    pub fn took(&self, unit: &str, time: Duration) {
        let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        units.push((unit.to_owned(), time));
    }

    /// What each unit took, a line each, the longest first: where the time of
    /// a run goes, and nothing to judge by.
    pub fn times(&self) -> String {
        let mut units = self
            .units
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        units.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let mut out = String::new();
        for (unit, time) in units {
            let _ = writeln!(out, "{:8.1} s  {unit}", time.as_secs_f64());
        }
        out
    }

    /// All cases, by name, as TAP 13.
    pub fn tap(&self) -> String {
        let mut cases = self
            .cases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        let mut out = format!("TAP version 13\n1..{}\n", cases.len());
        for (n, case) in (1..).zip(&cases) {
            if !case.proves.is_empty() {
                let _ = writeln!(out, "# {}: {}", case.name, one_line(&case.proves));
            }
            let (word, mark, why) = match &case.verdict {
                Verdict::Pass => ("ok", "", ""),
                Verdict::Skip(why) => ("ok", " # SKIP", why.as_str()),
                Verdict::Fail(why) => ("not ok", "", why.as_str()),
                Verdict::Error(why) => ("not ok", " # ERROR", why.as_str()),
            };
            for line in why.lines() {
                let _ = writeln!(out, "# {}", line.trim_end());
            }
            let _ = writeln!(out, "{word} {n} {}{mark}", case.name);
        }
        out
    }

    /// What failed, once more: of a long run only the end is looked at. Each with so much of its reason as says what
    /// to look for; the rest stands where the test ended.
    pub fn failures(&self) -> String {
        const LINES: usize = 8;
        let cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        for case in cases.iter() {
            let (Verdict::Fail(why) | Verdict::Error(why)) = &case.verdict else {
                continue;
            };
            let _ = writeln!(out, "failed: {}", case.name);
            for line in why.lines().take(LINES) {
                let _ = writeln!(out, "    {line}");
            }
            if let more @ 1.. = why.lines().count().saturating_sub(LINES) {
                let _ = writeln!(out, "    and {more} more lines");
            }
        }
        out
    }

    /// Passed, failed, skipped. No test at all counts as one that failed.
    pub fn counts(&self) -> (usize, usize, usize) {
        let cases = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |f: fn(&Verdict) -> bool| cases.iter().filter(|c| f(&c.verdict)).count();
        let failed = count(|v| matches!(v, Verdict::Fail(_) | Verdict::Error(_)));
        (
            count(|v| *v == Verdict::Pass),
            failed.max(usize::from(cases.is_empty())),
            count(|v| matches!(v, Verdict::Skip(_))),
        )
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The cases of one unit on their way into the report.
#[derive(Debug)]
pub struct Recorder<'a> {
    report: &'a Report,
    label: String,
    open: Vec<Planned>,
    done: BTreeSet<String>,
    because: Option<String>,
}

impl<'a> Recorder<'a> {
    /// What it all goes to.
    pub fn report(&self) -> &'a Report {
        self.report
    }

    /// For a unit that promises `planned`.
    pub fn new(report: &'a Report, label: &str, planned: Vec<Planned>) -> Self {
        Self {
            report,
            label: label.to_owned(),
            open: planned,
            done: BTreeSet::new(),
            because: None,
        }
    }

    /// Records a case.
    pub fn verdict(&mut self, name: &str, proves: &str, verdict: Verdict) {
        let name = clean(name);
        let planned = self
            .open
            .iter()
            .position(|p| p.name == name)
            .map(|at| self.open.remove(at));
        self.done.insert(name.clone());
        if self.report.wants(&name) || self.report.wants(&clean(&self.label)) {
            let proves = planned.map_or_else(|| proves.to_owned(), |p| p.proves);
            self.report.add(Case {
                name,
                proves,
                verdict,
            });
        }
    }

    /// Records a planned case: `Err` is a failure.
    pub fn case(&mut self, name: &str, result: Result<(), String>) {
        let verdict = match result {
            Ok(()) => Verdict::Pass,
            Err(why) => Verdict::Fail(why),
        };
        self.verdict(name, "", verdict);
    }

    /// Why the cases that are still open could not be done.
    pub fn abort(&mut self, because: impl Into<String>) {
        self.because = Some(because.into());
    }

    /// Closes the unit.
    pub fn finish(mut self) {
        let because = self.because.take();
        let why = because
            .clone()
            .unwrap_or_else(|| "the test was not run to its end".to_owned());
        for planned in std::mem::take(&mut self.open) {
            self.verdict(&planned.name, &planned.proves, Verdict::Error(why.clone()));
        }
        if self.done.is_empty() {
            let why = because.unwrap_or_else(|| "no test ran".to_owned());
            self.report.add(Case {
                name: clean(&self.label),
                proves: String::new(),
                verdict: Verdict::Error(why),
            });
        } else if let Some(why) = because.filter(|_| !self.done.is_empty()) {
            let name = clean(&format!("{}-complete", self.label));
            if !self.done.contains(&name) {
                self.report.add(Case {
                    name,
                    proves: String::new(),
                    verdict: Verdict::Error(why),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(names: &[&str]) -> Vec<Planned> {
        names.iter().map(|n| Planned::new(*n, "M1")).collect()
    }

    #[test]
    fn names_are_cleaned() {
        assert_eq!(clean("a::b C.d - (line 7)"), "a-b-c-d-line-7");
        assert_eq!(clean("/x86_64/sgring/id"), "x86_64-sgring-id");
    }

    #[test]
    fn programs_are_run_that_may_have_what_was_asked_for() {
        let programs = ["ring_pgoff", "ring_refs", "unbind_live"].map(str::to_owned);
        let wanted = |only: &[&str]| {
            let only: Vec<_> = only.iter().map(|&p| p.to_owned()).collect();
            Report::new(&only).wanted(&programs).join(" ")
        };
        assert_eq!(wanted(&[]), "ring_pgoff ring_refs unbind_live");
        assert_eq!(wanted(&["ring"]), "ring_pgoff ring_refs");
        assert_eq!(wanted(&["refs", "unbind"]), "ring_refs unbind_live");
        assert_eq!(wanted(&["ring_pgoff-last_page"]), "ring_pgoff");
        assert_eq!(wanted(&["last_page"]), "ring_pgoff ring_refs unbind_live");
    }

    #[test]
    fn a_promised_test_that_never_ran_has_failed() {
        let report = Report::quiet();
        let mut unit = Recorder::new(&report, "unit", planned(&["a", "b"]));
        unit.case("a", Ok(()));
        unit.finish();
        assert_eq!(report.counts(), (1, 1, 0));
        assert!(report.tap().contains("not ok 2 b # ERROR"));
    }

    #[test]
    fn no_test_at_all_has_failed() {
        let report = Report::quiet();
        assert_eq!(report.counts(), (0, 1, 0));
        Recorder::new(&report, "unit", Vec::new()).finish();
        assert_eq!(report.counts(), (0, 1, 0));
    }

    #[test]
    fn a_unit_that_broke_off_has_failed_even_with_results() {
        let report = Report::quiet();
        let mut unit = Recorder::new(&report, "unit", Vec::new());
        unit.case("a", Ok(()));
        unit.abort("the program crashed");
        unit.finish();
        assert_eq!(report.counts(), (1, 1, 0));
    }

    #[test]
    fn the_same_name_twice_has_failed() {
        let report = Report::quiet();
        let mut unit = Recorder::new(&report, "unit", Vec::new());
        unit.case("a", Ok(()));
        unit.case("a", Ok(()));
        unit.finish();
        assert_eq!(report.counts(), (1, 1, 0));
    }

    #[test]
    fn what_failed_is_told_once_more_and_shortly() {
        let report = Report::quiet();
        let mut unit = Recorder::new(&report, "unit", planned(&["a", "b", "c", "d"]));
        unit.case("a", Ok(()));
        unit.case("b", Err("off by 3\nframes".into()));
        unit.case("c", Err(["line"; 10].join("\n")));
        unit.verdict("d", "", Verdict::Skip("no".into()));
        unit.finish();
        let long = format!(
            "failed: c\n{}    and 2 more lines\n",
            "    line\n".repeat(8)
        );
        assert_eq!(
            report.failures(),
            format!("failed: b\n    off by 3\n    frames\n{long}")
        );
        assert_eq!(Report::quiet().failures(), "");
    }

    #[test]
    fn the_longest_unit_comes_first() {
        let report = Report::quiet();
        report.took("short", Duration::from_millis(1500));
        report.took("long", Duration::from_secs(75));
        assert_eq!(report.times(), "    75.0 s  long\n     1.5 s  short\n");
    }

    #[test]
    fn skips_are_counted_as_such() {
        let report = Report::quiet();
        let mut unit = Recorder::new(&report, "unit", planned(&["a"]));
        unit.verdict("a", "", Verdict::Skip("no".into()));
        unit.finish();
        assert_eq!(report.counts(), (0, 0, 1));
        assert!(report.tap().contains("ok 1 a # SKIP\n"));
    }
}
