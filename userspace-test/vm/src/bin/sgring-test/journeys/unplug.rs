// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card is taken out of a machine that runs, and another one put in (M15).
//!
//! The guest's side is `userspace-test/suite/src/tools/unplug.rs`: it says by lines `host: WORD` what is to be
//! done to the machine, and tells as TAP what became of it.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use sgring_vm::{Config, Machine, Vm};

use super::{asked, clean};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

/// Host time for all that one guest has to tell.
const PATIENCE: Duration = Duration::from_secs(420);
/// Host time for the guest to let go of a card.
const PARTING: Duration = Duration::from_secs(120);
/// Of the card: enough for all that is open at a time.
const PLAYBACK: u32 = 8;

/// A machine whose slots are served in one way.
struct Way {
    name: &'static str,
    machine: Machine,
    /// Whether the guest's own driver of PCI Express slots serves them, and not ACPI.
    native: bool,
    /// Whether time is counted in instructions. Real time shows what a guest does that hangs: its kernel's own
    /// alarms go by it.
    icount: bool,
    /// Where a new card goes.
    place: fn() -> Value,
    tests: &'static [(&'static str, &'static str)],
}

const ASKED: [(&str, &str); 2] = [
    (
        "asked_mapped",
        "M15: device_del: what is mapped stays, calls fail, a new card plays",
    ),
    (
        "asked_blocked",
        "M15: device_del: who waits in a call is woken with an error",
    ),
];

const ALL: [(&str, &str); 8] = [
    ASKED[0],
    ASKED[1],
    ("pulled_mapped", "M15: pulled out: what is mapped stays"),
    ("pulled_blocked", "M15: pulled out: who waits is woken"),
    (
        "dead_mapped",
        "M15: all ones, then gone: what is mapped stays",
    ),
    (
        "dead_blocked",
        "M15: all ones, then gone: who waits is woken",
    ),
    ("dead_calls", "M15: all ones: no call believes them"),
    ("again_and_again", "M15: out and in, many times over"),
];

const WAYS: [Way; 3] = [
    Way {
        name: "unplug-express",
        machine: Machine::Q35,
        native: true,
        icount: true,
        place: || json!({ "bus": "slot1" }),
        tests: &ALL,
    },
    Way {
        name: "unplug-express-acpi",
        machine: Machine::Q35,
        native: false,
        icount: true,
        place: || json!({ "bus": "slot1" }),
        tests: &ASKED,
    },
    Way {
        name: "unplug-i440fx",
        machine: Machine::I440fx,
        native: false,
        icount: false,
        place: || json!({ "bus": "pci.0", "addr": "0x1e" }),
        tests: &ASKED,
    },
];

pub fn units() -> Vec<Unit> {
    let unit = |way: Way| {
        let mut planned: Vec<_> = way
            .tests
            .iter()
            .map(|(name, proves)| Planned::new(format!("{}-{name}", way.name), *proves))
            .collect();
        planned.push(clean(way.name));
        Unit::new(Shard::Journey, way.name, planned, move |context, rec| {
            if let Err(e) = journey(context, &way, rec) {
                rec.abort(e);
            }
        })
    };
    WAYS.into_iter().map(unit).collect()
}

fn journey(context: &Context, way: &Way, rec: &mut Recorder<'_>) -> Result<(), String> {
    let kind = if way.native { "express" } else { "acpi" };
    let mut config = Config::new([asked::command(&format!("/clips/unplug {kind}"))])
        .name(way.name)
        .machine(way.machine)
        .icount(way.icount)
        .device_prop(format!("playback={PLAYBACK}"))
        // A ring that takes half an hour to drain.
        .modparam("max_ring_bytes=33554432")
        .file(context.layout.programs().join("unplug"), "/clips/unplug");
    if way.native {
        config = config
            .qemu_arg("-global")
            .qemu_arg("ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off");
    }
    asked::run(context, config, way.name, PATIENCE, rec, |vm, word| {
        word.map_or(Ok(()), |word| serve(vm, way, word))
    })
    .map(drop)
}

/// Does what the guest asks for.
fn serve(vm: &mut Vm, way: &Way, word: &str) -> Result<(), String> {
    let fail = |e: io::Error| e.to_string();
    let qmp = vm.qmp().map_err(|e| e.to_string())?;
    match word {
        "unplug" => {
            qmp.execute("device_del", json!({ "id": "card" }))
                .map_err(fail)?;
        }
        "tear" => {
            let dead = json!({ "path": "card", "property": "fault-vanished", "value": true });
            qmp.execute("qom-set", dead).map_err(fail)?;
        }
        "plug" => {
            // Each card says that it is gone once all of it is, its name included; so do its parts.
            loop {
                let event = qmp.event("DEVICE_DELETED", PARTING).map_err(fail)?;
                if event["data"]["device"] == "card" {
                    break;
                }
            }
            let mut card = (way.place)();
            card["driver"] = json!("sgring");
            card["id"] = json!("card");
            card["audiodev"] = json!("snd");
            card["tap"] = json!("tap");
            card["playback"] = json!(PLAYBACK);
            qmp.execute("device_add", card).map_err(fail)?;
        }
        other => return Err(format!("no such word: {other}")),
    }
    Ok(())
}
