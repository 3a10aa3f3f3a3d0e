// SPDX-License-Identifier: MIT OR Apache-2.0
//! M17: a ring moves between main memory and the card's while it is mapped, played and recorded, and no
//! frame is wrong, lost or repeated.

use cpal_alsa_mmap::sys::{Access, MapOptions, OpenOptions, Pcm, SyncRequest};
use sgring_suite::card::{self, Config, commit};
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::param::Changed;
use sgring_suite::proc::frames;
use sgring_suite::record::expect_played;
use sgring_suite::seed::Random;
use sgring_suite::sram::Sram;
use sgring_suite::tap::{self, Outcome, Test, expect};
use sgring_suite::window::{Window, page};
use std::cell::RefCell;
use std::hint::black_box;
use std::process::ExitCode;

const RAM: u32 = 0;
const SRAM: u32 = 1;
/// Instructions in a burst of the card, 1 ms, where a nanosecond is one.
const BURST: usize = 1_000_000;
/// Periods that are played while the ring moves after each.
const PERIODS: usize = 400;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "bytes_come_along",
            "M17: every byte of the ring is the same after every move",
            bytes_come_along,
        ),
        Test(
            "mapped_playback",
            "M17: played by mmap, moved after every period",
            mapped_playback,
        ),
        Test(
            "written_playback",
            "M17: played by write(), moved after every period",
            written_playback,
        ),
        Test(
            "capture",
            "M17: recorded, moved after every period",
            capture,
        ),
        Test(
            "all_mappings_are_found",
            "M17: a mapping of another node of the same device moves too",
            all_mappings_are_found,
        ),
        Test(
            "partial_mappings_move",
            "M3, M17: parts, moved parts and a child's mapping show the new place",
            partial_mappings_move,
        ),
        Test(
            "not_in_other_modes",
            "M7, M17: where pages cannot be taken away, a ring is not moved: EOPNOTSUPP",
            not_in_other_modes,
        ),
    ])
}

/// 48 kHz stereo, periods of 5 ms, `periods` of them.
fn config(access: Access, periods: u32) -> Config {
    Config {
        access,
        ..Config::stereo(240, periods)
    }
}

fn noise(frames: usize) -> Vec<u8> {
    let mut bytes = vec![0; frames * 4];
    Random::new().fill(&mut bytes);
    bytes[0] |= 1;
    bytes
}

/// Which pages of `window` are on the card; all are touched first.
fn on_card(window: &Window) -> Result<Vec<bool>, tap::Stop> {
    let sram = Sram::of_card()?;
    window.touch();
    Ok(frames(window)?
        .into_iter()
        .map(|frame| frame.is_some_and(|frame| sram.has_frame(frame)))
        .collect())
}

fn expect_place(window: &Window, memory: u32) -> Outcome {
    let seen = on_card(window)?;
    ensure!(
        seen.iter().all(|&there| there == (memory == SRAM)),
        "after a move to {memory}: {seen:?}"
    );
    Ok(())
}

fn bytes_come_along() -> Outcome {
    let mut random = Random::new();
    for pages in [2, 3, 16, 64] {
        let config = Config::of_pages(pages);
        let pcm = config.open()?;
        let memory = Control::playback_memory()?.changed(RAM)?;
        let window = config.map(&pcm)?;
        for round in 0..6 {
            let mut bytes = vec![0; config.bytes()];
            random.fill(&mut bytes);
            window.write(0, &bytes);
            let place = [SRAM, RAM][round % 2];
            memory.set(place)?;
            expect_place(&window, place)?;
            ensure!(
                window.read(0, bytes.len()) == bytes,
                "{pages} pages, move {round}"
            );
        }
    }
    Ok(())
}

/// Reads what is there of the capture.
fn take(capture: &Pcm, into: &mut Vec<u8>) -> std::io::Result<()> {
    capture.hwsync()?;
    let reply = capture.sync_ptr(SyncRequest::default())?;
    let available = (reply.status.hw_ptr - reply.appl_ptr) as usize;
    let mut bytes = vec![0; available * 4];
    let frames = capture.readi(&mut bytes)?;
    into.extend_from_slice(&bytes[..frames * 4]);
    Ok(())
}

/// Plays `played` through a small ring and records it; after every period `moved` is called with its number.
fn round_trip(
    access: Access,
    played: &[u8],
    moved: impl Fn(usize) -> std::io::Result<()>,
) -> Result<Vec<u8>, tap::Stop> {
    let config = config(access, 4);
    let record = self::config(Access::RwInterleaved, 16);
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let capture = record.prepare_on(card::open_capture()?)?;
    let playback = config.prepare()?;
    let period = config.period as usize * 4;
    let window = match access {
        Access::MmapInterleaved => Some(config.map(&playback)?),
        _ => None,
    };
    let mut recorded = Vec::new();
    capture.start()?;
    for (number, piece) in played.chunks(period).enumerate() {
        if number >= 4 {
            playback.poll(None)?;
        }
        match &window {
            Some(window) => {
                window.write(number * period % config.bytes(), piece);
                commit(&playback, (number as u64 + 1) * u64::from(config.period))?;
            }
            None => {
                playback.writei(piece)?;
            }
        }
        if number == 3 {
            playback.start()?;
        }
        moved(number)?;
        take(&capture, &mut recorded)?;
    }
    playback.drain()?;
    for _ in 0..2 {
        capture.poll(None)?;
        take(&capture, &mut recorded)?;
    }
    Ok(recorded)
}

fn mapped_playback() -> Outcome {
    let played = noise(PERIODS * 240);
    let memory = Control::playback_memory()?.changed(RAM)?;
    let recorded = round_trip(Access::MmapInterleaved, &played, |number| {
        memory.set(place(number))
    })?;
    expect_played(&recorded, &played)
}

fn written_playback() -> Outcome {
    let played = noise(PERIODS * 240);
    let memory = Control::playback_memory()?.changed(RAM)?;
    let recorded = round_trip(Access::RwInterleaved, &played, |number| {
        memory.set(place(number))
    })?;
    expect_played(&recorded, &played)
}

fn capture() -> Outcome {
    let played = noise(PERIODS * 240);
    let memory = Control::capture_memory()?.changed(RAM)?;
    let random = RefCell::new(Random::new());
    let recorded = round_trip(Access::RwInterleaved, &played, |number| {
        // At any moment between two bursts of the card, so that some come in the middle of a move.
        linger(random.borrow_mut().below(BURST));
        memory.set(place(number))
    })?;
    expect_played(&recorded, &played)
}

/// Where the ring shall live after period `number`: somewhere else each time, and in the second half long enough
/// in one place for the whole ring to be played from there.
fn place(number: usize) -> u32 {
    let moves = if number < PERIODS / 2 {
        number
    } else {
        number / 7
    };
    [SRAM, RAM][moves % 2]
}

/// Does `instructions` things, about.
fn linger(instructions: usize) {
    for number in 0..instructions / 2 {
        black_box(number);
    }
}

fn all_mappings_are_found() -> Outcome {
    let config = Config::of_pages(8);
    let node = sgring_suite::node::another(&format!("pcmC{}D0p", card::number()?))?;
    let pcm = Pcm::open_path(
        node.path(),
        cpal_alsa_mmap::sys::Direction::Playback,
        OpenOptions::default(),
    )?;
    config.apply(&pcm)?;
    let memory = Control::playback_memory()?.changed(RAM)?;
    let window = config.map(&pcm)?;
    for place in [SRAM, RAM, SRAM] {
        for index in 0..8 {
            window.set_stamp(index, u64::from(place) << 8 | index as u64);
        }
        memory.set(place)?;
        expect_place(&window, place)?;
        for index in 0..8 {
            let (stamp, expected) = (window.stamp(index), u64::from(place) << 8 | index as u64);
            ensure!(stamp == expected, "page {index}: {stamp:#x}");
        }
    }
    Ok(())
}

fn partial_mappings_move() -> Outcome {
    let config = Config::of_pages(16);
    let pcm = config.open()?;
    let memory = Control::playback_memory()?.changed(RAM)?;
    let whole = config.map(&pcm)?;
    for index in 0..16 {
        whole.set_stamp(index, 0x100 + index as u64);
    }
    let (head, mut tail) = Window::new(&pcm, 0, 16)?.split(5);
    tail.relocate()?;
    let late = Window::new(&pcm, 15, 1)?;
    let populated = Window::with(
        &pcm,
        3,
        4,
        MapOptions {
            flags: libc::MAP_POPULATE,
            ..MapOptions::default()
        },
    )?;
    for place in [SRAM, RAM] {
        memory.set(place)?;
        for (window, first) in [
            (&whole, 0),
            (&head, 0),
            (&tail, 5),
            (&late, 15),
            (&populated, 3),
        ] {
            expect_place(window, place)?;
            for index in 0..window.pages() {
                let stamp = window.stamp(index);
                ensure!(
                    stamp == 0x100 + (first + index) as u64,
                    "mapping from {first}, page {index}: {stamp:#x}"
                );
            }
        }
        let end = sgring_suite::fork::run(|| {
            let right = (0..16).all(|index| whole.stamp(index) == 0x100 + index as u64);
            i32::from(!right)
        })?;
        ensure!(
            end == sgring_suite::fork::End::Exit(0),
            "the child saw something else: {end:?}"
        );
    }
    ensure!(page() <= config.bytes(), "a ring has pages");
    Ok(())
}

fn not_in_other_modes() -> Outcome {
    for mode in ["page", "eager"] {
        let _mode = Changed::to("map_mode", mode)?;
        let config = Config::of_pages(4);
        let pcm = config.open()?;
        let window = config.map(&pcm)?;
        window.set_stamp(1, 0x77);
        let memory = Control::playback_memory()?;
        expect(mode, memory.set(SRAM), libc::EOPNOTSUPP)?;
        ensure!(memory.get()? == RAM, "the wish was taken");
        ensure!(window.stamp(1) == 0x77, "{:#x}", window.stamp(1));
        drop(window);
        drop(pcm);

        let _memory = Control::playback_memory()?.changed(SRAM)?;
        let pcm = config.open()?;
        expect(
            format_args!("{mode}: a mapping of a ring on the card"),
            config.map(&pcm),
            libc::EOPNOTSUPP,
        )?;
    }
    Ok(())
}
