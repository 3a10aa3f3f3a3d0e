// SPDX-License-Identifier: MIT OR Apache-2.0
//! Results as TAP 13, flat, with kselftest's exit status.
//!
//! Diagnostics come before the result that they belong to. A test that panics has failed; a program with no
//! test, or one that dies before its last, has failed too: its plan says how many there should be.

use std::fmt::Display;
use std::io::{self, Write};
use std::panic::{Location, catch_unwind};
use std::process::ExitCode;

/// `KSFT_PASS`, `KSFT_FAIL` and `KSFT_SKIP` of tools/testing/selftests.
const STATUS: [u8; 3] = [0, 1, 4];

/// Why a test did not pass.
#[derive(Debug)]
pub enum Stop {
    /// The behaviour is wrong.
    Fail(String),
    /// This machine cannot show the behaviour.
    Skip(String),
}

impl<E: std::error::Error> From<E> for Stop {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::Fail(format!("{}: {error}", Location::caller()))
    }
}

/// What a test returns.
pub type Outcome = Result<(), Stop>;

/// One test: its name, `[a-z0-9_]`; the rule that it proves; how.
#[derive(Clone, Copy, Debug)]
pub struct Test(pub &'static str, pub &'static str, pub fn() -> Outcome);

/// Fails the test unless `$condition` holds; the rest is a format string that says what was seen.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($seen:tt)+) => {
        if !$condition {
            return Err($crate::tap::Stop::Fail(format!(
                "{}:{}: {}: {}", file!(), line!(), stringify!($condition), format_args!($($seen)+)
            )));
        }
    };
}

/// Prints a line for people.
pub fn note(text: impl Display) {
    for line in text.to_string().lines() {
        println!("# {line}");
    }
}

/// Demands that `result` is the errno `expected`; 0 is success.
///
/// # Errors
///
/// A failure that names `what` and both.
#[track_caller]
pub fn expect<T>(what: impl Display, result: io::Result<T>, expected: i32) -> Outcome {
    let seen = result.err().map_or(0, |e| e.raw_os_error().unwrap_or(-1));
    if seen == expected {
        return Ok(());
    }
    let name = |errno| match errno {
        0 => "success".to_owned(),
        _ => io::Error::from_raw_os_error(errno).to_string(),
    };
    let (place, seen, expected) = (Location::caller(), name(seen), name(expected));
    Err(Stop::Fail(format!(
        "{place}: {what}: {seen}, expected {expected}"
    )))
}

/// Runs `tests` in order: what `main` returns.
#[must_use]
pub fn run(tests: &[Test]) -> ExitCode {
    println!("TAP version 13\n1..{}", tests.len());
    let (mut passed, mut failed) = (0, 0);
    for (number, Test(name, rule, test)) in (1..).zip(tests) {
        note(rule);
        let outcome = catch_unwind(test).unwrap_or_else(|_| Err(Stop::Fail("panic".into())));
        let (ok, skip) = match outcome {
            Ok(()) => ("ok", ""),
            Err(Stop::Skip(reason)) => {
                note(reason);
                ("ok", " # SKIP")
            }
            Err(Stop::Fail(reason)) => {
                note(reason);
                ("not ok", "")
            }
        };
        passed += usize::from(ok == "ok" && skip.is_empty());
        failed += usize::from(ok != "ok");
        println!("{ok} {number} {name}{skip}");
        // A program that is killed later has told this much.
        let _ = io::stdout().flush();
    }
    ExitCode::from(match (passed, failed) {
        (1.., 0) => STATUS[0],
        (0, 0) if !tests.is_empty() => STATUS[2],
        _ => STATUS[1],
    })
}
