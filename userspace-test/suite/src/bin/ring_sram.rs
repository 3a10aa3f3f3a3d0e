// SPDX-License-Identifier: MIT OR Apache-2.0
//! M12, M15, M19, M20: a ring in the card's own memory.

use cpal_alsa_mmap::sys::{Access, SwParams};
use sgring_suite::binding::Device;
use sgring_suite::card::{self, Config, commit};
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::fork;
use sgring_suite::pat;
use sgring_suite::pipe::Pipe;
use sgring_suite::proc::{Smaps, frames, read_own};
use sgring_suite::record::expect_played;
use sgring_suite::seed::Random;
use sgring_suite::sram::Sram;
use sgring_suite::tap::{self, Outcome, Test, expect};
use sgring_suite::window::{Window, page};
use std::fs::OpenOptions as FileOptions;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

const PAGES: usize = 24;
const RAM: u32 = 0;
const SRAM: u32 = 1;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "frames_of_the_card",
            "M12, M19: the same fault brings page frames of the card, the right one at each offset",
            frames_of_the_card,
        ),
        Test(
            "plays_from_there",
            "M12: what is mapped or written there is what is played",
            plays_from_there,
        ),
        Test(
            "silence_is_written_there",
            "M12: the kernel's silence gets there",
            silence_is_written_there,
        ),
        Test(
            "proc_mem_reads_and_writes",
            "M12: /proc/pid/mem works, process_vm_readv() in main memory only: EFAULT",
            proc_mem_reads_and_writes,
        ),
        Test(
            "no_page_is_counted",
            "M12: nothing of the card counts as this process's memory, and nothing is locked",
            no_page_is_counted,
        ),
        Test(
            "one_write_combining_range",
            "M20: the whole memory is reserved once, whatever is mapped",
            one_write_combining_range,
        ),
        Test(
            "zeros_after_the_end",
            "M15: after unbind mappings read zeros, the child's too, and are written without a signal",
            zeros_after_the_end,
        ),
    ])
}

fn is_on_card(window: &Window) -> Result<bool, tap::Stop> {
    let sram = Sram::of_card()?;
    window.touch();
    let frames = frames(window)?;
    let there = |frame: &Option<u64>| frame.is_some_and(|frame| sram.has_frame(frame));
    let count = frames.iter().filter(|frame| there(frame)).count();
    ensure!(
        count == 0 || count == frames.len(),
        "{count} of {} pages",
        frames.len()
    );
    Ok(count != 0)
}

fn frames_of_the_card() -> Outcome {
    let _memory = Control::playback_memory()?.changed(SRAM)?;
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let whole = config.map(&pcm)?;
    ensure!(is_on_card(&whole)?, "the ring is not on the card");
    let all: Vec<_> = frames(&whole)?.into_iter().flatten().collect();
    for index in 0..PAGES {
        whole.set_stamp(index, 0xcafe_0000 + index as u64);
    }
    for pgoff in 0..PAGES {
        let window = Window::new(&pcm, pgoff, PAGES - pgoff)?;
        for index in 0..window.pages() {
            let stamp = window.stamp(index);
            ensure!(
                stamp == 0xcafe_0000 + (pgoff + index) as u64,
                "pgoff {pgoff}, page {index}: {stamp:#x}"
            );
        }
        let seen: Vec<_> = frames(&window)?.into_iter().flatten().collect();
        ensure!(seen == all[pgoff..], "pgoff {pgoff}: other frames");
    }
    expect("behind the end", Window::new(&pcm, 1, PAGES), libc::EINVAL)
}

/// Plays noise from a ring on the card and records it by the loopback.
fn played_and_recorded(access: Access) -> Outcome {
    let _memory = Control::playback_memory()?.changed(SRAM)?;
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let config = Config {
        access,
        rate: 8000,
        ..Config::stereo(256, 16)
    };
    let record = Config {
        access: Access::RwInterleaved,
        ..config
    };
    let capture = record.prepare_on(card::open_capture()?)?;
    let playback = config.prepare()?;
    let frames = config.frames() as usize - 300;
    let mut played = vec![0; frames * 4];
    Random::new().fill(&mut played);
    played[0] |= 1;
    let window = match access {
        Access::MmapInterleaved => Some(config.map(&playback)?),
        _ => None,
    };
    match &window {
        Some(window) => {
            window.write(0, &played);
            commit(&playback, frames as u64)?;
        }
        None => {
            playback.writei(&played)?;
        }
    }
    capture.start()?;
    playback.start()?;
    playback.drain()?;
    let mut recorded = vec![0; played.len()];
    // The delay of the loopback is a burst: 8 frames.
    let mut more = vec![0; 100 * 4];
    capture.readi(&mut recorded)?;
    capture.readi(&mut more)?;
    expect_played(&[recorded, more].concat(), &played)
}

fn plays_from_there() -> Outcome {
    played_and_recorded(Access::MmapInterleaved)?;
    played_and_recorded(Access::RwInterleaved)
}

fn silence_is_written_there() -> Outcome {
    let _memory = Control::playback_memory()?.changed(SRAM)?;
    let config = Config {
        access: Access::MmapInterleaved,
        ..Config::stereo(240, 8)
    };
    let pcm = config.open()?;
    pcm.sw_params(&SwParams::free_running(u64::from(config.period)))?;
    pcm.prepare()?;
    let window = config.map(&pcm)?;
    window.write(0, &vec![0x5a; config.bytes()]);
    commit(&pcm, config.frames())?;
    pcm.start()?;
    // What was played is silence as soon as the kernel looks.
    for _ in 0..3 {
        pcm.poll(None)?;
        commit(&pcm, pcm.status()?.hw_ptr + config.frames())?;
    }
    pcm.hwsync()?;
    let bytes = window.read(0, 2 * 240 * 4);
    let left = bytes.iter().filter(|&&byte| byte != 0).count();
    ensure!(left == 0, "{left} bytes of the first two periods are left");
    Ok(())
}

fn proc_mem_reads_and_writes() -> Outcome {
    let memory_control = Control::playback_memory()?.changed(SRAM)?;
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    let mut bytes = vec![0; 3 * page()];
    Random::new().fill(&mut bytes);
    let memory = FileOptions::new()
        .read(true)
        .write(true)
        .open("/proc/self/mem")?;
    // From inside a page, over page bounds; pages that nobody has touched.
    let at = 5 * page() + 123;
    memory.write_all_at(&bytes, (window.address() + at) as u64)?;
    ensure!(
        window.read(at, bytes.len()) == bytes,
        "what was written is not seen"
    );
    window.set(at + 4096, 0x11);
    bytes[4096] = 0x11;
    let mut seen = vec![0; bytes.len()];
    memory.read_exact_at(&mut seen, (window.address() + at) as u64)?;
    ensure!(seen == bytes, "what is there is not read");
    // Whole reads to the very end.
    let mut last = vec![0; page()];
    memory.read_exact_at(&mut last, (window.address() + (PAGES - 1) * page()) as u64)?;
    expect("process_vm_readv", read_own(&window, page()), libc::EFAULT)?;
    drop(window);
    drop(pcm);

    // In main memory it works, also on pages that nobody has touched.
    memory_control.set(RAM)?;
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    window.set(7, 0x77);
    let seen = read_own(&window, 3 * page())?;
    ensure!(
        seen == window.read(0, 3 * page()),
        "process_vm_readv() of main memory reads something else"
    );
    Ok(())
}

fn no_page_is_counted() -> Outcome {
    let _memory = Control::playback_memory()?.changed(SRAM)?;
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    let window = config.map(&pcm)?;
    window.touch();
    window.lock()?;
    let smaps = Smaps::of(&window)?;
    ensure!(smaps.rss == 0, "Rss {} kB", smaps.rss);
    ensure!(smaps.locked == 0, "Locked {} kB", smaps.locked);
    Ok(())
}

fn one_write_combining_range() -> Outcome {
    let sram = Sram::of_card()?;
    let device = Device::of_card()?;
    let before = pat::ranges(&sram.range)?;
    ensure!(
        before.len() == 1 && before[0].ends_with("write-combining"),
        "{before:?}"
    );
    let memory = Control::playback_memory()?.changed(SRAM)?;
    let config = Config::of_pages(PAGES);
    let pcm = config.open()?;
    for pgoff in [0, 1, PAGES - 1] {
        let mut window = Window::new(&pcm, pgoff, PAGES - pgoff)?;
        window.touch();
        let end = fork::run(|| {
            window.touch();
            0
        })?;
        ensure!(end == fork::End::Exit(0), "the child: {end:?}");
        window.relocate()?;
        window.touch();
        memory.set(0)?;
        window.touch();
        memory.set(SRAM)?;
        window.touch();
        let now = pat::ranges(&sram.range)?;
        ensure!(now == before, "pgoff {pgoff}: {now:?}");
    }
    drop(pcm);
    drop(memory);
    device.unbind()?;
    let after = pat::ranges(&sram.range)?;
    device.bind()?;
    ensure!(after.is_empty(), "after unbind: {after:?}");
    Ok(())
}

fn zeros_after_the_end() -> Outcome {
    let device = Device::of_card()?;
    let _memory = Control::playback_memory()?.changed(SRAM)?;
    let config = Config::of_pages(PAGES);
    let pcm = config.prepare()?;
    let window = config.map(&pcm)?;
    for index in 0..window.pages() / 2 {
        window.set_stamp(index, 0xdead);
    }
    let (gate, release) = (Pipe::new()?, Pipe::new()?);
    let child = fork::Child::spawn(|| {
        if gate.wait().is_err() {
            return 1;
        }
        let zeros = (0..window.pages()).all(|index| window.stamp(index) == 0);
        if !zeros {
            return 2;
        }
        window.set_stamp(1, 7);
        i32::from(release.tell().is_err())
    })?;
    commit(&pcm, config.frames())?;
    pcm.start()?;
    device.unbind()?;
    for index in 0..window.pages() {
        let stamp = window.stamp(index);
        ensure!(stamp == 0, "page {index} after the end: {stamp:#x}");
    }
    gate.tell()?;
    release.wait()?;
    let end = child.wait()?;
    ensure!(end == fork::End::Exit(0), "the child: {end:?}");
    ensure!(window.stamp(1) == 7, "the child's write is not seen");
    expect("a call", pcm.prepare(), libc::ENODEV)?;
    drop(window);
    drop(pcm);
    device.bind()?;
    card::plays()
}
