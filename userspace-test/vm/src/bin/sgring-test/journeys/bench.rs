// SPDX-License-Identifier: MIT OR Apache-2.0
//! The measuring programs of `make bench`, each once, at the smallest size: that their series are all there and
//! are what the reader takes. What the numbers are is nobody's business here.

use sgring_bench::series::{self, Series};
use sgring_vm::Vm;
use sgring_vm::bench::{Extent, Part};

use super::value;
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

pub fn units() -> Vec<Unit> {
    let planned = vec![
        Planned::new("bench-rings", "M8: mmap_cost gives every series, complete"),
        Planned::new("bench-hda", "M8: so it does for a card that is not ours"),
        Planned::new("bench-moves", "M17: move_cost gives every series, complete"),
        Planned::new(
            "bench-wakeups",
            "DESIGN 6: wake_deviation gives every series, complete",
        ),
        Planned::new(
            "bench-cpal",
            "DESIGN 6: cpal_cost gives every series of both hosts, and trace and tap fit them",
        ),
        Planned::new(
            "bench-endurance",
            "DESIGN 6: so it does of a stream that is only played",
        ),
        Planned::new(
            "bench-file",
            "all of them are a file that its reader takes, each series once",
        ),
        Planned::new(
            "bench-markers",
            "each measurement lies between two markers that the host sees",
        ),
    ];
    vec![Unit::new(
        Shard::Journey,
        "bench",
        planned,
        |context, rec| {
            if let Err(e) = measure(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

fn measure(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let extent = Extent::least();
    let labels = [("commit", "test".to_owned()), ("qemu", "test".to_owned())];
    let mut all: Vec<Series> = Vec::new();
    for (name, part) in [
        ("bench-rings", Part::rings(&extent)),
        ("bench-hda", Part::hda(&extent)),
        ("bench-moves", Part::moves(&extent)),
        ("bench-wakeups", Part::wakeups(&extent)),
        ("bench-cpal", Part::cpal(&extent)),
        ("bench-endurance", Part::endurance(&extent)),
    ] {
        let marked = name == "bench-hda";
        let mut config = part.config(&context.layout);
        if marked {
            config = config.trace("memory_region_ops_write");
        }
        let outcome =
            Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
        let series = part.series(&outcome, &labels);
        if let (true, Ok(series)) = (marked, &series) {
            rec.case("bench-markers", pairs(&outcome.qemu_log(), series));
        }
        rec.case(
            name,
            series
                .map(|series| all.extend(series))
                .map_err(|e| format!("{e}\nrun: {}", outcome.dir.path().display())),
        );
    }
    let lines: Vec<_> = all.iter().map(|series| format!("{series}\n")).collect();
    let result = match series::read(&lines.concat()) {
        Ok(read) if read == all => Ok(()),
        Ok(_) => Err("what was read is not what was written".to_owned()),
        Err(e) => Err(e),
    };
    rec.case("bench-file", result);
    Ok(())
}

/// Whether the log has a 1 and a 2 in turn, one pair for each series whose rounds were measured one by one.
fn pairs(qemu_log: &str, all: &[Series]) -> Result<(), String> {
    let marks: Vec<_> = qemu_log
        .lines()
        .filter(|line| line.contains("name 'ioport80'"))
        .filter_map(|line| value(&line.replace("0x", ""), "value"))
        .filter(|&mark| mark != 0)
        .collect();
    let measured =
        |series: &&Series| series.name().starts_with("mmap.") && series.name() != "mmap.per_fault";
    let expected = all.iter().filter(measured).count();
    let in_turn = marks.chunks(2).all(|pair| pair == [1, 2]);
    if in_turn && marks.len() == 2 * expected && expected > 0 {
        Ok(())
    } else {
        Err(format!("{expected} series, and these markers: {marks:?}"))
    }
}
