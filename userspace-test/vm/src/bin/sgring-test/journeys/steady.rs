// SPDX-License-Identifier: MIT OR Apache-2.0
//! While a stream runs, nobody touches a register: not for a period, not for a
//! position. Counted in the card's own trace, between START and the end.

use sgring_vm::{Config, Vm};

use super::{check_clean, clean, folder, seeded, value};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const RATE: u32 = 48_000;
const PERIOD: u64 = 240;
const FRAMES: u64 = 96_000;
/// Position queries that must have been made for their cost to count.
const QUERIES: usize = 100;

/// A direction of streams.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    /// What is run in the background.
    program: &'static str,
    status: &'static str,
}

const WAYS: [Way; 2] = [
    Way {
        name: "steady",
        program: "aplay -q -M -D hw:0,0 --period-size=240 --buffer-size=960 /clips/clip.wav",
        status: "/proc/asound/card0/pcm0p/sub0/status",
    },
    Way {
        name: "steady-capture",
        program: "arecord -q -M -D hw:0,0 --period-size=240 --buffer-size=960 -t raw -f S16_LE -c 2 -r 48000 \
            -s 96000 /dev/null",
        status: "/proc/asound/card0/pcm0c/sub0/status",
    },
];

/// Asks the kernel for the position while the program runs: the status file takes
/// the way of every query, through the driver's pointer().
const SCRIPT: &str = "\
player=$!
while kill -0 $player 2>/dev/null; do
	while read -r key colon value; do
		case $key in
		state:) state=$colon ;;
		hw_ptr) [ \"$state\" = RUNNING ] && echo \"hw_ptr $value\" ;;
		esac
	done <$status
done
wait $player
echo \"program $?\"
";

pub fn units() -> Vec<Unit> {
    let unit = |way: Way| {
        let case = |case: &str, proves: &str| Planned::new(format!("{}-{case}", way.name), proves);
        let planned = vec![
            case("runs", "the stream that is counted runs to its end"),
            case(
                "period-no-register",
                "DESIGN 6: 0 register accesses per period",
            ),
            case(
                "query-no-register",
                "DESIGN 6: 0 register accesses per position query",
            ),
            case(
                "one-interrupt-a-period",
                "one interrupt per period, no more",
            ),
            case(
                "burst-48-frames",
                "DESIGN 6: the position steps by at most 48 frames at 48 kHz",
            ),
            clean(way.name),
        ];
        Unit::new(Shard::Journey, way.name, planned, move |context, rec| {
            if let Err(e) = journey(context, way, rec) {
                rec.abort(e);
            }
        })
    };
    WAYS.into_iter().map(unit).collect()
}

fn journey(context: &Context, way: Way, rec: &mut Recorder<'_>) -> Result<(), String> {
    let name = |case: &str| format!("{}-{case}", way.name);
    let dir = folder(context, way.name)?;
    seeded(5, RATE, 2, FRAMES).write_wav(&dir.join("clip.wav"))?;
    let script = format!("{} &\nstatus={}\n{SCRIPT}", way.program, way.status);
    let mut config = Config::new([script])
        .name(way.name)
        .icount(true)
        .file(&dir, "/clips");
    for event in [
        "reg_read",
        "reg_write",
        "irq",
        "start",
        "stop",
        "drain",
        "burst",
    ] {
        config = config.trace(format!("sgring_{event}"));
    }
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean(way.name, &outcome, rec);
    let stdout = outcome.stdout();
    let played = stdout.lines().any(|l| l == "program 0");
    rec.case(
        &name("runs"),
        if played {
            Ok(())
        } else {
            Err(outcome.stderr())
        },
    );

    let log = outcome.qemu_log();
    let event = |line: &&str, name: &str| line.contains(&format!("sgring_{name} "));
    if !log.lines().any(|l| event(&l, "reg_read")) {
        return Err("no register access in the trace at all: it counts nothing".to_owned());
    }
    let steady: Vec<&str> = log
        .lines()
        .skip_while(|l| !event(l, "start"))
        .skip(1)
        // The write that ends the stream is traced before what it does.
        .take_while(|l| !event(l, "drain") && !event(l, "stop"))
        .collect();
    let ending = steady
        .iter()
        .rposition(|l| event(l, "burst"))
        .map_or(0, |at| at + 1);
    let steady = &steady[..ending];
    let count = |name: &str| steady.iter().filter(|l| event(l, name)).count();
    let (irqs, bursts) = (count("irq"), count("burst"));
    let periods = usize::try_from(FRAMES / PERIOD).unwrap_or(0);
    if irqs + 8 < periods {
        return Err(format!(
            "{irqs} interrupts in the trace between START and the end, of {periods} periods"
        ));
    }
    let touched: Vec<_> = steady
        .iter()
        .filter(|l| event(l, "reg_read") || event(l, "reg_write"))
        .copied()
        .collect();
    let none = || {
        if touched.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "{} accesses in {irqs} periods:\n{}",
                touched.len(),
                touched[..touched.len().min(8)].join("\n")
            ))
        }
    };
    rec.case(&name("period-no-register"), none());

    let mut positions: Vec<u64> = stdout.lines().filter_map(|l| value(l, "hw_ptr")).collect();
    let queries = positions.len();
    positions.dedup();
    let rising = positions.windows(2).all(|w| w[0] < w[1]);
    rec.case(
        &name("query-no-register"),
        if queries < QUERIES || positions.len() < QUERIES / 2 || !rising {
            Err(format!(
                "{queries} queries gave {} positions, rising: {rising}",
                positions.len()
            ))
        } else {
            none()
        },
    );
    let hw: Vec<u64> = steady
        .iter()
        .filter(|l| event(l, "irq"))
        .filter_map(|l| value(l, "hw_ptr"))
        .collect();
    let spaced = hw.windows(2).all(|w| w[1] - w[0] == PERIOD);
    rec.case(
        &name("one-interrupt-a-period"),
        if spaced && hw.len() == irqs {
            Ok(())
        } else {
            Err(format!(
                "interrupts not {PERIOD} frames apart: {:?}",
                &hw[..hw.len().min(20)]
            ))
        },
    );
    let steps: Vec<u64> = steady
        .iter()
        .filter(|l| event(l, "burst"))
        .filter_map(|l| value(l, "hw_ptr"))
        .collect();
    let largest = steps
        .windows(2)
        .map(|w| w[1] - w[0])
        .max()
        .unwrap_or(u64::MAX);
    rec.case(
        &name("burst-48-frames"),
        if steps.len() == bursts && largest <= 48 {
            Ok(())
        } else {
            Err(format!("the largest of {bursts} steps is {largest} frames"))
        },
    );
    Ok(())
}
