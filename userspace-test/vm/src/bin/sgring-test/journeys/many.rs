// SPDX-License-Identifier: MIT OR Apache-2.0
//! As many streams as a card can have, started together and each fed in time.
//!
//! The guest's side is `userspace-test/suite/src/tools/many.rs`.

use std::time::Duration;

use sgring_vm::{Config, Vm};

use super::{check_clean, clean};
use crate::parse::Tap;
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const PATIENCE: Duration = Duration::from_secs(600);
const STREAMS: usize = 64;
/// The last one: what it fetches is judged.
const TAPPED: usize = STREAMS - 1;

// As in the guest's side.
const CHANNELS: usize = 8;
const PERIOD: usize = 256;
const PLAYED: usize = 20 * 48_000 / PERIOD;
const PERIOD_BYTES: usize = PERIOD * CHANNELS * 4;
const PLACES: usize = 1009;
const STEP: usize = CHANNELS * 4;

pub fn units() -> Vec<Unit> {
    let planned = vec![
        Planned::new(
            "many-all_linked",
            "DESIGN 6: 64 linked streams of 8 channels S32, 256 x 2, 20 s, no xrun",
        ),
        Planned::new(
            "many-exact",
            "D-75: the last of 64 linked streams fetched every frame, once",
        ),
        clean("many"),
    ];
    vec![Unit::new(
        Shard::Journey,
        "many",
        planned,
        |context, rec| {
            if let Err(e) = journey(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

fn word(index: usize) -> u32 {
    u32::try_from(index + 1)
        .unwrap_or(0)
        .wrapping_mul(0x9e37_79b1)
}

fn place(stream: usize, period: usize) -> usize {
    (stream * 331 + period * 17) % PLACES * STEP
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let config = Config::new(["/opt/many"])
        .name("many")
        .icount(true)
        .mem_mib(1024)
        .device_prop(format!("playback={STREAMS}"))
        .device_prop(format!("tap-stream={TAPPED}"))
        .timeout(PATIENCE)
        .file(context.layout.programs().join("many"), "/opt/many");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    let mut tap = Tap::default();
    for line in outcome.stdout().lines() {
        tap.line(line, "many", rec);
    }
    tap.end(
        "many",
        outcome.status == 0,
        &format!("with status {}", outcome.status),
        rec,
    );
    check_clean("many", &outcome, rec);
    let table: Vec<u8> = (0..PLACES * CHANNELS + PERIOD * CHANNELS)
        .flat_map(|index| word(index).to_le_bytes())
        .collect();
    let fetched = std::fs::read(outcome.dir.join("tap.raw")).map_err(|e| e.to_string())?;
    let periods = fetched.chunks(PERIOD_BYTES);
    let (count, whole) = (periods.len(), fetched.len() % PERIOD_BYTES == 0);
    let wrong = periods.enumerate().position(|(period, heard)| {
        let from = place(TAPPED, period);
        heard != &table[from..from + heard.len()]
    });
    let result = match wrong {
        None if count == PLAYED && whole => Ok(()),
        None => Err(format!("{} bytes, not {PLAYED} periods", fetched.len())),
        Some(period) => Err(format!("period {period} of {count} is wrong")),
    };
    rec.case(
        "many-exact",
        result.map_err(|e| format!("{e}\nrun: {}", outcome.dir.path().display())),
    );
    Ok(())
}
