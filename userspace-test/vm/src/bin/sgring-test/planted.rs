// SPDX-License-Identifier: MIT OR Apache-2.0
//! Are the detectors awake? The driver is loaded with a bug in it, one at a time,
//! and what the tests on this debug kernel rely on must tell.
//!
//! The bugs are in `driver/src/mm/planted.c` and `planted.rs`, in a module that is
//! built for this alone. The same script on the same module without a bug must tell
//! nothing.

use sgring_vm::{Config, Kernel, Vm, dmesg};

use crate::report::{Planned, Verdict};
use crate::{Context, Shard, Unit};

/// Where a bug must be seen.
enum Sight {
    /// In a line of the kernel's log with this in it, which also counts as trouble.
    Log(&'static str),
    /// In what the script printed.
    Said(&'static str),
}

struct Bug {
    /// The value of the module's parameter `planted`.
    name: &'static str,
    what: &'static str,
    /// What is run with it.
    script: &'static str,
    sight: Sight,
}

/// Has every object of kmalloc() looked at, and most free pages handed out. Not all slabs: the allocator's
/// own, made at boot before it could check anything, is always found to be broken.
const LOOK: &str = "for f in /sys/kernel/slab/kmalloc-*/validate; do echo 1 >$f; done 2>/dev/null\n\
                    head -c 300M /dev/zero | tail -c 300M | wc -c";
const UNBIND: &str = "cd /sys/bus/pci/drivers/snd_sgring && echo 0000:* >unbind";
const LEAKS: &str = "echo scan >/sys/kernel/debug/kmemleak; sleep 6\n\
                     echo scan >/sys/kernel/debug/kmemleak; cat /sys/kernel/debug/kmemleak";
const REFS: &str = "/opt/ring_refs";
/// A seed with which each is found early.
const FUZZ: &str = "SGRING_SEED=7 SGRING_FUZZ_PROGRAMS=100 /opt/fuzz_user";
/// Twice: what the first ring leaves behind is found at the second.
const PLAY: &str = "aplay -q -M -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 -d 1 /dev/zero\n\
                    aplay -q -M -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 -d 1 /dev/zero";

/// What D1 is to see: locks, pages, DMA, leaks.
const LOCKS_PAGES_DMA: [Bug; 8] = [
    Bug {
        name: "page_kept",
        what: "the pages of a ring have a reference too many, for ever",
        script: REFS,
        sight: Sight::Said("not ok"),
    },
    Bug {
        name: "page_put",
        what: "a page of a ring is let go of twice",
        script: "",
        sight: Sight::Log("page_ref_count(page) == 0"),
    },
    Bug {
        name: "page_written",
        what: "a page is written to after it was freed",
        script: LOOK,
        sight: Sight::Log("pagealloc: "),
    },
    Bug {
        name: "slab_written",
        what: "kernel memory is written to after it was freed",
        script: LOOK,
        sight: Sight::Log("Poison overwritten"),
    },
    Bug {
        name: "memory_lost",
        what: "kernel memory is never freed",
        script: LEAKS,
        sight: Sight::Said("unreferenced object"),
    },
    Bug {
        name: "dma_kept",
        what: "a DMA mapping outlives the device",
        script: UNBIND,
        sight: Sight::Log("device driver has pending DMA allocations"),
    },
    Bug {
        name: "sleep",
        what: "a mutex is taken in trigger()",
        script: "",
        sight: Sight::Log("sleeping function called from invalid context"),
    },
    Bug {
        name: "lock_order",
        what: "two locks are taken in both orders",
        script: "",
        sight: Sight::Log("possible circular locking dependency"),
    },
];

/// What D2 is to see: each access, of C and of Rust.
const ACCESSES: [Bug; 5] = [
    Bug {
        name: "page_written",
        what: "a page is written to after it was freed",
        script: "",
        sight: Sight::Log("BUG: KASAN: use-after-free in snd_sgring_planted_made"),
    },
    Bug {
        name: "slab_written",
        what: "kernel memory is written to after it was freed",
        script: "",
        sight: Sight::Log("BUG: KASAN: slab-use-after-free in snd_sgring_planted_made"),
    },
    Bug {
        name: "rust_freed",
        what: "Rust reads of a vector that was dropped",
        script: "",
        sight: Sight::Log("BUG: KASAN: slab-use-after-free in "),
    },
    Bug {
        name: "rust_beyond",
        what: "Rust writes behind the end of a vector",
        script: "",
        sight: Sight::Log("BUG: KASAN: slab-out-of-bounds in "),
    },
    Bug {
        name: "rust_beyond_pages",
        what: "Rust reads behind the end of a vector of pages",
        script: "",
        sight: Sight::Log("BUG: KASAN: vmalloc-out-of-bounds in "),
    },
];

/// What the fuzzer is to find by itself: where `fuzz_user` says so, or where the log does, with the program that
/// it was in.
const FUZZED: [Bug; 4] = [
    Bug {
        name: "page_kept",
        what: "the fuzzer finds that pages of rings do not come back",
        script: FUZZ,
        sight: Sight::Said("kB are allowed"),
    },
    Bug {
        name: "page_put",
        what: "the fuzzer finds that a page of a ring is let go of twice",
        script: FUZZ,
        sight: Sight::Log("page_ref_count(page) == 0"),
    },
    Bug {
        name: "page_behind",
        what: "the fuzzer finds that the last page of a ring is one behind it",
        script: FUZZ,
        sight: Sight::Said("seen: audit: "),
    },
    Bug {
        name: "overflow",
        what: "the fuzzer finds a product with what a user says that overflows",
        script: FUZZ,
        sight: Sight::Log("attempt to multiply with overflow"),
    },
];

/// Those of a kernel of this kind.
pub fn units(kernel: Kernel) -> Vec<Unit> {
    // What the fuzzer finds, it finds on one kernel as on the other.
    let (bugs, fuzzed): (&[Bug], &[Bug]) = match kernel {
        Kernel::Kasan => (&ACCESSES, &[]),
        _ => (&LOCKS_PAGES_DMA, &FUZZED),
    };
    let all = bugs.iter().map(|bug| ("planted", PLAY, bug));
    let all = all.chain(fuzzed.iter().map(|bug| ("planted-fuzz", "", bug)));
    let mut units: Vec<_> = all
        .map(|(kind, before, bug)| {
            let name = format!("{kind}-{}", bug.name);
            let planned = vec![Planned::new(&*name, format!("M5: seen: {}", bug.what))];
            let label = name.clone();
            Unit::new(Shard::Planted, label, planned, move |context, rec| {
                rec.verdict(&name, "", seen(context, &name, before, bug));
            })
        })
        .collect();
    let planned = vec![Planned::new(
        "planted-none",
        "M5: without a bug, none of the detectors sees one",
    )];
    units.push(Unit::new(
        Shard::Planted,
        "planted-none",
        planned,
        |context, rec| rec.verdict("planted-none", "", peace(context)),
    ));
    units
}

/// What a run of `script`, called `name`, with a bug left: the kernel's log and what the script printed.
/// A kernel that the bug has killed has left both.
fn run(context: &Context, name: &str, bug: &str, script: &str) -> Result<(String, String), String> {
    let layout = &context.layout;
    let release = layout.release().map_err(|e| e.to_string())?;
    let config = Config::new([format!("{script}\ntrue")])
        .name(name)
        .icount(true)
        .modparam(format!("planted={bug}"))
        .file(
            layout.planted(&release),
            format!("/usr/lib/modules/{release}/updates/snd-sgring.ko"),
        )
        .file(layout.programs().join("ring_refs"), REFS)
        .file(layout.programs().join("fuzz_user"), "/opt/fuzz_user");
    match Vm::run(layout, &config, &context.stopper) {
        Ok(outcome) => Ok((outcome.serial(), outcome.stdout())),
        Err(e) => {
            let dir = e.dir.clone().ok_or_else(|| e.to_string())?;
            let text = |name| {
                std::fs::read(dir.join(name))
                    .map(|b| String::from_utf8_lossy(&b).into_owned())
                    .map_err(|_| e.to_string())
            };
            Ok((text("serial.log")?, text("stdout")?))
        }
    }
}

fn seen(context: &Context, name: &str, before: &str, bug: &Bug) -> Verdict {
    let script = format!("{before}\n{}", bug.script);
    let (log, said) = match run(context, name, bug.name, &script) {
        Ok(left) => left,
        Err(e) => return Verdict::Error(e),
    };
    if !log.contains("snd_sgring: loading out-of-tree module") {
        return Verdict::Error("the driver was not loaded".to_owned());
    }
    let found = match bug.sight {
        Sight::Log(sign) => log.contains(sign) && !dmesg::trouble(&log).is_empty(),
        Sight::Said(sign) => said.contains(sign),
    };
    let sign = match bug.sight {
        Sight::Log(sign) | Sight::Said(sign) => sign,
    };
    if found {
        Verdict::Pass
    } else {
        let end: Vec<_> = log.lines().rev().take(15).collect();
        let end: Vec<_> = end.into_iter().rev().collect();
        Verdict::Fail(format!(
            "nobody said {sign:?}\nsaid: {said}\nthe log's end:\n{}",
            end.join("\n")
        ))
    }
}

fn peace(context: &Context) -> Verdict {
    let all = [PLAY, REFS, FUZZ, LOOK, LEAKS, UNBIND].join("\n");
    let (log, said) = match run(context, "planted-none", "none", &all) {
        Ok(left) => left,
        Err(e) => return Verdict::Error(e),
    };
    let mut wrong: Vec<_> = dmesg::trouble(&log);
    wrong.extend(
        said.lines()
            .filter(|l| l.contains("not ok") || l.contains("unreferenced object")),
    );
    if wrong.is_empty() && said.lines().any(|l| l.starts_with("ok ")) {
        Verdict::Pass
    } else {
        Verdict::Fail(format!("{}\nsaid: {said}", wrong.join("\n")))
    }
}
