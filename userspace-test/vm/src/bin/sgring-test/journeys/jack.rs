// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plugs and unplugs from the host, as the guest sees them.
//!
//! The guest's side is `userspace-test/suite/src/tools/jack.rs`. Once with a vector that events share with the
//! streams, once with one of their own.

use std::time::Duration;

use serde_json::{Value, json};
use sgring_vm::{Config, Vm};

use super::{asked, clean};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

/// Host time for all that one guest has to tell.
const PATIENCE: Duration = Duration::from_secs(300);
/// An odd number, and more than the events that fit in the driver's ring.
const FLUTTER: u32 = 301;

const WAYS: [(&str, u32); 2] = [("jack-shared-vector", 1), ("jack-own-vector", 4)];

const TESTS: [(&str, &str); 6] = [
    (
        "plugged_at_first",
        "D-127: known as soon as the card is there",
    ),
    (
        "unplug_and_plug",
        "D-123: qom-set is seen by control, events and evdev",
    ),
    ("flutter", "D-121: after many changes the last one holds"),
    ("lost", "D-124: lost events lose no state"),
    (
        "bound_again",
        "D-127: changes while nobody listened are known",
    ),
    ("nobody_sets_them", "the controls are read only"),
];

pub fn units() -> Vec<Unit> {
    let unit = |(name, vectors)| {
        let mut planned: Vec<_> = TESTS
            .iter()
            .map(|(test, proves)| Planned::new(format!("{name}-{test}"), *proves))
            .collect();
        planned.push(clean(name));
        Unit::new(Shard::Journey, name, planned, move |context, rec| {
            if let Err(e) = journey(context, name, vectors, rec) {
                rec.abort(e);
            }
        })
    };
    WAYS.into_iter().map(unit).collect()
}

fn journey(
    context: &Context,
    name: &str,
    vectors: u32,
    rec: &mut Recorder<'_>,
) -> Result<(), String> {
    let config = Config::new([asked::command("modprobe evdev && /clips/jack")])
        .name(name)
        .icount(true)
        .device_prop(format!("vectors={vectors}"))
        .file(context.layout.programs().join("jack"), "/clips/jack");
    asked::run(context, config, name, PATIENCE, rec, |vm, word| {
        word.map_or(Ok(()), |word| serve(vm, word))
    })
    .map(drop)
}

/// Does what the guest asked for.
fn serve(vm: &mut Vm, word: &str) -> Result<(), String> {
    let (word, jack) = word.split_once(' ').ok_or("no jack is named")?;
    let plug = |plugged: bool| (format!("jack{jack}"), json!(plugged));
    let settings = match word {
        "plug" => vec![plug(true)],
        "unplug" => vec![plug(false)],
        "flutter" => (0..FLUTTER).map(|i| plug(i % 2 == 1)).collect(),
        "lose" => vec![("fault-event-overflows".to_owned(), json!(1))],
        other => return Err(format!("no such word: {other}")),
    };
    for (property, value) in settings {
        set(vm, &property, &value)?;
    }
    Ok(())
}

fn set(vm: &mut Vm, property: &str, value: &Value) -> Result<(), String> {
    let what = json!({ "path": "card", "property": property, "value": value });
    let qmp = vm.qmp().map_err(|e| e.to_string())?;
    qmp.execute("qom-set", what).map_err(|e| e.to_string())?;
    Ok(())
}
