// SPDX-License-Identifier: MIT OR Apache-2.0
//! aplay with write access and through the mmap ring, at four period sizes, once
//! for each of four rates: every frame in the capture and in the tap, the tail
//! included. One boot a rate, eight clips in it, each of its own seed.

use std::fmt::Write as _;

use sgring_vm::Config;
use sgring_vm::Vm;
use sgring_vm::recording::Recording;

use super::{check_clean, clean, exact, folder, seeded, tap, value};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const RATES: [u32; 4] = [44_100, 48_000, 96_000, 192_000];
const PERIODS: [u32; 4] = [64, 240, 441, 1024];
/// In periods; so each clip goes round the ring many times.
const RING: u32 = 4;
/// No multiple of any period, of the burst, or of a page.
const FRAMES: u64 = 20_011;

/// One play of one clip.
struct Play {
    name: String,
    period: u32,
    mmap: bool,
    clip: Recording,
}

pub fn units() -> Vec<Unit> {
    RATES
        .into_iter()
        .map(|rate| {
            let label = format!("aplay-{rate}");
            let mut planned: Vec<_> = plays(rate)
                .iter()
                .map(|play| {
                    Planned::new(
                        &play.name,
                        if play.mmap {
                            "M1 M3 M13: bit-exact through the faulted ring, wav and tap, tail included"
                        } else {
                            "M13: bit-exact by write access, wav and tap, tail included"
                        },
                    )
                })
                .collect();
            planned.push(clean(&label));
            Unit::new(Shard::Journey, label, planned, move |context, rec| {
                if let Err(e) = journey(context, rate, rec) {
                    rec.abort(e);
                }
            })
        })
        .collect()
}

fn plays(rate: u32) -> Vec<Play> {
    let mut plays = Vec::new();
    for mmap in [false, true] {
        for period in PERIODS {
            let access = if mmap { "m" } else { "rw" };
            plays.push(Play {
                name: format!("aplay-{access}-{rate}-{period}"),
                period,
                mmap,
                clip: seeded(
                    u64::from(rate + period) * 2 + u64::from(mmap),
                    rate,
                    2,
                    FRAMES,
                ),
            });
        }
    }
    plays
}

fn journey(context: &Context, rate: u32, rec: &mut Recorder<'_>) -> Result<(), String> {
    let label = format!("aplay-{rate}");
    let dir = folder(context, &label)?;
    let plays = plays(rate);
    let mut script = String::new();
    for play in &plays {
        play.clip
            .write_wav(&dir.join(format!("{}.wav", play.name)))?;
        let _ = writeln!(
            script,
            "aplay -q {} -D hw:0,0 --period-size={} --buffer-size={} /clips/{}.wav; echo \"{} $?\"",
            if play.mmap { "-M" } else { "" },
            play.period,
            play.period * RING,
            play.name,
            play.name
        );
    }
    let config = Config::new([script])
        .name(&label)
        .icount(true)
        .rate(rate)
        .trace("sgring_prepare")
        .file(&dir, "/clips");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean(&label, &outcome, rec);
    let clips: Vec<_> = plays.iter().map(|p| p.clip.clone()).collect();
    let wav = Recording::from_capture(&outcome.dir.join("capture.wav"))?.cut(&clips);
    let tap = tap(&outcome, rate, 2)?.cut(&clips);
    let (stdout, stderr, log) = (outcome.stdout(), outcome.stderr(), outcome.qemu_log());
    let prepared: Vec<_> = log
        .lines()
        .filter(|l| l.contains("sgring_prepare "))
        .collect();
    for (at, play) in plays.iter().enumerate() {
        let result = if !stdout.lines().any(|l| l == format!("{} 0", play.name)) {
            Err(format!("aplay failed:\n{stderr}"))
        } else if !prepared
            .iter()
            .any(|l| value(l, "period") == Some(play.period.into()))
        {
            Err(format!(
                "no stream had this period:\n{}",
                prepared.join("\n")
            ))
        } else {
            exact("capture.wav", &play.clip, wav[at].as_ref())
                .and_then(|()| exact("tap.raw", &play.clip, tap[at].as_ref()))
        };
        rec.case(
            &play.name,
            result.map_err(|e| format!("{e}\nrun: {}", outcome.dir.path().display())),
        );
    }
    Ok(())
}
