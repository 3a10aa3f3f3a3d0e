// SPDX-License-Identifier: MIT OR Apache-2.0
//! M10: a ring that is mapped twice in a row, as the client crate offers it.

use cpal_alsa_mmap::sys::{Access, HwParams, LinearError, MappedRing, Param, Pcm, SwParams};
use sgring_suite::card::{self, Config, commit};
use sgring_suite::control::Control;
use sgring_suite::ensure;
use sgring_suite::record::expect_played;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Test, note};
use sgring_suite::window::page;
use std::process::ExitCode;

const RAM: u32 = 0;
const SRAM: u32 = 1;
/// Bytes of a frame: S16 stereo.
const FRAME: usize = 4;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "any_stretch_is_one_slice",
            "M10: any start and any length up to the ring, in main memory",
            || any_stretch(RAM),
        ),
        Test(
            "any_stretch_on_the_card",
            "M10, M12: any start and any length up to the ring, in the card's memory",
            || any_stretch(SRAM),
        ),
        Test(
            "plays_in_any_pieces",
            "M10: what is written in pieces of any length, over the ring's end, is what is played",
            plays_in_any_pieces,
        ),
        Test(
            "refused_with_the_reason",
            "M10: a ring that is no whole number of pages is refused with just that; its last page ends in zeros",
            refused_with_the_reason,
        ),
    ])
}

fn config(period: u32, periods: u32) -> HwParams {
    let config = Config {
        access: Access::MmapInterleaved,
        ..Config::stereo(period, periods)
    };
    config.hw_params()
}

/// A prepared stream of that ring. Nothing starts or stops it by itself.
fn prepared(period: u32, periods: u32) -> Result<(Pcm, usize), tap::Stop> {
    let pcm = card::open()?;
    let mut params = config(period, periods);
    pcm.hw_params(&mut params)?;
    let frames = params.range(Param::BufferSize).single();
    ensure!(frames == Some(period * periods), "a ring of {frames:?}");
    let ring = (period * periods) as usize;
    let mut params = SwParams::new(ring as u64, period.into());
    params.start_threshold = i64::MAX as u64;
    pcm.sw_params(&params)?;
    pcm.prepare()?;
    Ok((pcm, ring))
}

fn any_stretch(memory: u32) -> Outcome {
    let _memory = Control::playback_memory()?.changed(memory)?;
    // Six pages.
    let (pcm, frames) = prepared(page() as u32 / 4, 6)?;
    // SAFETY: nothing else here maps it.
    let mut ring = unsafe { MappedRing::linear(&pcm, frames, FRAME) }?;
    ensure!(ring.is_linear(), "mapped once");
    let mut random = Random::new();
    let mut model = vec![0; frames * FRAME];
    for turn in 0..200 {
        let start = random.below(frames);
        let length = match turn {
            0 => frames,
            _ => random.below(frames + 1),
        };
        let window = ring.window(start, length);
        ensure!(
            window.len() == length * FRAME,
            "{} bytes of {length} frames from {start}",
            window.len()
        );
        random.fill(window);
        for (i, &byte) in window.iter().enumerate() {
            model[(start * FRAME + i) % (frames * FRAME)] = byte;
        }
        ensure!(
            ring.window(0, frames) == &model[..],
            "{length} frames from {start}: the ring is not what was written"
        );
    }
    Ok(())
}

fn plays_in_any_pieces() -> Outcome {
    const RING: u64 = 3072;
    const LENGTH: u64 = 20 * RING + 77;
    let _loopback = Control::of("Loopback Capture Switch", 0)?.changed(1)?;
    let (pcm, frames) = prepared(768, 4)?;
    ensure!(frames as u64 == RING, "{frames} frames");
    // SAFETY: nothing else here maps it.
    let mut ring = unsafe { MappedRing::linear(&pcm, frames, FRAME) }?;
    let recorder = Config::stereo(768, 16).prepare_on(card::open_capture()?)?;
    recorder.start()?;

    let mut random = Random::new();
    let mut sound = vec![0; LENGTH as usize * FRAME];
    random.fill(&mut sound);
    sound[..FRAME].copy_from_slice(&[1; FRAME]);
    let mut recorded = Vec::new();
    let mut chunk = vec![0; 768 * FRAME];
    let (mut written, mut over) = (0, 0);
    while recorded.len() < sound.len() + 8 * 768 * FRAME {
        let played = pcm.sync_ptr(Default::default())?.status.hw_ptr;
        let room = RING - (written - played);
        // Sometimes all that is free, else some of it; never so little that it runs dry.
        let piece = match random.below(3) {
            0 => room,
            _ => room - random.below(room as usize / 4 + 1) as u64,
        }
        .min(LENGTH - written);
        if piece > 0 {
            let at = (written % RING) as usize;
            over += u32::from(at as u64 + piece > RING);
            let from = written as usize * FRAME;
            let to = from + piece as usize * FRAME;
            ring.window(at, piece as usize)
                .copy_from_slice(&sound[from..to]);
            commit(&pcm, written + piece)?;
            if written == 0 {
                pcm.start()?;
            }
            written += piece;
            if written == LENGTH {
                pcm.set_nonblock(true)?;
                let drained = pcm.drain();
                ensure!(
                    drained
                        .as_ref()
                        .err()
                        .is_some_and(|e| e.kind() == std::io::ErrorKind::WouldBlock),
                    "DRAIN: {drained:?}"
                );
            }
        }
        let read = recorder.readi(&mut chunk)?;
        recorded.extend_from_slice(&chunk[..read * FRAME]);
    }
    note(format_args!("{over} pieces went over the ring's end"));
    ensure!(over > 5, "only {over} pieces over the ring's end");
    expect_played(&recorded, &sound)
}

fn refused_with_the_reason() -> Outcome {
    for (period, periods) in [(240, 4), (1000, 3), (768, 5)] {
        let (pcm, frames) = prepared(period, periods)?;
        let bytes = frames * FRAME;
        ensure!(bytes % page() != 0, "{bytes} bytes are whole pages");
        // SAFETY: it is refused.
        match unsafe { MappedRing::linear(&pcm, frames, FRAME) } {
            Err(LinearError::NotPages { ring, page: p }) => {
                ensure!((ring, p) == (bytes, page()), "{ring} bytes, {p}");
            }
            other => ensure!(false, "{other:?}"),
        }
        // SAFETY: as above.
        let text = unsafe { MappedRing::linear(&pcm, frames, FRAME) }
            .err()
            .map_or_else(String::new, |e| e.to_string());
        ensure!(
            text.contains(&format!("{bytes} bytes")),
            "the reason is {text:?}"
        );
        // Nothing of it is left mapped: the core refuses no parameters.
        pcm.hw_params(&mut config(period, periods))?;
        let whole = Config::stereo(period, periods).map(&pcm)?;
        let behind = whole.read(bytes, whole.bytes() - bytes);
        ensure!(
            behind.iter().all(|&byte| byte == 0),
            "not zero behind {bytes} bytes"
        );
    }
    Ok(())
}
