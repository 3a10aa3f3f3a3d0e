// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory that the card fetches from: in pieces, where DMA is bounced, and its own when that is full.
//!
//! On a machine that was just booted a ring of separate pages is one run of page frames, and its table
//! has one descriptor: only in scattered memory does a bit-exact recording say that the table is right.

use std::fmt::Write as _;

use sgring_vm::recording::Recording;
use sgring_vm::{Config, Vm};

use super::{check_clean, clean, exact, folder, seeded, tap, value};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const RATE: u32 = 192_000;
/// 16 MiB, 4096 pages: frames of four bytes. The kernel hands out first what runs of pages are left.
const RING: u32 = 4_194_304;
const PERIOD: u32 = 65_536;
/// Once round the ring and a bit, so that each page is fetched.
const FRAMES: u64 = 4_300_007;
/// Descriptors from which on a table counts as one of a scattered ring; on a fresh guest it is 1.
const PIECES: u64 = 10;

pub fn units() -> Vec<Unit> {
    let scattered = vec![
        Planned::new(
            "memory-scattered",
            "M1 M13: a ring in many pieces plays bit-exact, wav and tap",
        ),
        clean("memory-scattered"),
    ];
    let bounced = vec![
        Planned::new(
            "memory-bounced",
            "M14: where DMA is bounced the driver syncs: played, recorded and moved, bit-exact",
        ),
        clean("memory-bounced"),
    ];
    let full = vec![
        Planned::new(
            "memory-full",
            "M12: where the card's memory is full it says so, or main memory is used, as asked",
        ),
        clean("memory-full"),
    ];
    vec![
        Unit::new(
            Shard::Journey,
            "memory-scattered",
            scattered,
            |context, rec| {
                if let Err(e) = in_pieces(context, rec) {
                    rec.abort(e);
                }
            },
        ),
        Unit::new(Shard::Journey, "memory-bounced", bounced, |context, rec| {
            if let Err(e) = copied(context, rec) {
                rec.abort(e);
            }
        }),
        Unit::new(Shard::Journey, "memory-full", full, |context, rec| {
            if let Err(e) = too_small(context, rec) {
                rec.abort(e);
            }
        }),
    ]
}

/// A card with 64 KiB of memory: rings that fit, and a larger one.
fn too_small(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    const SCRIPT: &str = r#"
        lives() { amixer -q -c 0 cset "iface=PCM,name='Ring Memory Playback Enum'" "$1"; }
        play() {
            strace -o /tmp/why -e trace=ioctl aplay -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 --period-size=1024 \
                --buffer-size=$1 -d 1 /dev/zero 2>/dev/null; echo "$2: $?"
        }
        lives SRAM; play 16384 'fits'; play 32768 'too large'
        grep -c 'HW_PARAMS.*ENOSPC' /tmp/why
        lives 'SRAM or RAM'; play 32768 'elsewhere'
    "#;
    const SAID: &str = "fits: 0\ntoo large: 1\n1\nelsewhere: 0\n";
    let config = Config::new([SCRIPT])
        .name("memory-full")
        .icount(true)
        .device_prop("sram=65536")
        .trace("sgring_prepare");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean("memory-full", &outcome, rec);
    let said = outcome.stdout();
    rec.case(
        "memory-full",
        if said == SAID {
            Ok(())
        } else {
            Err(format!(
                "{said}{}instead of\n{SAID}run: {}",
                outcome.stderr(),
                outcome.dir.path().display()
            ))
        },
    );
    Ok(())
}

fn in_pieces(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let dir = folder(context, "memory-scattered")?;
    let clip = seeded(11, RATE, 2, FRAMES);
    clip.write_wav(&dir.join("clip.wav"))?;
    let command = format!(
        "/clips/scatter-memory aplay -q -M -D hw:0,0 --period-size={PERIOD} --buffer-size={RING} /clips/clip.wav"
    );
    let config = Config::new([command])
        .name("memory-scattered")
        .icount(true)
        .modparam("max_ring_bytes=16777216")
        .rate(RATE)
        .trace("sgring_prepare")
        .file(&dir, "/clips")
        .file(
            context.layout.programs().join("scatter-memory"),
            "/clips/scatter-memory",
        );
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean("memory-scattered", &outcome, rec);
    let log = outcome.qemu_log();
    let pieces = log
        .lines()
        .filter(|line| line.contains("sgring_prepare "))
        .filter_map(|line| value(line, "segments"))
        .max()
        .unwrap_or(0);
    let result = if outcome.status != 0 {
        Err(format!("status {}\n{}", outcome.status, outcome.stderr()))
    } else if pieces < PIECES {
        Err(format!(
            "{pieces} descriptors: the ring is not in pieces\n{log}"
        ))
    } else {
        let clips = [clip];
        let wav = Recording::from_capture(&outcome.dir.join("capture.wav"))?.cut(&clips);
        let tap = tap(&outcome, RATE, 2)?.cut(&clips);
        exact("capture.wav", &clips[0], wav[0].as_ref())
            .and_then(|()| exact("tap.raw", &clips[0], tap[0].as_ref()))
    };
    rec.case(
        "memory-scattered",
        result.map_err(|e| format!("{e}\nrun: {}", outcome.dir.path().display())),
    );
    Ok(())
}

/// Programs of the suite that compare what was stored with what was moved, each way: by mapping and by call,
/// played, recorded, and while the ring moves.
const BOUNCED: [&str; 5] = [
    "pcm_capture",
    "pcm_rw",
    "ring_migrate",
    "ring_pgoff",
    "ring_sram",
];

/// The kernel is told to let no device at the memory itself: what is stored reaches the card in a copy, when
/// the driver says so.
fn copied(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let dir = folder(context, "memory-bounced")?;
    // The last one is not judged: behind it comes what the programs play.
    let clips = [
        seeded(12, 48_000, 2, 48_007),
        seeded(13, 48_000, 2, 48_007),
        seeded(14, 48_000, 2, 4_801),
    ];
    let mut script = String::from("cd /clips\n");
    for (n, clip) in clips.iter().enumerate() {
        clip.write_wav(&dir.join(format!("{n}.wav")))?;
    }
    script.push_str(
        "aplay -q -M -D hw:0,0 --period-size=441 --buffer-size=1764 0.wav; echo \"aplay: $?\"\n\
         sgring-play --period 240 1.wav >&2; echo \"sgring-play: $?\"\n\
         aplay -q -D hw:0,0 2.wav\n",
    );
    for program in BOUNCED {
        let _ = writeln!(script, "/opt/{program}; echo \"{program}: $?\"");
    }
    let mut config = Config::new([script])
        .name("memory-bounced")
        .icount(true)
        .kernel_arg("swiotlb=force")
        .file(&dir, "/clips");
    for program in BOUNCED {
        let place = format!("/opt/{program}");
        config = config.file(context.layout.programs().join(program), place);
    }
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean("memory-bounced", &outcome, rec);
    let said = outcome.stdout();
    let wav = Recording::from_capture(&outcome.dir.join("capture.wav"))?.cut(&clips);
    let mut result = Ok(());
    for program in ["aplay", "sgring-play"].iter().chain(&BOUNCED) {
        if !said.lines().any(|l| l == format!("{program}: 0")) {
            result = result.and(Err(format!(
                "{program} failed:\n{said}{}",
                outcome.stderr()
            )));
        }
    }
    for (clip, heard) in clips.iter().zip(&wav).take(2) {
        result = result.and_then(|()| exact("capture.wav", clip, heard.as_ref()));
    }
    rec.case(
        "memory-bounced",
        result.map_err(|e| format!("{e}\nrun: {}", outcome.dir.path().display())),
    );
    Ok(())
}
