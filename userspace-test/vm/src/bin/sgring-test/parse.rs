// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readers of other programs' results: libtest, TAP, and TAP in kselftest.

use crate::musts::Musts;
use crate::report::{Recorder, Verdict, clean};

/// `cargo test` output, both streams together.
///
/// Each test is named `PREFIX-CRATE-PATH`; each test program must report as many
/// results as it announced.
pub fn libtest(output: &str, prefix: &str, rec: &mut Recorder<'_>) {
    let mut program = String::new();
    let mut expected: Option<(usize, usize)> = None;
    let reasons = failures(output);
    let close = |rec: &mut Recorder<'_>, program: &str, expected: &mut Option<(usize, usize)>| {
        if let Some((announced, seen)) = expected.take() {
            if announced != seen {
                rec.verdict(
                    &format!("{prefix}-{program}-complete"),
                    "",
                    Verdict::Error(format!(
                        "{seen} results of {announced} tests: the program died"
                    )),
                );
            }
        }
    };
    for line in output.lines() {
        let text = line.trim();
        if let Some(rest) = text.strip_prefix("Running ") {
            close(rec, &program, &mut expected);
            program = program_name(rest);
        } else if let Some(rest) = text.strip_prefix("Doc-tests ") {
            close(rec, &program, &mut expected);
            program = format!("{rest}-doc");
        } else if let Some(rest) = text.strip_prefix("running ") {
            close(rec, &program, &mut expected);
            let n = rest.split(' ').next().and_then(|n| n.parse().ok());
            expected = n.map(|n| (n, 0));
        } else if let Some((name, result)) = text
            .strip_prefix("test ")
            .and_then(|t| t.rsplit_once(" ... "))
        {
            let full = format!("{prefix}-{program}-{name}");
            let verdict = match result {
                "ok" => Verdict::Pass,
                _ if result.starts_with("ignored") => Verdict::Skip(result.to_owned()),
                _ => Verdict::Fail(
                    reasons
                        .iter()
                        .find(|(n, _)| n == name)
                        .map_or_else(|| result.to_owned(), |(_, why)| why.clone()),
                ),
            };
            rec.verdict(&full, "", verdict);
            if let Some((_, seen)) = &mut expected {
                *seen += 1;
            }
        }
    }
    close(rec, &program, &mut expected);
}

/// The crate and target of `unittests src/lib.rs (build/.../deps/name-hash)`.
fn program_name(running: &str) -> String {
    let path = running
        .rsplit_once('(')
        .map_or(running, |(_, p)| p.trim_end_matches(')'));
    let file = path.rsplit('/').next().unwrap_or(path);
    file.rsplit_once('-')
        .map_or(file, |(name, _)| name)
        .to_owned()
}

/// What libtest printed of each failed test: `---- name stdout ----` sections.
fn failures(output: &str) -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in output.lines() {
        if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|l| l.strip_suffix(" stdout ----"))
        {
            list.push((name.to_owned(), String::new()));
            open = true;
        } else if line == "failures:" || line.starts_with("test result:") {
            open = false;
        } else if open {
            if let Some((_, why)) = list.last_mut() {
                why.push_str(line);
                why.push('\n');
            }
        }
    }
    for (_, why) in &mut list {
        *why = why.trim().to_owned();
    }
    list
}

/// One result line of TAP: number ignored, name, verdict without its reason.
fn result(line: &str) -> Option<(&str, bool, bool)> {
    let (ok, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let rest = rest
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .trim_start();
    let rest = rest.strip_prefix("- ").unwrap_or(rest);
    let (name, mark) = rest.split_once('#').unwrap_or((rest, ""));
    let mark = mark.trim_start();
    let skip = mark.to_ascii_uppercase().starts_with("SKIP");
    let name = match name.trim() {
        // The kernel's tests put the name of what they skip there.
        "" if skip => mark.get(4..).unwrap_or_default().trim(),
        name => name,
    };
    Some((name, ok, skip))
}

fn plan(line: &str) -> Option<usize> {
    line.strip_prefix("1..")?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// One result, with the diagnostics around it.
#[derive(Debug)]
pub struct Case {
    /// As the program says it.
    pub name: String,
    /// `ok`.
    pub ok: bool,
    /// Not done.
    pub skip: bool,
    /// The diagnostics before it, without their mark.
    pub notes: Vec<String>,
    /// The first one after it: some programs say there why.
    pub after: String,
}

/// The results of a program's TAP, and its plan.
pub fn results(output: &str, planned: &mut Option<usize>) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut notes = Vec::new();
    for line in output.lines() {
        if let Some(n) = plan(line) {
            *planned = Some(n);
        } else if let Some((name, ok, skip)) = result(line) {
            cases.push(Case {
                name: name.to_owned(),
                ok,
                skip,
                notes: std::mem::take(&mut notes),
                after: String::new(),
            });
        } else if let Some(note) = line.strip_prefix('#') {
            let note = note.trim();
            if let (true, Some(last)) = (notes.is_empty(), cases.last_mut()) {
                last.after = note.to_owned();
            }
            notes.push(note.to_owned());
        }
    }
    cases
}

/// One program's TAP. Diagnostics before a result are its reason, and their
/// first line, when it names a rule, what it proves.
#[derive(Debug, Default)]
pub struct Tap {
    plan: Option<usize>,
    seen: usize,
    failed: usize,
    notes: Vec<String>,
    rules: bool,
    musts: Musts,
}

impl Tap {
    /// Of a program of the suite, which names its rule before each result.
    pub fn with_rules() -> Self {
        Self {
            rules: true,
            ..Self::default()
        }
    }

    /// Of a program whose rules are known from elsewhere.
    pub fn with_musts(musts: Musts) -> Self {
        Self {
            musts,
            ..Self::default()
        }
    }

    /// Takes a line of it. `prefix` begins the names.
    pub fn line(&mut self, line: &str, prefix: &str, rec: &mut Recorder<'_>) {
        let line = line.trim_end();
        if let Some(n) = plan(line) {
            self.plan = Some(n);
        } else if let Some((name, ok, skip)) = result(line) {
            self.seen += 1;
            let mut notes = std::mem::take(&mut self.notes);
            let proves = if notes.first().is_some_and(|n| self.rules || names_rule(n)) {
                notes.remove(0)
            } else {
                self.musts.of(name).unwrap_or_default().to_owned()
            };
            let why = notes.join("\n");
            let verdict = match (ok, skip) {
                (_, true) => Verdict::Skip(why),
                (true, false) => Verdict::Pass,
                (false, false) => {
                    self.failed += 1;
                    Verdict::Fail(why)
                }
            };
            rec.verdict(&format!("{prefix}-{name}"), &proves, verdict);
        } else if let Some(note) = line.strip_prefix('#') {
            self.notes.push(note.trim().to_owned());
        } else if !line.is_empty() && !line.starts_with("TAP version") {
            self.notes.push(line.to_owned());
        }
    }

    /// The program has ended, well or not.
    pub fn end(self, prefix: &str, well: bool, how: &str, rec: &mut Recorder<'_>) {
        let why = match self.plan {
            _ if self.seen == 0 => Some("no result at all".to_owned()),
            None => Some("no plan".to_owned()),
            Some(n) if n != self.seen => Some(format!("{} results of {n} planned", self.seen)),
            Some(_) if !well && self.failed == 0 => Some("all results good, and yet".to_owned()),
            Some(_) => None,
        };
        if let Some(why) = why {
            let notes = self.notes.join("\n");
            let text = format!("{why}; the program ended {how}\n{notes}");
            rec.verdict(
                &format!("{prefix}-complete"),
                "",
                Verdict::Error(text.trim_end().to_owned()),
            );
        }
    }
}

/// Whether a diagnostic begins with `M7` or `[D-7]`, the rule of a test.
fn names_rule(note: &str) -> bool {
    let rest = note
        .strip_prefix('M')
        .or_else(|| note.strip_prefix("[D-"))
        .or_else(|| note.strip_prefix("D-"));
    rest.is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()))
}

/// The output of kselftest's runner over our collection: one level of `# ` before
/// what the programs print. `programs` are those that must have run.
pub fn kselftest(output: &str, programs: &[&str], rec: &mut Recorder<'_>) {
    let mut current: Option<(String, Tap)> = None;
    let mut ended: Vec<String> = Vec::new();
    for line in output.lines() {
        if let Some(name) = line.strip_prefix("# selftests: sgring: ") {
            current = Some((name.trim().to_owned(), Tap::with_rules()));
        } else if let Some((name, ok, skip)) =
            result(line).filter(|(n, ..)| n.starts_with("selftests: sgring: "))
        {
            let name = name.trim_start_matches("selftests: sgring: ");
            let how = line.rsplit_once(" # ").map_or("", |(_, how)| how);
            if let Some((_, tap)) = current.take_if(|(n, _)| n == name) {
                tap.end(
                    name,
                    ok || skip,
                    if how.is_empty() { "badly" } else { how },
                    rec,
                );
            } else {
                rec.verdict(
                    &format!("{name}-complete"),
                    "",
                    Verdict::Error("a result of no program".into()),
                );
            }
            ended.push(name.to_owned());
        } else if let (Some((name, tap)), Some(inner)) = (&mut current, line.strip_prefix("# ")) {
            tap.line(inner, name, rec);
        } else if let (Some((_, tap)), true) = (&mut current, line == "#") {
            tap.notes.push(String::new());
        }
    }
    if let Some((name, tap)) = current {
        tap.end(&name, false, "with the VM", rec);
        let text = "the program was still running when the VM ended".to_owned();
        rec.verdict(&format!("{name}-ended"), "", Verdict::Error(text));
        ended.push(name);
    }
    for program in programs.iter().filter(|p| !ended.iter().any(|e| e == *p)) {
        let text = "the program was not run".to_owned();
        rec.verdict(
            &format!("{}-complete", clean(program)),
            "",
            Verdict::Error(text),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    fn with(read: impl FnOnce(&mut Recorder<'_>)) -> (String, (usize, usize, usize)) {
        let report = Report::quiet();
        let mut rec = Recorder::new(&report, "x", Vec::new());
        read(&mut rec);
        rec.finish();
        (report.tap(), report.counts())
    }

    const CARGO: &str = "     Running unittests src/lib.rs (build/cargo/debug/deps/sgring_vm-0a1b)\n\n\
        running 3 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest d ... ignored, slow\n\n\
        failures:\n\n---- a::c stdout ----\nboom\n\nfailures:\n    a::c\n\n\
        test result: FAILED. 1 passed; 1 failed\n   Doc-tests sgring_vm\n\nrunning 0 tests\n";

    #[test]
    fn cargo_tests_are_read() {
        let (tap, counts) = with(|rec| libtest(CARGO, "unit", rec));
        assert_eq!(counts, (1, 1, 1), "{tap}");
        assert!(
            tap.contains("# boom\nnot ok 2 unit-sgring_vm-a-c\n"),
            "{tap}"
        );
    }

    #[test]
    fn a_test_program_that_died_has_failed() {
        let dead = "Running unittests src/lib.rs (x/deps/a-1)\nrunning 2 tests\ntest one ... ok\n\
            error: test failed, (signal: 6, SIGABRT)\nRunning unittests src/lib.rs (x/deps/b-1)\n\
            running 1 test\ntest one ... ok\n";
        let (tap, counts) = with(|rec| libtest(dead, "unit", rec));
        assert_eq!(counts, (2, 1, 0), "{tap}");
    }

    const RUN: &str = "TAP version 13\n1..2\n# timeout set to 45\n# selftests: sgring: ring_a\n\
        # TAP version 13\n# 1..2\n# # M1: this\n# ok 1 one\n# # M2: that\n# # saw 3\n# not ok 2 two\n\
        not ok 1 selftests: sgring: ring_a # exit=1\n# timeout set to 45\n# selftests: sgring: ring_b\n\
        # TAP version 13\n# 1..1\n# # M3: more\n# ok 1 one # SKIP\nok 2 selftests: sgring: ring_b\n";

    #[test]
    fn a_collection_is_read() {
        let programs = ["ring_a", "ring_b"];
        let (tap, counts) = with(|rec| kselftest(RUN, &programs, rec));
        assert_eq!(counts, (1, 1, 1), "{tap}");
        assert!(
            tap.contains("# ring_a-two: M2: that\n# saw 3\nnot ok 2 ring_a-two\n"),
            "{tap}"
        );
    }

    #[test]
    fn a_program_missing_from_a_run_has_failed() {
        let programs = ["ring_a", "ring_b", "ring_c"];
        let (tap, counts) = with(|rec| kselftest(RUN, &programs, rec));
        assert_eq!(counts, (1, 2, 1), "{tap}");
        assert!(tap.contains("ring_c-complete # ERROR"), "{tap}");
    }

    #[test]
    fn a_program_that_is_not_there_or_silent_or_cut_short_has_failed() {
        let run = "# selftests: sgring: absent\n# Warning: file absent is missing!\n\
            not ok 1 selftests: sgring: absent\n# selftests: sgring: silent\n\
            ok 2 selftests: sgring: silent\n# selftests: sgring: cut\n# 1..2\n# ok 1 one\n\
            not ok 3 selftests: sgring: cut # exit=137\n";
        let programs = ["absent", "silent", "cut"];
        let (tap, counts) = with(|rec| kselftest(run, &programs, rec));
        assert_eq!(counts, (1, 3, 0), "{tap}");
        assert!(
            tap.contains("1 results of 2 planned; the program ended exit=137"),
            "{tap}"
        );
    }

    #[test]
    fn results_are_told_with_what_is_said_around_them() {
        let output = "TAP version 13\n1..3\n# before\nok 1 one\n# why\n# more\nnot ok 2 two\nok 3 # SKIP three\n";
        let mut planned = None;
        let cases: Vec<_> = results(output, &mut planned)
            .into_iter()
            .map(|c| (c.name, c.ok, c.skip, c.notes.join(","), c.after))
            .collect();
        let case = |name: &str, ok, skip, notes: &str, after: &str| {
            (
                name.to_owned(),
                ok,
                skip,
                notes.to_owned(),
                after.to_owned(),
            )
        };
        assert_eq!(planned, Some(3));
        assert_eq!(
            cases,
            [
                case("one", true, false, "before", "why"),
                case("two", false, false, "why,more", ""),
                case("three", true, true, "", ""),
            ]
        );
    }

    #[test]
    fn a_run_that_the_vm_did_not_survive_has_failed() {
        let run = "# selftests: sgring: ring_a\n# 1..2\n# ok 1 one\n";
        let (tap, counts) = with(|rec| kselftest(run, &["ring_a"], rec));
        assert_eq!(counts, (1, 2, 0), "{tap}");
    }
}
