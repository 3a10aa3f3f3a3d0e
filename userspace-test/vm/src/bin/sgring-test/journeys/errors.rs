// SPDX-License-Identifier: MIT OR Apache-2.0
//! A card that cannot reach memory, with and without an IOMMU between.
//!
//! The guest's side is `userspace-test/suite/src/tools/errors.rs`.

use std::time::Duration;

use serde_json::{Value, json};
use sgring_vm::{Config, Vm};

use super::{asked, clean};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const PATIENCE: Duration = Duration::from_secs(300);

const TESTS: [(&str, &str); 8] = [
    (
        "nothing_to_sync",
        "M14, D-130: no client has to sync, and the card reads how far it is",
    ),
    ("ring_not_readable", "D-60: a burst that fails is an xrun"),
    ("ring_not_writable", "D-60: the same for a recording"),
    ("drain_ends", "a drain that cannot end by itself ends"),
    (
        "table_not_readable",
        "a table that cannot be read is an error of PREPARE",
    ),
    (
        "status_not_writable",
        "a status line that cannot be written ends the stream",
    ),
    ("somewhere_else", "addresses that lead nowhere are an xrun"),
    (
        "not_a_bus_master",
        "with bus mastering off calls end, and it heals",
    ),
];

const WAYS: [(&str, bool); 2] = [("errors", false), ("errors-iommu", true)];

pub fn units() -> Vec<Unit> {
    let unit = |(name, iommu)| {
        let mut planned: Vec<_> = TESTS
            .iter()
            .map(|(test, proves)| Planned::new(format!("{name}-{test}"), *proves))
            .collect();
        planned.push(clean(name));
        if iommu {
            planned.push(Planned::new(
                "errors-iommu-reported",
                "the guest's IOMMU was between, and has refused the card",
            ));
        }
        Unit::new(Shard::Journey, name, planned, move |context, rec| {
            if let Err(e) = journey(context, name, iommu, rec) {
                rec.abort(e);
            }
        })
    };
    WAYS.into_iter().map(unit).collect()
}

fn journey(
    context: &Context,
    name: &str,
    iommu: bool,
    rec: &mut Recorder<'_>,
) -> Result<(), String> {
    let mut config = Config::new([asked::command("/opt/errors")])
        .name(name)
        .icount(true)
        .file(context.layout.programs().join("errors"), "/opt/errors");
    if iommu {
        config = config
            .qemu_arg("-device")
            .qemu_arg("intel-iommu")
            .kernel_arg("intel_iommu=on")
            .kernel_arg("iommu.strict=1");
    }
    let mut plugged = true;
    let outcome = asked::run(context, config, name, PATIENCE, rec, |vm, words| {
        let Some((property, value)) = words.and_then(|words| words.split_once(' ')) else {
            return Ok(());
        };
        let value: i64 = value.parse().map_err(|e| format!("{value}: {e}"))?;
        set(vm, property, &json!(value))?;
        plugged = !plugged;
        set(vm, "jack0", &json!(plugged))
    })?;
    if iommu {
        let log = outcome.serial();
        let said = |words: &str| log.contains(words);
        let result = if !said("DMAR: Intel(R) Virtualization Technology") {
            Err("the kernel does not use the IOMMU".to_owned())
        } else if !said("[DMA Read NO_PASID]") {
            Err("no fault of the card was reported".to_owned())
        } else {
            Ok(())
        };
        rec.case("errors-iommu-reported", result);
    }
    Ok(())
}

fn set(vm: &mut Vm, property: &str, value: &Value) -> Result<(), String> {
    let what = json!({ "path": "card", "property": property, "value": value });
    let qmp = vm.qmp().map_err(|e| e.to_string())?;
    qmp.execute("qom-set", what)
        .map(drop)
        .map_err(|e| e.to_string())
}
