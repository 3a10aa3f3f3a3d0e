// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's own tests of a sound card, pcm-test and mixer-test, built by
//! `scripts/selftests` from the source of the kernel that boots.
//!
//! Each of their results is a test here. They skip what they cannot set up, and
//! find nothing to complain about on a machine without a card: so what they said
//! is counted, against what the card declares in `userspace-test/selftests/`.

use std::path::Path;

use sgring_vm::{Config, Vm};

use super::{check_clean, clean};
use crate::parse;
use crate::report::{Planned, Recorder, Verdict};
use crate::{Context, Shard, Unit};

/// What pcm-test plays on each substream of any card: the entries of its own table.
const CASES: usize = 7;
/// What mixer-test asks of each control.
const QUESTIONS: usize = 7;
/// What `formats.conf` declares for each direction.
const FORMATS: usize = 8;

/// A run of one of the programs.
struct Run {
    /// Its name among the tests.
    name: &'static str,
    program: &'static str,
    /// The file that says what the card declares; none for mixer-test.
    declared: &'static str,
    /// Results, all of them good; none where it depends on the controls.
    results: Option<usize>,
    proves: &'static str,
}

/// A card with so many streams each way, and what is run on it.
struct Card {
    name: &'static str,
    streams: u32,
    runs: &'static [Run],
}

const CARDS: [Card; 2] = [
    Card {
        name: "selftest-1",
        streams: 1,
        runs: &[
            Run {
                name: "selftest-1-pcm",
                program: "pcm-test",
                declared: "1+1",
                results: Some(2 * CASES),
                proves: "pcm-test, one stream each way: 14 results, none failed, none skipped",
            },
            Run {
                name: "selftest-1-formats",
                program: "pcm-test",
                declared: "formats",
                // Each that is declared has a second result: that it can be set.
                results: Some(2 * (CASES + 2 * FORMATS)),
                proves: "pcm-test, each format and the ends of the rates: none failed, none skipped",
            },
            Run {
                name: "selftest-1-mixer",
                program: "mixer-test",
                declared: "",
                results: None,
                proves: "mixer-test: every control is asked all, and none skipped that could be written",
            },
        ],
    },
    Card {
        name: "selftest-4",
        streams: 4,
        runs: &[
            Run {
                name: "selftest-4-pcm",
                program: "pcm-test",
                declared: "4+4",
                results: Some(8 * CASES),
                proves: "pcm-test, four streams each way: 56 results, none failed, none skipped",
            },
            Run {
                name: "selftest-4-mixer",
                program: "mixer-test",
                declared: "",
                results: None,
                proves: "mixer-test: every control is asked all, and none skipped that could be written",
            },
        ],
    },
];

pub fn units() -> Vec<Unit> {
    let unit = |card: Card| {
        let mut planned: Vec<_> = card
            .runs
            .iter()
            .map(|run| Planned::new(run.name, run.proves))
            .collect();
        planned.push(clean(card.name));
        Unit::new(
            Shard::Journey,
            card.name,
            planned,
            move |context, rec: &mut Recorder<'_>| {
                if let Err(e) = journey(context, &card, rec) {
                    rec.abort(e);
                }
            },
        )
    };
    CARDS.into_iter().map(unit).collect()
}

/// In the folder of the programs: they read their tables there.
fn script(runs: &[Run]) -> String {
    let mut text = String::from(
        r#"
        cd /opt/alsa
        run() {
            rm -rf conf.d; mkdir conf.d
            [ -z "$3" ] || cp "declared/$3.conf" conf.d/
            echo "== $1"; "./$2"; echo "== ended $?"
        }
        "#,
    );
    for run in runs {
        text.push_str(&format!(
            "run {} {} '{}'\n",
            run.name, run.program, run.declared
        ));
    }
    text.push_str("echo \"== controls $(amixer -c 0 controls | wc -l)\"\n");
    text
}

fn journey(context: &Context, card: &Card, rec: &mut Recorder<'_>) -> Result<(), String> {
    let release = context.layout.release().map_err(|e| e.to_string())?;
    let programs = context.layout.build().join("selftests").join(release);
    if !programs.is_dir() {
        return Err(format!(
            "{}: the kernel's tests are not built: run `make selftests`",
            programs.display()
        ));
    }
    let declared = context.layout.checkout().join("userspace-test/selftests");
    no_skip(&declared)?;
    let config = Config::new([script(card.runs)])
        .name(card.name)
        .icount(true)
        .device_prop(format!("playback={}", card.streams))
        .device_prop(format!("capture={}", card.streams))
        .file(programs, "/opt/alsa")
        .file(declared, "/opt/alsa/declared");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean(card.name, &outcome, rec);
    let said = outcome.stdout();
    let controls = said
        .lines()
        .find_map(|l| l.strip_prefix("== controls ")?.trim().parse().ok())
        .unwrap_or(0);
    for run in card.runs {
        let result = judge(run, &said, controls, rec)
            .map_err(|e| format!("{e}\nrun: {}", outcome.dir.path().display()));
        rec.case(run.name, result);
    }
    Ok(())
}

/// What is declared may leave nothing out.
fn no_skip(declared: &Path) -> Result<(), String> {
    let files = std::fs::read_dir(declared).map_err(|e| format!("{}: {e}", declared.display()))?;
    for file in files.flatten().map(|f| f.path()) {
        let text =
            std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        if text
            .lines()
            .any(|l| !l.trim_start().starts_with('#') && l.contains("skip"))
        {
            return Err(format!("{}: leaves something out", file.display()));
        }
    }
    Ok(())
}

/// Records each result of a run, and judges their number.
fn judge(run: &Run, said: &str, controls: usize, rec: &mut Recorder<'_>) -> Result<(), String> {
    let head = format!("== {}\n", run.name);
    let part = said.split_once(&head).map_or("", |(_, rest)| {
        rest.split("\n== ended ").next().unwrap_or(rest)
    });
    let status = said
        .split_once(&head)
        .and_then(|(_, rest)| rest.split_once("\n== ended "))
        .and_then(|(_, rest)| rest.lines().next());
    let (mut passed, mut failed, mut skipped, mut unexplained) = (0, 0, 0, Vec::new());
    let mut planned = None;
    for mut case in parse::results(part, &mut planned) {
        let name = format!("{}-{}", run.name, case_name(&case.name, part));
        let verdict = match (case.ok, case.skip) {
            (true, false) => {
                passed += 1;
                Verdict::Pass
            }
            (_, true) => {
                skipped += 1;
                match explained(run, &case.notes) {
                    Some(why) => Verdict::Skip(why),
                    None => {
                        unexplained.push(case.name);
                        case.notes.push(case.after);
                        Verdict::Fail(format!("skipped\n{}", case.notes.join("\n")))
                    }
                }
            }
            (false, false) => {
                failed += 1;
                case.notes.push(case.after);
                case.notes.extend(said_of(&case.name, part));
                Verdict::Fail(case.notes.join("\n"))
            }
        };
        rec.verdict(&name, "", verdict);
    }
    let expected = run.results.unwrap_or(controls * QUESTIONS);
    let bad = failed > 0 || !unexplained.is_empty() || (run.results.is_some() && skipped > 0);
    let known = run.declared.is_empty()
        || part.contains(&format!("config conf.d/{}.conf for card 0", run.declared));
    if status != Some("0") || planned != Some(expected) || passed + skipped != expected || bad {
        Err(format!(
            "{passed} passed, {failed} failed, {skipped} skipped of {expected}; the plan was {planned:?}, the \
             exit status {status:?}; skipped without a reason: {unexplained:?}"
        ))
    } else if expected == 0 {
        Err("there is nothing to test: no control".to_owned())
    } else if !known {
        Err(format!("{}.conf was not taken as the card's", run.declared))
    } else {
        Ok(())
    }
}

/// The control of a result of mixer-test, which counts them and says their names beside.
fn control<'a>(name: &str, said: &'a str) -> Option<&'a str> {
    let head = format!("# {} ", name.split_once('.')?.1);
    said.lines().find_map(|l| l.strip_prefix(&head))
}

/// The name of a result, with that of the control in it.
fn case_name(name: &str, said: &str) -> String {
    match (control(name, said), name.split_once('.')) {
        (Some(control), Some((question, card))) => {
            let number = card.rsplit('.').next().unwrap_or_default();
            format!("{control}-{number}-{question}")
        }
        _ => name.to_owned(),
    }
}

/// What mixer-test said of a control all along: it tells of an event long before its result.
fn said_of(name: &str, said: &str) -> Vec<String> {
    let Some(control) = control(name, said) else {
        return Vec::new();
    };
    said.lines()
        .filter_map(|l| l.strip_prefix("# "))
        .filter(|l| l.contains(control))
        .take(10)
        .map(str::to_owned)
        .collect()
}

/// Why mixer-test may skip: a control that says how things are, which nobody can set.
fn explained(run: &Run, notes: &[String]) -> Option<String> {
    let control = notes.last()?.strip_suffix(" is not writeable")?;
    let tells = [" Jack", " Channel Map"];
    (run.program == "mixer-test" && tells.iter().any(|kind| control.ends_with(kind)))
        .then(|| format!("{control} tells what is, and is not to be written"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    const PCM: Run = Run {
        name: "x",
        program: "pcm-test",
        declared: "a",
        results: Some(2),
        proves: "",
    };
    const MIXER: Run = Run {
        program: "mixer-test",
        declared: "",
        results: None,
        ..PCM
    };

    fn verdict(run: &Run, body: &str, controls: usize) -> (Result<(), String>, String) {
        let report = Report::quiet();
        let mut rec = Recorder::new(&report, "x", Vec::new());
        let said = format!(
            "== x\nTAP version 13\n# using hw card config conf.d/a.conf for card 0\n{body}"
        );
        let result = judge(run, &said, controls, &mut rec);
        rec.finish();
        (result, report.tap())
    }

    #[test]
    fn as_many_as_declared_and_all_good() {
        let (result, tap) = verdict(&PCM, "1..2\nok 1 a\nok 2 b\n== ended 0\n", 0);
        assert_eq!(result, Ok(()), "{tap}");
    }

    #[test]
    fn a_skip_a_failure_a_gap_and_a_bad_end_are_seen() {
        for body in [
            "1..2\nok 1 a\nok 2 # SKIP b\n== ended 0\n",
            "1..2\nok 1 a\nnot ok 2 b\n== ended 1\n",
            "1..1\nok 1 a\n== ended 0\n",
            "1..2\nok 1 a\n",
            "1..2\nok 1 a\nok 2 b\n== ended 139\n",
            "1..3\nok 1 a\nok 2 b\nok 3 c\n== ended 0\n",
        ] {
            assert!(verdict(&PCM, body, 0).0.is_err(), "{body}");
        }
        let unknown = "== x\n1..2\nok 1 a\nok 2 b\n== ended 0\n";
        let report = Report::quiet();
        let mut rec = Recorder::new(&report, "x", Vec::new());
        assert!(judge(&PCM, unknown, 0, &mut rec).is_err());
        assert!(judge(&PCM, "", 0, &mut rec).is_err());
    }

    fn mixer(control: &str, note: &str) -> String {
        let mut text = format!("1..7\n# s.0 {control}\n");
        for n in 1..7 {
            text.push_str(&format!("ok {n} q{n}.s.0\n"));
        }
        text.push_str(&format!("# {note}\nok 7 # SKIP q7.s.0\n== ended 0\n"));
        text
    }

    #[test]
    fn a_jack_need_not_be_written_and_a_volume_must() {
        let (result, tap) = verdict(&MIXER, &mixer("Line Jack", "Line Jack is not writeable"), 1);
        assert_eq!(result, Ok(()), "{tap}");
        assert!(tap.contains("x-line-jack-0-q7 # SKIP"), "{tap}");
        let volume = "Master Playback Volume";
        let text = mixer(volume, &format!("{volume} is not writeable"));
        assert!(verdict(&MIXER, &text, 1).0.is_err());
        let text = mixer("Line Jack", "Line Jack is inactive");
        assert!(verdict(&MIXER, &text, 1).0.is_err());
    }

    #[test]
    fn a_card_without_controls_or_with_one_more_has_failed() {
        assert!(verdict(&MIXER, "1..0\n== ended 0\n", 0).0.is_err());
        let text = mixer("Line Jack", "Line Jack is not writeable");
        assert!(verdict(&MIXER, &text, 2).0.is_err());
    }
}
