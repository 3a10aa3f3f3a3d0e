// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card cannot reach the memory that it is told to: who uses the stream learns that at once, and the next
//! PREPARE makes it good again.
//!
//! What only the host can do is asked of it by lines `host: NAME VALUE`, properties of the card. A journey listens,
//! and answers by a plug in the line output: pulled out, or put in again.

use cpal_alsa_mmap::sys::{Pcm, State, SwParams, uapi};
use sgring_suite::card::{self, Config};
use sgring_suite::control::{Control, Interface};
use sgring_suite::ensure;
use sgring_suite::fate::Fate;
use sgring_suite::kmsg::Watch;
use sgring_suite::tap::{self, Outcome, Stop, Test, expect, note};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Guest time in which an error is known "at once": two periods.
const AT_ONCE: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "nothing_to_sync",
            "M14, D-130: memory is coherent, behind an IOMMU too: no client has to sync, and the card reads how far it is",
            nothing_to_sync,
        ),
        Test(
            "ring_not_readable",
            "D-60: a burst that fails is an xrun: poll() and write() say so at once, PREPARE heals",
            ring_not_readable,
        ),
        Test(
            "ring_not_writable",
            "D-60: the same for a recording",
            ring_not_writable,
        ),
        Test(
            "drain_ends",
            "DRAIN of a stream whose next burst fails returns at once",
            drain_ends,
        ),
        Test(
            "table_not_readable",
            "a table that cannot be read: PREPARE says EIO, the next one works",
            table_not_readable,
        ),
        Test(
            "status_not_writable",
            "a status line that cannot be written ends the stream, PREPARE heals",
            status_not_writable,
        ),
        Test(
            "somewhere_else",
            "addresses that lead nowhere, or to no page of this card: an xrun, PREPARE heals",
            somewhere_else,
        ),
        Test(
            "not_a_bus_master",
            "with bus mastering off nothing moves: write() gives up, PREPARE heals once it is on",
            not_a_bus_master,
        ),
    ])
}

/// Has the host set a property of the card, and waits until it has.
fn set(name: &str, value: i64) -> Outcome {
    let plug = Control::named(Interface::Card, "Line Out Jack", 0)?;
    let before = plug.get()?;
    println!("host: {name} {value}");
    io::stdout().flush()?;
    while plug.get()? == before {}
    Ok(())
}

/// 10 ms periods, and nothing that starts or stops by itself.
fn config() -> Config {
    Config::stereo(480, 8)
}

fn playing() -> Result<Pcm, Stop> {
    let pcm = config().prepare()?;
    pcm.writei(&vec![0; config().bytes()])?;
    pcm.start()?;
    Ok(pcm)
}

fn expect_state(pcm: &Pcm, expected: State) -> Outcome {
    let state = pcm.status()?.state;
    ensure!(state == expected, "{state:?}, not {expected:?}");
    Ok(())
}

/// Waits until `pcm` is in an xrun, for a period or two, and demands that it plays once it was prepared.
fn xrun_and_heal(pcm: &Pcm) -> Outcome {
    let start = Instant::now();
    let mut events = 0;
    while events & libc::POLLERR == 0 {
        events = pcm.poll(Some(Duration::from_secs(1)))?;
        ensure!(start.elapsed() < AT_ONCE, "poll() says {events:#x}");
        pcm.writei(&[0; 4]).ok();
    }
    expect_state(pcm, State::Xrun)?;
    expect("write", pcm.writei(&[0; 4]), libc::EPIPE)?;
    heal(pcm)
}

fn heal(pcm: &Pcm) -> Outcome {
    pcm.prepare()?;
    expect_state(pcm, State::Prepared)?;
    pcm.writei(&vec![0; config().bytes()])?;
    pcm.start()?;
    pcm.drain()?;
    let (end, expected) = (pcm.status()?, config().frames());
    ensure!(
        end.state == State::Setup && end.hw_ptr == expected,
        "{:?} at {} of {expected}",
        end.state,
        end.hw_ptr
    );
    Ok(())
}

fn nothing_to_sync() -> Outcome {
    let config = config();
    let pcm = config.open()?;
    let mut params = config.hw_params();
    pcm.hw_refine(&mut params)?;
    let syncs = params.info() & uapi::INFO_EXPLICIT_SYNC != 0;
    // dma_dev_need_sync(), include/linux/dma-mapping.h: what needs no sync is to be told to the checker all the same,
    // and only mappings without an IOMMU know better.
    let there = |path| Path::new(path).exists();
    if syncs && there("/sys/kernel/debug/dma-api") && there("/sys/class/iommu/dmar0") {
        return Err(Stop::Skip(
            "this kernel checks DMA (CONFIG_DMA_API_DEBUG), and then wants to hear of every sync behind an IOMMU".into(),
        ));
    }
    ensure!(!syncs, "EXPLICIT_SYNC");
    pcm.sw_params(&SwParams::free_running(config.frames()))?;
    pcm.prepare()?;
    pcm.start()?;
    while pcm.status()?.hw_ptr < config.frames() {}
    pcm.drop_frames()?;
    let fate = Fate::of("playback 0")?;
    ensure!(fate.count("underruns")? > 0, "{fate:?}");
    Ok(())
}

fn ring_not_readable() -> Outcome {
    let mut watch = Watch::new()?;
    let pcm = playing()?;
    set("fault-data-errors", 1)?;
    xrun_and_heal(&pcm)?;
    watch.quiet()
}

fn ring_not_writable() -> Outcome {
    let mut watch = Watch::new()?;
    let pcm = config().prepare_on(card::open_capture()?)?;
    pcm.start()?;
    let mut sound = vec![0; config().bytes() / 8];
    pcm.readi(&mut sound)?;
    set("fault-data-errors", 1)?;
    let start = Instant::now();
    let error = loop {
        match pcm.readi(&mut sound) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    ensure!(error.raw_os_error() == Some(libc::EPIPE), "read: {error}");
    // What was recorded before is read first.
    let took = start.elapsed();
    ensure!(took < 8 * AT_ONCE, "known after {took:?}");
    expect_state(&pcm, State::Xrun)?;
    pcm.prepare()?;
    pcm.start()?;
    pcm.readi(&mut sound)?;
    watch.quiet()
}

fn drain_ends() -> Outcome {
    let pcm = playing()?;
    set("fault-data-errors", 1)?;
    let start = Instant::now();
    let drained = pcm.drain();
    let took = start.elapsed();
    note(format_args!("DRAIN: {drained:?} after {took:?}"));
    ensure!(took < AT_ONCE, "DRAIN took {took:?}");
    heal(&pcm)
}

fn table_not_readable() -> Outcome {
    let pcm = config().prepare()?;
    set("fault-sgt-errors", 1)?;
    expect("PREPARE", pcm.prepare(), libc::EIO)?;
    heal(&pcm)
}

fn status_not_writable() -> Outcome {
    let pcm = playing()?;
    set("fault-status-errors", 1)?;
    xrun_and_heal(&pcm)
}

fn somewhere_else() -> Outcome {
    for beside in [1 << 44, 1 << 52] {
        let pcm = playing()?;
        set("fault-data-offset", beside)?;
        let seen = pcm.poll(Some(Duration::ZERO))?;
        note(format_args!("poll() says {seen:#x}"));
        let start = Instant::now();
        while pcm.status()?.state == State::Running {
            ensure!(start.elapsed() < AT_ONCE, "still playing");
        }
        expect_state(&pcm, State::Xrun)?;
        set("fault-data-offset", 0)?;
        heal(&pcm)?;
    }
    Ok(())
}

fn not_a_bus_master() -> Outcome {
    /// `PCI_COMMAND` and `PCI_COMMAND_MASTER` of linux/pci_regs.h.
    const COMMAND: u64 = 4;
    const MASTER: u8 = 4;
    let path = card::pci_device()?.join("config");
    let registers = OpenOptions::new().read(true).write(true).open(path)?;
    let mut command = [0];
    registers.read_exact_at(&mut command, COMMAND)?;
    let [on] = command;
    ensure!(on & MASTER != 0, "bus mastering is off: {on:#x}");

    let pcm = playing()?;
    registers.write_all_at(&[on & !MASTER], COMMAND)?;
    let start = Instant::now();
    let error = loop {
        match pcm.writei(&[0; 4 * 480]) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let took = start.elapsed();
    note(format_args!("write: {error} after {took:?}"));
    ensure!(took < Duration::from_secs(1), "write took {took:?}");
    registers.write_all_at(&[on], COMMAND)?;
    pcm.drop_frames()?;
    heal(&pcm)?;
    // D-125: the card could tell nothing meanwhile, and tells again.
    set("fault-data-errors", 0)
}
