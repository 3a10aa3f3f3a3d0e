// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cpal host on cards that are not ours: it is for any that lets its ring be mapped.
//!
//! The guest's side is `userspace-test/suite/src/tools/cpal_card.rs`.

use std::time::Duration;

use sgring_vm::{Card, Config};

use super::{asked, clean, sleep};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const PATIENCE: Duration = Duration::from_secs(300);

struct Other {
    name: &'static str,
    card: Card,
    /// What makes the card be there.
    before: &'static str,
    /// Where it plays and where it records, and what it is like.
    words: &'static str,
}

const OTHERS: [Other; 4] = [
    Other {
        name: "cpal-dummy",
        card: Card::None,
        before: "modprobe snd-dummy fake_buffer=0",
        words: "hw:Dummy,0 hw:Dummy,0",
    },
    Other {
        name: "cpal-aloop",
        card: Card::None,
        before: "modprobe snd-aloop",
        words: "hw:Loopback,0 hw:Loopback,1 exact",
    },
    Other {
        name: "cpal-hda",
        card: Card::Hda,
        before: "true",
        words: "hw:0,0 hw:0,0",
    },
    Other {
        name: "cpal-virtio",
        card: Card::Virtio,
        before: "true",
        words: "hw:0,0 hw:0,0 needs-sync",
    },
];

const TESTS: [(&str, &str); 11] = [
    ("play", "every frame is played, and a drain ends"),
    ("record", "as many frames come as were asked for"),
    // Of what brings the sound back by a device of its own.
    ("exact", "what is played is recorded, to the bit"),
    // Of the others.
    ("echo", "input and output in one callback"),
    ("pause", "a pause is none of the stream's end"),
    (
        "late",
        "a late callback is one Xrun, and the stream goes on",
    ),
    ("timer", "a timer does, or the card says that it must wake"),
    (
        "formats",
        "each format that the card has is played and recorded",
    ),
    (
        "stopped",
        "a process that is stopped for longer than the ring is one Xrun each way, and its streams go on",
    ),
    (
        "own_xrun",
        "an xrun of the card's own is one Xrun and one more START, each way",
    ),
    (
        "gone",
        "a card that goes away ends its streams with DeviceNotAvailable",
    ),
];

pub fn units() -> Vec<Unit> {
    let unit = |other: Other| {
        let name = other.name;
        let two_devices = other.words.contains("exact");
        let mut planned: Vec<_> = TESTS
            .iter()
            .filter(|(test, _)| match *test {
                "exact" => two_devices,
                "echo" => !two_devices,
                _ => true,
            })
            .map(|(test, proves)| Planned::new(format!("{name}-{test}"), *proves))
            .collect();
        planned.push(clean(name));
        Unit::new(Shard::Journey, name, planned, move |context, rec| {
            if let Err(e) = journey(context, &other, rec) {
                rec.abort(e);
            }
        })
    };
    OTHERS
        .into_iter()
        .map(unit)
        .chain([sleep::cpal()])
        .collect()
}

fn journey(context: &Context, other: &Other, rec: &mut Recorder<'_>) -> Result<(), String> {
    let Other {
        name,
        card,
        before,
        words,
    } = other;
    let mut config = Config::new([asked::command(&format!(
        "{before} && /opt/cpal-card {words}"
    ))])
    .name(*name)
    .card(*card)
    .icount(true)
    .file(
        context.layout.programs().join("cpal-card"),
        "/opt/cpal-card",
    );
    if *card != Card::None {
        // It has an input, which a file has not.
        config = config.audiodev("driver=none");
    }
    asked::run(context, config, name, PATIENCE, rec, |_, _| Ok(())).map(drop)
}
