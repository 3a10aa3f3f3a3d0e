// SPDX-License-Identifier: MIT OR Apache-2.0
//! A hostile card: each of its faults, driven by what the guest asks for.
//!
//! The guest's side is `userspace-test/suite/src/tools/faults`. It is answered on its standard input: neither way
//! goes through the card. `SGRING_SEED` is for what it draws; `SGRING_FAULT` names one test, by hand.

use std::time::Duration;

use serde_json::{Value, json};
use sgring_vm::{Config, Stdin, Vm};

use super::{asked, clean, qmp};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const NAME: &str = "faults";

/// Host time for all of it, on a debug kernel and a busy host.
const PATIENCE: Duration = Duration::from_secs(900);

const TESTS: [(&str, &str); 29] = [
    ("stuck", "D-152: it stands, obeys, and goes on"),
    ("stuck_given_up", "D-152: who waits gets EIO"),
    ("irqs_some_lost", "D-153: the next one makes up for it"),
    ("irqs_all_lost", "D-153: positions are right all the same"),
    ("irqs_late", "D-154: late, and nothing lost"),
    ("irqs_storm", "D-155: interrupts for nothing change nothing"),
    ("position_jumps_ahead", "D-157: an xrun at once"),
    ("position_jumps_a_little", "D-157: it never goes back"),
    ("position_goes_back", "D-157: it stands for so long"),
    (
        "position_of_endless_streams",
        "D-157: it never goes back, PREPARE heals",
    ),
    ("position_frozen", "D-156: who waits gets EIO"),
    ("status_torn", "D-158: the next good line makes up for it"),
    ("status_torn_ever", "D-158: it stands, no call hangs"),
    ("status_not_writable", "D-161: EIO, or an xrun"),
    ("data_errors", "D-160: an xrun, wherever in the ring"),
    ("data_nowhere", "D-164: an xrun"),
    ("data_errors_linked", "D-160: all of a group stop"),
    (
        "errors_in_drain_and_pause",
        "D-160, D-161: who goes on is told",
    ),
    ("table_errors", "D-159: EIO; a ring that was to move stays"),
    (
        "moves_untold",
        "D-58, D-158: a ring that moves with no line to tell so",
    ),
    (
        "events_lost",
        "D-163: what is plugged is known all the same",
    ),
    (
        "failures_found",
        "D-163, D-161: a failure nobody tells of is found",
    ),
    ("reset_hangs", "D-162: no client needs a reset"),
    (
        "reset_hangs_at_unbind",
        "D-162: a card that hangs is cut off memory, and not bound",
    ),
    ("two_at_a_time", "D-150: two faults, drawn from a seed"),
    ("vanished_idle", "D-151: gone and back while nobody plays"),
    ("vanished_rescanned", "D-151: gone, removed, found again"),
    ("vanished_unbound", "D-151: gone, and its driver too"),
    ("vanished_unnoticed", "D-151: gone and back, unnoticed"),
];

/// One of them, where somebody asks for it; else all.
fn asked_for() -> String {
    std::env::var("SGRING_FAULT").unwrap_or_default()
}

pub fn units() -> Vec<Unit> {
    let one = asked_for();
    let mut planned: Vec<_> = TESTS
        .iter()
        .filter(|(test, _)| one.is_empty() || one == *test)
        .map(|(test, proves)| Planned::new(format!("{NAME}-{test}"), *proves))
        .collect();
    planned.push(clean(NAME));
    vec![Unit::new(Shard::Journey, NAME, planned, |context, rec| {
        if let Err(e) = journey(context, rec) {
            rec.abort(e);
        }
    })]
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let seed = match std::env::var("SGRING_SEED") {
        Ok(seed) => format!("SGRING_SEED={seed} "),
        Err(_) => String::new(),
    };
    let command = format!("{seed}/opt/faults {}", asked_for());
    let config = Config::new([asked::command(&command)])
        .name(NAME)
        .icount(true)
        .stdin(Stdin::Live)
        // A stream each in every state, and one to play with.
        .device_prop("playback=8")
        .device_prop("capture=8")
        .file(context.layout.programs().join("faults"), "/opt/faults");
    asked::run(context, config, NAME, PATIENCE, rec, |vm, words| {
        let Some(words) = words else {
            return Ok(());
        };
        serve(vm, words)?;
        vm.tell("done").map_err(|e| e.to_string())
    })
    .map(drop)
}

/// `NAME VALUE [NAME VALUE]...`, properties of the card.
fn serve(vm: &mut Vm, words: &str) -> Result<(), String> {
    let words: Vec<_> = words.split(' ').collect();
    if words.len() % 2 != 0 {
        return Err("a value is missing".to_owned());
    }
    for pair in words.chunks_exact(2) {
        let value: Value = pair[1].parse().map_err(|e| format!("{}: {e}", pair[1]))?;
        let what = json!({ "path": "card", "property": pair[0], "value": value });
        qmp(vm, "qom-set", what)?;
    }
    Ok(())
}
